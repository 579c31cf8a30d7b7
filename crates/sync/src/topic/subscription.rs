//! What a subscriber has.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::{self, Feed, IntoIter, Iter, Receiver, TryIter};
use crate::clock;
use crate::log::Reader;
use crate::wait_list::{Outcome, Selecting};

/// A message, as its subscribers see it: to look at. It is kept once, however many have it.
///
/// # Examples
/// ```
/// use ropewalk_sync::topic::Topic;
///
/// let topic = Topic::new();
/// let subscription = topic.subscribe();
/// topic.publish(String::from("long live the rope")).unwrap();
/// let message = subscription.recv().unwrap();
/// assert_eq!(message.len(), 18);
/// let text: String = message.into_inner();
/// ```
#[derive(PartialEq, Eq)]
pub struct Message<T>(Arc<T>);

impl<T: Clone> Message<T> {
    /// The message as a value of one's own; a clone, if others have it too.
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::try_unwrap(self.0).unwrap_or_else(|message| T::clone(&message))
    }
}

impl<T> Deref for Message<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The clone is the same message.
impl<T> Clone for Message<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// Receives every message of a topic that is published from its beginning on. See [`Topic::subscribe`](super::Topic::subscribe).
///
/// Several tasks may share it, by reference or in an `Arc`: then each message goes to one of them.
pub struct Subscription<T> {
    reader: Arc<Reader<T>>,
    /// The same, as a channel.
    channel: Receiver<Message<T>>,
}

impl<T: Send + Sync + 'static> Subscription<T> {
    pub(super) fn new(reader: Reader<T>) -> Self {
        let reader = Arc::new(reader);
        let channel = Receiver::of_feed(reader.clone());
        Self { reader, channel }
    }
}

impl<T> Subscription<T> {
    /// Receives the next message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all was received and the topic has ended; [`Lagged`](RecvError::Lagged) or
    /// [`TooSlow`](RecvError::TooSlow) if it missed messages, as the topic's [`Policy`](super::Policy) has it.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Examples
    /// See [`Topic`](super::Topic).
    #[track_caller]
    pub fn recv(&self) -> Result<Message<T>, RecvError> {
        match self.reader.read(false, || None) {
            Ok(message) => Ok(Message(message)),
            Err(RecvTimeoutError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            Err(RecvTimeoutError::TooSlow) => Err(RecvError::TooSlow),
            Err(RecvTimeoutError::Closed | RecvTimeoutError::Timeout) => Err(RecvError::Closed),
        }
    }

    /// Receives the next message if there is one. Never waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), or that there is none.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::{Topic, TryRecvError};
    ///
    /// let topic = Topic::<u8>::new();
    /// let subscription = topic.subscribe();
    /// assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
    /// drop(topic);
    /// assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&self) -> Result<Message<T>, TryRecvError> {
        self.reader.try_read(false).map(Message)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As `recv`, or that no message came in time.
    ///
    /// # Waits
    /// Until there is a message, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::{RecvTimeoutError, Topic};
    /// use std::time::Duration;
    ///
    /// let topic = Topic::<u8>::new();
    /// let subscription = topic.subscribe();
    /// assert_eq!(subscription.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message<T>, RecvTimeoutError> {
        self.reader.read(false, || clock::after(timeout)).map(Message)
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    /// As `recv`, or that no message came in time.
    ///
    /// # Waits
    /// Until there is a message, until `deadline` at most.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    /// use std::time::Instant;
    ///
    /// let topic = Topic::new();
    /// let subscription = topic.subscribe();
    /// topic.publish(1).unwrap();
    /// assert_eq!(subscription.recv_deadline(Instant::now()).as_deref(), Ok(&1), "what is there is never late");
    /// ```
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Message<T>, RecvTimeoutError> {
        self.reader.read(false, || Some(deadline)).map(Message)
    }

    /// The messages as they come, until the topic has ended, or disconnects the subscriber because it is too slow. What was
    /// missed is left out; [`missed`](Self::missed) says how many those are.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    ///
    /// let topic = Topic::builder().capacity(2).build();
    /// let subscription = topic.subscribe();
    /// (1..=3).for_each(|n| drop(topic.publish(n)));
    /// drop(topic);
    /// let received: Vec<i32> = subscription.iter().map(|n| *n).collect();
    /// assert_eq!((received, subscription.missed()), (vec![2, 3], 1));
    /// ```
    pub fn iter(&self) -> Iter<'_, Message<T>> {
        self.channel.iter()
    }

    /// The messages that are there now, without those that were missed. Never waits.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    ///
    /// let topic = Topic::new();
    /// let subscription = topic.subscribe();
    /// topic.publish(1).unwrap();
    /// assert_eq!(subscription.try_iter().count(), 1);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, Message<T>> {
        self.channel.try_iter()
    }

    /// The same as the receiver of a channel: for [`select!`](macro@crate::channel::select). Its messages are those of
    /// [`iter`](Self::iter). A clone of it shares the subscription, which lives as long as one of them.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{after, select};
    /// use ropewalk_sync::topic::Topic;
    /// use std::time::Duration;
    ///
    /// let (alarms, notices) = (Topic::<&str>::new(), Topic::<&str>::new());
    /// let (alarm, notice) = (alarms.subscribe(), notices.subscribe());
    /// notices.publish("the lift is out of order").unwrap();
    /// select! {
    ///     recv(alarm.as_channel()) -> alarm => panic!("there was none: {alarm:?}"),
    ///     recv(notice.as_channel()) -> notice => assert_eq!(*notice.unwrap(), "the lift is out of order"),
    ///     recv(after(Duration::from_secs(60))) -> _ => panic!("it is there already"),
    /// }
    /// ```
    #[must_use]
    pub fn as_channel(&self) -> &Receiver<Message<T>> {
        &self.channel
    }

    /// How many messages are before it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reader.unread()
    }

    /// Whether none are before it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it has missed, because it was slow, since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

impl<T: Send + Sync + 'static> Feed<Message<T>> for Reader<T> {
    fn try_receive(&self) -> Result<Message<T>, channel::TryRecvError> {
        self.try_read(true).map(Message).map_err(|error| match error {
            TryRecvError::Empty => channel::TryRecvError::Empty,
            _ => channel::TryRecvError::Disconnected,
        })
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message<T>, channel::RecvTimeoutError> {
        self.read(true, || deadline).map(Message).map_err(|error| match error {
            RecvTimeoutError::Timeout => channel::RecvTimeoutError::Timeout,
            _ => channel::RecvTimeoutError::Disconnected,
        })
    }

    fn len(&self) -> usize {
        self.available()
    }

    fn capacity(&self) -> Option<usize> {
        Some(self.log().options().room())
    }

    fn begin(&self) -> Option<Outcome> {
        self.begin()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize) -> bool {
        self.enlist(selecting, index)
    }

    fn end(&self, begun: Outcome) -> Result<Message<T>, channel::RecvError> {
        self.end(begun).map(Message).map_err(|_| channel::RecvError)
    }

    fn release(&self, begun: Outcome) {
        self.release(begun);
    }
}

impl<'a, T> IntoIterator for &'a Subscription<T> {
    type Item = Message<T>;
    type IntoIter = Iter<'a, Message<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for Subscription<T> {
    type Item = Message<T>;
    type IntoIter = IntoIter<Message<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.channel.into_iter()
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Subscription { .. }")
    }
}
