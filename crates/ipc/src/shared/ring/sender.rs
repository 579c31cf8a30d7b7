//! The sending end: a message is written where its receiver reads it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ropewalk_sync::channel::{SendError, SendTimeoutError, TrySendError};
use ropewalk_sync::clock;
use ropewalk_sync::slots::Turns;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::IntoBytes;

use super::end::{End, Kind, Stop};
use super::payload::{Message, copy_in};
use super::policy::WaitPolicy;
use super::shape::{Places, Role, Shape};
use super::{Many, Side};
use crate::crash;
use crate::shared::bell;
use crate::shared::region::Region;
use crate::shared::value::Plain;

/// Sends messages through a ring: `T`, or `[T]`.
///
/// `K` says how many senders the ring can have: [`One`](super::One) or [`Many`], which can be cloned. It travels in the argument and the
/// result of a process; one of many stays here as well, and the only one is gone from here then, as if it were moved: whatever is
/// done with it says that it is disconnected.
pub struct Sender<M: Message + ?Sized, K: Side = Many> {
    end: End,
    message: PhantomData<fn(&M)>,
    side: PhantomData<K>,
}

impl<M: Message + ?Sized, K: Side> Sender<M, K> {
    const KIND: Kind = Kind { role: Role::Sender, is_single: K::IS_ONE };

    pub(super) fn of(end: End) -> Self {
        Self { end, message: PhantomData, side: PhantomData }
    }

    /// Sends a copy of the message.
    ///
    /// # Errors
    /// [`SendError`]: all receivers are gone.
    ///
    /// # Panics
    /// If a slice has more than [`max_len`](Self::max_len) values.
    ///
    /// # Waits
    /// While the ring is full.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which has sent nothing.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::ring;
    ///
    /// let (mut sender, mut receiver) = ring::spsc::<[i32; 3]>(4)?;
    /// sender.send(&[1, 2, 3]).unwrap();
    /// assert_eq!(receiver.recv(), Ok([1, 2, 3]));
    /// drop(receiver);
    /// while sender.try_send(&[0; 3]).is_ok() {} // noticed a moment later
    /// assert!(sender.send(&[4, 5, 6]).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn send(&mut self, message: &M) -> Result<(), SendError<()>> {
        self.check_length(message);
        self.loan()?.publish_copy(message);
        Ok(())
    }

    /// As [`send`](Self::send), if there is room now. Never waits.
    ///
    /// # Errors
    /// [`TrySendError`]: the ring is full, or all receivers are gone.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, message: &M) -> Result<(), TrySendError<()>> {
        self.check_length(message);
        self.try_loan()?.publish_copy(message);
        Ok(())
    }

    /// As [`send`](Self::send), waiting for at most `limit`.
    ///
    /// # Errors
    /// [`SendTimeoutError`]: there was no room in time, or all receivers are gone.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    ///
    /// # Waits
    /// While the ring is full, or until the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which has sent nothing.
    #[track_caller]
    pub fn send_timeout(&mut self, message: &M, limit: Duration) -> Result<(), SendTimeoutError<()>> {
        self.check_length(message);
        self.loan_timeout(limit)?.publish_copy(message);
        Ok(())
    }

    /// The next slot, to write a message there, in place, and then to [publish](Loan::publish) it.
    ///
    /// # Errors
    /// [`SendError`]: all receivers are gone.
    ///
    /// # Waits
    /// While the ring is full.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which has no slot.
    ///
    /// # Examples
    /// See [`Loan`].
    #[inline]
    #[track_caller]
    pub fn loan(&mut self) -> Result<Loan<'_, M>, SendError<()>> {
        loop {
            match self.loan_until(None) {
                Ok(position) => return Ok(self.loan_at(position)),
                Err(Stop::Gone) => return Err(SendError(())),
                // There is no deadline.
                Err(_) => {}
            }
        }
    }

    /// As [`loan`](Self::loan), if there is room now. Never waits.
    ///
    /// # Errors
    /// [`TrySendError`]: the ring is full, or all receivers are gone.
    pub fn try_loan(&mut self) -> Result<Loan<'_, M>, TrySendError<()>> {
        match self.end.try_next(Self::KIND) {
            Ok(position) => Ok(self.loan_at(position)),
            Err(Stop::Gone) => Err(TrySendError::Disconnected(())),
            Err(_) => Err(TrySendError::Full(())),
        }
    }

    /// As [`loan`](Self::loan), waiting for at most `limit`.
    ///
    /// # Errors
    /// [`SendTimeoutError`]: there was no room in time, or all receivers are gone.
    ///
    /// # Waits
    /// While the ring is full, or until the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which has no slot.
    #[track_caller]
    pub fn loan_timeout(&mut self, limit: Duration) -> Result<Loan<'_, M>, SendTimeoutError<()>> {
        match self.loan_until(clock::after(limit)) {
            Ok(position) => Ok(self.loan_at(position)),
            Err(Stop::Gone) => Err(SendTimeoutError::Disconnected(())),
            Err(_) => Err(SendTimeoutError::Timeout(())),
        }
    }

    #[inline]
    #[track_caller]
    fn loan_until(&mut self, deadline: Option<Instant>) -> Result<u32, Stop> {
        self.end.next(Self::KIND, deadline)
    }

    #[inline]
    fn loan_at(&mut self, position: u32) -> Loan<'_, M> {
        crash::point("ring: a slot on loan");
        let length = self.max_len();
        let (ring, next) = self.end.had(Self::KIND);
        let (places, turns) = (ring.places(), ring.turns());
        Loan { places, turns, position, next, length, is_done: false, message: PhantomData }
    }

    fn check_length(&self, message: &M) {
        let (length, most) = (message.length(), self.max_len());
        assert!(length <= most, "a message of {length} values, in a ring for {most} at most");
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

impl<M: Message + ?Sized> Clone for Sender<M, Many> {
    fn clone(&self) -> Self {
        Self::of(self.end.clone())
    }
}

impl<M: Message + ?Sized, K: Side> fmt::Debug for Sender<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.end.shared).finish()
    }
}

impl<M: Message + ?Sized, K: Side> Serialize for Sender<M, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.end.serialize(serializer)
    }
}

impl<'de, M: Message + ?Sized, K: Side> Deserialize<'de> for Sender<M, K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        End::deserialize(deserializer, Role::Sender, K::IS_ONE, Shape::received::<M>).map(Self::of)
    }
}

/// A slot in which a message is written in place; dropped, it is no message.
///
/// It holds whatever it held before, so write all of what you publish. Messages are received in the order in which their slots
/// were lent, so one that is kept holds up those behind it. One that is forgotten (`std::mem::forget`) among many senders
/// holds up the ring until its process ends.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::ring::Builder;
///
/// let (mut sender, mut receiver) = Builder::new(8).max_len(1500).spsc::<[u8]>()?;
/// let mut packet = sender.loan()?;
/// packet.write_at(0, b"one, ");
/// packet.write_at(5, b"two");
/// packet.truncate(8);
/// packet.publish();
///
/// let packet = receiver.recv_ref()?;
/// let mut word = [0; 3];
/// packet.read_at(5, &mut word);
/// assert_eq!((packet.len(), &word), (8, b"two"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a message is sent when its loan is published"]
pub struct Loan<'a, M: Message + ?Sized> {
    places: Places<'a>,
    turns: Turns,
    position: u32,
    /// Of the only sender.
    next: Option<&'a mut u32>,
    length: usize,
    is_done: bool,
    message: PhantomData<fn(&M)>,
}

impl<M: Message + ?Sized> Loan<'_, M> {
    #[inline]
    fn index(&self) -> usize {
        self.turns.index(self.position)
    }

    /// Sends what stands in the slot. Never waits.
    ///
    /// # Examples
    /// See [`Loan`].
    #[inline(always)]
    pub fn publish(mut self) {
        let places = self.places;
        places.length(self.index()).store(self.length as u32, Relaxed);
        crash::point("ring: written, not published");
        self.is_done = true;
        self.turns.publish(places.word(self.index()), self.position);
        crash::point("ring: published, nobody told");
        if let Some(next) = self.next.take() {
            *next = self.position.wrapping_add(1);
        }
        bell::ring(places.bell(Role::Receiver));
    }

    /// Writes a copy of the message, and sends it.
    #[inline(always)] // small once the type is known, and only there
    fn publish_copy(mut self, message: &M) {
        self.length = message.length();
        copy_in(self.places.message(self.index()), 0, message.bytes());
        self.publish();
    }

    /// The message in the slot, to write in place.
    ///
    /// # Safety
    /// As long as the reference is used nobody else writes to the slot: every process that has the ring, or its region, keeps to the
    /// ring's rules, and nobody maps the region's descriptor by itself. Processes that run code of yours do; one that is
    /// broken or hostile may not, and then [`write`](Self::write) and [`write_at`](Self::write_at) are the way.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::ring;
    ///
    /// let (mut sender, mut receiver) = ring::spsc::<[u64; 512]>(4)?;
    /// let mut block = sender.loan()?;
    /// // SAFETY: both ends are here, and do as they should.
    /// unsafe { block.as_mut_unchecked() }.fill(7);
    /// block.publish();
    /// let block = receiver.recv_ref()?;
    /// // SAFETY: as above.
    /// assert_eq!(unsafe { block.as_ref_unchecked() }.iter().sum::<u64>(), 7 * 512);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub unsafe fn as_mut_unchecked(&mut self) -> &mut M {
        let words = self.places.message(self.index());
        let message = M::at(words.as_ptr().cast::<u8>().cast_mut(), self.length);
        // SAFETY: rule 3 of the ring: there is room for so many values there, aligned; any bits are a value (`Plain`). The
        // words are atomic, so they may be written through what a shared reference has given; nobody else does meanwhile:
        // others by the caller's promise, this program because the loan is borrowed.
        unsafe { &mut *message }
    }
}

impl<T: Plain> Loan<'_, T> {
    /// Writes the message, all of it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::ring;
    ///
    /// let (mut sender, mut receiver) = ring::spsc::<u64>(4)?;
    /// let mut loan = sender.loan()?;
    /// loan.write(&7);
    /// assert!(receiver.try_recv().is_err(), "nothing was published yet");
    /// loan.publish();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&mut self, value: &T) {
        copy_in(self.places.message(self.index()), 0, value.as_bytes());
    }
}

impl<T: Plain> Loan<'_, [T]> {
    /// Writes these values, from the value `at` on.
    ///
    /// # Panics
    /// If that is more than the message has.
    ///
    /// # Examples
    /// See [`Loan`].
    pub fn write_at(&mut self, at: usize, values: &[T]) {
        let fits = at.checked_add(values.len()).is_some_and(|end| end <= self.length);
        assert!(fits, "{} values at {at} of a message of {}", values.len(), self.length);
        copy_in(self.places.message(self.index()), at * size_of::<T>(), values.as_bytes());
    }

    /// Makes the message shorter: it begins with as many values as the ring allows. Longer it does not get.
    ///
    /// # Examples
    /// See [`Loan`].
    pub fn truncate(&mut self, len: usize) {
        self.length = self.length.min(len);
    }
}

impl<M: Message + ?Sized> Drop for Loan<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.is_done || self.next.is_some() {
            return;
        }
        // One of many has claimed the slot: everybody is to pass over it.
        self.turns.release(self.places.word(self.index()), self.position);
        crash::point("ring: loan given back, nobody told");
        bell::ring(self.places.bell(Role::Receiver));
        bell::ring(self.places.bell(Role::Sender));
    }
}

impl<M: Message + ?Sized> fmt::Debug for Loan<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("length", &self.length).finish_non_exhaustive()
    }
}
