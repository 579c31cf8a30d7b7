//! The allocation of a task: closure in, result out.
//!
//! # Who may touch the slot
//! 1. Before the task is done: only the thread that executes it, once ([`Cell::execute`]).
//! 2. After: only the owner of the one `JoinHandle` ([`Joinable::take`]), or whoever finds out last that there is none:
//!    the executing thread if the handle was dropped before the end, else the thread that drops the handle.
//!
//! `DONE` and `DETACHED` are set by read-modify-writes of one word, so exactly one of the two comes second.

use std::cell::UnsafeCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ropewalk_sync::park::{Park, Unwind, Waiter};

use super::join::JoinError;
use super::state::Death;
use super::{DETACHED, Failure, Header, failure_of, local};

enum Slot<F, T> {
    Closure(F),
    Executing,
    Result(Result<T, JoinError>),
    Taken,
}

/// What a plan adds to a task.
pub(crate) trait Plan: Send + Sync {
    /// The task's waiting half.
    fn waiter(&self) -> &Waiter;
}

/// A task of plan `P` that runs an `F` and returns a `T`.
pub(crate) struct Cell<P, F, T> {
    pub(crate) header: Header,
    pub(crate) plan: P,
    slot: UnsafeCell<Slot<F, T>>,
}

// SAFETY: the slot is touched by one thread at a time, in an order made by DONE and DETACHED (rules 1 and 2). Whether
// `F` and `T` may cross threads is for the spawning function and for `JoinHandle<T>`, which is Send only if `T` is.
unsafe impl<P: Plan, F, T> Send for Cell<P, F, T> {}
// SAFETY: as above.
unsafe impl<P: Plan, F, T> Sync for Cell<P, F, T> {}

impl<P: Plan, F: FnOnce() -> T, T> Cell<P, F, T> {
    pub(crate) fn new(header: Header, plan: P, closure: F) -> Self {
        Self { header, plan, slot: UnsafeCell::new(Slot::Closure(closure)) }
    }

    /// Runs the closure and stores what it gave. To be called once, by the plan, where the task runs.
    pub(crate) fn execute(&self) {
        // SAFETY: rule 1.
        let slot = unsafe { &mut *self.slot.get() };
        let Slot::Closure(closure) = std::mem::replace(slot, Slot::Executing) else {
            unreachable!("a task is executed once");
        };
        let cancelled = self.plan.waiter().is_cancelled();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if cancelled {
                // Cancelled before it started: it never does, but what it captured is dropped where it would have run.
                drop(closure);
                return None;
            }
            Some(closure())
        }));
        local::drop_all(self.plan.waiter().id());
        let result = match result {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(self.error(JoinError::cancelled)),
            Err(payload) => Err(match Unwind::from_payload(&*payload) {
                // Of the deadline that it has from its scope.
                Some(Unwind::Elapsed) => {
                    let error = self.error(JoinError::cancelled);
                    return self.finish_as(Err(error), Some(Failure::Elapsed));
                }
                Some(_) => self.error(JoinError::cancelled),
                None => self.error(|id, name| JoinError::panicked(id, name, payload)),
            }),
        };
        self.finish(result);
    }

    /// Instead of [`execute`](Self::execute), where the plan cannot run it.
    pub(crate) fn refuse(&self, reason: io::Error) {
        // SAFETY: rule 1: nobody executes it.
        let closure = std::mem::replace(unsafe { &mut *self.slot.get() }, Slot::Executing);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(closure)));
        self.finish(Err(self.error(|id, name| JoinError::not_started(id, name, reason))));
    }

    /// Instead of [`execute`](Self::execute), by who will never start it.
    pub(crate) fn discard(&self) {
        // SAFETY: rule 1: nobody executes it.
        let closure = std::mem::replace(unsafe { &mut *self.slot.get() }, Slot::Executing);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(closure)));
        self.finish(Err(self.error(JoinError::cancelled)));
    }

    fn finish(&self, result: Result<T, JoinError>) {
        let failure = failure_of(result.as_ref().map_or_else(JoinError::death, |_| Death::Returned));
        self.finish_as(result, failure);
    }

    /// `failure` is what whoever counts the task hears.
    fn finish_as(&self, result: Result<T, JoinError>, failure: Option<Failure>) {
        let death = result.as_ref().map_or_else(JoinError::death, |_| Death::Returned);
        // SAFETY: rule 1; nothing was borrowed from the slot meanwhile.
        unsafe { *self.slot.get() = Slot::Result(result) };
        let before = self.header.mark_done(death);
        if before & DETACHED != 0 {
            // Nobody asks, so the result dies here, in the task: its destructor may wait.
            // SAFETY: rule 2.
            drop_quietly(unsafe { &mut *self.slot.get() });
        }
        self.header.announce(before, failure);
    }

    fn error(&self, make: impl FnOnce(u64, Option<Arc<str>>) -> JoinError) -> JoinError {
        make(self.plan.waiter().id(), self.header.shared_name())
    }
}

fn drop_quietly<F, T>(slot: &mut Slot<F, T>) {
    let result = std::mem::replace(slot, Slot::Taken);
    // A destructor that panics after the end has nobody left to tell; the panic hook has spoken.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(result)));
}

/// What a `JoinHandle<T>` needs of a task.
pub(crate) trait Joinable<T>: Send + Sync {
    fn header(&self) -> &Header;
    fn waiter(&self) -> &Waiter;
    /// Takes the result. Only after the end, only by the one handle, once.
    fn take(&self) -> Result<T, JoinError>;
    /// Nobody will take the result.
    fn detach(&self);
    fn into_park(self: Arc<Self>) -> Arc<dyn Park>;
    fn run_next(self: Arc<Self>) -> bool;
}

impl<P: Plan, F: FnOnce() -> T, T> Joinable<T> for Cell<P, F, T>
where
    Self: IntoPark,
{
    fn header(&self) -> &Header {
        &self.header
    }

    fn waiter(&self) -> &Waiter {
        self.plan.waiter()
    }

    fn take(&self) -> Result<T, JoinError> {
        assert!(self.header.is_done(), "the result is taken after the end");
        // SAFETY: rule 2.
        match std::mem::replace(unsafe { &mut *self.slot.get() }, Slot::Taken) {
            Slot::Result(result) => result,
            _ => unreachable!("the result is taken once"),
        }
    }

    fn detach(&self) {
        if self.header.mark_detached() {
            // SAFETY: rule 2.
            drop_quietly(unsafe { &mut *self.slot.get() });
        }
    }

    fn into_park(self: Arc<Self>) -> Arc<dyn Park> {
        IntoPark::into_park(self)
    }

    fn run_next(self: Arc<Self>) -> bool {
        IntoPark::run_next(self)
    }
}

/// A task as what can be woken.
pub(crate) trait IntoPark {
    fn into_park(self: Arc<Self>) -> Arc<dyn Park>;

    /// Has it run next on this worker, where the plan knows such a thing.
    fn run_next(self: Arc<Self>) -> bool {
        false
    }
}
