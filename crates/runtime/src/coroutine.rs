//! Tasks as coroutines: the face of `std::thread`, on stacks that a worker switches between.
//!
//! See the module of the same name in the crate `ropewalk`.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use ropewalk_sync::park::{self, Park};

use crate::plan::coroutine::create_unchecked;
use crate::runtime::current_or_global;
use crate::scheduler::core::Ready;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker::with_worker;
use crate::spawn::{self, Launch, Unstarted};
use crate::stack;
use crate::task::join::JoinHandle;
use crate::task::{Birth, Owner};

pub use crate::task::current::{current, panicking, park, park_timeout};
pub use crate::task::local::{AccessError, LocalKey};
pub use ropewalk_sync::park::{sleep, sleep_until, yield_now};
pub use std::thread::available_parallelism;

/// Configures a coroutine before it is spawned, as `std::thread::Builder` does.
///
/// ```
/// use ropewalk_runtime::coroutine;
///
/// let handle = coroutine::Builder::new().name("adder".into()).spawn(|| 1 + 1)?;
/// assert_eq!(handle.name(), Some("adder"));
/// assert_eq!(handle.join()?, 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) stack_size: Option<usize>,
    daemon: bool,
}

impl Builder {
    /// No name, the default stack, not a daemon.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the coroutine.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many bytes of stack can be used at least; 64 KiB is the least. They are reserved, and take memory where they
    /// are touched. Without it a coroutine has just under 192 KiB in a release build, 960 KiB with debug assertions, or what
    /// `ROPEWALK_STACK` says (the slot: that and a guard of 64 KiB).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// A daemon is cancelled when the task that spawned it ends, and the runtime does not wait for it.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Spawns the coroutine. It may start on any worker, and stays on the one that starts it.
    ///
    /// # Errors
    /// There is no runtime, and the global one cannot start: see [`Runtime::builder`](crate::Runtime::builder); this
    /// process is a copy that fork(2) made of one that runs Ropewalk. That there is no memory for its stack is found out when it starts, and told by `join`.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (shared, birth) = self.birth()?;
        let slot_size = stack::slot_size(self.stack_size);
        // SAFETY: `F` and `T` are 'static and Send.
        let (task, handle) = unsafe { create_unchecked(shared, birth, slot_size, Location::caller(), f) };
        self.introduce(&task);
        submit(task);
        Ok(handle)
    }

    /// Spawns a coroutine that stays on the worker of the caller, so `f` and what it returns need not be `Send`. It
    /// shares the worker with its siblings: between two waits nothing else of theirs runs, so `Rc` and `Cell` serve
    /// where others need a lock.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// If the caller is no coroutine.
    #[track_caller]
    pub fn spawn_local<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        // Before the runtime counts it: nobody would tell that it has ended.
        assert!(with_worker(|worker| worker.is_some()), "spawn_local was called outside of a coroutine");
        let (shared, birth) = self.birth()?;
        let slot_size = stack::slot_size(self.stack_size);
        // SAFETY: `F` and `T` are 'static, and it is started on this very thread, here, where it then stays.
        let (task, handle) = unsafe { create_unchecked(shared, birth, slot_size, Location::caller(), f) };
        self.introduce(&task);
        with_worker(|worker| worker.expect("a coroutine runs on a worker").push_local(task));
        Ok(handle)
    }

    /// Creates the coroutine and does not start it: see [`Unstarted`]. Its parent is who creates it, and it runs in the
    /// creator's runtime.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn create<F, T>(self, f: F) -> io::Result<Unstarted<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let shared = Self::runtime()?;
        let owner: Arc<dyn Owner> = shared.clone();
        let counted = !self.daemon;
        let birth = Birth { name: self.name.clone(), owner: Some(owner), slot: 0, counted };
        let slot_size = stack::slot_size(self.stack_size);
        // SAFETY: `F` and `T` are 'static and Send.
        let (task, handle) = unsafe { create_unchecked(shared, birth, slot_size, Location::caller(), f) };
        self.introduce(&task);
        Ok(Unstarted::new(handle, Box::new(Created { task, counted })))
    }

    fn runtime() -> io::Result<Arc<Shared>> {
        park::check_original()?;
        match with_worker(|worker| worker.map(|worker| worker.shared.clone())) {
            Some(shared) => Ok(shared),
            None => current_or_global(),
        }
    }

    fn birth(&self) -> io::Result<(Arc<Shared>, Birth)> {
        let shared = Self::runtime()?;
        let birth = spawn::birth(self.name.clone(), shared.clone(), !self.daemon);
        Ok((shared, birth))
    }

    fn introduce(&self, task: &Ready) {
        if self.daemon {
            let child: Arc<dyn Park> = task.clone();
            spawn::adopt_daemon(&child);
        }
    }
}

/// Runs `f` as a coroutine for as long as the runtime lasts: no task is its parent, the runtime does not wait for it, and
/// cancels it at its own end.
pub(crate) fn spawn_service<F>(name: &str, f: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    park::check_original()?;
    let shared = current_or_global()?;
    let birth = spawn::birth(Some(name.into()), shared.clone(), false);
    // SAFETY: `F` is 'static and Send.
    let (task, handle) =
        unsafe { create_unchecked(shared, birth, stack::slot_size(None), Location::caller(), f) };
    submit(task);
    Ok(handle)
}

/// A coroutine that was created and not started.
struct Created {
    task: Ready,
    counted: bool,
}

impl Created {
    /// From now on the runtime waits for it.
    fn count(&self) {
        if self.counted {
            self.task.core().shared().began();
        }
    }
}

impl Launch for Created {
    fn start(self: Box<Self>) -> io::Result<()> {
        self.count();
        submit(self.task);
        Ok(())
    }

    fn discard(self: Box<Self>) {
        // Its end is told to who counts it.
        self.count();
        self.task.discard();
    }
}

/// Gives a new coroutine to a worker of its runtime.
pub(crate) fn submit(task: Ready) {
    with_worker(|worker| match worker.filter(|worker| Arc::ptr_eq(&worker.shared, task.core().shared())) {
        Some(worker) if worker.shared.is_closing() => worker.push_local(task),
        Some(worker) => match worker.shared.place_beside(&worker.remote) {
            None => worker.push_fresh(task),
            Some(remote) => Shared::submit(remote, task),
        },
        None => {
            let shared = task.core().shared().clone();
            Shared::submit(shared.place_anywhere(), task);
        }
    });
}

/// Runs `f` as a new coroutine.
///
/// ```
/// let handle = ropewalk_runtime::coroutine::spawn(|| "from a coroutine");
/// assert_eq!(handle.join().unwrap(), "from a coroutine");
/// ```
///
/// # Panics
/// If there is no runtime and the global one cannot start; [`Builder::spawn`] gives the error instead.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("the global runtime starts")
}

/// Runs `f` as a new coroutine on the worker of the caller: see [`Builder::spawn_local`].
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use ropewalk_runtime::coroutine;
///
/// ropewalk_runtime::run(|| {
///     let count = Rc::new(Cell::new(0));
///     let handles: Vec<_> = (0..10)
///         .map(|_| {
///             let count = count.clone();
///             coroutine::spawn_local(move || count.set(count.get() + 1))
///         })
///         .collect();
///     handles.into_iter().for_each(|handle| handle.join().unwrap());
///     assert_eq!(count.get(), 10);
/// });
/// ```
///
/// # Panics
/// If the caller is no coroutine.
#[track_caller]
pub fn spawn_local<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Builder::new().spawn_local(f).expect("who calls from a coroutine has a runtime")
}

/// Why a worker cannot be handed over to a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOverError(());

impl fmt::Display for HandOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the coroutine waits, has ended, or belongs to another worker")
    }
}

impl Error for HandOverError {}

/// Lets the coroutine of `handle` run next, on this worker, and comes back in turn: what `yield_now` does, with a word
/// in who is next.
///
/// ```
/// use ropewalk_runtime::coroutine;
///
/// ropewalk_runtime::Runtime::builder().workers(1).build()?.run(|| {
///     let a = coroutine::spawn_local(|| println!("second"));
///     let b = coroutine::spawn_local(|| println!("first"));
///     coroutine::hand_over(&b).unwrap();
///     a.join().unwrap();
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The coroutine waits, has ended, or belongs to another worker; or the task or the caller is no coroutine. Then nothing
/// happens.
///
/// # Waits
/// Until the others had their turn.
///
/// # Cancellation
/// Unwinds a cancelled task.
pub fn hand_over<T>(handle: &JoinHandle<T>) -> Result<(), HandOverError> {
    if !handle.joinable().clone().run_next() {
        return Err(HandOverError(()));
    }
    yield_now();
    Ok(())
}

/// Declares [`LocalKey`](crate::coroutine::LocalKey)s, as `std::thread_local!` does for threads.
///
/// ```
/// use std::cell::RefCell;
///
/// ropewalk_runtime::task_local! {
///     /// What the task has said.
///     static SAID: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
/// }
/// SAID.with_borrow_mut(|said| said.push("hello"));
/// assert_eq!(SAID.take(), ["hello"]);
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $value:expr);* $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::coroutine::LocalKey<$type> = $crate::coroutine::LocalKey::new(|| $value);
        )*
    };
}
