//! How a topic lies in its block, behind the header that all blocks have.
//!
//! | line of 16 words | what |
//! |---|---|
//! | 0 | the words of a slot |
//! | 1 | the bell: there is something new |
//! | 2 | the tail |
//! | 3.. | the slots: word, length, the message |
//!
//! In the block's header the *state* says whether the topic has ended, and *extra* how many slots there are.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use ropewalk_sync::broadcast_slots::Laps;

use crate::crash;
use crate::shared::bell;
use crate::shared::block::{Fields, Form, Kind};
use crate::shared::ring::Message;
use crate::shared::table::Owner;

const LINE: usize = 16;
const SLOT_WORDS: usize = 0;
const BELL: usize = LINE;
const TAIL: usize = 2 * LINE;
const SLOTS: usize = 3 * LINE;

/// In front of the message, in each slot: its word and its length.
const LEAD: usize = 2;
/// So many words a topic can have.
const WORDS_MAX: usize = u32::MAX as usize / 8;

/// In the state of the block: all handles of the topic have gone, or one of them has closed it.
pub(super) const GONE: u32 = 1;
pub(super) const CLOSED: u32 = 2;

/// How many slots there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) laps: Laps,
    /// The most values in a message.
    pub(super) length_max: usize,
    slot: usize,
    fingerprint: u64,
}

impl Shape {
    /// For messages of this type.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): no capacity, or too much; no `max_len`, or one for a type that has none.
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge).
    pub(super) fn of<M: Message + ?Sized>(capacity: usize, max_len: Option<usize>) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let laps = capacity.checked_next_power_of_two().filter(|_| capacity > 0).and_then(Laps::new);
        let laps = laps.ok_or_else(|| invalid("a topic has room for 1 to 65536 messages"))?;
        let length_max = match (max_len, M::IS_SLICE) {
            (Some(length), true) => length,
            (None, false) => 1,
            (None, true) => return Err(invalid("a topic of slices needs `max_len`")),
            (Some(_), false) => return Err(invalid("only a topic of slices has a `max_len`")),
        };
        let slot = u32::try_from(length_max)
            .ok()
            .and_then(|_| length_max.checked_mul(M::SIZE))
            .and_then(|bytes| bytes.div_ceil(size_of::<u32>()).checked_add(LEAD))
            .and_then(|words| words.checked_next_multiple_of(LINE))
            .filter(|slot| slot.checked_mul(laps.capacity()).is_some_and(|words| words <= WORDS_MAX))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(Self { laps, length_max, slot, fingerprint: M::fingerprint() })
    }

    /// As another process says that it is.
    pub(super) fn received<M: Message + ?Sized>(capacity: usize, length_max: usize) -> io::Result<Self> {
        Self::of::<M>(capacity, M::IS_SLICE.then_some(length_max))
    }

    pub(super) fn form(self) -> Form {
        let value_words = SLOTS + self.slot * self.laps.capacity();
        Form { kind: Kind::Topic, fingerprint: self.fingerprint, value_words }
    }

    /// What stands in the block's *extra*.
    pub(super) fn extra(self) -> u32 {
        self.laps.capacity().trailing_zeros()
    }

    /// Writes what is not zero in a new topic.
    pub(super) fn initialize(self, fields: Fields<'_>) {
        fields.value()[SLOT_WORDS].store(self.slot as u32, Relaxed);
        fields.value()[TAIL].store(self.laps.first(), Relaxed);
    }

    pub(super) fn places(self, fields: Fields<'_>) -> Places<'_> {
        Places { words: fields.value(), slot: self.slot }
    }
}

/// The words of a topic.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    words: &'a [AtomicU32],
    slot: usize,
}

impl<'a> Places<'a> {
    /// What subscribers wait for.
    pub(super) fn bell(self) -> &'a AtomicU32 {
        &self.words[BELL]
    }

    pub(super) fn tail(self) -> &'a AtomicU32 {
        &self.words[TAIL]
    }

    fn slot(self, index: usize) -> &'a [AtomicU32] {
        &self.words[SLOTS + index * self.slot..][..self.slot]
    }

    /// The word of a slot.
    pub(super) fn word(self, index: usize) -> &'a AtomicU32 {
        &self.slot(index)[0]
    }

    pub(super) fn length(self, index: usize) -> &'a AtomicU32 {
        &self.slot(index)[1]
    }

    pub(super) fn message(self, index: usize) -> &'a [AtomicU32] {
        &self.slot(index)[LEAD..]
    }
}

/// Gives up the slots that a dead process had claimed, as far as the topic makes sense.
pub(in crate::shared) fn recover(fields: Fields<'_>, dead: Owner) {
    let words = fields.value();
    let Some(slot) = words.get(SLOT_WORDS).map(|word| word.load(Relaxed) as usize) else { return };
    let Some(laps) = 1_usize.checked_shl(fields.extra().load(Relaxed)).and_then(Laps::new) else { return };
    let end = slot.checked_mul(laps.capacity()).and_then(|words| words.checked_add(SLOTS));
    if slot < LINE || end.is_none_or(|end| end > words.len()) {
        return;
    }
    let places = Places { words, slot };
    for index in 0..laps.capacity() {
        laps.give_up(places.word(index), dead.slot() as u32);
    }
    crash::point("topic: slots of a dead one given up, nobody told");
    bell::recover(places.bell());
}
