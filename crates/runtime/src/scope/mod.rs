//! Children that end with the block that started them.
//!
//! # Invariants
//! 1. [`scope_with`] neither returns nor unwinds before every child is done: so children may borrow what outlives the
//!    call.
//! 2. A child is done only after its closure and, unless a handle asks for it, its result are gone (`task::cell`).
//! 3. A child is counted before it can start, and uncounted as the last thing that it does.

mod collect;
mod data;
mod fallible;
mod handle;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

use ropewalk_sync::park::{self, Interrupt, Nested, Park, Unwind, WaitReason};

use self::data::ScopeData;
use crate::plan::coroutine::create_unchecked;
use crate::plan::line::Line;
use crate::plan::scheduling::Scheduling;
use crate::plan::thread::create_unchecked as create_thread;
use crate::runtime::current_or_global;
use crate::scheduler::worker::with_worker;
use crate::task::{Birth, Owner};
use crate::{coroutine, stack, thread};

pub use self::collect::{join_all, race};
pub use self::fallible::{TryJoinHandle, TryScope, thread_try_scope, try_scope};
pub use self::handle::ScopedJoinHandle;

/// What the failure of a child does to the others. A child fails by a panic, or by being cancelled; a value that it
/// returns is no failure, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The other children and the block itself are cancelled, and the scope panics when all have ended.
    #[default]
    Cancel,
    /// It is reported, and everything else goes on: for servers, where one client's panic ends that client.
    Isolate,
}

#[derive(Clone)]
enum PlanKind {
    Coroutine,
    Thread,
    Pool(Arc<Line>),
}

/// A block whose children may borrow from outside of it: see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<ScopeData>,
    plan: PlanKind,
    stack_size: Option<usize>,
    /// Invariant over both, as `std::thread::Scope`: otherwise a child could borrow from inside the block.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a child. Dropping its handle does not matter: the scope waits for it.
    ///
    /// # Panics
    /// If a thread cannot be started; [`spawn_named`](Self::spawn_named) gives the error instead.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let child = Child::new(None, self.stack_size, self.plan.clone());
        self.spawn_as(child, Location::caller(), f).expect("a child of the scope starts")
    }

    /// Starts a child with a name.
    ///
    /// # Errors
    /// A thread cannot be started: see [`thread::Builder::spawn`](crate::thread::Builder::spawn).
    #[track_caller]
    pub fn spawn_named<F, T>(&'scope self, name: &str, f: F) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let child = Child::new(Some(name.into()), self.stack_size, self.plan.clone());
        self.spawn_as(child, Location::caller(), f)
    }

    /// Starts a coroutine as a child, on the worker of the caller, where it stays: so `f` and what it returns need not
    /// be `Send`. See [`coroutine::spawn_local`](crate::coroutine::spawn_local).
    ///
    /// ```
    /// use std::cell::Cell;
    /// use ropewalk_runtime::{run, scope};
    ///
    /// run(|| {
    ///     let count = Cell::new(0);
    ///     scope(|s| {
    ///         for _ in 0..10 {
    ///             s.spawn_local(|| count.set(count.get() + 1)); // a `Cell`, borrowed: no lock
    ///         }
    ///     });
    ///     assert_eq!(count.get(), 10);
    /// });
    /// ```
    ///
    /// # Panics
    /// If the caller is no coroutine.
    #[track_caller]
    pub fn spawn_local<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        // Before it is counted: nobody would tell that it has ended.
        let shared = with_worker(|worker| worker.map(|worker| worker.shared.clone()));
        let shared = shared.expect("spawn_local was called outside of a coroutine");
        let slot = self.data.enter();
        let birth = self.birth(None, slot);
        // SAFETY: invariants 1 to 3, as in `spawn_as`; it is started on this very thread, here, where it then stays.
        let (task, handle) = unsafe {
            create_unchecked(shared, birth, stack::slot_size(self.stack_size), Location::caller(), f)
        };
        task.waiter().set_timeout_deadline(self.data.deadline);
        let child: Arc<dyn Park> = task.clone();
        self.data.introduce(slot, &child);
        with_worker(|worker| worker.expect("looked at just now").push_local(task));
        ScopedJoinHandle { handle, scope: PhantomData }
    }

    /// Cancels all children, those that are still to come too.
    pub fn cancel(&self) {
        self.data.cancel_all();
    }

    fn spawn_as<F, T>(
        &'scope self,
        child: Child,
        spawned_at: &'static Location<'static>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let slot = self.data.enter();
        let birth = self.birth(child.name, slot);
        let handle = match child.plan {
            PlanKind::Thread => {
                // SAFETY: invariants 1 to 3: the scope lasts until the child is done, and 'scope until after that.
                let (thread, handle) = unsafe { create_thread(birth, spawned_at, f) };
                let park = thread.park();
                park.waiter().set_timeout_deadline(self.data.deadline);
                self.data.introduce(slot, &park);
                thread.start(child.stack_size, child.scheduling)?;
                handle
            }
            PlanKind::Pool(line) => {
                // SAFETY: as above.
                let (thread, handle) = unsafe { create_thread(birth, spawned_at, f) };
                let park = thread.park();
                park.waiter().set_timeout_deadline(self.data.deadline);
                self.data.introduce(slot, &park);
                line.push_child(thread.into_job());
                handle
            }
            PlanKind::Coroutine => {
                let shared = match &self.data.runtime {
                    Some(shared) => shared.clone(),
                    None => current_or_global().inspect_err(|_| self.data.ended(slot, None))?,
                };
                // SAFETY: as above; both are Send.
                let (task, handle) = unsafe {
                    create_unchecked(shared, birth, stack::slot_size(child.stack_size), spawned_at, f)
                };
                task.waiter().set_timeout_deadline(self.data.deadline);
                let child: Arc<dyn Park> = task.clone();
                self.data.introduce(slot, &child);
                coroutine::submit(task);
                handle
            }
        };
        Ok(ScopedJoinHandle { handle, scope: PhantomData })
    }

    fn birth(&self, name: Option<Arc<str>>, slot: u32) -> Birth {
        let owner: Arc<dyn Owner> = self.data.clone();
        Birth { name, owner: Some(owner), slot, counted: true }
    }
}

/// What a child of a scope is to be.
struct Child {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
    plan: PlanKind,
    /// Of a thread.
    scheduling: Scheduling,
}

impl Child {
    fn new(name: Option<Arc<str>>, stack_size: Option<usize>, plan: PlanKind) -> Self {
        Self { name, stack_size, plan, scheduling: Scheduling::default() }
    }
}

impl coroutine::Builder {
    /// Spawns a coroutine as a child of `scope`, also where that makes threads. Whether it was to be a daemon does not
    /// matter: the scope waits for it.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let child = Child::new(self.name, self.stack_size, PlanKind::Coroutine);
        scope.spawn_as(child, Location::caller(), f)
    }
}

impl thread::Builder {
    /// Spawns a thread as a child of `scope`, also where that makes coroutines. Whether it was to be a daemon does not
    /// matter: the scope waits for it.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let Self { name, stack_size, scheduling, .. } = self;
        let child = Child { name, stack_size, plan: PlanKind::Thread, scheduling };
        scope.spawn_as(child, Location::caller(), f)
    }
}

/// Runs `f`, which may start coroutines that borrow from outside of it, and waits until all of them have ended. The
/// first that fails cancels the others. Inside a [`timeout`](fn@crate::timeout) the children inherit the deadline, and if
/// it ends one of them the scope unwinds to that timeout.
///
/// ```
/// use ropewalk_runtime::scope;
///
/// let words = vec!["rope", "walk"];
/// let lengths: usize = scope(|s| {
///     let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word.len())).collect();
///     handles.into_iter().map(|handle| handle.join().unwrap()).sum()
/// });
/// assert_eq!(lengths, 8);
/// ```
///
/// # Panics
/// If `f` panics, with its payload; if a child failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    run_scope(PlanKind::Coroutine, OnFailure::Cancel, None, f)
}

/// As [`scope`], and says what the failure of a child does to the others.
///
/// ```
/// use ropewalk_runtime::{OnFailure, scope_with};
///
/// let answer = scope_with(OnFailure::Isolate, |s| {
///     let broken = s.spawn(|| std::panic::resume_unwind(Box::new("no panic message, please")));
///     let sound = s.spawn(|| 42);
///     assert!(broken.join().is_err());
///     sound.join().unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
///
/// # Panics
/// If `f` panics, with its payload; with [`OnFailure::Cancel`] also if a child failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
#[track_caller]
pub fn scope_with<'env, F, T>(on_failure: OnFailure, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    run_scope(PlanKind::Coroutine, on_failure, None, f)
}

/// As [`scope_with`], with OS threads as children, whose stacks are of `stack_size` bytes (`None`: std's default).
///
/// # Panics
/// As `scope_with`.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
#[track_caller]
pub fn thread_scope_with<'env, F, T>(on_failure: OnFailure, stack_size: Option<usize>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    run_scope(PlanKind::Thread, on_failure, stack_size, f)
}

/// As [`scope_with`], with tasks of a pool as children.
#[track_caller]
pub(crate) fn pool_scope_with<'env, F, T>(line: &Arc<Line>, on_failure: OnFailure, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    run_scope(PlanKind::Pool(line.clone()), on_failure, None, f)
}

#[track_caller]
fn run_scope<'env, F, T>(plan: PlanKind, on_failure: OnFailure, stack_size: Option<usize>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    match run_to_end(plan, on_failure, stack_size, f) {
        Ok(value) => value,
        Err(ChildFailed) => panic!("a task of the scope failed"),
    }
}

/// A child of the scope failed.
struct ChildFailed;

#[track_caller]
fn run_to_end<'env, F, T>(
    plan: PlanKind,
    on_failure: OnFailure,
    stack_size: Option<usize>,
    f: F,
) -> Result<T, ChildFailed>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    // Here, because its end has to wait for the children, whatever happens.
    park::assert_may_wait(WaitReason::ScopeEnd);
    let line = match &plan {
        PlanKind::Pool(line) => Some(line.clone()),
        PlanKind::Coroutine | PlanKind::Thread => None,
    };
    let data = Arc::new(ScopeData::open(on_failure, line));
    let scope = Scope { data, plan, stack_size, scope: PhantomData, env: PhantomData };
    let _nested = Nested::enter();
    // Caught first; then the children are waited for, when this task no longer unwinds; then it goes on.
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if result.is_err() {
        scope.data.cancel_all();
    }
    let interrupted = scope.data.wait_all();
    let failed = scope.data.end();
    match result {
        Err(payload) if !failed || Unwind::from_payload(&*payload) != Some(Unwind::ScopeFailed) => {
            resume_unwind(payload)
        }
        _ if failed => {
            // Cancelled itself: that is what its task has to hear.
            if let Some(interrupt @ Interrupt::Raise(Unwind::Cancelled | Unwind::Elapsed)) = interrupted {
                let _ = interrupt.deliver();
            }
            Err(ChildFailed)
        }
        Ok(value) => {
            if let Some(interrupt) = interrupted {
                // It has cancelled the children: who comes after the scope must not believe that they are through.
                drop(value);
                let _ = interrupt.deliver();
                unreachable!("a scope's end is interrupted only where it can unwind");
            }
            Ok(value)
        }
        Err(payload) => resume_unwind(payload),
    }
}
