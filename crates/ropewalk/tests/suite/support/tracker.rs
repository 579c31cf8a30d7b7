//! Values that tell how often they were dropped, and where.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::ThreadId;

/// Counts the drops of the values that it makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    drops: Arc<AtomicUsize>,
    thread: Arc<Mutex<Option<ThreadId>>>,
}

/// A value whose drop is counted.
#[derive(Debug)]
pub(crate) struct Tracked(Tracker);

impl Tracker {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn value(&self) -> Tracked {
        Tracked(self.clone())
    }

    pub(crate) fn drops(&self) -> usize {
        self.drops.load(SeqCst)
    }

    /// The thread on which the last drop took place.
    pub(crate) fn thread(&self) -> Option<ThreadId> {
        *self.thread.lock().unwrap()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        *self.0.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(std::thread::current().id());
        self.0.drops.fetch_add(1, SeqCst);
    }
}
