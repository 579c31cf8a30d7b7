//! The processes of a service: the one that was started, the ledger's, and those that serve connections, if any do.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{io, process};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::block::{self, Block, Usage};

/// Who belongs to the service.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Family {
    /// The process that was started.
    pub(super) service: u32,
    /// The ledger's.
    pub(super) ledger: u32,
    /// What its other children are for; it has none where this is missing.
    pub(super) children: Option<Children>,
}

/// What the children of a service are for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Children {
    /// A connection each.
    Connection,
    /// A share of all connections.
    Worker,
}

/// CPU time in microseconds that this process has spent to look at the others. A reading that took part in what it
/// reads would not be one, so it is left out.
static LOOKING_US: AtomicU64 = AtomicU64::new(0);

impl Family {
    /// The processes that serve connections, with what they are for.
    fn serving(&self) -> Vec<(u32, &'static str)> {
        let mut serving = vec![(self.service, "service")];
        let role = match self.children {
            None => return serving,
            Some(Children::Connection) => "connection",
            Some(Children::Worker) => "worker",
        };
        let children = block::children(self.service).into_iter().filter(|&pid| pid != self.ledger);
        serving.extend(children.map(|pid| (pid, role)));
        serving
    }

    /// What those that serve have used so far, and their threads. Who has ended meanwhile is not in it.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(super) fn usage(&self) -> io::Result<(Usage, u64)> {
        look(|| {
            let (mut sum, mut threads) = (Usage::default(), 0);
            for (pid, _) in self.serving() {
                // They come and go.
                let usage = if pid == process::id() { Usage::of_self() } else { Usage::of(pid) };
                if let (Ok(usage), Ok(count)) = (usage, block::threads(pid)) {
                    sum.add(&usage);
                    threads += count;
                }
            }
            sum.cpu_us = sum.cpu_us.saturating_sub(LOOKING_US.load(Relaxed));
            Ok((sum, threads))
        })
    }

    /// The process control block of each, the ledger's last.
    pub(super) fn blocks(&self) -> Vec<Block> {
        look(|| {
            let mut all = self.serving();
            all.push((self.ledger, "ledger"));
            // They come and go.
            all.into_iter().filter_map(|(pid, role)| Block::read(pid, role).ok()).collect()
        })
    }
}

/// Does something whose CPU time belongs to whoever looks.
fn look<T>(reading: impl FnOnce() -> T) -> T {
    let start = thread_cpu_us();
    let read = reading();
    LOOKING_US.fetch_add(thread_cpu_us().saturating_sub(start), Relaxed);
    read
}

fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    std::time::Duration::try_from(time).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(0))
}
