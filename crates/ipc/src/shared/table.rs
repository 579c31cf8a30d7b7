//! Who has a region: the table of its processes.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use ropewalk_sys::process::{Lingering, start_time};
use ropewalk_sys::robust::{DIED, FIRST_SLOT, SLOT_WORDS, SLOTS};

/// In a slot: the word that the kernel marks when the process dies; zero while the slot is free.
const PULSE: usize = 0;
/// How many processes have had the slot; written by whoever has it.
const GENERATION: usize = 1;
/// The process's number, for people to read.
const PROCESS: usize = 2;

/// When that began: the low part of [`start_time`].
const START: usize = 3;

/// Where the table ends, in words.
pub(super) const END: usize = FIRST_SLOT + SLOTS * SLOT_WORDS;

/// A process in a region, as locks have it: never zero, and not used again before 16 million others have had the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(u32);

/// The bits of a word that an [`Owner`] takes.
pub(super) const OWNER: u32 = (1 << 30) - 1;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
const GENERATIONS: u32 = (OWNER >> SLOT_BITS) - 1;

impl Owner {
    fn new(slot: usize, generation: u32) -> Self {
        Self(((generation % GENERATIONS + 1) << SLOT_BITS) | slot as u32)
    }

    /// Whoever stands in a word; nobody if none does.
    pub(super) fn of(word: u32) -> Option<Self> {
        (word & OWNER != 0).then_some(Self(word & OWNER))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn slot(self) -> usize {
        self.0 as usize % SLOTS
    }
}

/// The table, in the words of a region.
#[derive(Clone, Copy)]
pub(super) struct Table<'a>(pub(super) &'a [AtomicU32]);

impl<'a> Table<'a> {
    /// The place of a slot's pulse among the words of the region.
    pub(super) fn place_of_pulse(slot: usize) -> usize {
        FIRST_SLOT + slot * SLOT_WORDS + PULSE
    }

    fn word(self, slot: usize, which: usize) -> &'a AtomicU32 {
        &self.0[FIRST_SLOT + slot * SLOT_WORDS + which]
    }

    pub(super) fn pulse(self, slot: usize) -> u32 {
        // SYNC: table.pulse. With `SeqCst`: see `Inner::recover`.
        self.word(slot, PULSE).load(SeqCst)
    }

    /// Whoever has, or had, the slot.
    pub(super) fn owner(self, slot: usize) -> Owner {
        Owner::new(slot, self.word(slot, GENERATION).load(Acquire))
    }

    /// The process that has just taken the slot begins a generation.
    pub(super) fn begin(self, slot: usize) -> Owner {
        self.word(slot, GENERATION).fetch_add(1, SeqCst);
        let id = std::process::id();
        self.word(slot, START).store(start_time(id).unwrap_or_default() as u32, Relaxed);
        self.word(slot, PROCESS).store(id, Relaxed);
        self.owner(slot)
    }

    /// The slots whose processes have died.
    pub(super) fn dead(self) -> impl Iterator<Item = usize> {
        (0..SLOTS).filter(move |slot| self.pulse(*slot) & DIED != 0)
    }

    /// The numbers of the processes that have a slot.
    pub(super) fn processes(self) -> Vec<u32> {
        let taken = (0..SLOTS).filter(|slot| self.pulse(*slot) != 0);
        taken.map(|slot| self.word(slot, PROCESS).load(Relaxed)).collect()
    }

    /// The process of a slot whose pulse is marked, if some of its threads may still run: its pulse was one thread's.
    pub(super) fn lingering(self, slot: usize) -> Option<Lingering> {
        let start = self.word(slot, START).load(Relaxed);
        Lingering::find(self.word(slot, PROCESS).load(Relaxed), |time| time as u32 == start)
    }

    /// Whether that process is not there any more, with none of its threads.
    pub(super) fn is_gone(self, owner: Owner) -> bool {
        let (slot, pulse) = (owner.slot(), self.pulse(owner.slot()));
        pulse == 0 || self.owner(slot) != owner || (pulse & DIED != 0 && self.lingering(slot).is_none())
    }

    /// Frees the slot of a process that has died: the last step of tidying up.
    pub(super) fn free_dead(self, slot: usize) {
        let pulse = self.pulse(slot);
        if pulse & DIED != 0 {
            // SYNC: robust.slot
            let _ = self.word(slot, PULSE).compare_exchange(pulse, 0, SeqCst, Relaxed);
        }
    }
}
