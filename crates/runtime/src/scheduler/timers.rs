//! Who is to be woken when: a heap with four children a node, whose entries know their places.
//!
//! A coroutine has one entry at most, because it waits in one place at a time. When it wakes early the entry stays: the
//! next wait usually ends later than the entry says, and then nothing has to be done; when the entry's time comes, the
//! coroutine is put back to the time that it really wants, or out. So a connection that waits a thousand times with a
//! limit of a minute touches the heap once a minute. An entry goes with its coroutine: none outlives it.

use ropewalk_sync::clock::NEVER;

use super::core::{NOWHERE, Ready};

struct Entry {
    at: u64,
    task: Ready,
}

/// The timers of one worker, by the clock's nanoseconds.
#[derive(Default)]
pub(crate) struct Timers(Vec<Entry>);

const ARITY: usize = 4;

impl Timers {
    /// The next moment at which something is to be done.
    pub(crate) fn next(&self) -> Option<u64> {
        self.0.first().map(|entry| entry.at)
    }

    /// The next moment at which a coroutine wants to be woken: entries that were left behind are put right on the way.
    pub(crate) fn next_wanted(&mut self) -> Option<u64> {
        loop {
            let first = self.0.first()?;
            // SAFETY: as in `arm`.
            let wanted = unsafe { first.task.core().frame() }.wake_at.get();
            if wanted <= first.at {
                return Some(first.at);
            }
            let task = self.remove(0);
            if wanted != NEVER {
                self.arm(&task, wanted);
            }
        }
    }

    /// Makes sure that `task`, which is this worker's, is looked at no later than `at`.
    pub(crate) fn arm(&mut self, task: &Ready, at: u64) {
        // SAFETY: `Core`, rule 2: timers are called by the worker for its own coroutines.
        let place = unsafe { task.core().frame() }.timer.get();
        if place == NOWHERE {
            self.0.push(Entry { at, task: task.clone() });
            self.up(self.0.len() - 1);
        } else if at < self.0[place as usize].at {
            self.0[place as usize].at = at;
            self.up(place as usize);
        }
    }

    /// Takes `task` out.
    pub(crate) fn disarm(&mut self, task: &Ready) {
        // SAFETY: as in `arm`.
        let place = unsafe { task.core().frame() }.timer.get();
        if place != NOWHERE {
            self.remove(place as usize);
        }
    }

    /// Takes out the first coroutine whose time has come by `now`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Ready> {
        (self.next()? <= now).then(|| self.remove(0))
    }

    fn remove(&mut self, place: usize) -> Ready {
        let entry = self.0.swap_remove(place);
        // SAFETY: as in `arm`.
        unsafe { entry.task.core().frame() }.timer.set(NOWHERE);
        if place < self.0.len() {
            self.down(place);
            self.up(place);
        }
        entry.task
    }

    fn settle(&self, place: usize) {
        let index = u32::try_from(place).expect("fewer timers than coroutines");
        // SAFETY: as in `arm`.
        unsafe { self.0[place].task.core().frame() }.timer.set(index);
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.0[parent].at <= self.0[place].at {
                break;
            }
            self.0.swap(parent, place);
            self.settle(place);
            place = parent;
        }
        self.settle(place);
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let first = place * ARITY + 1;
            let children = first..(first + ARITY).min(self.0.len());
            let Some(least) = children.min_by_key(|&child| self.0[child].at) else { break };
            if self.0[place].at <= self.0[least].at {
                break;
            }
            self.0.swap(least, place);
            self.settle(place);
            place = least;
        }
        self.settle(place);
    }
}
