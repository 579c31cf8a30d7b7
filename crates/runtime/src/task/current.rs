//! The task that calls.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sync::cancel_token::Cancellable;
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Unparker};

use super::join::TaskId;
use super::{Header, Owner};

/// A task, seen without a right to its result: what [`current`] gives.
///
/// ```
/// use ropewalk_runtime::{coroutine, thread};
///
/// let named = coroutine::Builder::new().name("bookkeeper".into());
/// let name = named.spawn(|| coroutine::current().name().map(str::to_owned))?.join()?;
/// assert_eq!(name.as_deref(), Some("bookkeeper"));
/// assert_eq!(thread::current().name(), None); // this thread was not spawned here
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Task(pub(crate) Unparker);

impl Task {
    /// Its number, unique in the process.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.0.waiter().id())
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.header()?.name()
    }

    /// Where it was spawned; `None` for a thread that was not spawned here.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        Some(self.header()?.spawned_at())
    }

    /// The task that spawned it, which may have ended; `None` for a thread that was not spawned here, and for a child of
    /// one that had never waited for anything of Ropewalk's.
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.header()?.parent().map(TaskId)
    }

    /// Gives it the permit that [`park`](fn@park) waits for; nothing if it has it. Never waits.
    pub fn unpark(&self) {
        self.0.give_permit();
    }

    /// Whether a coroutine runs it. One that looks after a process is one, too.
    #[must_use]
    pub fn is_coroutine(&self) -> bool {
        self.0.waiter().is_coroutine()
    }

    /// Whether somebody asked it to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.waiter().is_cancelled()
    }

    /// Asks it to end: see [`JoinHandle::cancel`](crate::JoinHandle::cancel).
    pub fn cancel(&self) {
        self.0.waiter().request_cancel();
        self.0.clone().unpark();
    }

    pub(crate) fn header(&self) -> Option<&Header> {
        self.0.task()?.downcast_ref()
    }
}

impl Cancellable for Task {
    fn unparker(&self) -> Unparker {
        self.0.clone()
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Two of them are equal if they are the same task.
impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Task {}

/// Waits until somebody [unparks](Task::unpark) the calling task; not at all if that has happened since the last time. Each
/// task has one permit, which `unpark` gives and `park` takes, as in `std::thread`. What was done before the `unpark` is
/// visible after the `park`.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use ropewalk_runtime::{coroutine, scope};
///
/// let ready = AtomicBool::new(false);
/// scope(|s| {
///     let waiter = s.spawn(|| {
///         while !ready.load(Relaxed) {
///             coroutine::park();
///         }
///     });
///     ready.store(true, Relaxed);
///     waiter.task().unpark();
/// });
/// ```
///
/// # Waits
/// Until it is unparked.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn park() {
    park::take_permit(None);
}

/// As [`park`](fn@park), for `duration` at most.
///
/// # Waits
/// Until it is unparked, or for that long.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn park_timeout(duration: Duration) {
    park::take_permit(clock::after(duration));
}

/// Whether the calling task unwinds because of a panic. `std::thread::panicking` speaks of the thread: it is true of a
/// cancelled task, too, and of every coroutine of a worker on which one waits while it unwinds.
#[must_use]
pub fn panicking() -> bool {
    park::is_panicking()
}

/// The task that calls; any thread is one.
#[must_use]
pub fn current() -> Task {
    Task(Unparker::current())
}

thread_local! {
    /// Whose task's call this thread runs, if it is one of the pool's.
    static ON_BEHALF_OF: RefCell<Option<Arc<dyn Owner>>> = const { RefCell::new(None) };
}

/// Calls `f` with the task that calls, if somebody spawned it.
pub(crate) fn with_current_header<R>(f: impl FnOnce(Option<&Header>) -> R) -> R {
    park::current(|_, task| f(task.and_then(|task| task.downcast_ref())))
}

/// The calling task stands for this process from now on; for none, with 0.
pub(crate) fn stand_for(process: u32) {
    with_current_header(|header| {
        if let Some(header) = header {
            header.set_process(process);
        }
    });
}

/// Who counts the task that calls, or the task on whose behalf this thread works.
pub(crate) fn current_owner() -> Option<Arc<dyn Owner>> {
    let own = with_current_header(|header| header.and_then(Header::owner).cloned());
    own.or_else(|| ON_BEHALF_OF.with_borrow(Clone::clone))
}

/// Runs `f` on behalf of a task that `owner` counts: what `f` spawns goes where that task's children go.
pub(crate) fn on_behalf_of<R>(owner: Option<Arc<dyn Owner>>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Owner>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            ON_BEHALF_OF.set(self.0.take());
        }
    }

    let _restore = Restore(ON_BEHALF_OF.replace(owner));
    f()
}
