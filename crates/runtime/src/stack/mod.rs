//! The stacks that coroutines run on.
//!
//! # The invariant that carries everything
//! A stack is never unmapped, reused or forgotten while a frame on it is live. [`Stack`] is given out by [`Pool::take`],
//! belongs to the coroutine that runs on it, and comes back to [`Pool::give_back`] after the body has returned. What
//! never comes back is leaked with its slab.

pub(crate) mod overflow;
mod slab;

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::OnceLock;

use corosensei::stack::StackPointer;

use self::slab::Slabs;

/// How much of a slot faults when touched. More than a page, because C code without stack probes can step over one.
pub(crate) const GUARD: usize = 64 * 1024;

/// The size of a slot, guard included, unless `ROPEWALK_STACK` or a builder says otherwise.
const DEFAULT_SLOT: usize = if cfg!(debug_assertions) { 1024 * 1024 } else { 256 * 1024 };

/// The smallest usable size that makes sense: a panic with a backtrace has to fit.
const USABLE_MIN: usize = 64 * 1024;

/// What the top of each stack keeps for its worker: see `scheduler::core::Frame`.
pub(crate) const FRAME: usize = 192;

/// One stack: addresses, and where it came from.
#[derive(Debug)]
pub(crate) struct Stack {
    /// The highest address.
    base: NonZeroUsize,
    /// The lowest address of the slot, which is the guard's.
    limit: NonZeroUsize,
    slot: u32,
}

// SAFETY: the addresses bound a mapping that stays as long as this value is not given back (the module's invariant);
// both are multiples of 64; the lowest `GUARD` bytes fault when touched, and more than 4,096 bytes are left.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        self.frame().addr()
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}

impl Stack {
    /// The room at the top, above what the coroutine uses: `FRAME` bytes, aligned to 64.
    pub(crate) fn frame(&self) -> NonNull<u8> {
        let top = self.base.get() - FRAME;
        NonNull::new(std::ptr::with_exposed_provenance_mut(top)).expect("a mapping is not at address 0")
    }

    /// The addresses that fault.
    pub(crate) fn guard(&self) -> std::ops::Range<usize> {
        self.limit.get()..self.limit.get() + GUARD
    }

    /// How many bytes can be used.
    pub(crate) fn usable(&self) -> usize {
        self.base.get() - self.limit.get() - GUARD - FRAME
    }

    fn slot_size(&self) -> usize {
        self.base.get() - self.limit.get()
    }
}

/// The size of the slot for a stack of `usable` bytes; the default for `None`.
pub(crate) fn slot_size(usable: Option<usize>) -> usize {
    match usable {
        None => default_slot(),
        Some(usable) => {
            // Powers of two, so that few classes serve all sizes.
            usable
                .max(USABLE_MIN)
                .saturating_add(GUARD + FRAME)
                .checked_next_power_of_two()
                .unwrap_or(usize::MAX / 2 + 1)
        }
    }
}

fn default_slot() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let asked = std::env::var("ROPEWALK_STACK").ok();
        match asked.as_deref().map(parse_size) {
            None => DEFAULT_SLOT,
            Some(Some(bytes)) => bytes.max(GUARD + USABLE_MIN).next_power_of_two(),
            Some(None) => {
                tracing::warn!(
                    value = asked,
                    "ROPEWALK_STACK is not a size such as 262144 or 256K: the default is used"
                );
                DEFAULT_SLOT
            }
        }
    })
}

fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes <= 1 << 40)
}

/// The stacks of one worker, by size: a handful of classes, the default first.
#[derive(Debug, Default)]
pub(crate) struct Pool(Vec<Slabs>);

impl Pool {
    /// A stack in a slot of `slot_size` bytes, the one used last if there is one.
    pub(crate) fn take(&mut self, slot_size: usize) -> io::Result<Stack> {
        if let Some(slabs) = self.class(slot_size) {
            return slabs.take();
        }
        let mut slabs = Slabs::new(slot_size);
        let stack = slabs.take();
        self.0.push(slabs);
        stack
    }

    fn class(&mut self, slot_size: usize) -> Option<&mut Slabs> {
        self.0.iter_mut().find(|slabs| slabs.slot_size() == slot_size)
    }

    /// Takes back a stack on which no frame is live.
    pub(crate) fn give_back(&mut self, stack: Stack) {
        if let Some(slabs) = self.class(stack.slot_size()) {
            slabs.give_back(stack);
        }
    }

    /// Gives memory back that was used since the last time and is not needed now. To be called when there is time.
    pub(crate) fn trim(&mut self) {
        self.0.iter_mut().for_each(Slabs::trim);
    }

    /// Whether there is more to give back, now or later.
    pub(crate) fn is_warm(&self) -> bool {
        self.0.iter().any(Slabs::is_warm)
    }

    /// Frames are still live on some stack: keeps every mapping for ever.
    pub(crate) fn leak(&mut self) {
        std::mem::take(&mut self.0).into_iter().for_each(std::mem::forget);
    }
}

/// What to say when there is no stack: which limit, and what mends it.
pub(crate) fn explain(error: &io::Error, slot_size: usize) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "no memory for a coroutine's stack of {} KiB ({error}): raise `ulimit -v` or vm.max_map_count, \
             set vm.overcommit_memory=1, or lower ROPEWALK_STACK",
            slot_size / 1024
        ),
    )
}
