//! Values that tell how often they were dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Counts the drops of the values that it makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    drops: Arc<AtomicUsize>,
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
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, SeqCst);
    }
}
