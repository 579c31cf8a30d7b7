//! Every message to every receiver: events, say.
//!
//! tokio's names (`tokio::sync::broadcast`), and a choice that tokio does not give: what happens when a receiver is so slow
//! that the channel is full of messages that it has not received. See [`Policy`].
//!
//! A message is kept once, however many receive it, until the last of them has; each gets a clone.
//!
//! # Order
//! All receivers get the messages in the same order, that in which their sends took effect, each from those on that were
//! sent after it had subscribed.
//!
//! # Memory
//! What a task did before it sent a message is visible to whoever receives it, or a later one.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::channel::SendError;
use crate::park::{self, Interrupted, Wait, WaitReason};
use crate::wait_list::{Locked, Outcome, WaitList};

/// What a send does when the channel is full because a receiver is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The oldest message makes room; who has not received it is told how many it has missed
    /// ([`RecvError::Lagged`]). A send never waits.
    #[default]
    DropOldest,
    /// The send waits until every receiver has received the oldest message: nobody misses one.
    Block,
    /// Who has not received the oldest message is disconnected ([`RecvError::TooSlow`]). A send never waits.
    Disconnect,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All messages were received, and the senders are gone.
    Closed,
    /// So many messages were missed. The receiver goes on with the oldest that is there.
    Lagged(u64),
    /// The receiver missed a message, and gets none any more.
    TooSlow,
}

/// Why [`try_recv`](Receiver::try_recv) received nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no message that was not received.
    Empty,
    /// All messages were received, and the senders are gone.
    Closed,
    /// So many messages were missed. The receiver goes on with the oldest that is there.
    Lagged(u64),
    /// The receiver missed a message, and gets none any more.
    TooSlow,
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::TooSlow => Self::TooSlow,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.pad("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
            Self::TooSlow => f.pad("the receiver was too slow and is disconnected"),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.pad("channel empty"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
            Self::TooSlow => RecvError::TooSlow.fmt(f),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}

struct Entry<T> {
    message: Arc<T>,
    /// How many receivers have it still before them.
    left: usize,
}

struct State<T> {
    /// Their numbers follow on each other.
    queue: VecDeque<Entry<T>>,
    /// The number of the first one in the queue, and of the next one to come if that is empty.
    first: u64,
    senders: usize,
    receivers: usize,
}

impl<T> State<T> {
    /// The number of the next message to come.
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// A receiver has message `number` no longer before it. What everybody has received is taken off the queue.
    fn pass(&mut self, number: u64) -> Option<Entry<T>> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(place)?.left -= 1;
        // Only the first can be done with: who has passed a message has passed those before it.
        if self.queue.front().is_some_and(|entry| entry.left == 0) { self.pop() } else { None }
    }

    fn pop(&mut self) -> Option<Entry<T>> {
        self.first += 1;
        self.queue.pop_front()
    }
}

const RECEIVERS: usize = 0;
const SENDERS: usize = 1;

type Guard<'a, T> = Locked<'a, State<T>, (), 2>;

struct Shared<T> {
    list: WaitList<State<T>, (), 2>,
    capacity: usize,
    policy: Policy,
}

impl<T> Shared<T> {
    fn tell<'a>(&'a self, line: usize, guard: Guard<'a, T>) {
        if guard.len_of(line) > 0 {
            drop(self.list.notify_line(line, Outcome::Served, guard));
        }
    }

    /// Waits in this line. `false`: the task was cancelled and cannot unwind.
    #[track_caller]
    fn wait(&self, line: usize, reason: WaitReason, guard: Guard<'_, T>) -> bool {
        let wait = Wait::new(reason).object(self).fallible();
        match self.list.wait_in(line, guard, &wait, (), || {}) {
            Ok(()) => true,
            Err(left) => {
                drop(left.guard);
                left.interrupt.deliver() != Interrupted::Cancelled
            }
        }
    }
}

/// A channel for `capacity` messages that drops the oldest when it is full.
///
/// # Panics
/// If `capacity` is 0.
///
/// # Examples
/// ```
/// use ropewalk_sync::broadcast::{self, RecvError};
///
/// let (sender, mut receiver) = broadcast::channel(2);
/// let mut other = sender.subscribe();
/// sender.send(1).unwrap();
/// assert_eq!((receiver.recv(), other.recv()), (Ok(1), Ok(1)));
/// (2..=4).for_each(|n| drop(sender.send(n)));
/// assert_eq!(receiver.recv(), Err(RecvError::Lagged(1)));
/// assert_eq!(receiver.recv(), Ok(3));
/// ```
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    channel_with(capacity, Policy::default())
}

/// As [`channel`], and says what a full channel does with slow receivers.
///
/// # Panics
/// If `capacity` is 0.
///
/// # Examples
/// ```
/// use ropewalk_sync::broadcast::{self, Policy};
///
/// let (sender, mut receiver) = broadcast::channel_with(1, Policy::Block);
/// let producer = std::thread::spawn(move || (0..100).for_each(|n| drop(sender.send(n))));
/// let mut sum = 0;
/// while let Ok(n) = receiver.recv() {
///     sum += n;
/// }
/// assert_eq!(sum, 4950);
/// producer.join().unwrap();
/// ```
#[must_use]
pub fn channel_with<T>(capacity: usize, policy: Policy) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel has room for a message at least");
    let state = State { queue: VecDeque::new(), first: 0, senders: 1, receivers: 1 };
    let shared = Arc::new(Shared { list: WaitList::new(state), capacity, policy });
    (Sender { shared: shared.clone() }, Receiver { shared, next: 0, disconnected: false })
}

/// Sends to all receivers.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Receives every message that is sent from its subscription on.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The number of the message that is next.
    next: u64,
    /// It was too slow.
    disconnected: bool,
}

impl<T> Sender<T> {
    /// Sends `message` to all that are subscribed now. How many that are; some may go before they receive it.
    ///
    /// # Errors
    /// The message, if nobody is subscribed, or everybody goes while it waits.
    ///
    /// # Waits
    /// With [`Policy::Block`], while the channel is full. Else never.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, if it waits; the message is dropped, and nobody receives it. A task that cannot unwind gets
    /// it back as an error.
    ///
    /// # Examples
    /// See [`channel`].
    #[track_caller]
    pub fn send(&self, message: T) -> Result<usize, SendError<T>> {
        let shared = &*self.shared;
        if shared.policy == Policy::Block {
            park::spend();
        }
        loop {
            let mut guard = shared.list.lock();
            if guard.receivers == 0 {
                return Err(SendError(message));
            }
            let full = guard.queue.len() >= shared.capacity;
            if full && shared.policy == Policy::Block {
                if !shared.wait(SENDERS, WaitReason::BroadcastSend, guard) {
                    return Err(SendError(message));
                }
                continue;
            }
            // Dropped when the lock is free.
            let _oldest = if full { guard.pop() } else { None };
            let receivers = guard.receivers;
            guard.queue.push_back(Entry { message: Arc::new(message), left: receivers });
            shared.tell(RECEIVERS, guard);
            return Ok(receivers);
        }
    }

    /// One more receiver, for the messages that are sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Self::subscribe_to(&self.shared)
    }

    fn subscribe_to(shared: &Arc<Shared<T>>) -> Receiver<T> {
        let mut guard = shared.list.lock();
        guard.receivers += 1;
        Receiver { shared: shared.clone(), next: guard.end(), disconnected: false }
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.list.lock().receivers
    }

    /// How many messages are kept because not everybody has received them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.list.lock().queue.len()
    }

    /// Whether everybody has received everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all was received and the senders are gone; [`Lagged`](RecvError::Lagged) or
    /// [`TooSlow`](RecvError::TooSlow) if it missed messages, as the channel's [`Policy`] has it.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Panics
    /// If the message's `clone` does.
    ///
    /// # Examples
    /// See [`channel`].
    #[track_caller]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        park::spend();
        let shared = self.shared.clone();
        loop {
            let guard = shared.list.lock();
            if !self.has_news(&guard) {
                if !shared.wait(RECEIVERS, WaitReason::BroadcastReceive, guard) {
                    return Err(RecvError::Closed);
                }
                continue;
            }
            return self.take(&shared, guard);
        }
    }

    /// Receives the next message if there is one. Never waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), or that there is none.
    ///
    /// # Panics
    /// If the message's `clone` does.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let shared = self.shared.clone();
        let guard = shared.list.lock();
        if !self.has_news(&guard) {
            return Err(TryRecvError::Empty);
        }
        self.take(&shared, guard).map_err(TryRecvError::from)
    }

    /// The message that is next, or why there is none, when there [is news](Self::has_news).
    fn take(&mut self, shared: &Shared<T>, mut guard: Guard<'_, T>) -> Result<T, RecvError> {
        if self.disconnected {
            return Err(RecvError::TooSlow);
        }
        let missed = guard.first.saturating_sub(self.next);
        if missed > 0 && shared.policy == Policy::Disconnect {
            self.disconnected = true;
            let passed = self.leave(&mut guard);
            drop(guard);
            drop(passed);
            return Err(RecvError::TooSlow);
        }
        if missed > 0 {
            self.next = guard.first;
            return Err(RecvError::Lagged(missed));
        }
        let place = usize::try_from(self.next - guard.first).expect("a place in the queue");
        let Some(entry) = guard.queue.get(place) else { return Err(RecvError::Closed) };
        let message = entry.message.clone();
        let passed = guard.pass(self.next);
        self.next += 1;
        if passed.is_some() {
            shared.tell(SENDERS, guard);
        } else {
            drop(guard);
        }
        drop(passed);
        // The last one need not clone it.
        Ok(Arc::try_unwrap(message).unwrap_or_else(|message| T::clone(&message)))
    }
}

impl<T> Receiver<T> {
    /// Whether there is a message, or a reason why there will be none.
    fn has_news(&self, state: &State<T>) -> bool {
        self.disconnected || self.next < state.end() || state.senders == 0
    }

    /// Passes all that is before it, and is none of the receivers any more. What is to be dropped when the lock is free.
    fn leave(&self, state: &mut State<T>) -> Vec<Entry<T>> {
        state.receivers -= 1;
        let numbers = self.next.max(state.first)..state.end();
        numbers.filter_map(|number| state.pass(number)).collect()
    }

    /// How many messages it has before it.
    #[must_use]
    pub fn len(&self) -> usize {
        let guard = self.shared.list.lock();
        if self.disconnected { 0 } else { (guard.end() - self.next.max(guard.first)) as usize }
    }

    /// Whether it has none before it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more receiver, for the messages that are sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Sender::subscribe_to(&self.shared)
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.list.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut guard = self.shared.list.lock();
        guard.senders -= 1;
        if guard.senders == 0 {
            self.shared.tell(RECEIVERS, guard);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.disconnected {
            return;
        }
        let mut guard = self.shared.list.lock();
        let passed = self.leave(&mut guard);
        self.shared.tell(SENDERS, guard);
        drop(passed);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
