//! Waiting on an OS thread: in a system call of its own.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Instant;

use ropewalk_sys::poll::Interest;

use super::interruptible::{self, ThreadId};
use super::word::Sleep;
use super::{CURRENT, Park, Waiter, Watched, waker_of};

/// The waiting half of a thread: for memory it sleeps in a futex, for a descriptor in a system call on that descriptor
/// alone, which a signal to the thread ends. No other thread and no other descriptor takes part.
#[derive(Debug)]
pub struct ThreadParker {
    waiter: Waiter,
    /// Known once the thread runs.
    thread: OnceLock<ThreadId>,
}

impl ThreadParker {
    /// For a thread that is about to start, or that runs already.
    #[must_use]
    pub fn new() -> Self {
        Self { waiter: Waiter::new(false), thread: OnceLock::new() }
    }

    /// Ends the thread's sleep in a system call. Its word was changed before.
    pub fn interrupt(&self) {
        if let Some(&thread) = self.thread.get() {
            interruptible::interrupt(thread);
        }
    }

    /// Says that the calling thread is the one. Once, before its first wait.
    pub fn bind(&self) {
        let _ = self.thread.set(ThreadId::current());
    }
}

impl Default for ThreadParker {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: (1) nothing here panics; (2) `adopt_thread` makes it current on its own thread, which keeps the Arc.
unsafe impl Park for ThreadParker {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn sleep(&self, deadline: Option<Instant>) {
        // Called or late: the caller looks either way.
        let _ = self.waiter.block_thread(deadline);
    }

    fn yield_now(&self) {
        crate::primitive::yield_now();
    }

    fn resume(self: Arc<Self>) {
        self.interrupt();
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: it borrows nothing.
        unsafe { waker_of(self) }
    }

    fn watch(&self, _fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()> {
        // A thread waits in a system call of its own; this is for futures, which cannot.
        source.registration().ensure(|| Err(io::ErrorKind::Unsupported.into()))
    }

    fn poll(&self, fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        if !self.waiter.word().fall_asleep(Sleep::Suspended) {
            return Ok(());
        }
        let polled = interruptible::poll(self.waiter.word().as_atomic(), fd, interest, deadline);
        self.waiter.word().wake_up();
        // Ready, late or interrupted: the caller tries its operation, and looks at the clock and at who called it.
        polled.map(drop)
    }

    fn thread(&self) -> Option<ThreadId> {
        self.thread.get().copied()
    }
}

/// The threads that are tasks, by their numbers. std's lock: a thread starts and ends here a few thousand times a second
/// at most, and the kernel takes longer over it.
static THREADS: Mutex<BTreeMap<u64, Weak<dyn Park>>> = Mutex::new(BTreeMap::new());

/// The threads of this process that are tasks: those that were spawned as such and run, and those that have waited.
#[must_use]
pub fn threads() -> Vec<Arc<dyn Park>> {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.values().filter_map(Weak::upgrade).collect()
}

/// Whether the thread with this number is a task and has not ended.
#[must_use]
pub fn is_alive(id: u64) -> bool {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
}

/// Calls `f` with the thread that is the task with this number, which does not end meanwhile; not at all if it does not run.
/// To be held for a system call, never over a wait.
pub fn with_alive<R>(id: u64, f: impl FnOnce(ThreadId) -> R) -> Option<R> {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = threads.get(&id)?.upgrade()?;
    let result = thread.thread().map(f);
    // Whoever else held it has let go of it meanwhile: what it drops may look at the list.
    drop(threads);
    result
}

/// Holds the thread's own parker for as long as the thread lives.
struct Own(OnceCell<Arc<dyn Park>>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(parker) = self.0.get() {
            THREADS.lock().unwrap_or_else(PoisonError::into_inner).remove(&parker.waiter().id());
        }
        // Destructors of other thread-locals that still wait get a parker of their own.
        let _ = CURRENT.try_with(|current| current.set(None));
    }
}

crate::primitive::thread_local! {
    static OWN: Own = const { Own(OnceCell::new()) };
    /// The number of a thread that may become a task; 0 if nobody has asked.
    static FUTURE_ID: Cell<u64> = const { Cell::new(0) };
}

/// The number that this thread, which is no task, will have when it becomes one: who holds a lock is known by it before.
pub(super) fn future_id() -> u64 {
    FUTURE_ID.with(|id| {
        if id.get() == 0 {
            id.set(Waiter::next_id());
        }
        id.get()
    })
}

/// Makes `parker`, which is bound to the calling thread, its own. To be called by a new thread, before its first wait.
pub fn adopt_thread(parker: Arc<dyn Park>) {
    let pointer = Arc::as_ptr(&parker);
    let kept = OWN.try_with(|own| own.0.set(parker.clone()).is_ok()).unwrap_or(false);
    if kept {
        // Only now: who has it from there may hold it for longer than the spawner, whose closure is in it, until the
        // thread runs.
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.insert(parker.waiter().id(), Arc::downgrade(&parker));
    } else {
        // The thread is ending, or has waited before: the parker has to live as long as it can be current, for ever.
        std::mem::forget(parker);
    }
    CURRENT.with(|current| current.set(NonNull::new(pointer.cast_mut())));
}

/// Runs `f` as the task `parker`, which is bound to the calling thread, and which the thread is until `f` returns or unwinds:
/// for threads that run one task after the other.
pub fn run_as(parker: &Arc<dyn Park>, f: impl FnOnce()) {
    /// Who the thread was before.
    struct Before(u64, Option<NonNull<dyn Park>>);

    impl Drop for Before {
        fn drop(&mut self) {
            THREADS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
            CURRENT.with(|current| current.set(self.1));
        }
    }

    let id = parker.waiter().id();
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::downgrade(parker));
    // The caller's reference keeps it for as long as it is current.
    let pointer = NonNull::new(Arc::as_ptr(parker).cast_mut());
    let _before = Before(id, CURRENT.with(|current| current.replace(pointer)));
    f();
}

/// Gives a thread that nobody spawned here a parker, at its first wait.
#[cold]
pub(super) fn become_task() -> NonNull<dyn Park> {
    let parker = ThreadParker { waiter: Waiter::with_id(false, future_id()), thread: OnceLock::new() };
    parker.bind();
    adopt_thread(Arc::new(parker));
    CURRENT.with(Cell::get).expect("adopt_thread has just set it")
}
