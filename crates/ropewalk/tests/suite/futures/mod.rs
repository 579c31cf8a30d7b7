//! Futures in tasks, and tasks as futures.

mod co;
mod executors;
mod handles;
mod running;
mod sleep;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that somebody else makes ready, and that counts its polls.
#[derive(Clone, Debug, Default)]
struct Event(Arc<EventState>);

#[derive(Debug, Default)]
struct EventState {
    ready: AtomicBool,
    polls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Event {
    /// Makes it ready, and wakes who polled it last.
    fn set(&self) {
        self.0.ready.store(true, SeqCst);
        self.wake();
    }

    /// Wakes who polled it last, for no reason.
    fn wake(&self) {
        if let Some(waker) = self.waker() {
            waker.wake();
        }
    }

    fn waker(&self) -> Option<Waker> {
        self.0.waker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn polls(&self) -> usize {
        self.0.polls.load(SeqCst)
    }
}

impl Future for Event {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.0.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        self.0.polls.fetch_add(1, SeqCst);
        if self.0.ready.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Pending once, after waking itself: what async code has for letting others run.
#[derive(Debug, Default)]
struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A waker that counts.
#[derive(Debug, Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
