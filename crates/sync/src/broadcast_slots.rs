//! The slots of a topic in shared memory: who may write which, and who has read what, in one word for each slot and one
//! counter. Nothing else of a topic is here, neither its messages nor how they are waited for, so that loom can run these
//! very lines.
//!
//! Each message is for everybody. Writers go round and overwrite the oldest message, whoever has not read it; readers write
//! nothing at all, so neither their number nor their death matters. Each reader has a place of its own, the position that is
//! next for it, and copies what stands there; the slot's word tells it whether the copy is of one message, whole: a sequence
//! lock (Lameter, "Effective Synchronization on Linux/NUMA Systems", 2005) for each slot.
//!
//! # The word of a slot
//! | bits | what |
//! |---|---|
//! | 0-1 | void, claimed by a writer, full |
//! | 2-7 | who has claimed it |
//! | 8-31 | the lap: how often the writers have come round to it |
//!
//! A position counts slots from one capacity on (lap 0 is before everything, and void), and wraps; position / capacity is the
//! lap. In its lap a slot is claimed, and then full, or void if its writer gives it up or dies: everybody passes over it.
//!
//! # Rules
//! 1. **The word commits.** Each step is one atomic operation on one slot's word. The counter `tail` only says where to look:
//!    who finds the slot there claimed advances it, so one that dies before it has done so holds up nobody. What is full was
//!    counted.
//! 2. **Nobody waits.** A writer that comes round to a slot that another still writes leaves it to that one, with the position
//!    that it would have had itself: it changes the lap in the word, and goes on to the next slot. So who keeps a slot for a
//!    lap publishes later in the order than it has claimed. Readers wait at its position, a lap at most, and then at its next
//!    one.
//! 3. What is claimed is changed by its writer, by whoever comes round, as in 2, and by whoever tidies up after the writer;
//!    so its writer publishes by a compare-and-swap, whatever the lap has become.
//! 4. A word is looked at together with the tail: if that is the same before and after, the word is of the tail's lap or of
//!    one before. Laps are never compared but for being equal, since who sleeps may wake up any number of laps later.
//! 5. Laps count to 2^24, or as far as positions go. One that looks at a word, sleeps over exactly so many laps, and goes on
//!    could mistake one for another; who sleeps over 2^32 messages counts so many too few as missed.
//! 6. What stands in the words may be nonsense that somebody has written there. Each call makes a bounded number of steps, and
//!    gives positions only, which are no more than numbers.
//!
//! # Memory ordering
//! - A message is written before its slot is full, and read after (SYNC: broadcast.full).
//! - Who reads a word of a later message sees afterwards that the slot is not full with the earlier one: the claim comes before a
//!   release fence and that before the writes; the reads come before an acquire fence and that before the second look (SYNC:
//!   broadcast.claim). So what was copied between two looks that found the same is one message.
//! - Who finds the tail past a position finds the slot there claimed for it, or for a later one: it was before the tail was
//!   advanced (SYNC: broadcast.tail).
//! - Steps and looks are `SeqCst`, for whoever listens for a change first and looks then: see the bell of shared memory.

use crate::primitive::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::primitive::{AtomicU32, fence};

const VOID: u32 = 0;
const CLAIMED: u32 = 1;
const FULL: u32 = 2;
const STATE: u32 = 3;

const OWNER_SHIFT: u32 = 2;
const OWNERS: u32 = 63;
const LAP_SHIFT: u32 = 8;
const LAP_BITS: u32 = 32 - LAP_SHIFT;
/// State and owner.
const WHAT: u32 = (1 << LAP_SHIFT) - 1;

/// More than this many who were faster in a row, and the caller is told to come again.
const TRIES: usize = 64;

/// What a writer finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The slot of this index is its own, until it publishes it or gives it up.
    Slot(usize),
    /// Others write in all of them.
    Full,
    /// Others were faster, time and again: look again.
    Busy,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The message of this position, to be copied, if it [is still there](Laps::is_still) then.
    Found(u32),
    /// There is none yet.
    Nothing,
    /// The next message is still being written.
    Held,
    /// So many positions were overwritten before they were read; the next one is behind them.
    Missed(u32),
    /// Others were faster, time and again: look again.
    Busy,
}

/// The order in which slots are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laps {
    /// The binary logarithm of the capacity.
    shift: u32,
}

impl Laps {
    /// The most slots.
    pub const CAPACITY_MAX: usize = 1 << 16;

    /// For so many slots: a power of two up to [`CAPACITY_MAX`](Self::CAPACITY_MAX).
    #[must_use]
    pub fn new(capacity: usize) -> Option<Self> {
        let fits = capacity.is_power_of_two() && capacity <= Self::CAPACITY_MAX;
        fits.then(|| Self { shift: capacity.trailing_zeros() })
    }

    /// How many slots there are.
    #[must_use]
    pub fn capacity(self) -> usize {
        1 << self.shift
    }

    /// The tail of a topic in which nothing was published. The words of its slots are zero.
    #[must_use]
    pub fn first(self) -> u32 {
        1 << self.shift
    }

    /// The slot of a position.
    #[must_use]
    pub fn index(self, position: u32) -> usize {
        position as usize & (self.capacity() - 1)
    }

    /// The lap of a position, as it stands in a word.
    fn lap(self, position: u32) -> u32 {
        let mask = (1 << LAP_BITS.min(32 - self.shift)) - 1;
        ((position >> self.shift) & mask) << LAP_SHIFT
    }

    fn is_of(self, word: u32, position: u32) -> bool {
        word & !WHAT == self.lap(position)
    }

    /// A writer claims the next slot, for which it need not wait. `step` is called between two steps that others see;
    /// `moved` when a slot was left to another writer, so that readers have a reason to look again.
    pub fn claim<'a>(
        self,
        tail: &AtomicU32,
        slot: impl Fn(usize) -> &'a AtomicU32,
        owner: u32,
        step: impl Fn(&'static str),
        moved: impl Fn(),
    ) -> Claim {
        let mut passed = 0;
        for _ in 0..2 * self.capacity() + TRIES {
            let position = tail.load(SeqCst);
            let word = slot(self.index(position));
            let value = word.load(Acquire);
            // Rule 4.
            if tail.load(SeqCst) != position {
                continue;
            }
            let is_lent = value & STATE == CLAIMED;
            let is_past = self.is_of(value, position);
            if !is_past {
                if is_lent && (passed == self.capacity() || passed == 0 && self.are_all_lent(&slot)) {
                    return Claim::Full;
                }
                let what = if is_lent { value & WHAT } else { (owner & OWNERS) << OWNER_SHIFT | CLAIMED };
                // SYNC: broadcast.claim
                if word.compare_exchange(value, self.lap(position) | what, SeqCst, Relaxed).is_err() {
                    continue;
                }
                step("broadcast: claimed, not counted");
            }
            // SYNC: broadcast.tail
            let _ = tail.compare_exchange(position, position.wrapping_add(1), SeqCst, Relaxed);
            match (is_past, is_lent) {
                (true, _) => {}
                (false, true) => {
                    passed += 1;
                    moved();
                }
                (false, false) => {
                    // SYNC: broadcast.claim
                    fence(Release);
                    return Claim::Slot(self.index(position));
                }
            }
        }
        Claim::Busy
    }

    /// Whether somebody writes in each slot, so that to go round would be in vain.
    fn are_all_lent<'a>(self, slot: impl Fn(usize) -> &'a AtomicU32) -> bool {
        (0..self.capacity()).all(|index| slot(index).load(Relaxed) & STATE == CLAIMED)
    }

    /// The message is written, by whoever has claimed the slot: it is for all.
    pub fn publish(self, word: &AtomicU32, owner: u32) {
        // SYNC: broadcast.full
        Self::settle(word, owner, FULL);
    }

    /// The slot that `owner` has claimed holds no message: it has given it up, or has died. To do it again changes nothing.
    pub fn give_up(self, word: &AtomicU32, owner: u32) {
        Self::settle(word, owner, VOID);
    }

    /// Ends a claim, whichever lap it is of by now. Nobody else changes that more than once in a lap, but who breaks the
    /// rules.
    fn settle(word: &AtomicU32, owner: u32, state: u32) {
        let claimed = (owner & OWNERS) << OWNER_SHIFT | CLAIMED;
        let mut value = word.load(Relaxed);
        for _ in 0..TRIES {
            if value & WHAT != claimed {
                return;
            }
            match word.compare_exchange(value, value & !WHAT | state, SeqCst, Relaxed) {
                Ok(_) => return,
                Err(now) => value = now,
            }
        }
    }

    /// Where a new reader begins: with the last so many messages, or behind them all.
    pub fn begin<'a>(self, history: usize, tail: &AtomicU32, slot: impl Fn(usize) -> &'a AtomicU32) -> u32 {
        let mut start = tail.load(SeqCst);
        let mut left = history;
        let mut position = start;
        for _ in 0..self.capacity() {
            if left == 0 {
                break;
            }
            position = position.wrapping_sub(1);
            if slot(self.index(position)).load(SeqCst) == self.lap(position) | FULL {
                start = position;
                left -= 1;
            }
        }
        start
    }

    /// The first message from a reader's next position on, which is advanced over slots that are void, and over messages that
    /// were overwritten: then it is as near to the oldest message as that is said to be safe, by `head_start`.
    pub fn look<'a>(
        self,
        next: &mut u32,
        head_start: u32,
        tail: &AtomicU32,
        slot: impl Fn(usize) -> &'a AtomicU32,
    ) -> Look {
        let capacity = self.first();
        for _ in 0..self.capacity() + TRIES {
            let word = slot(self.index(*next));
            // SYNC: broadcast.full
            let value = word.load(SeqCst);
            if self.is_of(value, *next) {
                match value & STATE {
                    FULL => return Look::Found(*next),
                    CLAIMED => return Look::Held,
                    _ => *next = next.wrapping_add(1),
                }
                continue;
            }
            // SYNC: broadcast.tail
            let behind = tail.load(SeqCst).wrapping_sub(*next);
            let missed = match behind {
                // A writer that died before it had counted may have been passed over.
                0 | u32::MAX => return Look::Nothing,
                _ if behind > capacity => behind - capacity + head_start.min(capacity - 1),
                // It was claimed meanwhile; or it is the one that is being overwritten.
                _ if self.is_of(word.load(SeqCst), *next) => continue,
                _ => 1,
            };
            *next = next.wrapping_add(missed);
            return Look::Missed(missed);
        }
        Look::Busy
    }

    /// Whether the slot of a message that was [found](Look::Found), and has been copied since, has it still: then all of the
    /// copy is of that message.
    #[must_use]
    pub fn is_still(self, word: &AtomicU32, position: u32) -> bool {
        // SYNC: broadcast.claim
        fence(Acquire);
        word.load(Relaxed) == self.lap(position) | FULL
    }
}
