//! Who reads: copies each message out of its slot, and sees whether it was all of one.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ropewalk_sync::broadcast_slots::Look;
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interrupt, Interrupted, Wait, WaitReason};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::IntoBytes;

use super::handle::Shared;
use super::shape::{GONE, Shape};
use super::{RecvError, RecvTimeoutError, TryRecvError};
use crate::shared::bell;
use crate::shared::region::Region;
use crate::shared::ring::{Message, Patience, ReceivedLine, SentLine, WaitPolicy, copy_out};
use crate::shared::value::Plain;

/// How often a call looks where publishers are faster.
const TRIES: usize = 100;

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Nothing,
    Busy,
    /// The subscriber is told of it once.
    Missed(u32),
    Ended,
    TimedOut,
}

/// The place of a subscription in its topic.
#[derive(Clone, Debug)]
struct Place {
    shared: Arc<Shared>,
    next: u32,
    missed: u64,
    /// How far behind the oldest message it goes on when it is overtaken: further each time that this was not far enough.
    head_start: u32,
}

impl Place {
    /// What `copy` makes of the next message: of its words, and of how many values it has.
    fn read<R>(&mut self, copy: &mut impl FnMut(&[AtomicU32], usize) -> R) -> Result<R, Stop> {
        let (places, shape) = (self.shared.places(), self.shared.shape);
        for _ in 0..TRIES {
            // Before the look: what was published by who has gone is received.
            let state = self.shared.state();
            let word = |index| places.word(index);
            match shape.laps.look(&mut self.next, self.head_start, places.tail(), word) {
                Look::Found(position) => {
                    let index = shape.laps.index(position);
                    // Whatever stands there: the slot has room for so many.
                    let length = (places.length(index).load(Relaxed) as usize).min(shape.length_max);
                    let copied = copy(places.message(index), length);
                    if shape.laps.is_still(word(index), position) {
                        (self.next, self.head_start) = (position.wrapping_add(1), 0);
                        return Ok(copied);
                    }
                    self.head_start = (2 * self.head_start).clamp(1, shape.laps.first());
                }
                Look::Missed(missed) => {
                    self.missed += u64::from(missed);
                    return Err(Stop::Missed(missed));
                }
                // Its publisher has died, or has forgotten it, and nobody is left who could publish it.
                Look::Held if state & GONE != 0 => self.next = self.next.wrapping_add(1),
                Look::Nothing if state != 0 => return Err(Stop::Ended),
                Look::Nothing | Look::Held => return Err(Stop::Nothing),
                Look::Busy => return Err(Stop::Busy),
            }
        }
        Err(Stop::Busy)
    }
}

/// Receives every message of a topic in shared memory that is published from its beginning on, each as a copy: `M`, or for slices
/// a `Vec`. See [`Topic::subscribe`](super::Topic::subscribe).
///
/// A clone is a subscription of its own, which has before it what this one has; so is what arrives where this one is sent to in
/// the argument or the result of a process.
///
/// # Examples
/// See the [module](super).
pub struct Subscription<M: Message + ?Sized> {
    place: Place,
    patience: Patience,
    message: PhantomData<fn(&M)>,
}

impl<M: Message + ?Sized> Subscription<M> {
    pub(super) fn of(shared: Arc<Shared>, next: u32) -> Self {
        let place = Place { shared, next, missed: 0, head_start: 0 };
        Self { place, patience: Patience::new(WaitPolicy::default()), message: PhantomData }
    }

    /// Receives a copy of the next message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all was received and the topic has ended; [`Lagged`](RecvError::Lagged), once, if messages
    /// were overwritten before it came to them.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message stays before the subscription.
    ///
    /// # Examples
    /// See the [module](super).
    #[track_caller]
    pub fn recv(&mut self) -> Result<M::Owned, RecvError> {
        self.wait(&mut M::read)
    }

    /// As [`recv`](Self::recv), if a message is there. Never waits.
    ///
    /// # Errors
    /// As those of `recv`, or that there is none.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::{Topic, TryRecvError};
    ///
    /// let topic = Topic::<u8>::new()?;
    /// let mut subscription = topic.subscribe();
    /// assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
    /// topic.close();
    /// assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<M::Owned, TryRecvError> {
        self.place.read(&mut M::read).map_err(|stop| match stop {
            Stop::Missed(missed) => TryRecvError::Lagged(missed.into()),
            Stop::Ended => TryRecvError::Closed,
            Stop::Nothing | Stop::Busy | Stop::TimedOut => TryRecvError::Empty,
        })
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As those of `recv`, or that no message came in time.
    ///
    /// # Waits
    /// Until there is a message, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::{RecvTimeoutError, Topic};
    /// use std::time::Duration;
    ///
    /// let topic = Topic::<u8>::new()?;
    /// let mut subscription = topic.subscribe();
    /// assert_eq!(subscription.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<M::Owned, RecvTimeoutError> {
        self.wait_until(clock::after(timeout), &mut M::read).map_err(|stop| match stop {
            Stop::Missed(missed) => RecvTimeoutError::Lagged(missed.into()),
            Stop::Ended => RecvTimeoutError::Closed,
            Stop::Nothing | Stop::Busy | Stop::TimedOut => RecvTimeoutError::Timeout,
        })
    }

    /// The messages as they come, until the topic has ended. What was missed is left out; [`missed`](Self::missed) says how
    /// many those are.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// See the [module](super).
    pub fn iter(&mut self) -> Iter<'_, M> {
        Iter { subscription: self }
    }

    #[track_caller]
    fn wait<R>(&mut self, copy: &mut impl FnMut(&[AtomicU32], usize) -> R) -> Result<R, RecvError> {
        loop {
            match self.wait_until(None, copy) {
                Ok(message) => return Ok(message),
                Err(Stop::Missed(missed)) => return Err(RecvError::Lagged(missed.into())),
                Err(Stop::Ended) => return Err(RecvError::Closed),
                // There is no deadline.
                Err(Stop::Nothing | Stop::Busy | Stop::TimedOut) => {}
            }
        }
    }

    #[track_caller]
    fn wait_until<R>(
        &mut self,
        deadline: Option<Instant>,
        copy: &mut impl FnMut(&[AtomicU32], usize) -> R,
    ) -> Result<R, Stop> {
        park::spend();
        match self.place.read(copy) {
            Err(Stop::Nothing | Stop::Busy) => {}
            read => return read,
        }
        match self.sleep(deadline, copy) {
            Ok(read) => read,
            Err(interrupt) => match self.place.read(copy) {
                // The result wins.
                Err(Stop::Nothing | Stop::Busy) => match interrupt.deliver() {
                    Interrupted::TimedOut => Err(Stop::TimedOut),
                    Interrupted::Cancelled => Err(Stop::Ended),
                },
                read => read,
            },
        }
    }

    /// As the policy says; in the end asleep.
    fn sleep<R>(
        &mut self,
        deadline: Option<Instant>,
        copy: &mut impl FnMut(&[AtomicU32], usize) -> R,
    ) -> Result<Result<R, Stop>, Interrupt> {
        let Self { place, patience, .. } = self;
        let shared = place.shared.clone();
        let bell = shared.places().bell();
        let wait = Wait::new(WaitReason::SharedTopicReceive).object(bell).until(deadline).fallible();
        let mut look = || match place.read(copy) {
            Err(Stop::Nothing | Stop::Busy) => None,
            read => Some(read),
        };
        if let Some(read) = patience.spin(&wait, &mut look)? {
            return Ok(read);
        }
        loop {
            let listening = bell::listen(bell);
            match place.read(copy) {
                Err(Stop::Nothing) => bell::wait(bell, listening, &wait)?,
                // Those who are faster may be of this worker.
                Err(Stop::Busy) => drop(park::linger(&wait, true)?),
                read => return Ok(read),
            }
        }
    }

    /// How many messages it has missed, because it was slow, since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.place.missed
    }

    /// How many messages the topic has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.place.shared.shape.laps.capacity()
    }

    /// The most values in a message: 1, if it is no slice.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.place.shared.shape.length_max
    }

    /// The region that the topic stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.place.shared.block.region()
    }

    /// How this one waits.
    #[must_use]
    pub fn wait_policy(&self) -> WaitPolicy {
        self.patience.policy
    }

    /// Changes how this one waits; one in another process begins with the default.
    pub fn set_wait_policy(&mut self, policy: WaitPolicy) {
        self.patience = Patience::new(policy);
    }
}

impl<T: Plain> Subscription<[T]> {
    /// As [`recv`](Self::recv), into `values`, which is as long as the message then. What it held before is gone, also if
    /// there is an error.
    ///
    /// # Errors
    /// As those of `recv`.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::topic::Topic;
    ///
    /// let topic = Topic::<[u32]>::builder().max_len(3).build()?;
    /// let mut subscription = topic.subscribe();
    /// topic.publish(&[1, 2])?;
    /// let mut values = Vec::with_capacity(3);
    /// subscription.recv_into(&mut values)?;
    /// assert_eq!(values, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn recv_into(&mut self, values: &mut Vec<T>) -> Result<(), RecvError> {
        values.clear();
        self.wait(&mut |words: &[AtomicU32], length| {
            values.resize_with(length, T::new_zeroed);
            copy_out(words, 0, values.as_mut_slice().as_mut_bytes());
        })
    }
}

impl<M: Message + ?Sized> Clone for Subscription<M> {
    fn clone(&self) -> Self {
        Self { place: self.place.clone(), patience: self.patience.clone(), message: PhantomData }
    }
}

impl<M: Message + ?Sized> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscription").field(&self.place.shared).finish()
    }
}

/// On the wire: the region and the place in it, capacity, longest message, the next position, the line.
type Sent<'a> = (&'a Region, u64, u32, u64, u32, SentLine<'a>);
type Received = (Region, u64, u32, u64, u32, ReceivedLine);

impl<M: Message + ?Sized> Serialize for Subscription<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Shared { block, shape, line } = &*self.place.shared;
        let (capacity, length_max) = (shape.laps.capacity() as u32, shape.length_max as u64);
        let sent: Sent<'_> =
            (block.region(), block.at() as u64, capacity, length_max, self.place.next, SentLine(line));
        sent.serialize(serializer)
    }
}

impl<'de, M: Message + ?Sized> Deserialize<'de> for Subscription<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (region, at, capacity, length_max, next, line) = Received::deserialize(deserializer)?;
        let length_max = usize::try_from(length_max).map_err(D::Error::custom)?;
        let shape = Shape::received::<M>(capacity as usize, length_max);
        let shared = Shared::find(region, at, shape, line).map_err(D::Error::custom)?;
        Ok(Self::of(shared, next))
    }
}

/// The messages of a subscription, as they come. See [`Subscription::iter`].
#[derive(Debug)]
pub struct Iter<'a, M: Message + ?Sized> {
    subscription: &'a mut Subscription<M>,
}

impl<M: Message + ?Sized> Iterator for Iter<'_, M> {
    type Item = M::Owned;

    /// The next message.
    ///
    /// # Waits
    /// Until there is one.
    fn next(&mut self) -> Option<M::Owned> {
        loop {
            match self.subscription.recv() {
                Ok(message) => return Some(message),
                Err(RecvError::Closed) => return None,
                // It was missed.
                Err(_) => {}
            }
        }
    }
}
