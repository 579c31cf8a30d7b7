//! The place of a structure in a region: a header that says what stands there, and its words.
//!
//! | word | what |
//! |---|---|
//! | 0 | the kind |
//! | 1, 2 | the fingerprint of the value's type; 0 without a value |
//! | 3 | the length of the block in words |
//! | 4 | the lock |
//! | 5 | the bell |
//! | 6 | the state, as the kind has it |
//! | 7 | what does not change: the number of permits, of parties, .. |
//! | 8, 9 | the name, as a number of 64 bits; 0 without one |
//! | 16.. | so many words for each slot of the table as the kind has |
//! | behind | two copies of the value; of a ring what `ring::shape` says, of a topic what `topic::shape` says |

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use ropewalk_sys::robust::{Part, SLOTS};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::region::Region;
use super::table::Owner;
use super::{bell, lock};

/// What stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Mutex = 1,
    RwLock,
    Condvar,
    Semaphore,
    Barrier,
    Event,
    Latch,
    Ring,
    Topic,
}

impl Kind {
    fn of(word: u32) -> Option<Self> {
        const ALL: [Kind; 9] = [
            Kind::Mutex,
            Kind::RwLock,
            Kind::Condvar,
            Kind::Semaphore,
            Kind::Barrier,
            Kind::Event,
            Kind::Latch,
            Kind::Ring,
            Kind::Topic,
        ];
        ALL.into_iter().find(|kind| *kind as u32 == word)
    }

    /// How many words each slot of the table has in it.
    const fn words_per_slot(self) -> usize {
        match self {
            Self::RwLock | Self::Semaphore => 1,
            Self::Barrier => 2,
            Self::Mutex | Self::Condvar | Self::Event | Self::Latch | Self::Ring | Self::Topic => 0,
        }
    }
}

/// What the block of a new structure is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) kind: Kind,
    pub(super) fingerprint: u64,
    /// Of both copies of the value.
    pub(super) value_words: usize,
}

pub(super) const HEADER: usize = 16;
const FIRST_LOCK: usize = 4;
const LENGTH: usize = 3;
const NAME: usize = 8;
/// Blocks begin at lines of the cache.
const ALIGNMENT: usize = 16;

impl Form {
    /// A structure without a value.
    pub(super) fn bare(kind: Kind) -> Self {
        Self { kind, fingerprint: 0, value_words: 0 }
    }

    /// How many words it takes.
    pub(super) fn words(self) -> usize {
        let slots = SLOTS * self.kind.words_per_slot();
        (HEADER + slots + self.value_words).next_multiple_of(ALIGNMENT)
    }

    /// Writes the header of a block that nobody knows of yet.
    fn write(self, block: &[AtomicU32], name: u64, state: u32, extra: u32) {
        block.iter().for_each(|word| word.store(0, Relaxed));
        let header = [
            self.kind as u32,
            self.fingerprint as u32,
            (self.fingerprint >> 32) as u32,
            self.words() as u32,
            0,
            0,
            state,
            extra,
            name as u32,
            (name >> 32) as u32,
        ];
        block.iter().zip(header).for_each(|(word, value)| word.store(value, Relaxed));
    }

    /// Whether the block was made like this.
    fn fits(self, block: &[AtomicU32]) -> bool {
        let header =
            [self.kind as u32, self.fingerprint as u32, (self.fingerprint >> 32) as u32, self.words() as u32];
        block.len() >= self.words()
            && block.iter().zip(header).all(|(word, value)| word.load(Acquire) == value)
    }
}

const NO_NAME: u64 = 0;

/// A name as a number, which others have with a chance of one in 2^64 (FNV-1a); never that of no name.
pub(super) fn number_of(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}

/// The words of a block whose extent was checked.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    kind: Kind,
    words: &'a [AtomicU32],
}

impl<'a> Fields<'a> {
    pub(super) fn lock(self) -> &'a AtomicU32 {
        &self.words[FIRST_LOCK]
    }

    pub(super) fn bell(self) -> &'a AtomicU32 {
        &self.words[FIRST_LOCK + 1]
    }

    #[inline]
    pub(super) fn state(self) -> &'a AtomicU32 {
        &self.words[FIRST_LOCK + 2]
    }

    pub(super) fn extra(self) -> &'a AtomicU32 {
        &self.words[FIRST_LOCK + 3]
    }

    fn name(self) -> u64 {
        u64::from(self.words[NAME].load(Relaxed)) | u64::from(self.words[NAME + 1].load(Relaxed)) << 32
    }

    /// How many words it takes.
    pub(super) fn length(self) -> usize {
        self.words.len()
    }

    /// The words of the slots: as many as the table has, `which` of those that each has.
    pub(super) fn slots(self, which: usize) -> &'a [AtomicU32] {
        &self.words[HEADER + which * SLOTS..][..SLOTS]
    }

    /// Both copies of the value.
    #[inline]
    pub(super) fn value(self) -> &'a [AtomicU32] {
        &self.words[HEADER + SLOTS * self.kind.words_per_slot()..]
    }

    /// Tidies up for a process that has died: nothing of it is left, and all who wait look again. To do it again changes
    /// nothing.
    pub(super) fn recover(self, dead: Owner) {
        match self.kind {
            Kind::RwLock | Kind::Semaphore => {
                // Its readers, or the permits that it held.
                self.slots(0)[dead.slot()].store(0, std::sync::atomic::Ordering::SeqCst);
            }
            Kind::Barrier => super::barrier::recover(self, dead),
            Kind::Ring => super::ring::recover(self, dead),
            Kind::Topic => super::topic::recover(self, dead),
            Kind::Mutex | Kind::Condvar | Kind::Event | Kind::Latch => {}
        }
        crate::crash::point("block: what a dead one held is given back");
        lock::recover(self.lock(), dead);
        bell::recover(self.bell());
    }
}

/// All blocks of a region, as far as they make sense.
pub(super) fn all(words: &[AtomicU32], range: Range<usize>) -> impl Iterator<Item = Fields<'_>> {
    let mut at = range.start;
    let end = range.end.min(words.len());
    std::iter::from_fn(move || {
        let header = words.get(at..end)?.get(..HEADER)?;
        let kind = Kind::of(header[0].load(Acquire))?;
        let length = header[LENGTH].load(Acquire) as usize;
        let least = HEADER + SLOTS * kind.words_per_slot();
        let block = words.get(at..end)?.get(..length).filter(|block| block.len() >= least)?;
        at += length;
        Some(Fields { kind, words: block })
    })
}

/// A structure: the region that it stands in, and where.
#[derive(Clone)]
pub(super) struct Block {
    region: Region,
    at: usize,
    words: Part,
    form: Form,
}

impl Block {
    /// Places a new structure in the region; `initialize` writes its value before anybody else knows of it.
    pub(super) fn place(
        region: &Region,
        form: Form,
        state: u32,
        extra: u32,
        initialize: impl FnOnce(Fields<'_>),
    ) -> io::Result<Self> {
        Self::open(region, NO_NAME, form, state, extra, initialize)
    }

    /// The structure of this [name](number_of); if there is none, a new one.
    pub(super) fn open(
        region: &Region,
        name: u64,
        form: Form,
        state: u32,
        extra: u32,
        initialize: impl FnOnce(Fields<'_>),
    ) -> io::Result<Self> {
        let has_name = |fields: Fields<'_>| name != NO_NAME && fields.name() == name;
        let at = region.find_or_allocate(form, has_name, |words| {
            form.write(words, name, state, extra);
            initialize(Fields { kind: form.kind, words });
        })?;
        Self::find(region.clone(), at, form)
    }

    /// The structure that somebody else says is there.
    pub(super) fn find(region: Region, at: usize, form: Form) -> io::Result<Self> {
        let words = at.checked_add(form.words()).and_then(|end| region.part(at..end));
        let Some(words) = words.filter(|words| at.is_multiple_of(ALIGNMENT) && form.fits(words)) else {
            let text = format!("there is no {:?} of this type in the region at this place", form.kind);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        Ok(Self { region, at, words, form })
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    /// This process, as locks have it.
    pub(super) fn owner(&self) -> Owner {
        self.region.owner()
    }

    /// Its place in the region.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { kind: self.form.kind, words: &self.words }
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.region, self.at as u64).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        form: Form,
    ) -> Result<Self, D::Error> {
        let (region, at) = <(Region, u64)>::deserialize(deserializer)?;
        let at = usize::try_from(at).map_err(D::Error::custom)?;
        Self::find(region, at, form).map_err(D::Error::custom)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {} of {:?}", self.at, self.region)
    }
}
