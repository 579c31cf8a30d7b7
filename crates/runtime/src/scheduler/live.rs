//! The coroutines of a worker that have started and not ended.
//!
//! The worker puts them in and takes them out; others only read. What a reader is given is by reference count, so a
//! task may end while somebody still looks at it. The lock is held for a few nanoseconds by the worker, and by a reader
//! for [`BATCH`] tasks at a time: so a worker is never held up for longer than a few microseconds, however many there are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::core::Ready;

/// How many tasks are copied between two holdings of the lock.
const BATCH: usize = 256;

/// The started coroutines of one worker.
#[derive(Default)]
pub(crate) struct Live(Mutex<Vec<Ready>>);

impl Live {
    fn lock(&self) -> MutexGuard<'_, Vec<Ready>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker: puts `task` in. Gives its place.
    pub(super) fn push(&self, task: Ready) -> u32 {
        let mut tasks = self.lock();
        tasks.push(task);
        u32::try_from(tasks.len() - 1).expect("fewer coroutines than stacks")
    }

    /// The worker: takes out what is at `place`. The last one goes there instead, and `moved` is told.
    pub(super) fn remove(&self, place: usize, moved: impl FnOnce(&Ready)) -> Ready {
        let mut tasks = self.lock();
        let gone = tasks.swap_remove(place);
        tasks.get(place).map(moved);
        gone
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The worker: takes out all.
    pub(super) fn take(&self) -> Vec<Ready> {
        std::mem::take(&mut self.lock())
    }

    /// All that are in from the beginning to the end of the call, some that are not, none twice.
    pub(crate) fn list(&self) -> Vec<Ready> {
        let mut list: Vec<Ready> = Vec::new();
        let mut end = usize::MAX;
        // From the last to the first: a removal moves the last one forward, to where this has not been yet.
        while end > 0 {
            let tasks = self.lock();
            end = end.min(tasks.len());
            let start = end.saturating_sub(BATCH);
            let batch = tasks[start..end].to_vec();
            drop(tasks);
            list.extend(batch);
            end = start;
        }
        list.sort_unstable_by_key(|task| task.waiter().id());
        list.dedup_by_key(|task| task.waiter().id());
        list
    }
}
