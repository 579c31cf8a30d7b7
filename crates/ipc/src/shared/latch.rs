//! A latch in shared memory: it opens when it was counted down to zero, for good.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Wait, WaitReason};

use super::bell;
use super::block::{Block, Form, Kind, number_of};
use super::handle::travels;
use super::region::Region;
use crate::crash;

/// Waits until so many things have been done, by the tasks of any processes.
///
/// A process that dies before it has counted down is missing: wait with a limit, or join the process, which tells how it
/// ended.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::Latch;
///
/// let done = Latch::new(2)?;
/// std::thread::scope(|s| {
///     s.spawn(|| done.count_down());
///     s.spawn(|| done.count_down());
///     done.wait();
/// });
/// assert!(done.is_open());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Latch {
    block: Block,
}

travels!(Latch);

impl Latch {
    fn of(block: Block) -> Self {
        Self { block }
    }

    fn form() -> Form {
        Form::bare(Kind::Latch)
    }

    /// A new one, in a region of its own.
    ///
    /// # Errors
    /// As those of [`Region::new`].
    pub fn new(count: u32) -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?, count)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region, count: u32) -> io::Result<Self> {
        Block::place(region, Self::form(), count, 0, |_| {}).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one; `count` counts only for that.
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
    pub fn open_in(region: &Region, name: &str, count: u32) -> io::Result<Self> {
        Block::open(region, number_of(name), Self::form(), count, 0, |_| {}).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Counts down by one; an open latch stays as it is. Never waits.
    ///
    /// What the caller did before is visible to all whose wait that ends.
    ///
    /// # Examples
    /// See [`Latch`].
    pub fn count_down(&self) {
        let fields = self.block.fields();
        // SYNC: latch.count, bell
        let before = fields.state().fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
        crash::point("latch: counted");
        if before == Ok(1) {
            bell::ring(fields.bell());
        }
    }

    /// How much is left.
    #[must_use]
    pub fn count(&self) -> u32 {
        // SYNC: latch.count
        self.block.fields().state().load(SeqCst)
    }

    /// Whether nothing is left.
    ///
    /// # Examples
    /// See [`Latch`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.count() == 0
    }

    /// Waits until it is open.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// See [`Latch`].
    #[track_caller]
    pub fn wait(&self) {
        while !self.wait_until(None) {}
    }

    /// As [`wait`](Self::wait), for at most `limit`: whether it is open.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    #[track_caller]
    #[must_use]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.wait_until(clock::after(limit))
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        park::spend();
        let fields = self.block.fields();
        let wait = Wait::new(WaitReason::SharedLatch).object(fields.state()).until(deadline);
        match bell::wait_for(fields.bell(), &wait, || Ok(self.is_open().then_some(()))) {
            Ok(()) => true,
            Err(interrupt) => {
                let _ = interrupt.deliver();
                false
            }
        }
    }
}
