//! An event in shared memory: something that has happened, or not yet.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Wait, WaitReason};

use super::bell;
use super::block::{Block, Fields, Form, Kind, number_of};
use super::handle::travels;
use super::region::Region;
use crate::crash;

/// What becomes of an event that somebody has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It stays set, for all who wait, until it is reset.
    Manual,
    /// It is reset: each time that it is set ends one wait. If the process whose wait it has ended dies, it is gone, as a
    /// message is that was received; set twice before anybody waits, it is set once.
    Auto,
}

/// Something that the tasks of any processes wait for: the events of Win32, and `sem_post` without a count.
///
/// If the process that was to set it dies, nobody does: wait with a limit, or make the wait about a lock, whose owner's death
/// is told.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::{Event, Reset};
///
/// let started = Event::new(Reset::Manual)?;
/// std::thread::scope(|s| {
///     s.spawn(|| started.set());
///     started.wait();
/// });
/// assert!(started.is_set());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Event {
    block: Block,
}

travels!(Event);

const UNSET: u32 = 0;
const SET: u32 = 1;
const AUTO: u32 = 1;

impl Reset {
    fn as_word(self) -> u32 {
        match self {
            Self::Manual => 0,
            Self::Auto => AUTO,
        }
    }
}

impl Event {
    fn of(block: Block) -> Self {
        Self { block }
    }

    fn form() -> Form {
        Form::bare(Kind::Event)
    }

    /// A new one that is not set, in a region of its own.
    ///
    /// # Errors
    /// As those of [`Region::new`].
    pub fn new(reset: Reset) -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?, reset)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region, reset: Reset) -> io::Result<Self> {
        Block::place(region, Self::form(), UNSET, reset.as_word(), |_| {}).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one; `reset` counts only for that.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): what has the name is something else, or for another type.
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    ///
    /// # Examples
    /// See [`Region::publish`].
    pub fn open_in(region: &Region, name: &str, reset: Reset) -> io::Result<Self> {
        Block::open(region, number_of(name), Self::form(), UNSET, reset.as_word(), |_| {}).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Sets it. Never waits.
    ///
    /// What the caller did before is visible to those whose wait that ends.
    ///
    /// # Examples
    /// See [`Event`].
    pub fn set(&self) {
        let fields = self.block.fields();
        // SYNC: event.set, bell
        fields.state().store(SET, SeqCst);
        crash::point("event: set");
        bell::ring(fields.bell());
    }

    /// Takes it back.
    pub fn reset(&self) {
        self.block.fields().state().store(UNSET, SeqCst);
    }

    /// Whether it is set now.
    ///
    /// # Examples
    /// See [`Event`].
    #[must_use]
    pub fn is_set(&self) -> bool {
        // SYNC: event.set
        self.block.fields().state().load(SeqCst) == SET
    }

    /// Waits until it is set, and resets it if that is its way.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not reset it.
    ///
    /// # Examples
    /// See [`Event`].
    #[track_caller]
    pub fn wait(&self) {
        while !self.wait_until(None) {}
    }

    /// As [`wait`](Self::wait), for at most `limit`: whether it was set.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not reset it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use ropewalk_ipc::shared::{Event, Reset};
    ///
    /// let event = Event::new(Reset::Auto)?;
    /// event.set();
    /// assert!(event.wait_timeout(Duration::from_millis(1)));
    /// assert!(!event.wait_timeout(Duration::from_millis(1))); // the first wait has reset it
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.wait_until(clock::after(limit))
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        park::spend();
        let fields = self.block.fields();
        let wait = Wait::new(WaitReason::SharedEvent).object(fields.state()).until(deadline);
        match bell::wait_for(fields.bell(), &wait, || Ok(take(fields).then_some(()))) {
            Ok(()) => true,
            Err(interrupt) => {
                let _ = interrupt.deliver();
                false
            }
        }
    }
}

/// Whether it is set, for the caller.
fn take(fields: Fields<'_>) -> bool {
    // SYNC: event.set, bell
    if fields.extra().load(SeqCst) == AUTO {
        fields.state().compare_exchange(SET, UNSET, SeqCst, SeqCst).is_ok()
    } else {
        fields.state().load(SeqCst) == SET
    }
}
