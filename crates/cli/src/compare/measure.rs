//! What the processes of a plan take of the machine, all of them together.

use serde::{Deserialize, Serialize};

use crate::block::Block;

/// The memory of all processes of a service, the ledger's included, when the payment clock had stopped and all users were
/// still connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// How many processes.
    pub(crate) processes: u64,
    /// Memory in use, each page divided by the number of processes that share it (PSS): the program itself, of which
    /// every process has the same pages, counts once.
    pub(crate) proportional_bytes: u64,
    /// Page tables, and kernel stacks of 16 KiB for each thread: nobody shares those.
    pub(crate) kernel_bytes: u64,
    /// Peaks of the address spaces.
    pub(crate) reserved_bytes: u64,
    /// Threads.
    pub(crate) threads: u64,
}

impl Memory {
    /// The sum over these processes; `None` where the server named none.
    pub(crate) fn of(processes: &[Block]) -> Option<Self> {
        if processes.is_empty() {
            return None;
        }
        let sum = |pick: fn(&Block) -> u64| processes.iter().map(pick).sum();
        Some(Self {
            processes: processes.len() as u64,
            proportional_bytes: sum(|block| block.proportional_bytes),
            kernel_bytes: sum(|block| block.touched_bytes() - block.proportional_bytes),
            reserved_bytes: sum(|block| block.reserved_bytes),
            threads: sum(|block| block.threads),
        })
    }

    /// All memory that the machine has to back with pages.
    pub(crate) fn touched_bytes(&self) -> u64 {
        self.proportional_bytes + self.kernel_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_all_processes_is_added_up() {
        let block = |threads, proportional_bytes| Block {
            threads,
            proportional_bytes,
            resident_bytes: 99 << 20,
            page_tables_bytes: 8 << 10,
            reserved_bytes: 200 << 20,
            ..Block::default()
        };
        let memory = Memory::of(&[block(3, 5 << 20), block(1, 1 << 20)]).unwrap();
        assert_eq!((memory.processes, memory.threads), (2, 4));
        assert_eq!(memory.touched_bytes(), (6 << 20) + (16 << 10) + 4 * (16 << 10));
        assert_eq!(memory.reserved_bytes, 400 << 20);
        assert_eq!(Memory::of(&[]), None);
    }
}
