//! Slots of one size in few mappings.
//!
//! A mapping of its own for each stack would end at `vm.max_map_count` (65,530): at some 32,000 coroutines, because a
//! guard by `mprotect` splits a mapping in two. Here a slab is one mapping for up to a gigabyte of slots, and the guards
//! are marks in the page tables (`MADV_GUARD_INSTALL`, Linux 6.13), which split nothing. Where the kernel has none, the
//! guards are protected, and the limit is named when it is hit.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sys::memory::{Reservation, page_size};

use super::{GUARD, Stack};

/// A slab holds as many bytes at most, or one slot; the first ones are smaller, each twice the one before.
const SLAB_MAX: usize = 1 << 30;
const SLAB_FIRST: usize = 4 << 20;
/// How many free stacks keep the pages that they have touched, for whoever comes next.
const WARM: usize = 64;
/// How many stacks give their pages back at a time: about a millisecond's work.
const TRIMMED_AT_ONCE: usize = 1024;

/// Whether the kernel lacks light guards; found out by the call itself, once.
static PROTECT: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
pub(super) struct Slabs {
    slot_size: usize,
    /// From one slot to the next: a page more than its size. Tops of stacks that lie a power of two apart would all want
    /// the same few places of the caches and of the TLB, which take an address by its lower bits.
    stride: usize,
    /// Each with the number of its first slot.
    slabs: Vec<(usize, Reservation)>,
    /// Slots of the last slab that were never used, from here to `end`.
    fresh: usize,
    end: usize,
    /// Used before, hottest last.
    free: Vec<Stack>,
    /// How many of `free`, from the cold end, have given their pages back.
    trimmed: usize,
    /// The least number of free ones since the last trim: so many were not needed.
    least: usize,
}

impl Slabs {
    pub(super) fn new(slot_size: usize) -> Self {
        Self {
            slot_size,
            stride: slot_size + page_size(),
            slabs: Vec::new(),
            fresh: 0,
            end: 0,
            free: Vec::new(),
            trimmed: 0,
            least: 0,
        }
    }

    pub(super) fn slot_size(&self) -> usize {
        self.slot_size
    }

    pub(super) fn take(&mut self) -> io::Result<Stack> {
        if let Some(stack) = self.free.pop() {
            self.trimmed = self.trimmed.min(self.free.len());
            self.least = self.least.min(self.free.len());
            return Ok(stack);
        }
        if self.fresh == self.end {
            self.grow().map_err(|error| super::explain(&error, self.slot_size))?;
        }
        let slot = self.fresh;
        let (first, slab) = self.slabs.last().expect("grow has added one");
        let offset = (slot - first) * self.stride;
        guard(slab, offset).map_err(|error| super::explain(&error, self.slot_size))?;
        self.fresh += 1;
        let limit = slab.base().saturating_add(offset);
        let slot = slot.try_into().map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Stack { base: limit.saturating_add(self.slot_size), limit, slot })
    }

    fn grow(&mut self) -> io::Result<()> {
        let [first, most] = [SLAB_FIRST, SLAB_MAX].map(|bytes| (bytes / self.stride).max(1));
        let mut slots = self.end.clamp(first, most);
        let slab = loop {
            match Reservation::new(slots * self.stride) {
                Ok(slab) => break slab,
                // Under a limit of address space a small slab may still fit where a large one does not.
                Err(_) if slots > 1 => slots /= 2,
                Err(error) => return Err(error),
            }
        };
        self.slabs.push((self.end, slab));
        self.fresh = self.end;
        self.end += slots;
        Ok(())
    }

    pub(super) fn give_back(&mut self, stack: Stack) {
        self.free.push(stack);
    }

    /// Gives back the pages of stacks that nobody has needed since the last trim: some of them, coldest first.
    pub(super) fn trim(&mut self) {
        let idle = self.least.saturating_sub(WARM);
        self.least = self.free.len();
        let until = idle.min(self.trimmed + TRIMMED_AT_ONCE);
        for stack in &self.free[self.trimmed.min(until)..until] {
            let index = self.slabs.partition_point(|(first, _)| *first <= stack.slot as usize) - 1;
            let (_, slab) = &self.slabs[index];
            let start = distance(slab.base(), stack.limit) + GUARD;
            // SAFETY: the stack is free: no frame is live on it.
            unsafe { slab.discard(start, self.slot_size - GUARD) };
        }
        self.trimmed = self.trimmed.max(until);
    }

    /// Whether a trim may find something, now or later.
    pub(super) fn is_warm(&self) -> bool {
        self.free.len() > self.trimmed + WARM
    }
}

fn distance(from: NonZeroUsize, to: NonZeroUsize) -> usize {
    to.get() - from.get()
}

fn guard(slab: &Reservation, offset: usize) -> io::Result<()> {
    if !PROTECT.load(Relaxed) {
        match slab.install_guard(offset, GUARD) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => PROTECT.store(true, Relaxed),
            result => return result,
        }
    }
    slab.protect(offset, GUARD)
}
