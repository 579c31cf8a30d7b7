//! A barrier in shared memory, which breaks when one of those who meet there dies.
//!
//! # Words
//! The state: bit 0, broken; the rest, the number of the round. For each slot, first how many handles its process has, and
//! second how many of its tasks have arrived, with the number of the round that they have arrived in, so that a round is
//! over, and all its arrivals are void, with the one operation that begins the next.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use ropewalk_sync::park::{self, Interrupt, Wait, WaitReason};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::{Block, Fields, Form, Kind, number_of};
use super::region::Region;
use super::table::Owner;
use super::{bell, lock};
use crate::crash;

const BROKEN: u32 = 1;
const ROUND: u32 = 2;
/// The arrivals in a slot's word; the rest is the low part of the round's number.
const ARRIVALS: u32 = (1 << 16) - 1;

/// Has so many tasks, of any processes, wait for each other, round after round.
///
/// A process takes part from when it has a handle of the barrier until it has dropped the last one. If one that takes part
/// dies, the barrier is broken: all who wait, and all who come, get [`BrokenBarrier`], for good. (A process that ends without
/// dropping its handle has died in this sense.)
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::Barrier;
///
/// let barrier = Barrier::new(2)?;
/// let leaders = std::thread::scope(|s| {
///     let other = s.spawn(|| barrier.wait().unwrap());
///     [barrier.wait().unwrap(), other.join().unwrap()]
/// });
/// assert!(leaders[0] != leaders[1]); // one of them is the leader
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    member: Arc<Member>,
}

/// One handle, as far as the process is concerned, however often it is cloned.
struct Member(Block);

impl Drop for Member {
    fn drop(&mut self) {
        let own = self.0.owner().slot();
        let less = |count: u32| Some(count.saturating_sub(1));
        let _ = self.0.fields().slots(0)[own].fetch_update(SeqCst, Relaxed, less);
    }
}

/// A process that took part in a barrier has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a process that took part in the barrier has died")
    }
}

impl Error for BrokenBarrier {}

impl Barrier {
    fn of(block: Block) -> Self {
        block.fields().slots(0)[block.owner().slot()].fetch_add(1, SeqCst);
        crash::point("barrier: takes part");
        Self { member: Arc::new(Member(block)) }
    }

    fn form() -> Form {
        Form::bare(Kind::Barrier)
    }

    /// The most tasks that can meet.
    pub const PARTIES_MAX: u32 = ARRIVALS;

    /// A new one for `parties` tasks, in a region of its own. With none or one, nobody waits.
    ///
    /// # Errors
    /// As those of [`Region::new`]; [`InvalidInput`](io::ErrorKind::InvalidInput): more than
    /// [`PARTIES_MAX`](Self::PARTIES_MAX).
    pub fn new(parties: u32) -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?, parties)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full. [`InvalidInput`](io::ErrorKind::InvalidInput): more
    /// than [`PARTIES_MAX`](Self::PARTIES_MAX).
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region, parties: u32) -> io::Result<Self> {
        check(parties)?;
        Block::place(region, Self::form(), 0, parties, |_| {}).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one; `parties` counts only for that.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): what has the name is something else, or for another type.
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full. [`InvalidInput`](io::ErrorKind::InvalidInput): as of `new`.
    ///
    /// # Waits
    /// While somebody else places something there.
    ///
    /// # Examples
    /// See [`Region::publish`].
    pub fn open_in(region: &Region, name: &str, parties: u32) -> io::Result<Self> {
        check(parties)?;
        Block::open(region, number_of(name), Self::form(), 0, parties, |_| {}).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.member.0.region()
    }

    /// Waits until all have come. `true` for one of them: the last to come.
    ///
    /// # Errors
    /// [`BrokenBarrier`]: a process that takes part has died, before this round was complete.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then has not come.
    ///
    /// # Examples
    /// See [`Barrier`].
    #[track_caller]
    pub fn wait(&self) -> Result<bool, BrokenBarrier> {
        park::spend();
        let fields = self.member.0.fields();
        let wait = Wait::new(WaitReason::SharedBarrier).object(fields.state());
        loop {
            match self.arrive(fields, &wait) {
                Ok(Arrival::Last) => return Ok(true),
                Ok(Arrival::Broken) => return Err(BrokenBarrier),
                Ok(Arrival::In(round)) => {
                    match bell::wait_for(fields.bell(), &wait, || Ok(outcome(fields, round))) {
                        Ok(outcome) => return outcome.map(|()| false),
                        Err(interrupt) => match self.withdraw(fields, round) {
                            Some(outcome) => return outcome.map(|()| false),
                            None => drop(interrupt.deliver()),
                        },
                    }
                }
                Err(interrupt) => drop(interrupt.deliver()),
            }
        }
    }

    /// Whether a process that took part has died.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.member.0.fields().state().load(SeqCst) & BROKEN != 0
    }

    /// Comes to the present round, and completes it if all others have.
    fn arrive(&self, fields: Fields<'_>, wait: &Wait) -> Result<Arrival, Interrupt> {
        let owner = self.member.0.owner();
        lock::lock(fields.lock(), owner, wait)?;
        let state = fields.state().load(SeqCst);
        let arrival = if state & BROKEN != 0 {
            Arrival::Broken
        } else {
            let own = &fields.slots(1)[owner.slot()];
            // SYNC: barrier.round. What each did before is visible to all after the round.
            own.store(tagged(state, arrivals(own.load(SeqCst), state) + 1), SeqCst);
            crash::point("barrier: arrived");
            let here: u32 = fields.slots(1).iter().map(|word| arrivals(word.load(SeqCst), state)).sum();
            if here < fields.extra().load(Relaxed) {
                Arrival::In(state)
            } else if fields
                .state()
                .compare_exchange(state, state.wrapping_add(ROUND), SeqCst, SeqCst)
                .is_ok()
            {
                crash::point("barrier: round over, nobody told");
                // They are void, but the number of a round comes back, after 65,536 of them.
                fields.slots(1).iter().for_each(|word| word.store(0, SeqCst));
                Arrival::Last
            } else {
                // Somebody has just died.
                Arrival::Broken
            }
        };
        lock::unlock(fields.lock(), true);
        if matches!(arrival, Arrival::Last) {
            bell::ring(fields.bell());
        }
        Ok(arrival)
    }

    /// Goes away from a round again, unless that is over.
    fn withdraw(&self, fields: Fields<'_>, round: u32) -> Option<Result<(), BrokenBarrier>> {
        let owner = self.member.0.owner();
        let wait = Wait::new(WaitReason::SharedBarrier).object(fields.state()).uncancellable();
        let taken = lock::lock(fields.lock(), owner, &wait);
        debug_assert!(taken.is_ok(), "who cannot be interrupted was");
        let over = outcome(fields, round);
        if over.is_none() {
            let own = &fields.slots(1)[owner.slot()];
            own.store(tagged(round, arrivals(own.load(SeqCst), round).saturating_sub(1)), SeqCst);
        }
        lock::unlock(fields.lock(), true);
        over
    }
}

fn check(parties: u32) -> io::Result<()> {
    if parties > Barrier::PARTIES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a barrier cannot be for that many tasks"));
    }
    Ok(())
}

/// How a task comes to a round.
enum Arrival {
    /// It waits for others, in the round of this state.
    In(u32),
    Last,
    Broken,
}

/// What became of the round of `state`, if it is over.
fn outcome(fields: Fields<'_>, state: u32) -> Option<Result<(), BrokenBarrier>> {
    // SYNC: barrier.round
    let now = fields.state().load(SeqCst);
    if now / ROUND != state / ROUND {
        Some(Ok(()))
    } else {
        (now & BROKEN != 0).then_some(Err(BrokenBarrier))
    }
}

/// How many have arrived in the round of `state`, by a slot's word.
fn arrivals(word: u32, state: u32) -> u32 {
    if word & !ARRIVALS == tagged(state, 0) { word & ARRIVALS } else { 0 }
}

fn tagged(state: u32, arrivals: u32) -> u32 {
    ((state / ROUND) << 16) | arrivals.min(ARRIVALS)
}

/// Breaks the barrier if the dead process took part.
pub(super) fn recover(fields: Fields<'_>, dead: Owner) {
    let member = &fields.slots(0)[dead.slot()];
    if member.load(SeqCst) != 0 {
        fields.state().fetch_or(BROKEN, SeqCst);
        crash::point("barrier: broken");
    }
    fields.slots(1)[dead.slot()].store(0, SeqCst);
    member.store(0, SeqCst);
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.member.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Block::deserialize(deserializer, Self::form()).map(Self::of)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Barrier").field(&self.member.0).finish()
    }
}
