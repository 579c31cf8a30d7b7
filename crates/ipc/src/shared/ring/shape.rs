//! How a ring lies in its block, behind the header that all blocks have.
//!
//! | line of 16 words | what |
//! |---|---|
//! | 0 | which of the ends that there is one of are in somebody's hands; the words of a slot |
//! | 1, 2 | the bells: a message is there; a slot is free |
//! | 3, 4 | tail and head |
//! | 5.. | the slots: word, length, the message |
//!
//! In the block's header the *state* says which side has gone, and *extra* how many slots there are and which ends are single.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use ropewalk_sync::slots::Turns;

use super::payload::Message;
use crate::crash;
use crate::shared::bell;
use crate::shared::block::{Fields, Form, Kind};
use crate::shared::table::Owner;

const LINE: usize = 16;
const IN_HANDS: usize = 0;
const SLOT_WORDS: usize = 2;
const BELLS: usize = LINE;
const COUNTERS: usize = 3 * LINE;
const SLOTS: usize = 5 * LINE;

/// In front of the message, in each slot: its word and its length.
const LEAD: usize = 2;
/// So many words a ring can have.
const WORDS_MAX: usize = u32::MAX as usize / 8;

/// One of the two kinds of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shared) enum Role {
    Sender,
    Receiver,
}

impl Role {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    /// In the state of the block: all of them have gone.
    pub(super) fn gone(self) -> u32 {
        1 << self as u32
    }
}

/// How many slots there are, how large, and who uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) turns: Turns,
    /// The most values in a message.
    pub(super) length_max: usize,
    /// Whether there is one sender only, and one receiver.
    pub(super) single: [bool; 2],
    lead: usize,
    slot: usize,
    fingerprint: u64,
}

impl Shape {
    /// For messages of this type.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): no capacity, or too much; no `max_len`, or one for a type that has none;
    /// an alignment of more than a line of the cache. [`FileTooLarge`](io::ErrorKind::FileTooLarge).
    pub(super) fn of<M: Message + ?Sized>(
        capacity: usize,
        max_len: Option<usize>,
        single: [bool; 2],
    ) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let turns = capacity.checked_next_power_of_two().filter(|_| capacity > 0).and_then(Turns::new);
        let turns = turns.ok_or_else(|| invalid("a ring has 1 to 65536 slots"))?;
        let length_max = match (max_len, M::IS_SLICE) {
            (Some(length), true) => length,
            (None, false) => 1,
            (None, true) => return Err(invalid("a ring of slices needs `max_len`")),
            (Some(_), false) => return Err(invalid("only a ring of slices has a `max_len`")),
        };
        if M::ALIGNMENT > LINE * size_of::<u32>() {
            return Err(invalid("the type's alignment is more than a line of the cache"));
        }
        let lead = LEAD.max(M::ALIGNMENT / size_of::<u32>());
        let slot = u32::try_from(length_max)
            .ok()
            .and_then(|_| length_max.checked_mul(M::SIZE))
            .and_then(|bytes| bytes.div_ceil(size_of::<u32>()).checked_add(lead))
            .and_then(|words| words.checked_next_multiple_of(LINE))
            .filter(|slot| slot.checked_mul(turns.capacity()).is_some_and(|words| words <= WORDS_MAX))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(Self { turns, length_max, single, lead, slot, fingerprint: M::fingerprint() })
    }

    /// As another process says that it is.
    pub(super) fn received<M: Message + ?Sized>(
        capacity: usize,
        length_max: usize,
        single: [bool; 2],
    ) -> io::Result<Self> {
        Self::of::<M>(capacity, M::IS_SLICE.then_some(length_max), single)
    }

    pub(super) fn form(self) -> Form {
        let value_words = SLOTS + self.slot * self.turns.capacity();
        Form { kind: Kind::Ring, fingerprint: self.fingerprint, value_words }
    }

    /// What stands in the block's *extra*.
    pub(super) fn extra(self) -> u32 {
        let single = u32::from(self.single[0]) | u32::from(self.single[1]) << 1;
        self.turns.capacity().trailing_zeros() | single << 8
    }

    /// Writes what is not zero in a new ring.
    pub(super) fn initialize(self, fields: Fields<'_>) {
        fields.value()[SLOT_WORDS].store(self.slot as u32, Relaxed);
    }

    #[inline]
    pub(super) fn places(self, fields: Fields<'_>) -> Places<'_> {
        Places { words: fields.value(), lead: self.lead, slot: self.slot }
    }
}

/// The words of a ring.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    words: &'a [AtomicU32],
    lead: usize,
    slot: usize,
}

impl<'a> Places<'a> {
    /// Whether the only end of this kind is in somebody's hands, and not on its way.
    pub(super) fn in_hands(self, role: Role) -> &'a AtomicU32 {
        &self.words[IN_HANDS + role as usize]
    }

    /// What such ends wait for.
    #[inline]
    pub(super) fn bell(self, role: Role) -> &'a AtomicU32 {
        &self.words[BELLS + LINE * role as usize]
    }

    /// Where the next one of many of them looks first; of an only receiver, where the only sender looks how far it has come.
    #[inline]
    pub(super) fn counter(self, role: Role) -> &'a AtomicU32 {
        &self.words[COUNTERS + LINE * role as usize]
    }

    #[inline]
    fn slot(self, index: usize) -> &'a [AtomicU32] {
        &self.words[SLOTS + index * self.slot..][..self.slot]
    }

    /// The word of a slot.
    #[inline]
    pub(super) fn word(self, index: usize) -> &'a AtomicU32 {
        &self.words[SLOTS + index * self.slot]
    }

    #[inline]
    pub(super) fn length(self, index: usize) -> &'a AtomicU32 {
        &self.words[SLOTS + index * self.slot + 1]
    }

    #[inline]
    pub(super) fn message(self, index: usize) -> &'a [AtomicU32] {
        &self.slot(index)[self.lead..]
    }
}

/// Frees the slots that a dead process had claimed or taken, as far as the ring makes sense.
pub(in crate::shared) fn recover(fields: Fields<'_>, dead: Owner) {
    let words = fields.value();
    let Some(slot) = words.get(SLOT_WORDS).map(|word| word.load(Relaxed) as usize) else { return };
    let Some(turns) = 1_usize.checked_shl(fields.extra().load(Relaxed) & 0xff).and_then(Turns::new) else {
        return;
    };
    let end = slot.checked_mul(turns.capacity()).and_then(|words| words.checked_add(SLOTS));
    if slot < LINE || end.is_none_or(|end| end > words.len()) {
        return;
    }
    let places = Places { words, lead: LEAD, slot };
    for index in 0..turns.capacity() {
        turns.recover(places.word(index), dead.slot() as u32);
    }
    crash::point("ring: slots of a dead one freed, nobody told");
    bell::recover(places.bell(Role::Sender));
    bell::recover(places.bell(Role::Receiver));
}
