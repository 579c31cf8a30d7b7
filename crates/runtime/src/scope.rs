//! Children that end with the block that started them.
//!
//! # Invariants
//! 1. [`scope_with`] neither returns nor unwinds before every child is done: so children may borrow what outlives the
//!    call.
//! 2. A child is done only after its closure and, unless a handle asks for it, its result are gone (`task::cell`).
//! 3. A child is counted before it can start, and uncounted as the last thing that it does.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use ropewalk_sync::channel::Receiver;
use ropewalk_sync::park::{self, Interrupt, Nested, Park, Unparker, Unwind, Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;

use crate::plan::coroutine::create_unchecked;
use crate::plan::thread::create_unchecked as create_thread;
use crate::runtime::current_or_global;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker::with_worker;
use crate::task::current::Task;
use crate::task::join::{JoinError, JoinHandle, TaskId};
use crate::task::{Birth, Failure, Owner, cancel};
use crate::{coroutine, runtime, stack, thread};

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

#[derive(Clone, Copy, Debug)]
enum PlanKind {
    Coroutine,
    Thread,
}

#[derive(Default)]
struct Children {
    running: usize,
    slots: Vec<Option<Weak<dyn Park>>>,
    free: Vec<u32>,
    cancelled: bool,
}

/// What a scope and its children share.
struct ScopeData {
    children: WaitList<Children>,
    parent: Unparker,
    /// The parent's: where the children, and theirs, run.
    runtime: Option<Arc<Shared>>,
    on_failure: OnFailure,
    /// The first failure was dealt with.
    failed: AtomicBool,
}

impl ScopeData {
    /// Counts a child that is about to start, and gives it a place.
    fn enter(&self) -> u32 {
        let mut children = self.children.lock();
        children.running += 1;
        children.free.pop().unwrap_or_else(|| {
            children.slots.push(None);
            u32::try_from(children.slots.len() - 1).expect("fewer children than memory")
        })
    }

    fn introduce(&self, slot: u32, child: &Arc<dyn Park>) {
        let mut children = self.children.lock();
        children.slots[slot as usize] = Some(Arc::downgrade(child));
        if children.cancelled {
            drop(children);
            cancel(child.clone());
        }
    }

    fn cancel_all(&self) {
        let mut children = self.children.lock();
        children.cancelled = true;
        let live: Vec<_> = children.slots.iter().flatten().filter_map(Weak::upgrade).collect();
        drop(children);
        live.into_iter().for_each(cancel);
    }

    /// Waits until every child is done. Gives the first interruption that came meanwhile: it cancels the children, and
    /// is for the caller to deliver.
    fn wait_all(&self) -> Option<Interrupt> {
        let mut interrupted = None;
        loop {
            let children = self.children.lock();
            if children.running == 0 {
                return interrupted;
            }
            let mut wait = Wait::new(WaitReason::ScopeEnd).object(self);
            if interrupted.is_some() {
                wait = wait.uncancellable();
            }
            if let Err(interrupt) = self.children.wait(children, &wait) {
                interrupted = Some(interrupt);
                self.cancel_all();
            }
        }
    }
}

impl Owner for ScopeData {
    fn began(&self) {}

    fn ended(&self, slot: u32, failure: Option<Failure>) {
        if let Some(failure) = failure {
            match self.on_failure {
                OnFailure::Isolate => {
                    if failure == Failure::Panicked {
                        tracing::error!("a task of a scope panicked; the others go on");
                    }
                }
                OnFailure::Cancel => {
                    // Children that a failure, or the scope's own end, has cancelled are no failures of their own.
                    let first = !self.children.lock().cancelled && !self.failed.swap(true, Relaxed);
                    if first {
                        self.parent.waiter().fail_scope();
                        self.cancel_all();
                        self.parent.clone().unpark();
                    }
                }
            }
        }
        let mut children = self.children.lock();
        children.slots[slot as usize] = None;
        children.free.push(slot);
        children.running -= 1;
        let parent = if children.running == 0 { children.notify_first(0) } else { None };
        drop(children);
        if let Some(parent) = parent {
            parent.unpark();
        }
    }

    fn runtime(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.runtime.clone()?)
    }
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
        f.debug_struct("Scope").field("plan", &self.plan).finish_non_exhaustive()
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
        let child = Child { name: None, stack_size: self.stack_size, plan: self.plan };
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
        let child = Child { name: Some(name.into()), stack_size: self.stack_size, plan: self.plan };
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
        assert!(with_worker(|worker| worker.is_some()), "spawn_local was called outside of a coroutine");
        let slot = self.data.enter();
        let birth = self.birth(None, slot);
        // SAFETY: invariants 1 to 3, as in `spawn_as`; it is started on this very thread, here, where it then stays.
        let (task, handle) =
            unsafe { create_unchecked(birth, stack::slot_size(self.stack_size), Location::caller(), f) };
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
                self.data.introduce(slot, &thread.park());
                thread.start(child.stack_size)?;
                handle
            }
            PlanKind::Coroutine => {
                let shared = match &self.data.runtime {
                    Some(shared) => shared.clone(),
                    None => current_or_global().inspect_err(|_| self.data.ended(slot, None))?,
                };
                // SAFETY: as above; both are Send.
                let (task, handle) =
                    unsafe { create_unchecked(birth, stack::slot_size(child.stack_size), spawned_at, f) };
                let child: Arc<dyn Park> = task.clone();
                self.data.introduce(slot, &child);
                coroutine::submit(&shared, task);
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
        let child = Child { name: self.name, stack_size: self.stack_size, plan: PlanKind::Coroutine };
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
        let child = Child { name: self.name, stack_size: self.stack_size, plan: PlanKind::Thread };
        scope.spawn_as(child, Location::caller(), f)
    }
}

/// The handle of a child of a scope. It is a future as [`JoinHandle`] is.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the child to end, and gives what it returned.
    ///
    /// # Errors
    /// It panicked, or was cancelled.
    ///
    /// # Waits
    /// Until it has ended.
    ///
    /// # Cancellation
    /// Unwinds a cancelled caller.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// Whether the child has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The child, without a right to its result: see [`JoinHandle::task`].
    #[must_use]
    pub fn task(&self) -> Task {
        self.handle.task()
    }

    /// As [`task`](Self::task), by the name that `std::thread::ScopedJoinHandle` has for it.
    #[must_use]
    pub fn thread(&self) -> Task {
        self.task()
    }

    /// A receiver that is disconnected when the child has ended: see [`JoinHandle::ended`].
    #[must_use]
    pub fn ended(&self) -> Receiver<Infallible> {
        self.handle.ended()
    }

    /// Asks the child to end: see [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// The child's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// The child's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.handle.name()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(context)
    }
}

/// Runs `f`, which may start coroutines that borrow from outside of it, and waits until all of them have ended. The
/// first that fails cancels the others.
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

#[track_caller]
fn run_scope<'env, F, T>(plan: PlanKind, on_failure: OnFailure, stack_size: Option<usize>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    // Here, because its end has to wait for the children, whatever happens.
    park::assert_may_wait(WaitReason::ScopeEnd);
    let data = Arc::new(ScopeData {
        children: WaitList::default(),
        parent: Unparker::current(),
        runtime: runtime::current(),
        on_failure,
        failed: AtomicBool::new(false),
    });
    let scope = Scope { data, plan, stack_size, scope: PhantomData, env: PhantomData };
    let _nested = Nested::enter();
    // Caught first; then the children are waited for, when this task no longer unwinds; then it goes on.
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if result.is_err() {
        scope.data.cancel_all();
    }
    let interrupted = scope.data.wait_all();
    let failed = scope.data.failed.load(Relaxed);
    if failed {
        park::current(|waiter, _| waiter.end_failed_scope());
    }
    match result {
        Err(payload) if !failed || Unwind::from_payload(&*payload) != Some(Unwind::ScopeFailed) => {
            resume_unwind(payload)
        }
        _ if failed => {
            // Cancelled itself: that is what its task has to hear.
            if let Some(interrupt @ Interrupt::Raise(Unwind::Cancelled | Unwind::Elapsed)) = interrupted {
                let _ = interrupt.deliver();
            }
            panic!("a task of the scope failed")
        }
        Ok(value) => {
            if let Some(interrupt) = interrupted {
                // It has cancelled the children: who comes after the scope must not believe that they are through.
                drop(value);
                let _ = interrupt.deliver();
                unreachable!("a scope's end is interrupted only where it can unwind");
            }
            value
        }
        Err(payload) => resume_unwind(payload),
    }
}
