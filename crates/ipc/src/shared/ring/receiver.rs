//! The receiving end: a message is read where its sender has written it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ropewalk_sync::channel::{RecvError, RecvTimeoutError, TryRecvError};
use ropewalk_sync::clock;
use ropewalk_sync::slots::Turns;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::IntoBytes;

use super::end::{End, Kind, Stop};
use super::payload::{Message, copy_out};
use super::policy::WaitPolicy;
use super::shape::{Places, Role, Shape};
use super::{Many, Side};
use crate::crash;
use crate::shared::bell;
use crate::shared::region::Region;
use crate::shared::value::Plain;

/// Receives messages from a ring: `T`, or `[T]`.
///
/// `K` says how many receivers the ring can have: [`One`](super::One) or [`Many`], which can be cloned, and of which each message goes to
/// one. It travels as a [`Sender`](super::Sender) does.
pub struct Receiver<M: Message + ?Sized, K: Side = Many> {
    end: End,
    message: PhantomData<fn(&M)>,
    side: PhantomData<K>,
}

impl<M: Message + ?Sized, K: Side> Receiver<M, K> {
    const KIND: Kind = Kind { role: Role::Receiver, is_single: K::IS_ONE };

    pub(super) fn of(end: End) -> Self {
        Self { end, message: PhantomData, side: PhantomData }
    }

    /// Receives a copy of the next message.
    ///
    /// # Errors
    /// [`RecvError`]: all senders are gone, and no message is left.
    ///
    /// # Waits
    /// While the ring is empty.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which takes no message with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::ring;
    ///
    /// let (mut sender, mut receiver) = ring::mpmc::<u32>(4)?;
    /// std::thread::spawn(move || (1..=100).for_each(|n| sender.send(&n).unwrap()));
    /// let mut sum = 0;
    /// while let Ok(n) = receiver.recv() {
    ///     sum += n;
    /// }
    /// assert_eq!(sum, 5050);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> Result<M::Owned, RecvError> {
        Ok(self.recv_ref()?.read())
    }

    /// As [`recv`](Self::recv), if a message is there. Never waits.
    ///
    /// # Errors
    /// [`TryRecvError`]: there is no message, and perhaps never will be.
    pub fn try_recv(&mut self) -> Result<M::Owned, TryRecvError> {
        Ok(self.try_recv_ref()?.read())
    }

    /// As [`recv`](Self::recv), waiting for at most `limit`.
    ///
    /// # Errors
    /// [`RecvTimeoutError`]: no message came in time, or none will.
    ///
    /// # Waits
    /// While the ring is empty, or until the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which takes no message with it.
    #[track_caller]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<M::Owned, RecvTimeoutError> {
        Ok(self.recv_ref_timeout(limit)?.read())
    }

    /// The next message, to read in place; dropped, its slot is free again.
    ///
    /// # Errors
    /// [`RecvError`]: all senders are gone, and no message is left.
    ///
    /// # Waits
    /// While the ring is empty.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which takes no message with it.
    ///
    /// # Examples
    /// See [`Received`].
    #[inline]
    #[track_caller]
    pub fn recv_ref(&mut self) -> Result<Received<'_, M>, RecvError> {
        loop {
            match self.next_until(None) {
                Ok(position) => return Ok(self.received(position)),
                Err(Stop::Gone) => return Err(RecvError),
                // There is no deadline.
                Err(_) => {}
            }
        }
    }

    /// As [`recv_ref`](Self::recv_ref), if a message is there. Never waits.
    ///
    /// # Errors
    /// [`TryRecvError`]: there is no message, and perhaps never will be.
    pub fn try_recv_ref(&mut self) -> Result<Received<'_, M>, TryRecvError> {
        match self.end.try_next(Self::KIND) {
            Ok(position) => Ok(self.received(position)),
            Err(Stop::Gone) => Err(TryRecvError::Disconnected),
            Err(_) => Err(TryRecvError::Empty),
        }
    }

    /// As [`recv_ref`](Self::recv_ref), waiting for at most `limit`.
    ///
    /// # Errors
    /// [`RecvTimeoutError`]: no message came in time, or none will.
    ///
    /// # Waits
    /// While the ring is empty, or until the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which takes no message with it.
    #[track_caller]
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Received<'_, M>, RecvTimeoutError> {
        match self.next_until(clock::after(limit)) {
            Ok(position) => Ok(self.received(position)),
            Err(Stop::Gone) => Err(RecvTimeoutError::Disconnected),
            Err(_) => Err(RecvTimeoutError::Timeout),
        }
    }

    #[inline]
    #[track_caller]
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<u32, Stop> {
        self.end.next(Self::KIND, deadline)
    }

    #[inline]
    fn received(&mut self, position: u32) -> Received<'_, M> {
        crash::point("ring: a message in hands");
        let (ring, next) = self.end.had(Self::KIND);
        let (places, turns) = (ring.places(), ring.turns());
        let length = places.length(turns.index(position)).load(Relaxed) as usize;
        // Whatever stands there: the slot has room for so many.
        let length = length.min(ring.shape.length_max);
        let is_pair = ring.is_pair();
        Received { places, turns, is_pair, position, next, length, message: PhantomData }
    }

    /// How many messages the ring has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.shared.turns().capacity()
    }

    /// The most values in a message: 1, if it is no slice.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.end.shared.shape.length_max
    }

    /// The region that the ring stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.end.shared.block.region()
    }

    /// How this one waits.
    #[must_use]
    pub fn wait_policy(&self) -> WaitPolicy {
        self.end.wait_policy()
    }

    /// Changes how this one waits; another process begins with the default.
    pub fn set_wait_policy(&mut self, policy: WaitPolicy) {
        self.end.set_wait_policy(policy);
    }
}

impl<M: Message + ?Sized> Clone for Receiver<M, Many> {
    fn clone(&self) -> Self {
        Self::of(self.end.clone())
    }
}

impl<M: Message + ?Sized, K: Side> fmt::Debug for Receiver<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.end.shared).finish()
    }
}

impl<M: Message + ?Sized, K: Side> Serialize for Receiver<M, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.end.serialize(serializer)
    }
}

impl<'de, M: Message + ?Sized, K: Side> Deserialize<'de> for Receiver<M, K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        End::deserialize(deserializer, Role::Receiver, K::IS_ONE, Shape::received::<M>).map(Self::of)
    }
}

/// A message that is read in its slot; the slot is free again when this is dropped.
///
/// One that is kept holds up senders that have come round to its slot. One that is forgotten (`std::mem::forget`) is received
/// again by an only receiver; among many its slot is gone until the process ends.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::ring::Builder;
///
/// let (mut sender, mut receiver) = Builder::new(2).max_len(100).spsc::<[f64]>()?;
/// sender.send(&[0.5, 1.5])?;
/// let message = receiver.recv_ref()?;
/// assert_eq!((message.len(), message.read()), (2, vec![0.5, 1.5]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the message is gone when this is dropped"]
pub struct Received<'a, M: Message + ?Sized> {
    places: Places<'a>,
    turns: Turns,
    /// There is one sender, and this receiver.
    is_pair: bool,
    position: u32,
    /// Of the only receiver.
    next: Option<&'a mut u32>,
    length: usize,
    message: PhantomData<fn(&M)>,
}

impl<M: Message + ?Sized> Received<'_, M> {
    #[inline]
    fn index(&self) -> usize {
        self.turns.index(self.position)
    }

    /// A copy of the message.
    ///
    /// # Examples
    /// See [`Received`].
    #[must_use]
    pub fn read(&self) -> M::Owned {
        M::read(self.places.message(self.index()), self.length)
    }

    /// The message, where it is.
    ///
    /// # Safety
    /// As long as the reference is used nobody writes to the slot: see
    /// [`Loan::as_mut_unchecked`](super::Loan::as_mut_unchecked). Where that is not sure, [`read`](Self::read) and
    /// [`read_at`](Self::read_at) are the way.
    ///
    /// # Examples
    /// See [`Loan::as_mut_unchecked`](super::Loan::as_mut_unchecked).
    #[must_use]
    pub unsafe fn as_ref_unchecked(&self) -> &M {
        let words = self.places.message(self.index());
        let message = M::at(words.as_ptr().cast::<u8>().cast_mut(), self.length);
        // SAFETY: rule 3 of the ring: so many values lie there, aligned; any bits are a value (`Plain`). Nobody writes to them
        // meanwhile: others by the caller's promise, this program because the slot is given back when `self` is dropped.
        unsafe { &*message }
    }
}

impl<T: Plain> Received<'_, [T]> {
    /// How many values the message has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies values out of the message, from the value `at` on.
    ///
    /// # Panics
    /// If that is more than the message has.
    ///
    /// # Examples
    /// See [`Loan`](super::Loan).
    pub fn read_at(&self, at: usize, values: &mut [T]) {
        let fits = at.checked_add(values.len()).is_some_and(|end| end <= self.length);
        assert!(fits, "{} values at {at} of a message of {}", values.len(), self.length);
        let words = self.places.message(self.index());
        copy_out(words, at * size_of::<T>(), values.as_mut_bytes());
    }
}

impl<M: Message + ?Sized> Drop for Received<'_, M> {
    #[inline]
    fn drop(&mut self) {
        crash::point("ring: read, not given back");
        if self.is_pair {
            self.turns.pass(self.places.counter(Role::Receiver), self.position);
        } else {
            self.turns.release(self.places.word(self.index()), self.position);
        }
        crash::point("ring: given back, nobody told");
        if let Some(next) = self.next.take() {
            *next = self.position.wrapping_add(1);
        }
        bell::ring(self.places.bell(Role::Sender));
    }
}

impl<M: Message + ?Sized> fmt::Debug for Received<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("length", &self.length).finish_non_exhaustive()
    }
}
