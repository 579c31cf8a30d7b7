//! Tasks in line for the threads of a pool, and the threads that take them.
//!
//! First come, first served. The line of tasks that were spawned is bounded: who comes when it is full is turned away, and
//! nobody waits for a place. Children of scopes are not counted: whoever opens the scope waits for them, and so bounds them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::ptr;
use std::sync::Arc;

use ropewalk_sync::park::{Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;

use super::thread::Job;

std::thread_local! {
    /// Whose thread this is, by address: null for none.
    static OWN: Cell<*const Line> = const { Cell::new(ptr::null()) };
}

/// A task that waits, and whether the bound is for it.
struct Place {
    job: Box<dyn Job>,
    counts: bool,
}

#[derive(Default)]
struct Tasks {
    places: VecDeque<Place>,
    counted: usize,
    closed: bool,
}

/// What the threads of a pool share.
pub(crate) struct Line {
    /// With the threads that have nothing to do.
    tasks: WaitList<Tasks>,
    /// How many threads there are, with those who wait for their end.
    threads: WaitList<usize>,
    limit: usize,
}

impl Line {
    /// For so many tasks that are not children of scopes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tasks: WaitList::default(), threads: WaitList::default(), limit }
    }

    /// Keeps a place for a task that is about to come, if the line is not full.
    pub(crate) fn reserve(&self) -> io::Result<()> {
        let mut tasks = self.tasks.lock();
        if tasks.counted >= self.limit {
            drop(tasks);
            let text = format!("{} tasks wait for a thread of the pool already", self.limit);
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        tasks.counted += 1;
        Ok(())
    }

    /// Puts a task at the end, for which a place is kept.
    pub(crate) fn push(&self, job: Box<dyn Job>) {
        self.append(Place { job, counts: true });
    }

    /// Puts the child of a scope at the end.
    pub(crate) fn push_child(&self, job: Box<dyn Job>) {
        self.append(Place { job, counts: false });
    }

    fn append(&self, place: Place) {
        let mut tasks = self.tasks.lock();
        tasks.places.push_back(place);
        // One that was told already counts as idle no longer, so one that waits is free for this task.
        let idle = tasks.notify_first(0);
        drop(tasks);
        if let Some(idle) = idle {
            idle.unpark();
        }
    }

    /// Takes the cancelled tasks of a scope out of the line: they never start. By who waits for the end of the scope, and
    /// would wait for threads that are busy with something else; what the tasks have captured is dropped here.
    pub(crate) fn discard(&self, owner: *const ()) {
        let mut tasks = self.tasks.lock();
        let places = std::mem::take(&mut tasks.places);
        let (discarded, left) = places.into_iter().partition(|place| place.job.is_cancelled_of(owner));
        tasks.places = left;
        drop(tasks);
        discarded.into_iter().for_each(|place: Place| place.job.discard());
    }

    /// How many tasks wait.
    pub(crate) fn len(&self) -> usize {
        self.tasks.lock().places.len()
    }

    /// No task comes any more: the threads end when they have run those that wait.
    pub(crate) fn close(&self) {
        let mut tasks = self.tasks.lock();
        tasks.closed = true;
        self.tasks.notify_all_after(tasks);
    }

    /// Waits until all threads have ended.
    pub(crate) fn wait_ended(&self) {
        let mut threads = self.threads.lock();
        while *threads > 0 {
            if let Err(interrupt) = self.threads.wait(threads, &Wait::new(WaitReason::Join).object(self)) {
                let _ = interrupt.deliver();
            }
            threads = self.threads.lock();
        }
    }

    /// Whether the calling thread is one of its own.
    pub(crate) fn is_own(&self) -> bool {
        OWN.get() == ptr::from_ref(self)
    }

    /// One more thread will serve.
    pub(crate) fn enter(self: &Arc<Self>) -> Server {
        *self.threads.lock() += 1;
        Server(self.clone())
    }
}

/// A thread of a pool, from before its start to its end.
pub(crate) struct Server(Arc<Line>);

impl Server {
    /// By the thread: runs tasks until the line is closed and empty.
    pub(crate) fn serve(self) {
        let line = &*self.0;
        OWN.set(line);
        let mut tasks = line.tasks.lock();
        loop {
            if let Some(Place { job, counts }) = tasks.places.pop_front() {
                tasks.counted -= usize::from(counts);
                drop(tasks);
                job.run();
            } else if tasks.closed {
                return;
            } else {
                let _ = line.tasks.wait(tasks, &Wait::new(WaitReason::Idle).object(line).uncancellable());
            }
            tasks = line.tasks.lock();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut threads = self.0.threads.lock();
        *threads -= 1;
        if *threads == 0 {
            self.0.threads.notify_all_after(threads);
        }
    }
}
