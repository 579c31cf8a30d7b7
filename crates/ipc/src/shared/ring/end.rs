//! What senders and receivers have in common: the way to the next slot, waiting for it, and the way to another process.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::Instant;

use ropewalk_sync::park::{self, Interrupt, Interrupted, Wait, WaitReason};
use ropewalk_sync::slots::{Look, Turns};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hang_up::{HungUp, Line, ReceivedLine, SentLine};
use super::policy::{Patience, WaitPolicy};
use super::shape::{Places, Role, Shape};
use crate::crash;
use crate::shared::bell;
use crate::shared::block::Block;
use crate::shared::region::Region;

/// How often a call that must not wait looks where others are faster.
const TRIES: usize = 100;

/// A ring, as the ends of one kind in a process have it.
pub(super) struct Shared {
    pub(super) block: Block,
    pub(super) shape: Shape,
    role: Role,
    line: Line,
}

impl Shared {
    fn new(block: Block, shape: Shape, role: Role, line: Line) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Self { block, shape, role, line });
        let told: Arc<dyn HungUp> = shared.clone();
        shared.line.listen(Arc::downgrade(&told))?;
        Ok(shared)
    }

    #[inline]
    pub(super) fn places(&self) -> Places<'_> {
        self.shape.places(self.block.fields())
    }

    #[inline]
    pub(super) fn turns(&self) -> Turns {
        self.shape.turns
    }

    /// Whether there is one end of each kind: then slots are not given back one by one.
    #[inline]
    pub(super) fn is_pair(&self) -> bool {
        self.shape.single == [true, true]
    }

    fn is_other_side_gone(&self) -> bool {
        self.block.fields().state().load(SeqCst) & self.role.other().gone() != 0
    }

    /// The next slot, or why there is none.
    #[inline(always)] // small once the kind is known, and so what it calls
    fn look(&self, kind: Kind, way: &mut Way) -> Result<u32, Stop> {
        if kind.role == Role::Sender && self.is_other_side_gone() {
            return Err(Stop::Gone);
        }
        let mut look = self.look_once(kind, way);
        if kind.role == Role::Receiver && look == Look::Nothing && self.is_other_side_gone() {
            // What was sent by who has gone is received: so once more, now that this was seen.
            look = self.look_once(kind, way);
            if look == Look::Nothing {
                return Err(Stop::Gone);
            }
        }
        match look {
            Look::Found(position) => Ok(position),
            // If its sender has died, it is soon passed over.
            Look::Nothing | Look::Held => Err(Stop::Nothing),
            Look::Busy => Err(Stop::Busy),
        }
    }

    #[inline(always)]
    fn look_once(&self, kind: Kind, way: &mut Way) -> Look {
        let (turns, places) = (self.turns(), self.places());
        let (word, counter) = (|index| places.word(index), places.counter(kind.role));
        match (kind.role, kind.is_single) {
            (Role::Sender, true) if self.is_pair() => {
                turns.next_room(way.next, places.counter(Role::Receiver), &mut way.seen)
            }
            (Role::Sender, true) => turns.next_free(way.next, word),
            (Role::Receiver, true) => turns.next_full(&mut way.next, word),
            (Role::Sender, false) => turns.claim(counter, word, self.owner(), crash::point),
            (Role::Receiver, false) => turns.take(counter, word, self.owner(), crash::point),
        }
    }

    fn owner(&self) -> u32 {
        self.block.owner().slot() as u32
    }
}

impl HungUp for Shared {
    /// All on the other side have gone.
    fn hung_up(&self) {
        // SYNC: bell
        self.block.fields().state().fetch_or(self.role.other().gone(), SeqCst);
        bell::ring(self.places().bell(self.role));
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots at {:?}", self.turns().capacity(), self.block)
    }
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The ring is full, or empty.
    Nothing,
    Busy,
    /// All on the other side have gone, and no message is left.
    Gone,
    TimedOut,
}

/// Which of the four kinds of ends asks. Its type says so, hence each has code of its own, in which nothing is left to decide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) role: Role,
    /// Whether there is one such end only.
    pub(super) is_single: bool,
}

/// Of an end that there is one of: how far it has come.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The position that it comes to next.
    next: u32,
    /// Of a sender: the position that the only receiver was last seen at.
    seen: u32,
}

/// A sender or a receiver.
#[derive(Debug)]
pub(super) struct End {
    pub(super) shared: Arc<Shared>,
    way: Way,
    /// It has gone to another process, and is not to be used here any more.
    is_given: AtomicBool,
    patience: Patience,
}

impl Clone for End {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            way: self.way,
            is_given: AtomicBool::new(self.is_given.load(Relaxed)),
            patience: self.patience.clone(),
        }
    }
}

impl End {
    /// The first one of a new ring.
    pub(super) fn new(block: Block, shape: Shape, role: Role, line: OwnedFd) -> io::Result<Self> {
        let shared = Shared::new(block, shape, role, Line::new(line))?;
        shared.places().in_hands(role).store(1, Relaxed);
        Ok(Self::of(shared, 0))
    }

    fn of(shared: Arc<Shared>, next: u32) -> Self {
        let patience = Patience::new(WaitPolicy::default());
        let way = Way { next, seen: shared.turns().none_seen(next) };
        Self { shared, way, is_given: AtomicBool::new(false), patience }
    }

    pub(super) fn wait_policy(&self) -> WaitPolicy {
        self.patience.policy
    }

    pub(super) fn set_wait_policy(&mut self, policy: WaitPolicy) {
        self.patience = Patience::new(policy);
    }

    /// The next slot, if there is one now.
    pub(super) fn try_next(&mut self, kind: Kind) -> Result<u32, Stop> {
        if self.is_given.load(Relaxed) {
            return Err(Stop::Gone);
        }
        for _ in 0..TRIES {
            match self.shared.look(kind, &mut self.way) {
                Err(Stop::Busy) => std::hint::spin_loop(),
                looked => return looked,
            }
        }
        Err(Stop::Nothing)
    }

    /// The next slot.
    ///
    /// # Waits
    /// Until there is one, or the deadline.
    #[inline(always)] // small once the kind is known
    #[track_caller]
    pub(super) fn next(&mut self, kind: Kind, deadline: Option<Instant>) -> Result<u32, Stop> {
        if self.is_given.load(Relaxed) {
            return Err(Stop::Gone);
        }
        park::spend();
        match self.shared.look(kind, &mut self.way) {
            Err(Stop::Nothing | Stop::Busy) => self.next_later(kind, deadline),
            looked => looked,
        }
    }

    /// The next slot, when it was not there at once.
    ///
    /// # Waits
    /// Until there is one, or the deadline.
    #[inline(never)]
    #[track_caller]
    fn next_later(&mut self, kind: Kind, deadline: Option<Instant>) -> Result<u32, Stop> {
        match self.wait(kind, deadline) {
            Ok(looked) => looked,
            Err(interrupt) => match self.shared.look(kind, &mut self.way) {
                // The result wins.
                Err(Stop::Nothing | Stop::Busy) => match interrupt.deliver() {
                    Interrupted::TimedOut => Err(Stop::TimedOut),
                    Interrupted::Cancelled => Err(Stop::Gone),
                },
                looked => looked,
            },
        }
    }

    /// As the policy says; in the end asleep.
    fn wait(&mut self, kind: Kind, deadline: Option<Instant>) -> Result<Result<u32, Stop>, Interrupt> {
        let Self { shared, way, patience, .. } = self;
        let reason = match kind.role {
            Role::Sender => WaitReason::RingSend,
            Role::Receiver => WaitReason::RingReceive,
        };
        let bell = shared.places().bell(kind.role);
        let wait = Wait::new(reason).object(bell).until(deadline).fallible();
        let mut look = || match shared.look(kind, way) {
            Err(Stop::Nothing | Stop::Busy) => None,
            looked => Some(looked),
        };
        if let Some(looked) = patience.spin(&wait, &mut look)? {
            return Ok(looked);
        }
        loop {
            let listening = bell::listen(bell);
            match shared.look(kind, way) {
                Err(Stop::Nothing) => bell::wait(bell, listening, &wait)?,
                // Those who are faster may be of this worker.
                Err(Stop::Busy) => drop(park::linger(&wait, true)?),
                looked => return Ok(looked),
            }
        }
    }

    /// Where the only end of its kind goes on once it has had the slot; many have a counter for that.
    #[inline]
    pub(super) fn had(&mut self, kind: Kind) -> (&Shared, Option<&mut u32>) {
        let next = kind.is_single.then_some(&mut self.way.next);
        (&self.shared, next)
    }
}

/// On the wire: the region and the place in it, what kind of end this is, the shape, the position, the line.
type Sent<'a> = (&'a Region, u64, u8, u32, u64, u32);
type Received = (Region, u64, u8, u32, u64, u32);

fn kind(role: Role, single: [bool; 2]) -> u8 {
    role as u8 | u8::from(single[0]) << 1 | u8::from(single[1]) << 2
}

impl End {
    /// An end that there is one of goes to another process for good: that one takes it into its hands.
    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shared = &*self.shared;
        if shared.shape.single[shared.role as usize] {
            if self.is_given.swap(true, SeqCst) {
                return Err(serde::ser::Error::custom("this end of the ring has gone to another process"));
            }
            shared.places().in_hands(shared.role).store(0, SeqCst);
        }
        let Shape { turns, length_max, single, .. } = shared.shape;
        let (capacity, length_max) = (turns.capacity() as u32, length_max as u64);
        let sent: Sent<'_> = (
            shared.block.region(),
            shared.block.at() as u64,
            kind(shared.role, single),
            capacity,
            length_max,
            self.way.next,
        );
        (sent, SentLine(&shared.line)).serialize(serializer)
    }

    /// `shape_of` says how a ring of this type has to be, if it has such a capacity, so long messages, and so many ends.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        role: Role,
        is_single: bool,
        shape_of: impl FnOnce(usize, usize, [bool; 2]) -> io::Result<Shape>,
    ) -> Result<Self, D::Error> {
        let (received, ReceivedLine(line)) = <(Received, ReceivedLine)>::deserialize(deserializer)?;
        Self::check(received, line, role, is_single, shape_of).map_err(D::Error::custom)
    }

    fn check(
        (region, at, sent_kind, capacity, length_max, next): Received,
        line: OwnedFd,
        role: Role,
        is_single: bool,
        shape_of: impl FnOnce(usize, usize, [bool; 2]) -> io::Result<Shape>,
    ) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let single = [sent_kind & 2 != 0, sent_kind & 4 != 0];
        if sent_kind != kind(role, single) || single[role as usize] != is_single {
            return Err(invalid("this is another end of a ring, or one of another kind"));
        }
        let number = |number: u64| usize::try_from(number).map_err(|_| invalid("this is no ring"));
        let shape = shape_of(capacity as usize, number(length_max)?, single)?;
        let block = Block::find(region, number(at)?, shape.form())?;
        if block.fields().extra().load(Acquire) != shape.extra() {
            return Err(invalid("the ring has another capacity, or ends of another kind"));
        }
        let shared = Shared::new(block, shape, role, Line::received(line, role)?)?;
        let in_hands = shared.places().in_hands(role);
        if is_single && in_hands.compare_exchange(0, 1, SeqCst, Relaxed).is_err() {
            return Err(invalid("there is one such end of this ring, and somebody has it"));
        }
        Ok(Self::of(shared, next))
    }
}
