//! Who may have which slot of a ring: one word for each slot, and two counters. Nothing else of a ring is here, neither its
//! messages nor how it is waited for, so that loom can run these very lines.
//!
//! It is Dmitry Vyukov's bounded queue of many producers and many consumers (1024cores.net, 2010), in which each slot says
//! itself whose turn it is, but for one thing: there a producer that dies between its claim and its commit holds up
//! everybody for ever, because nobody can tell it from a slow one. Here the slot's word says **who** has it, so whoever
//! tidies up after the dead finds it ([`recover`](Turns::recover)).
//!
//! # The word of a slot
//! | bits | what |
//! |---|---|
//! | 0-1 | free, claimed by a producer, full, taken by a consumer |
//! | 2-7 | who has claimed or taken it |
//! | 8-31 | the lap: how often the ring has come round to it |
//!
//! A position counts slots from the beginning on, and wraps; position / capacity is the lap. In lap `n` a slot goes from
//! free through claimed, full and taken to free of lap `n + 1`. One of which the loan is dropped, or the producer or the
//! consumer dies, goes there at once: what it was to hold, or held, is no message any more, and everybody passes over it.
//!
//! # Rules
//! 1. **The word commits.** Each step is one atomic operation on one slot's word. The counters `tail` and `head` only say
//!    where to look: whoever finds that the slot there is past its turn advances the counter, so one that dies before it has
//!    done so holds up nobody.
//! 2. A slot whose word is of the lap before is not ready: the ring is full for a producer, and empty for a consumer. One of
//!    another lap is past its turn.
//! 3. Laps count to 2^24, or as far as positions go. One that looks at a slot, sleeps over exactly so many laps and
//!    goes on could mistake one for another.
//! 4. Where there is one producer only, it needs no claim and no counter: it knows its position, and its slot is free or not
//!    (as in FastForward: Giacomoni, Moseley and Vachharajani, PPoPP 2008). Likewise with one consumer.
//!    Where there is one of each, slots are not given back one by one either: `head` says how far the consumer has come, and
//!    the producer looks there only when it has used up all the room that it knew of (as in Lamport's ring, "Specifying
//!    Concurrent Program Modules", TOPLAS 1983, with the cached index of MCRingBuffer: Lee, Bu and Chandranmenon, IPDPS 2010).
//!    So a slot's line of the cache goes one way only, and that of `head` moves once for each lap. There a slot goes from
//!    full to full of the next lap, and nobody has anything that would have to be freed.
//! 5. What stands in the words may be nonsense that somebody has written there. Each call makes a bounded number of steps,
//!    and gives positions only, which are no more than numbers.
//!
//! # Memory ordering
//! A message is written before its slot is full, and read after (SYNC: slots.full); it was read before the slot is free, and
//! is overwritten after (SYNC: slots.free). Steps and looks are `SeqCst`, for whoever listens for a change first
//! and looks then (see the bell of shared memory): either the look sees the change, or the change comes later, and
//! whoever makes it sees the listener.

use crate::primitive::AtomicU32;
use crate::primitive::Ordering::{Acquire, Relaxed, SeqCst};

const FREE: u32 = 0;
const CLAIMED: u32 = 1;
const FULL: u32 = 2;
const TAKEN: u32 = 3;
const STATE: u32 = 3;

const OWNER_SHIFT: u32 = 2;
const OWNERS: u32 = 63;
const LAP_SHIFT: u32 = 8;
const LAP_BITS: u32 = 32 - LAP_SHIFT;

/// More than this many who were faster in a row, and the caller is told to come again.
const TRIES: usize = 64;

/// What a look for a slot finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The slot of this position.
    Found(u32),
    /// None is ready: the ring is full for a producer, empty for a consumer.
    Nothing,
    /// For a consumer: the next message is still being written.
    Held,
    /// Others were faster, time and again: look again.
    Busy,
}

/// How the word of a slot stands to a position.
enum Turn {
    /// It is of the lap before.
    NotYet,
    /// Its turn, in this state.
    Now(u32),
    Past,
}

/// The order in which slots are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// The binary logarithm of the capacity.
    shift: u32,
}

impl Turns {
    /// The most slots.
    pub const CAPACITY_MAX: usize = 1 << 16;

    /// For so many slots: a power of two up to [`CAPACITY_MAX`](Self::CAPACITY_MAX).
    #[must_use]
    pub fn new(capacity: usize) -> Option<Self> {
        let fits = capacity.is_power_of_two() && capacity <= Self::CAPACITY_MAX;
        fits.then(|| Self { shift: capacity.trailing_zeros() })
    }

    /// How many slots there are.
    #[inline]
    #[must_use]
    pub fn capacity(self) -> usize {
        1 << self.shift
    }

    /// The slot of a position.
    #[inline]
    #[must_use]
    pub fn index(self, position: u32) -> usize {
        position as usize & (self.capacity() - 1)
    }

    fn lap_mask(self) -> u32 {
        (1 << LAP_BITS.min(32 - self.shift)) - 1
    }

    fn lap(self, position: u32) -> u32 {
        (position >> self.shift) & self.lap_mask()
    }

    fn word(self, position: u32, state: u32, owner: u32) -> u32 {
        self.lap(position) << LAP_SHIFT | (owner & OWNERS) << OWNER_SHIFT | state
    }

    fn turn(self, word: u32, position: u32) -> Turn {
        let lap = word >> LAP_SHIFT;
        if lap == self.lap(position) {
            Turn::Now(word & STATE)
        } else if lap == self.lap(position.wrapping_sub(1 << self.shift)) {
            Turn::NotYet
        } else {
            Turn::Past
        }
    }

    /// The word of a slot that is free for the lap after this position's.
    fn free_again(self, position: u32) -> u32 {
        self.word(position.wrapping_add(1 << self.shift), FREE, 0)
    }

    /// One of many producers claims the next slot. `step` is called between two steps that others see.
    #[inline]
    pub fn claim<'a>(
        self,
        tail: &AtomicU32,
        slot: impl Fn(usize) -> &'a AtomicU32,
        owner: u32,
        step: impl Fn(&'static str),
    ) -> Look {
        self.next(tail, slot, |word, value, position| match value & STATE {
            FREE => {
                let claimed = self.word(position, CLAIMED, owner);
                // SYNC: slots.free
                word.compare_exchange(value, claimed, SeqCst, Relaxed).ok()?;
                step("slots: claimed, not counted");
                Some(Look::Found(position))
            }
            _ => Some(Look::Busy),
        })
    }

    /// One of many consumers takes the next message. `step` is called between two steps that others see.
    #[inline]
    pub fn take<'a>(
        self,
        head: &AtomicU32,
        slot: impl Fn(usize) -> &'a AtomicU32,
        owner: u32,
        step: impl Fn(&'static str),
    ) -> Look {
        self.next(head, slot, |word, value, position| match value & STATE {
            FULL => {
                let taken = self.word(position, TAKEN, owner);
                // SYNC: slots.full
                word.compare_exchange(value, taken, SeqCst, Relaxed).ok()?;
                step("slots: taken, not counted");
                Some(Look::Found(position))
            }
            FREE => Some(Look::Nothing),
            CLAIMED => Some(Look::Held),
            _ => Some(Look::Busy),
        })
    }

    /// Goes on from the counter to the first slot that is not past its turn, and tries to `have` that; advances the counter
    /// over slots that are past theirs, and over the one that was had. `have` gives [`Look::Busy`] for a slot that somebody
    /// else has had in this lap, and nothing if somebody was faster.
    fn next<'a>(
        self,
        counter: &AtomicU32,
        slot: impl Fn(usize) -> &'a AtomicU32,
        have: impl Fn(&AtomicU32, u32, u32) -> Option<Look>,
    ) -> Look {
        // All slots may be past their turn when many have died.
        for _ in 0..self.capacity() + TRIES {
            let position = counter.load(Acquire);
            let word = slot(self.index(position));
            let value = word.load(SeqCst);
            let look = match self.turn(value, position) {
                Turn::Now(_) => have(word, value, position),
                Turn::NotYet => Some(Look::Nothing),
                Turn::Past => Some(Look::Busy),
            };
            match look {
                Some(Look::Found(_) | Look::Busy) => {
                    let next = position.wrapping_add(1);
                    let _ = counter.compare_exchange(position, next, SeqCst, Relaxed);
                    if let Some(found @ Look::Found(_)) = look {
                        return found;
                    }
                }
                Some(look) => return look,
                None => {}
            }
        }
        Look::Busy
    }

    /// Whether the slot of the only producer's next position is free.
    #[inline]
    pub fn next_free<'a>(self, position: u32, slot: impl Fn(usize) -> &'a AtomicU32) -> Look {
        // SYNC: slots.free
        let is_free = slot(self.index(position)).load(SeqCst) == self.word(position, FREE, 0);
        if is_free { Look::Found(position) } else { Look::Nothing }
    }

    /// The first message from the only consumer's next position on, which is advanced over slots that are past their turn.
    #[inline]
    pub fn next_full<'a>(self, next: &mut u32, slot: impl Fn(usize) -> &'a AtomicU32) -> Look {
        // SYNC: slots.full
        if slot(self.index(*next)).load(SeqCst) == self.word(*next, FULL, 0) {
            return Look::Found(*next);
        }
        for _ in 0..=self.capacity() {
            // SYNC: slots.full
            match self.turn(slot(self.index(*next)).load(SeqCst), *next) {
                Turn::Now(FULL) => return Look::Found(*next),
                Turn::Now(CLAIMED) => return Look::Held,
                Turn::Now(_) | Turn::NotYet => return Look::Nothing,
                Turn::Past => *next = next.wrapping_add(1),
            }
        }
        Look::Busy
    }

    /// Whether there is room for the only producer's message of this position, where there is one consumer only. `seen` is how
    /// far that one has come, as far as the producer knows.
    #[inline]
    pub fn next_room(self, position: u32, head: &AtomicU32, seen: &mut u32) -> Look {
        if self.is_ahead(position, *seen) {
            return Look::Found(position);
        }
        // SYNC: slots.free
        *seen = head.load(SeqCst);
        if self.is_ahead(position, *seen) { Look::Found(position) } else { Look::Nothing }
    }

    /// What a producer knows who has not looked yet.
    #[must_use]
    pub fn none_seen(self, position: u32) -> u32 {
        position.wrapping_sub(1 << self.shift)
    }

    /// Whether the slot of a position is free when its consumer has come to `head`.
    fn is_ahead(self, position: u32, head: u32) -> bool {
        position.wrapping_sub(head) < 1 << self.shift
    }

    /// The only consumer has read the only producer's message.
    #[inline]
    pub fn pass(self, head: &AtomicU32, position: u32) {
        // SYNC: slots.free
        head.store(position.wrapping_add(1), SeqCst);
    }

    /// The message is written: the slot is full. By whoever has claimed it, or is the only producer.
    #[inline]
    pub fn publish(self, word: &AtomicU32, position: u32) {
        // SYNC: slots.full
        word.store(self.word(position, FULL, 0), SeqCst);
    }

    /// The message is read, or is not to be: the slot is free for the next lap. By whoever has it.
    #[inline]
    pub fn release(self, word: &AtomicU32, position: u32) {
        // SYNC: slots.free
        word.store(self.free_again(position), SeqCst);
    }

    /// Frees a slot that `owner`, who has died, had claimed or taken. To do it again changes nothing.
    pub fn recover(self, word: &AtomicU32, owner: u32) {
        let value = word.load(SeqCst);
        let is_had = matches!(value & STATE, CLAIMED | TAKEN);
        if is_had && (value >> OWNER_SHIFT) & OWNERS == owner & OWNERS {
            let lap = ((value >> LAP_SHIFT) + 1) & self.lap_mask();
            // Nobody else changes what the dead one has, but who breaks the rules.
            let _ = word.compare_exchange(value, lap << LAP_SHIFT | FREE, SeqCst, Relaxed);
        }
    }
}
