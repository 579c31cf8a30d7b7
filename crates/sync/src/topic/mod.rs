//! Publish and subscribe: who has news does not know who wants it.
//!
//! A [`Topic`] is a stream of messages of one type. Whoever has a handle of it publishes, and everybody who has
//! [subscribed](Topic::subscribe) gets every message from then on, in one order for all. Two parts of a program that know
//! nothing of each other but a name and a type meet by [`Topic::named`]; without a name a topic is passed on as any value.
//!
//! ```
//! use ropewalk_sync::topic::Topic;
//!
//! # fn main() -> Result<(), ropewalk_sync::topic::OpenError> {
//! // A part of the program that watches: it need not come first, the price was kept.
//! let watcher = std::thread::spawn(|| {
//!     let prices = Topic::<u32>::named("price of rope").unwrap().subscribe();
//!     prices.iter().map(|price| *price).take(2).collect::<Vec<_>>()
//! });
//! // Another part, which publishes.
//! let prices = Topic::<u32>::builder().history(2).named("price of rope")?;
//! prices.publish(20).unwrap();
//! prices.publish(21).unwrap();
//! assert_eq!(watcher.join().unwrap(), [20, 21]);
//! # Ok(())
//! # }
//! ```
//!
//! # What a topic promises
//! | | |
//! |---|---|
//! | order | all subscribers get the messages in the same order; those of one publisher in the order in which it published |
//! | who is slow | [`Policy`]: the oldest message makes room and the subscriber is told how many it missed; or the publisher waits; or the subscriber is disconnected. [`Builder::capacity`] is the bound |
//! | who comes late | gets the last [`history`](Builder::history) messages first: none, the last one, the last n |
//! | nobody is there | a message is published all the same, and kept for the history |
//! | the end | [`Topic::close`]. A topic without a name also ends when all its handles are gone: nothing can come any more. With a name somebody may yet come |
//! | waiting | publishers are served first come, first served; a subscriber that goes holds nobody up |
//! | a subscription shared by several tasks | each message goes to one of them |
//!
//! # Names
//! A name means one topic in the whole process, as long as anybody has a handle or a subscription of it; then it is free, and
//! its history gone. [`Topic::close`] frees it at once. Who opens it first need not know how it should be: what nobody has said
//! in a [`Builder`] has its default until somebody does. Who says something else than was said before gets an error, and so
//! does who comes with another type. Names are plain words, without patterns: what fits a pattern would have to be of one type,
//! and then it can be one topic whose messages say what they are about.
//!
//! # Between processes and machines
//! A topic is in one process. What its users see is chosen so that more can stand behind the same verbs: a message is only looked
//! at; `publish` and the ends of a wait are all that can block; a loss has a number, and an end. Ropewalk's `ipc::topic` has
//! them for memory that processes share, and `ipc::remote` takes a topic over a connection; the payload's bounds (here that it
//! can be sent between threads, there that it is plain data, or that serde can carry it) are those of who opens a topic.
//!
//! # Memory
//! What a task did before it published a message is visible to whoever receives it, or a later one.
//!
//! # Cancellation
//! A cancelled task unwinds out of its wait, and the topic is as if the call had never been made: a message that waited to be
//! published is dropped, a subscription has all before it that it had. A task that waits while it unwinds is told that the
//! topic has ended.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::channel::{SendError, SendTimeoutError, TrySendError};
use crate::clock;
use crate::log::{Kind, Log, Options, Writer};
use crate::park::WaitReason;

mod names;
mod subscription;

pub use self::subscription::{Message, Subscription};
pub use crate::log::{Policy, RecvError, RecvTimeoutError, TryRecvError};

const TOPIC: Kind =
    Kind { write: WaitReason::TopicPublish, read: WaitReason::TopicReceive, refuses_unread: false };

/// A handle of a topic: publishes, and makes subscriptions. Clones are handles of the same topic.
///
/// # Examples
/// ```
/// use ropewalk_sync::topic::Topic;
///
/// let topic = Topic::new();
/// let (one, other) = (topic.subscribe(), topic.subscribe());
/// topic.publish("news").unwrap();
/// assert_eq!(one.recv().as_deref(), Ok(&"news"));
/// assert_eq!(other.recv().as_deref(), Ok(&"news"));
/// ```
pub struct Topic<T> {
    writer: Writer<T>,
    name: Option<Arc<str>>,
}

/// How a topic is to be, and then the topic: see [`Topic::builder`].
#[must_use = "it makes the topic when it is told to"]
pub struct Builder<T> {
    options: Options,
    topic: PhantomData<fn() -> T>,
}

/// Why a topic was not opened by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is that of a topic with messages of another type.
    Type {
        /// The name.
        name: Box<str>,
        /// The type of its messages.
        exists: &'static str,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// Something else was said of the topic before.
    Setting {
        /// The name.
        name: Box<str>,
        /// Of what: the method of [`Builder`].
        setting: &'static str,
        /// What was said before.
        exists: Box<str>,
        /// What was said now.
        wanted: Box<str>,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { name, exists, wanted } => {
                write!(f, "the topic {name:?} has messages of type {exists}, not {wanted}")
            }
            Self::Setting { name, setting, exists, wanted } => {
                write!(f, "the topic {name:?} has {setting} {exists}, not {wanted}")
            }
        }
    }
}

impl Error for OpenError {}

impl<T: Send + Sync + 'static> Builder<T> {
    /// Room for `messages` (64, if nobody says it; the history, if that is more): how far a subscriber may be behind before
    /// the [policy](Self::policy) is asked.
    ///
    /// # Panics
    /// If it is 0.
    ///
    /// # Examples
    /// See [`policy`](Self::policy).
    pub fn capacity(mut self, messages: usize) -> Self {
        assert!(messages > 0, "a topic has room for a message at least");
        self.options.capacity = Some(messages);
        self
    }

    /// What happens to slow subscribers when there is no room.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::{Policy, RecvError, Topic};
    ///
    /// let topic = Topic::builder().capacity(2).policy(Policy::DropOldest).build();
    /// let subscription = topic.subscribe();
    /// (1..=5).for_each(|n| drop(topic.publish(n)));
    /// assert_eq!(subscription.recv(), Err(RecvError::Lagged(3)));
    /// assert_eq!(subscription.recv().as_deref(), Ok(&4));
    ///
    /// let topic = Topic::builder().capacity(1).policy(Policy::Block).build();
    /// let subscription = topic.subscribe();
    /// topic.publish(1).unwrap();
    /// assert!(topic.try_publish(2).unwrap_err().is_full());
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.options.policy = Some(policy);
        self
    }

    /// How many messages are kept for who comes later (none, if nobody says it). With 1 a topic is a value that changes.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    ///
    /// let state = Topic::builder().history(1).build();
    /// state.publish("starting").unwrap();
    /// state.publish("ready").unwrap();
    /// assert_eq!(state.subscribe().recv().as_deref(), Ok(&"ready"));
    /// ```
    pub fn history(mut self, messages: usize) -> Self {
        self.options.history = Some(messages);
        self
    }

    /// A topic without a name.
    ///
    /// # Examples
    /// See [`policy`](Self::policy).
    #[must_use]
    pub fn build(self) -> Topic<T> {
        Topic { writer: Writer::new(&TOPIC, self.options, false), name: None }
    }

    /// The topic with this name. What nobody has said of it yet is from now on as this says.
    ///
    /// # Errors
    /// [`OpenError`], if its messages are of another type, or something else was said of it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    ///
    /// let weather = Topic::<String>::builder().history(1).named("weather").unwrap();
    /// let error = Topic::<String>::builder().history(5).named("weather").unwrap_err();
    /// assert_eq!(error.to_string(), r#"the topic "weather" has history 1, not 5"#);
    /// ```
    pub fn named(self, name: &str) -> Result<Topic<T>, OpenError> {
        names::open(name, self.options)
    }
}

impl<T: Send + Sync + 'static> Topic<T> {
    /// A topic without a name: room for 64 messages, no history, the oldest message makes room.
    ///
    /// # Examples
    /// See [`Topic`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The topic with this name, which is made if there is none.
    ///
    /// # Errors
    /// [`OpenError::Type`], if its messages are of another type.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    ///
    /// let numbers = Topic::<u32>::named("numbers").unwrap();
    /// let subscription = Topic::<u32>::named("numbers").unwrap().subscribe();
    /// numbers.publish(7).unwrap();
    /// assert_eq!(subscription.recv().as_deref(), Ok(&7));
    ///
    /// let error = Topic::<String>::named("numbers").unwrap_err();
    /// assert_eq!(error.to_string(), r#"the topic "numbers" has messages of type u32, not alloc::string::String"#);
    /// ```
    pub fn named(name: &str) -> Result<Self, OpenError> {
        Self::builder().named(name)
    }

    /// Says how a topic is to be.
    ///
    /// # Examples
    /// See [`Builder::policy`].
    pub fn builder() -> Builder<T> {
        Builder { options: Options::default(), topic: PhantomData }
    }

    /// A subscription: to what was kept for who comes late, and to all that is published from now on.
    ///
    /// # Examples
    /// See [`Topic`].
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription::new(self.writer.reader())
    }
}

impl<T> Topic<T> {
    /// Publishes `message`. To how many subscribers; some may go before they receive it.
    ///
    /// # Errors
    /// The message, if the topic is closed.
    ///
    /// # Waits
    /// With [`Policy::Block`], while a subscriber is so slow that there is no room. Else never.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, if it waits; the message is dropped, and nobody receives it. A task that cannot unwind gets
    /// it back as an error.
    ///
    /// # Examples
    /// See [`Topic`].
    #[track_caller]
    pub fn publish(&self, message: T) -> Result<usize, SendError<T>> {
        self.writer.log.write(message, || None).map_err(|error| SendError(error.into_inner()))
    }

    /// Publishes `message` if that needs no wait. Never waits.
    ///
    /// # Errors
    /// The message, if there is no room and the policy is [`Policy::Block`], or if the topic is closed.
    ///
    /// # Examples
    /// See [`Builder::policy`].
    pub fn try_publish(&self, message: T) -> Result<usize, TrySendError<T>> {
        self.writer.log.try_write(message)
    }

    /// As [`publish`](Self::publish), for at most `timeout`.
    ///
    /// # Errors
    /// The message, if there was no room in time, or the topic is closed.
    ///
    /// # Waits
    /// As `publish`, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `publish`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::{Policy, Topic};
    /// use std::time::Duration;
    ///
    /// let topic = Topic::builder().capacity(1).policy(Policy::Block).build();
    /// let _subscription = topic.subscribe();
    /// topic.publish(1).unwrap();
    /// assert!(topic.publish_timeout(2, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn publish_timeout(&self, message: T, timeout: Duration) -> Result<usize, SendTimeoutError<T>> {
        self.writer.log.write(message, || clock::after(timeout))
    }

    /// As [`publish`](Self::publish), until `deadline` at most.
    ///
    /// # Errors
    /// The message, if there was no room in time, or the topic is closed.
    ///
    /// # Waits
    /// As `publish`, until `deadline` at most.
    ///
    /// # Cancellation
    /// As `publish`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::Topic;
    /// use std::time::Instant;
    ///
    /// let topic = Topic::new();
    /// assert_eq!(topic.publish_deadline(1, Instant::now()), Ok(0));
    /// ```
    #[track_caller]
    pub fn publish_deadline(&self, message: T, deadline: Instant) -> Result<usize, SendTimeoutError<T>> {
        self.writer.log.write(message, || Some(deadline))
    }

    /// Ends the topic, for all: nothing more is published, and who waits to publish gets the message back; subscribers
    /// receive what is before them, and then learn of the end. The name is free.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::topic::{RecvError, Topic};
    ///
    /// let topic = Topic::<u8>::named("short").unwrap();
    /// let subscription = topic.subscribe();
    /// topic.publish(1).unwrap();
    /// topic.close();
    /// assert_eq!(topic.publish(2).unwrap_err().into_inner(), 2);
    /// assert_eq!(subscription.recv().as_deref(), Ok(&1));
    /// assert_eq!(subscription.recv(), Err(RecvError::Closed));
    /// assert!(!Topic::<u8>::named("short").unwrap().is_closed(), "another one");
    /// ```
    pub fn close(&self) {
        // The name first: who opens it from now on finds no topic that ends under his hands.
        if let Some(name) = &self.name {
            names::free(name, Arc::as_ptr(&self.writer.log).addr());
        }
        self.writer.log.close();
    }

    /// Whether it was [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.writer.log.is_closed()
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriber_count(&self) -> usize {
        self.writer.log.readers()
    }

    /// How many messages it holds: those that somebody has before him, and the history.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writer.log.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.writer.log.options().room()
    }

    /// What happens to slow subscribers.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.writer.log.options().policy()
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether both are handles of the same topic.
    #[must_use]
    pub fn same_topic(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.writer.log, &other.writer.log)
    }

    /// One more handle, of a topic that was found by its name.
    fn of(log: Arc<Log<T>>, name: Arc<str>) -> Self {
        Self { writer: Writer::of(log), name: Some(name) }
    }
}

impl<T: Send + Sync + 'static> Default for Topic<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), name: self.name.clone() }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}
