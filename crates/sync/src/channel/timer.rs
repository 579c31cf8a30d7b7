//! Receivers that time sends to.
//!
//! No message lies anywhere: a receive looks at the clock, and who comes first after a moment takes that.

use std::fmt;
use std::time::{Duration, Instant};

use Ordering::Relaxed;

use super::error::RecvTimeoutError;
use super::receiver::Receiver;
use crate::clock::{self, NEVER};
use crate::park::{self, Interrupted, Wait, WaitReason};
use crate::primitive::{AtomicBool, AtomicU64, Ordering};

/// When there are messages. Nothing is ordered by it but itself, so `Relaxed` is enough.
pub(super) enum Timer {
    Once {
        at: Instant,
        taken: AtomicBool,
    },
    Every {
        /// The next one, in the clock's nanoseconds.
        next: AtomicU64,
        period: Duration,
    },
}

impl Timer {
    /// The moment of the next message; `None` if there is none any more.
    pub(super) fn next(&self) -> Option<Instant> {
        match self {
            Self::Once { at, taken } => (!taken.load(Relaxed)).then_some(*at),
            Self::Every { next, .. } => clock::instant(next.load(Relaxed)),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.next().is_some_and(|next| clock::now() >= next)
    }

    /// Takes the message that is due.
    pub(super) fn take(&self) -> Option<Instant> {
        let now = clock::now();
        self.take_for(now, now)
    }

    /// Takes the message that is due `now`, for one who has wanted it since then.
    fn take_for(&self, since: Instant, now: Instant) -> Option<Instant> {
        match self {
            Self::Once { at, taken } => (now >= *at && !taken.swap(true, Relaxed)).then_some(*at),
            Self::Every { next, period } => loop {
                let due = next.load(Relaxed);
                let moment = clock::instant(due).filter(|&moment| now >= moment)?;
                // Room is for one message: those that nobody took are not made up for. But who was there in time and woke
                // up late does not put off the next.
                let following = moment.max(since).checked_add(*period).map_or(NEVER, clock::nanos);
                if next.compare_exchange(due, following, Relaxed, Relaxed).is_ok() {
                    return Some(moment);
                }
            },
        }
    }

    /// Waits for a message.
    #[track_caller]
    pub(super) fn receive(&self, deadline: Option<Instant>) -> Result<Instant, RecvTimeoutError> {
        park::spend();
        let since = clock::now();
        loop {
            if let Some(moment) = self.take_for(since, clock::now()) {
                return Ok(moment);
            }
            if deadline.is_some_and(|deadline| clock::now() >= deadline) {
                return Err(RecvTimeoutError::Timeout);
            }
            let until = self.next().into_iter().chain(deadline).min();
            let wait = Wait::new(WaitReason::ChannelReceive).object(self).until(until).fallible();
            if let Err(interrupt) = park::park(&wait)
                && interrupt.deliver() == Interrupted::Cancelled
            {
                return Err(RecvTimeoutError::Disconnected);
            }
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Timer { .. }")
    }
}

/// Waits for a message that nobody sends.
#[track_caller]
pub(super) fn wait_in_vain<T>(deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
    let wait = Wait::new(WaitReason::ChannelReceive).until(deadline).fallible();
    loop {
        if let Err(interrupt) = park::park(&wait) {
            return Err(match interrupt.deliver() {
                Interrupted::TimedOut => RecvTimeoutError::Timeout,
                Interrupted::Cancelled => RecvTimeoutError::Disconnected,
            });
        }
    }
}

/// A receiver of one message, which comes when `duration` has passed: the moment at which it came.
///
/// It is never disconnected: who receives a second message waits for ever. Clones share the one message.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::{after, select, unbounded};
/// use std::time::Duration;
///
/// let (_sender, receiver) = unbounded::<u8>();
/// select! {
///     recv(receiver) -> message => panic!("nobody sent {message:?}"),
///     recv(after(Duration::from_millis(1))) -> _ => println!("timed out"),
/// }
/// ```
#[must_use]
pub fn after(duration: Duration) -> Receiver<Instant> {
    clock::after(duration).map_or_else(never, at)
}

/// A receiver of one message, which comes at `when`: that moment.
///
/// It is never disconnected: who receives a second message waits for ever. Clones share the one message.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::at;
/// use std::time::{Duration, Instant};
///
/// let when = Instant::now() + Duration::from_millis(1);
/// assert_eq!(at(when).recv(), Ok(when));
/// ```
#[must_use]
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver::of_time(Timer::Once { at: when, taken: AtomicBool::new(false) })
}

/// A receiver of a message every `period`: the moment at which it came.
///
/// One message is kept until it is received. The next comes a period after that; or, if somebody waited for it, a period after
/// its own time, so a loop that keeps up does not drift. (One that selects does, by as much as it is late.)
/// It is never disconnected. Clones share the messages.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::tick;
/// use std::time::Duration;
///
/// let ticker = tick(Duration::from_millis(1));
/// let (first, second) = (ticker.recv().unwrap(), ticker.recv().unwrap());
/// assert!(second - first >= Duration::from_millis(1));
/// ```
#[must_use]
pub fn tick(period: Duration) -> Receiver<Instant> {
    match clock::after(period) {
        Some(next) => Receiver::of_time(Timer::Every { next: AtomicU64::new(clock::nanos(next)), period }),
        None => never(),
    }
}

/// A receiver that nobody sends to, and that is never disconnected: an operation of a select that is switched off.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::{after, never, select, unbounded};
/// use std::time::Duration;
///
/// let (sender, receiver) = unbounded();
/// sender.send(1).unwrap();
/// let limit: Option<Duration> = None;
/// let timeout = limit.map_or_else(never, after);
/// select! {
///     recv(receiver) -> message => assert_eq!(message, Ok(1)),
///     recv(timeout) -> _ => println!("timed out"),
/// }
/// ```
#[must_use]
pub fn never<T>() -> Receiver<T> {
    Receiver::of_nobody()
}
