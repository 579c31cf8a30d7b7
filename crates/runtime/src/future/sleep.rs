//! Time in a future: a deadline with a waker.
//!
//! A future that is polled must not wait, so it cannot ask its task's worker for a timer: a task waits in one place at a
//! time, and has one. But whoever polls it waits afterwards ([`block_on`](super::block_on)). So the deadlines of all the
//! futures inside of that call stand in a list of the call's own ([`Deadlines`]), which waits no longer than to the
//! earliest, and then wakes whoever's time has come: by the waker that the future was polled with, because between it
//! and the call there may be a combinator that has wakers of its own.
//!
//! Which call it is, is known to the thread for the time of each poll ([`Deadlines::during`]), and a poll does not switch. Under
//! another executor there is none: then a coroutine sleeps instead.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use ropewalk_sync::clock;

use crate::coroutine;
use crate::task::join::JoinHandle;

/// A moment, and the number of the [`Sleep`] that waits for it.
type Key = (Instant, u64);

/// Who is to be woken when, among the futures that one call runs.
#[derive(Default)]
pub(super) struct Deadlines(Mutex<BTreeMap<Key, Waker>>);

/// The call that polls on this thread.
#[derive(Default)]
enum Polling {
    #[default]
    Elsewhere,
    /// Its list, once it has one.
    Here(Option<Arc<Deadlines>>),
}

thread_local! {
    static POLLING: Cell<Polling> = const { Cell::new(Polling::Elsewhere) };
}

impl Deadlines {
    /// Calls `poll` as a poll of the call that owns `own`, which is made when it is needed.
    pub(super) fn during<R>(own: &mut Option<Arc<Self>>, poll: impl FnOnce() -> R) -> R {
        struct Leave<'a> {
            own: &'a mut Option<Arc<Deadlines>>,
            around: Polling,
        }

        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                if let Polling::Here(own) = POLLING.replace(std::mem::take(&mut self.around)) {
                    *self.own = own;
                }
            }
        }

        let around = POLLING.replace(Polling::Here(own.take()));
        let _leave = Leave { own, around };
        poll()
    }

    /// That of the call that polls here, if there is one.
    fn here() -> Option<Arc<Self>> {
        let mut polling = POLLING.take();
        let deadlines = match &mut polling {
            Polling::Elsewhere => None,
            Polling::Here(own) => Some(own.get_or_insert_default().clone()),
        };
        POLLING.set(polling);
        deadlines
    }

    /// Locked for a few instructions; no waker is cloned, woken or dropped meanwhile.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes those whose time has come; not by `own`, whose task is about to poll anyway.
    pub(super) fn wake_due(&self, own: &Waker) {
        let Some(first) = self.next() else { return };
        let now = clock::now();
        if now < first {
            return;
        }
        loop {
            let due = {
                let mut deadlines = self.lock();
                deadlines.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove())
            };
            match due {
                None => return,
                Some(waker) if waker.will_wake(own) => {}
                Some(waker) => waker.wake(),
            }
        }
    }
}

/// Where a [`Sleep`] has left word.
enum Left {
    Nowhere,
    With(Arc<Deadlines>),
    /// Under another executor.
    Coroutine(JoinHandle<()>),
}

/// A future that is ready when some time has passed: see [`sleep`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    /// `None` for never.
    deadline: Option<Instant>,
    number: u64,
    left: Left,
}

/// A future that is ready after `duration`, on the runtime's [clock](crate::Clock). For `async` code; plain code calls
/// [`thread::sleep`](crate::thread::sleep).
///
/// Nothing of it stands anywhere until it is polled, nor after it was dropped. In [`block_on`](super::block_on) and
/// [`spawn_future`](super::spawn_future) it costs an entry in a list; under another executor it costs a coroutine.
///
/// ```
/// use std::time::Duration;
/// use ropewalk_runtime::future::{block_on, sleep};
///
/// block_on(async {
///     sleep(Duration::from_millis(1)).await;
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(clock::after(duration))
}

/// A future that is ready at `deadline`; as [`sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(Some(deadline))
}

impl Sleep {
    fn new(deadline: Option<Instant>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { deadline, number: NEXT.fetch_add(1, Relaxed), left: Left::Nowhere }
    }

    /// When it is ready; `None` if that is further away than the clock can say.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Makes it ready at `deadline` instead, also if it was ready before. It has to be polled again to wake anybody.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ropewalk_runtime::future::{block_on, sleep};
    ///
    /// let mut idle = sleep(Duration::MAX);
    /// idle.reset(std::time::Instant::now());
    /// block_on(idle);
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.leave();
        self.deadline = Some(deadline);
    }

    /// Takes back what it has left anywhere.
    fn leave(&mut self) {
        match (std::mem::replace(&mut self.left, Left::Nowhere), self.deadline) {
            (Left::With(deadlines), Some(deadline)) => {
                let waker = deadlines.lock().remove(&(deadline, self.number));
                drop(waker);
            }
            (Left::Coroutine(sleeper), _) => sleeper.cancel(),
            _ => {}
        }
    }

    /// Leaves the waker with the call that polls.
    fn leave_with(&mut self, deadlines: Arc<Deadlines>, deadline: Instant, context: &Context<'_>) {
        if !matches!(&self.left, Left::With(left) if Arc::ptr_eq(left, &deadlines)) {
            self.leave();
        }
        let waker = context.waker().clone();
        let before = deadlines.lock().insert((deadline, self.number), waker);
        drop(before);
        self.left = Left::With(deadlines);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        ready!(ropewalk_sync::park::poll_spend(context));
        if clock::now() >= deadline {
            self.leave();
            return Poll::Ready(());
        }
        if let Some(deadlines) = Deadlines::here() {
            self.leave_with(deadlines, deadline, context);
            return Poll::Pending;
        }
        if !matches!(self.left, Left::Coroutine(_)) {
            self.leave();
            self.left = Left::Coroutine(coroutine::spawn(move || crate::thread::sleep_until(deadline)));
        }
        let Left::Coroutine(sleeper) = &mut self.left else { unreachable!("it was put there just now") };
        // That it was cancelled, because its runtime has ended, ends the sleep early: nobody else would.
        let _ended = ready!(Pin::new(sleeper).poll(context));
        self.left = Left::Nowhere;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
