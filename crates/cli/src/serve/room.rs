//! Whether there is room for another connection within a limit of the address space.
//!
//! Without a limit there always is: the kernel says when there is not. With one, stacks would take
//! all of it, and then the next kilobyte of heap would be refused, which ends the process. So
//! stacks leave some of it free. Two more steps make that safe although slabs of stacks grow by
//! halves of what is left: a ballast that is let go when the first connection is refused, and from
//! then on no more connections at once than there were.

use rustix::process::{Resource, getrlimit};

use super::address_space::ProcessStatus;

/// What stacks leave free, for the heap, SQLite and the log's index.
const RESERVE: u64 = 64 << 20;

/// What is let go when the reserve is reached.
const BALLAST: usize = 32 << 20;

/// Admits connections as long as there is room.
#[derive(Debug)]
pub(super) struct Room {
    /// Nothing where the address space has no limit.
    limited: Option<Limited>,
    /// The most connections at once; known when the first one was refused.
    most: usize,
}

#[derive(Debug)]
struct Limited {
    limit: u64,
    /// Reserved and never touched.
    ballast: Vec<u8>,
}

impl Room {
    /// The room of this process.
    pub(super) fn new() -> Self {
        let limited = getrlimit(Resource::As).current.map(|limit| {
            let mut ballast = Vec::new();
            // If there is not even so much, the first connection will be refused.
            let _ = ballast.try_reserve_exact(BALLAST);
            Limited { limit, ballast }
        });
        Self { limited, most: usize::MAX }
    }

    /// True when a connection whose task reserves `bytes` can be started beside `live` others.
    pub(super) fn admits(&mut self, process: &ProcessStatus, live: usize, bytes: usize) -> bool {
        let Some(limited) = &mut self.limited else {
            return true;
        };
        if self.most == usize::MAX {
            let wanted = RESERVE + bytes as u64;
            // Where the size cannot be read the kernel has the last word.
            let size = process.address_space().unwrap_or(0);
            if size + wanted > limited.limit {
                limited.ballast = Vec::new();
                self.most = live;
            }
        }
        live < self.most
    }
}
