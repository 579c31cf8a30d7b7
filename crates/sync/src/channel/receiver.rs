//! The receiving side.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::exchange::{Exchange, Side};
use super::feed::Feed;
use super::iterator::{IntoIter, Iter, TryIter};
use super::operation::{Begun, Operation};
use super::timer::{Timer, wait_in_vain};
use crate::clock;
use crate::wait_list::{Outcome, Selecting};

/// The receiving side of a channel. Clones share its messages: each goes to one of them.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let other = receiver.clone();
/// sender.send(1).unwrap();
/// assert_eq!(other.recv(), Ok(1));
/// assert!(receiver.is_empty());
/// ```
pub struct Receiver<T> {
    flavor: Flavor<T>,
}

/// Who sends.
enum Flavor<T> {
    /// Senders.
    Exchange(Arc<Exchange<T>>),
    /// Time; and how its message is made from the moment. (Its messages are moments: `T` is `Instant` here.)
    Timer(Arc<Timer>, fn(Instant) -> T),
    /// Whoever fills it.
    Feed(Arc<dyn Feed<T>>),
    /// Nobody.
    Never,
}

impl<T> Receiver<T> {
    pub(super) fn first(exchange: Arc<Exchange<T>>) -> Self {
        Self { flavor: Flavor::Exchange(exchange) }
    }

    /// Receives what this gives. Its clones share that.
    pub(crate) fn of_feed(feed: Arc<dyn Feed<T>>) -> Self {
        Self { flavor: Flavor::Feed(feed) }
    }

    pub(super) fn of_nobody() -> Self {
        Self { flavor: Flavor::Never }
    }

    /// Receives a message; waits while there is none.
    ///
    /// # Errors
    /// [`RecvError`] if there is none and all senders are gone, or go while it waits.
    ///
    /// # Waits
    /// While the channel is empty.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{RecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// std::thread::spawn(move || sender.send("last words").unwrap());
    /// assert_eq!(receiver.recv(), Ok("last words"));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receive(|| None).map_err(|_| RecvError)
    }

    /// Receives a message if there is one; in a channel without capacity, if a sender waits.
    ///
    /// # Errors
    /// [`TryRecvError`] if there is none.
    ///
    /// # Waits
    /// Only if the sender waits in a [select](macro@super::select), in a channel without capacity: for its message, which it
    /// makes when it is chosen. A cancellation waits as long. In a `no_suspend` region such a sender is not met.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{TryRecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.try_receive(),
            Flavor::Timer(timer, message) => timer.take().map(message).ok_or(TryRecvError::Empty),
            Flavor::Feed(feed) => feed.try_receive(),
            Flavor::Never => Err(TryRecvError::Empty),
        }
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError`] if no message came in time, or none can come any more.
    ///
    /// # Waits
    /// While the channel is empty, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{RecvTimeoutError, bounded};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = bounded::<u8>(1);
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receive(|| clock::after(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvTimeoutError`] if no message came in time, or none can come any more.
    ///
    /// # Waits
    /// While the channel is empty, until `deadline` at most.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    /// use std::time::{Duration, Instant};
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert_eq!(receiver.recv_deadline(deadline), Ok(1));
    /// assert!(receiver.recv_deadline(deadline).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.receive(|| Some(deadline))
    }

    #[track_caller]
    fn receive(&self, deadline: impl FnOnce() -> Option<Instant>) -> Result<T, RecvTimeoutError> {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.receive(deadline),
            Flavor::Timer(timer, message) => timer.receive(deadline()).map(message),
            Flavor::Feed(feed) => feed.receive(deadline()),
            Flavor::Never => wait_in_vain(deadline()),
        }
    }

    /// The messages as they come, until all senders are gone.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// std::thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The messages that are there now.
    ///
    /// # Waits
    /// As [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().count(), 1);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    /// Whether no message is in the channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel has no room; without capacity it never has.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.is_full(),
            Flavor::Timer(timer, _) => timer.is_due(),
            Flavor::Feed(feed) => feed.capacity().is_some_and(|capacity| feed.len() >= capacity),
            Flavor::Never => true,
        }
    }

    /// How many messages are in the channel. Those of senders that wait for room are not.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.len(),
            Flavor::Timer(timer, _) => usize::from(timer.is_due()),
            Flavor::Feed(feed) => feed.len(),
            Flavor::Never => 0,
        }
    }

    /// How many messages the channel has room for; `None` if it is unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.capacity(),
            Flavor::Timer(..) => Some(1),
            Flavor::Feed(feed) => feed.capacity(),
            Flavor::Never => Some(0),
        }
    }

    /// Whether both receive from the same senders.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.flavor, &other.flavor) {
            (Flavor::Exchange(this), Flavor::Exchange(other)) => Arc::ptr_eq(this, other),
            (Flavor::Timer(this, _), Flavor::Timer(other, _)) => Arc::ptr_eq(this, other),
            (Flavor::Feed(this), Flavor::Feed(other)) => {
                std::ptr::addr_eq(Arc::as_ptr(this), Arc::as_ptr(other))
            }
            (Flavor::Never, Flavor::Never) => true,
            _ => false,
        }
    }
}

impl Receiver<Instant> {
    pub(super) fn of_time(timer: Timer) -> Self {
        Self { flavor: Flavor::Timer(Arc::new(timer), |moment| moment) }
    }
}

impl<T> Operation for Receiver<T> {
    fn begin(&self) -> Option<Begun> {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.begin_receive().map(Begun::Promised),
            Flavor::Timer(timer, _) => timer.take().map(Begun::At),
            Flavor::Feed(feed) => feed.begin().map(Begun::Promised),
            Flavor::Never => None,
        }
    }

    fn chosen(&self, outcome: Outcome) -> Option<Begun> {
        match &self.flavor {
            Flavor::Feed(_) => self.begin(),
            _ => Some(Begun::Promised(outcome)),
        }
    }

    fn is_ready(&self) -> bool {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.is_receive_ready(),
            Flavor::Timer(timer, _) => timer.is_due(),
            Flavor::Feed(feed) => feed.is_ready(),
            Flavor::Never => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Timer(timer, _) => timer.next(),
            Flavor::Exchange(_) | Flavor::Feed(_) | Flavor::Never => None,
        }
    }

    fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize, watch: bool) -> bool {
        match &self.flavor {
            Flavor::Exchange(exchange) => exchange.enlist_receiver(selecting, index, watch),
            Flavor::Timer(timer, _) => {
                selecting.show(index, Arc::as_ptr(timer).addr());
                !timer.is_due()
            }
            Flavor::Feed(feed) => feed.enlist(selecting, index),
            Flavor::Never => true,
        }
    }

    fn release(&self, begun: Begun) {
        match (&self.flavor, begun) {
            (Flavor::Exchange(exchange), Begun::Promised(outcome)) => exchange.release_receive(outcome),
            (Flavor::Feed(feed), Begun::Promised(outcome)) => feed.release(outcome),
            _ => {}
        }
    }
}

impl<T> Receiver<T> {
    /// Ends what [`begin`](Operation::begin) has begun.
    #[track_caller]
    pub(super) fn end(&self, begun: Begun) -> Result<T, RecvError> {
        match (&self.flavor, begun) {
            (Flavor::Exchange(exchange), Begun::Promised(outcome)) => exchange.end_receive(outcome),
            (Flavor::Feed(feed), Begun::Promised(outcome)) => feed.end(outcome),
            (Flavor::Timer(_, message), Begun::At(moment)) => Ok(message(moment)),
            _ => unreachable!("begun by a receiver of this flavor"),
        }
    }
}

// A feed looks after itself as a channel does: it is a lock's state, which nothing unwinds through.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let flavor = match &self.flavor {
            Flavor::Exchange(exchange) => {
                exchange.enter(Side::Receivers);
                Flavor::Exchange(exchange.clone())
            }
            Flavor::Timer(timer, message) => Flavor::Timer(timer.clone(), *message),
            Flavor::Feed(feed) => Flavor::Feed(feed.clone()),
            Flavor::Never => Flavor::Never,
        };
        Self { flavor }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Flavor::Exchange(exchange) = &self.flavor {
            exchange.leave(Side::Receivers);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter::new(self)
    }
}
