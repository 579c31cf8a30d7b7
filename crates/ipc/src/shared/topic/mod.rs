//! Publish and subscribe in shared memory: who has news writes it once, for everybody who reads, in any process.
//!
//! A [`Topic`] publishes, and makes [subscriptions](Topic::subscribe), which get every message from then on, in one order for
//! all; the verbs are those of the [topics](ropewalk_sync::topic) of one process. Both travel in the arguments and results
//! of processes.
//!
//! ```
//! use ropewalk_ipc::shared::topic::Topic;
//!
//! let prices = Topic::<f64>::builder().history(1).build()?;
//! prices.publish(&20.5).unwrap();
//! let (mut one, mut other) = (prices.subscribe(), prices.subscribe());
//! prices.publish(&21.0).unwrap();
//! drop(prices);
//! assert_eq!(one.iter().collect::<Vec<_>>(), [20.5, 21.0]);
//! assert_eq!(other.iter().count(), 2);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is promised
//! | | |
//! |---|---|
//! | order | all subscribers get the messages in the same order, which is that in which their slots were lent; so those of one publisher in the order in which it published |
//! | who is slow | is overtaken: the oldest message makes room, and the subscriber is told how many it missed |
//! | who comes late | gets the last [`history`](Builder::history) messages first: none, the last one, the last n |
//! | publishing | never waits: not for subscribers, whether they are slow, stopped or dead, and not for other publishers |
//! | nobody is there | a message is published all the same, and kept for the history |
//! | the end | [`Topic::close`], or when all handles of the topic have gone, in all processes, dropped or dead: subscribers get what is before them, and then that it has ended, a moment later |
//! | a publisher that dies | has published a message or not; a half-written one is nobody's |
//! | bounds | the capacity (65,536 messages at most) and the largest message are given, and allocated, when the topic is made; any number of subscriptions, in the 64 processes that can have a [region](super::Region) |
//! | trust | who lies harms nobody's memory; a message may be nonsense then |
//!
//! A subscriber is overtaken when so many messages come that its next one is overwritten. What it misses is counted by
//! slots: one that was lent and never published counts as a message if it is missed, and is passed over if it is not. A
//! [loan](Topic::loan) that is kept while others fill all the other slots goes on to the next round with its slot; the place
//! that it had counts as missed for those who had not passed it. Subscribers wait at the place of one that is kept, for
//! a lap at most, and then at its next one: who publishes is held up by nobody, who reads by whoever keeps a slot, or is
//! stopped (`SIGSTOP`) in the middle of a message.
//!
//! # Why messages are copied out
//! A subscriber copies a message, and then looks whether it has been overwritten meanwhile: that notices every torn copy, and
//! writes nothing, so neither the number of subscribers nor their death matters to anybody. A reference to what stands in
//! the slot could not be had like this: the slot would have to be held for as long, by somebody who may be slow or dead,
//! and publishers would have to wait, or to have a slot to spare for each subscriber. Where messages are so large that
//! copies matter, and one receiver gets each, that is a [ring](super::ring); where all do, let the message say where in a
//! [segment](crate::segment::Segment) it is.
//!
//! # Rules
//! 1. The word of a slot says whose it is, and which message is in it: [`ropewalk_sync::broadcast_slots`] has the protocol, and
//!    its proof.
//! 2. Whoever changes it rings the bell afterwards; one that nobody listens to is one load.
//! 3. Slots are written and read as atomic words only, since a subscriber may read while a publisher writes.
//! 4. Capacity and length are this process's own figures, never read from the memory again.

mod handle;
mod shape;
mod subscription;

use std::fmt;
use std::io;
use std::marker::PhantomData;

pub use ropewalk_sync::topic::{RecvError, RecvTimeoutError, TryRecvError};

pub use self::handle::{Loan, Topic};
use self::shape::Shape;
pub(super) use self::shape::recover;
pub use self::subscription::{Iter, Subscription};
use super::region::Region;
use super::ring::Message;

/// Room for so many messages, if nobody says it: as of the topics of one process.
const CAPACITY: usize = 64;

/// How a topic is to be, and then the topic: see [`Topic::builder`].
#[must_use = "it makes the topic when it is told to"]
pub struct Builder<'a, M: Message + ?Sized> {
    capacity: usize,
    history: usize,
    max_len: Option<usize>,
    region: Option<&'a Region>,
    message: PhantomData<fn(&M)>,
}

impl<'a, M: Message + ?Sized> Builder<'a, M> {
    fn new() -> Self {
        Self { capacity: CAPACITY, history: 0, max_len: None, region: None, message: PhantomData }
    }

    /// Room for `messages` (64, if nobody says it; the history, if that is more), rounded up to a power of two: how far a
    /// subscriber may be behind before it is overtaken. At most 65,536.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::{RecvError, Topic};
    ///
    /// let topic = Topic::<u32>::builder().capacity(2).build()?;
    /// let mut subscription = topic.subscribe();
    /// (1..=5).for_each(|n| topic.publish(&n).unwrap());
    /// assert_eq!(subscription.recv(), Err(RecvError::Lagged(3)));
    /// assert_eq!(subscription.recv(), Ok(4));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// How many messages are kept for who comes later (none, if nobody says it). With 1 a topic is a value that changes.
    ///
    /// # Examples
    /// See the [module](self).
    pub fn history(mut self, messages: usize) -> Self {
        self.history = messages;
        self
    }

    /// For slices: the most values in a message. Each slot has room for so many.
    ///
    /// # Examples
    /// See [`Topic::loan`].
    pub fn max_len(mut self, max_len: usize) -> Self {
        self.max_len = Some(max_len);
        self
    }

    /// In this region, in place of one of its own. It takes there, rounded up to 64 bytes each, 256 and for each message its
    /// largest size and 8.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::Region;
    /// use ropewalk_ipc::shared::topic::Topic;
    ///
    /// let region = Region::new(16 * 1024)?;
    /// let topic = Topic::<u64>::builder().region(&region).build()?;
    /// topic.publish(&7).unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn region(mut self, region: &'a Region) -> Self {
        self.region = Some(region);
        self
    }

    /// The topic.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a capacity of 0, or of more than 65,536; slices without
    /// [`max_len`](Self::max_len), or anything else with it. [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge): more than 2 GiB. As those of [`Region::new`], in a region of its own;
    /// no descriptor is left, or no thread.
    ///
    /// # Waits
    /// While somebody else places something in the region.
    ///
    /// # Examples
    /// See the [module](self).
    pub fn build(self) -> io::Result<Topic<M>> {
        let shape = Shape::of::<M>(self.capacity.max(self.history), self.max_len)?;
        match self.region {
            Some(region) => Topic::place(region, shape, self.history),
            None => Topic::place(&Region::of(shape.form())?, shape, self.history),
        }
    }
}

impl<M: Message + ?Sized> fmt::Debug for Builder<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("history", &self.history)
            .field("max_len", &self.max_len)
            .field("region", &self.region)
            .finish()
    }
}
