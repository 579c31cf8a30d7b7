//! Who publishes: writes a message into a slot of the topic, for whoever reads it.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use ropewalk_sync::broadcast_slots::Claim;
use ropewalk_sync::channel::TrySendError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::IntoBytes;

use super::Builder;
use super::shape::{CLOSED, GONE, Places, Shape};
use super::subscription::Subscription;
use crate::crash;
use crate::shared::bell;
use crate::shared::block::{Block, Fields};
use crate::shared::region::Region;
use crate::shared::ring::{HungUp, Line, Message, ReceivedLine, Role, SentLine, copy_in};
use crate::shared::value::Plain;

/// How often one that must not wait claims again where others are faster.
const TRIES: usize = 100;

/// A topic, as those have it that came to this process together: a handle of it with its clones, or a subscription.
pub(super) struct Shared {
    pub(super) block: Block,
    pub(super) shape: Shape,
    /// The end for reading: hangs up when all handles have gone.
    pub(super) line: Line,
}

impl Shared {
    pub(super) fn new(block: Block, shape: Shape, line: Line) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Self { block, shape, line });
        let told: Arc<dyn HungUp> = shared.clone();
        shared.line.listen(Arc::downgrade(&told))?;
        Ok(shared)
    }

    /// The one that another process says is there.
    pub(super) fn find(
        region: Region,
        at: u64,
        shape: io::Result<Shape>,
        ReceivedLine(line): ReceivedLine,
    ) -> io::Result<Arc<Self>> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let shape = shape.map_err(|_| invalid("this is no topic"))?;
        let at = usize::try_from(at).map_err(|_| invalid("this is no topic"))?;
        let block = Block::find(region, at, shape.form())?;
        if block.fields().extra().load(Acquire) != shape.extra() {
            return Err(invalid("the topic has another capacity"));
        }
        Self::new(block, shape, Line::received(line, Role::Receiver)?)
    }

    pub(super) fn places(&self) -> Places<'_> {
        self.shape.places(self.block.fields())
    }

    /// [`GONE`], [`CLOSED`], both or none.
    pub(super) fn state(&self) -> u32 {
        self.block.fields().state().load(SeqCst)
    }

    fn owner(&self) -> u32 {
        self.block.owner().slot() as u32
    }

    /// The topic has ended, and subscribers are told.
    fn end(&self, how: u32) {
        // SYNC: bell
        self.block.fields().state().fetch_or(how, SeqCst);
        crash::point("topic: ended, nobody told");
        bell::ring(self.places().bell());
    }
}

impl HungUp for Shared {
    fn hung_up(&self) {
        self.end(GONE);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots at {:?}", self.shape.laps.capacity(), self.block)
    }
}

/// A handle of a topic in shared memory: publishes messages, `M` or `[M]`, and makes subscriptions. Clones are handles of the
/// same topic, and one that travels in the argument or the result of a process stays here as well.
///
/// # Examples
/// See the [module](super).
pub struct Topic<M: Message + ?Sized> {
    shared: Arc<Shared>,
    /// The end for writing, which all handles have.
    writer: Arc<Line>,
    history: usize,
    message: PhantomData<fn(&M)>,
}

impl<M: Message + ?Sized> Topic<M> {
    /// A topic in a region of its own: room for 64 messages, no history.
    ///
    /// # Errors
    /// As those of [`Builder::build`]: a topic of slices has to be told how long they are.
    ///
    /// # Waits
    /// As `Builder::build`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::Topic;
    ///
    /// let topic = Topic::new()?;
    /// let mut subscription = topic.subscribe();
    /// topic.publish(&[1, 2, 3]).unwrap();
    /// assert_eq!(subscription.recv(), Ok([1, 2, 3]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Says how a topic is to be.
    ///
    /// # Examples
    /// See [`Builder::capacity`].
    pub fn builder<'a>() -> Builder<'a, M> {
        Builder::new()
    }

    pub(super) fn place(region: &Region, shape: Shape, history: usize) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let initialize = |fields: Fields<'_>| shape.initialize(fields);
        let block = Block::place(region, shape.form(), 0, shape.extra(), initialize)?;
        let shared = Shared::new(block, shape, Line::new(reader.into()))?;
        Ok(Self::of(shared, Line::new(writer.into()), history))
    }

    fn of(shared: Arc<Shared>, writer: Line, history: usize) -> Self {
        Self { shared, writer: Arc::new(writer), history, message: PhantomData }
    }

    /// A subscription: to what was kept for who comes late, and to all whose slot is lent from now on.
    ///
    /// # Examples
    /// See the [module](super).
    #[must_use]
    pub fn subscribe(&self) -> Subscription<M> {
        let places = self.shared.places();
        let history = self.history.min(self.capacity());
        let next = self.shared.shape.laps.begin(history, places.tail(), |index| places.word(index));
        Subscription::of(self.shared.clone(), next)
    }

    /// Publishes a copy of the message. Never waits.
    ///
    /// # Errors
    /// [`Disconnected`](TrySendError::Disconnected): the topic was [closed](Self::close). [`Full`](TrySendError::Full): all
    /// slots are on [loan](Self::loan), or others publish in them at this moment.
    ///
    /// # Panics
    /// If a slice has more than [`max_len`](Self::max_len) values.
    ///
    /// # Examples
    /// See the [module](super).
    pub fn publish(&self, message: &M) -> Result<(), TrySendError<()>> {
        let (length, most) = (message.length(), self.max_len());
        assert!(length <= most, "a message of {length} values, in a topic for {most} at most");
        let mut loan = self.loan()?;
        loan.length = length;
        copy_in(self.shared.places().message(loan.index), 0, message.bytes());
        loan.publish();
        Ok(())
    }

    /// The slot of the oldest message, to write a new one there, in place, and then to [publish](Loan::publish) it. Never
    /// waits.
    ///
    /// # Errors
    /// As those of [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::Topic;
    ///
    /// let topic = Topic::<[u8]>::builder().max_len(1500).build()?;
    /// let mut subscription = topic.subscribe();
    /// let mut packet = topic.loan()?;
    /// packet.write_at(0, b"one, ");
    /// packet.write_at(5, b"two");
    /// packet.truncate(8);
    /// packet.publish();
    /// assert_eq!(subscription.recv()?, b"one, two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan(&self) -> Result<Loan<'_, M>, TrySendError<()>> {
        let topic = &*self.shared;
        if topic.state() != 0 {
            return Err(TrySendError::Disconnected(()));
        }
        let (places, laps) = (topic.places(), topic.shape.laps);
        let moved = || bell::ring(places.bell());
        for _ in 0..TRIES {
            match laps.claim(places.tail(), |index| places.word(index), topic.owner(), crash::point, moved) {
                Claim::Slot(index) => {
                    crash::point("topic: a slot on loan");
                    let length = topic.shape.length_max;
                    return Ok(Loan { topic, index, length, is_done: false, message: PhantomData });
                }
                Claim::Full => break,
                Claim::Busy => std::hint::spin_loop(),
            }
        }
        Err(TrySendError::Full(()))
    }

    /// Ends the topic, for all: nothing more is published; subscribers receive what is before them, and then learn of the end.
    /// What another publishes at the same moment may come too late.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::{RecvError, Topic};
    ///
    /// let topic = Topic::<u8>::new()?;
    /// let mut subscription = topic.subscribe();
    /// topic.publish(&1).unwrap();
    /// topic.close();
    /// assert!(topic.publish(&2).unwrap_err().is_disconnected());
    /// assert_eq!(subscription.recv(), Ok(1));
    /// assert_eq!(subscription.recv(), Err(RecvError::Closed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) {
        self.shared.end(CLOSED);
    }

    /// Whether it was [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.state() != 0
    }

    /// How many messages it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.shape.laps.capacity()
    }

    /// The most values in a message: 1, if it is no slice.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.shared.shape.length_max
    }

    /// The region that the topic stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.shared.block.region()
    }
}

impl<M: Message + ?Sized> Clone for Topic<M> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            writer: self.writer.clone(),
            history: self.history,
            message: PhantomData,
        }
    }
}

impl<M: Message + ?Sized> fmt::Debug for Topic<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.shared).finish()
    }
}

/// On the wire: the region and the place in it, capacity, longest message, history, both ends of the line.
type Sent<'a> = (&'a Region, u64, u32, u64, u32, SentLine<'a>, SentLine<'a>);
type Received = (Region, u64, u32, u64, u32, ReceivedLine, ReceivedLine);

impl<M: Message + ?Sized> Serialize for Topic<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Shared { block, shape, line } = &*self.shared;
        let history = self.history.min(self.capacity()) as u32;
        let (capacity, length_max) = (self.capacity() as u32, shape.length_max as u64);
        let (reader, writer) = (SentLine(line), SentLine(&self.writer));
        let sent: Sent<'_> =
            (block.region(), block.at() as u64, capacity, length_max, history, reader, writer);
        sent.serialize(serializer)
    }
}

impl<'de, M: Message + ?Sized> Deserialize<'de> for Topic<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (region, at, capacity, length_max, history, reader, ReceivedLine(writer)) =
            Received::deserialize(deserializer)?;
        let length_max = usize::try_from(length_max).map_err(D::Error::custom)?;
        let shape = Shape::received::<M>(capacity as usize, length_max);
        let shared = Shared::find(region, at, shape, reader).map_err(D::Error::custom)?;
        let writer = Line::received(writer, Role::Sender).map_err(D::Error::custom)?;
        Ok(Self::of(shared, writer, history as usize))
    }
}

/// A slot in which a message is written in place; dropped, it is no message.
///
/// It holds whatever it held before, so write all of what you publish. Subscribers come to it in the order in which slots were
/// lent, so one that is kept holds up what was lent later, until others have filled all slots but this one; it holds up no
/// publisher. One that is forgotten (`std::mem::forget`) is gone until its process ends.
///
/// # Examples
/// See [`Topic::loan`].
#[must_use = "a message is published when its loan is"]
pub struct Loan<'a, M: Message + ?Sized> {
    topic: &'a Shared,
    index: usize,
    length: usize,
    is_done: bool,
    message: PhantomData<fn(&M)>,
}

impl<M: Message + ?Sized> Loan<'_, M> {
    /// Publishes what stands in the slot. Never waits.
    ///
    /// # Examples
    /// See [`Topic::loan`].
    pub fn publish(mut self) {
        let places = self.topic.places();
        places.length(self.index).store(self.length as u32, Relaxed);
        crash::point("topic: written, not published");
        self.is_done = true;
        self.topic.shape.laps.publish(places.word(self.index), self.topic.owner());
        crash::point("topic: published, nobody told");
        bell::ring(places.bell());
    }
}

impl<T: Plain> Loan<'_, T> {
    /// Writes the message, all of it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::Topic;
    ///
    /// let topic = Topic::<u64>::new()?;
    /// let mut subscription = topic.subscribe();
    /// let mut loan = topic.loan()?;
    /// loan.write(&7);
    /// assert!(subscription.try_recv().is_err(), "nothing was published yet");
    /// loan.publish();
    /// assert_eq!(subscription.try_recv(), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&mut self, value: &T) {
        copy_in(self.topic.places().message(self.index), 0, value.as_bytes());
    }
}

impl<T: Plain> Loan<'_, [T]> {
    /// Writes these values, from the value `at` on.
    ///
    /// # Panics
    /// If that is more than the message has.
    ///
    /// # Examples
    /// See [`Topic::loan`].
    pub fn write_at(&mut self, at: usize, values: &[T]) {
        let fits = at.checked_add(values.len()).is_some_and(|end| end <= self.length);
        assert!(fits, "{} values at {at} of a message of {}", values.len(), self.length);
        copy_in(self.topic.places().message(self.index), at * size_of::<T>(), values.as_bytes());
    }

    /// Makes the message shorter: it begins with as many values as the topic allows. Longer it does not get.
    ///
    /// # Examples
    /// See [`Topic::loan`].
    pub fn truncate(&mut self, len: usize) {
        self.length = self.length.min(len);
    }
}

impl<M: Message + ?Sized> Drop for Loan<'_, M> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let places = self.topic.places();
        self.topic.shape.laps.give_up(places.word(self.index), self.topic.owner());
        crash::point("topic: loan given up, nobody told");
        bell::ring(places.bell());
    }
}

impl<M: Message + ?Sized> fmt::Debug for Loan<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("length", &self.length).finish_non_exhaustive()
    }
}
