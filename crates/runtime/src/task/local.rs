//! Values that each task has for itself.
//!
//! A task stays on its thread from its start to its end, so its values can lie with the thread, by the task's number: no
//! lock, no `Send`, and nothing of it in a task that has none. Nothing is borrowed while foreign code runs: a value is
//! held by a count of its own for as long as somebody looks at it, so that code may wait, and other tasks of the thread
//! may come and go.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use ropewalk_sync::park;

/// The value of one key in one task; `None` once it is gone, until the task has ended.
struct Entry {
    key: usize,
    value: Option<Rc<dyn Any>>,
}

thread_local! {
    /// How many tasks of this thread have values: so that a task without any finds that out with one look.
    static TASKS: Cell<usize> = const { Cell::new(0) };
    /// The values of this thread's tasks, in the order in which they came into being.
    static VALUES: RefCell<HashMap<u64, Vec<Entry>>> = RefCell::default();
}

/// A key of values that each task has for itself, as `std::thread::LocalKey` is for threads. Declared with
/// [`task_local!`](crate::task_local), or as a `static` of this type.
///
/// The value comes into being when the task first asks for it, and is dropped at the task's end, in the task: its
/// destructor may wait. The last one is dropped first. A thread that was not spawned by Ropewalk is a task, too. What
/// runs in [`blocking`](fn@crate::blocking) on behalf of a coroutine is on another thread, and has values of its own.
///
/// ```
/// use std::cell::Cell;
/// use ropewalk_runtime::{coroutine, task_local};
///
/// task_local! {
///     static REQUEST: Cell<u32> = Cell::new(0);
/// }
///
/// let tasks: Vec<_> = (1..=3)
///     .map(|number| {
///         coroutine::spawn(move || {
///             REQUEST.set(number);
///             coroutine::yield_now(); // the others set theirs, on the same thread perhaps
///             assert_eq!(REQUEST.get(), number);
///         })
///     })
///     .collect();
/// tasks.into_iter().for_each(|task| task.join().unwrap());
/// assert_eq!(REQUEST.get(), 0);
/// ```
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

/// The value of a key is gone: its task is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task is ending, and its value is gone")
    }
}

impl Error for AccessError {}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

impl<T: 'static> LocalKey<T> {
    /// A key, whose value in each task is made by `init`.
    #[must_use]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Calls `f` with the calling task's value, which is made now if it has none.
    ///
    /// # Panics
    /// If the value is gone because the task is ending; if `f`, or the function that makes the value, panics.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.value().unwrap_or_else(|error| panic!("{error}")))
    }

    /// As [`with`](Self::with), where the task may be ending.
    ///
    /// # Errors
    /// The value is gone because the task is ending.
    ///
    /// # Panics
    /// If `f`, or the function that makes the value, panics.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        Ok(f(&*self.value()?))
    }

    fn value(&'static self) -> Result<Rc<T>, AccessError> {
        let task = park::current(|waiter, _| waiter.id());
        let key = std::ptr::from_ref(self).addr();
        if let Some(value) = find(task, key)? {
            return Ok(downcast(value));
        }
        let value: Rc<dyn Any> = Rc::new((self.init)());
        Ok(downcast(insert(task, key, value)?))
    }
}

/// What lies under a key is what its function made.
fn downcast<T: 'static>(value: Rc<dyn Any>) -> Rc<T> {
    value.downcast().unwrap_or_else(|_| unreachable!("a key has values of one type"))
}

/// Calls `f` with the values of this thread's tasks; an error while the thread itself ends.
fn with_values<R>(f: impl FnOnce(&mut HashMap<u64, Vec<Entry>>) -> R) -> Result<R, AccessError> {
    VALUES.try_with(|values| f(&mut values.borrow_mut())).map_err(|_| AccessError(()))
}

fn find(task: u64, key: usize) -> Result<Option<Rc<dyn Any>>, AccessError> {
    with_values(|values| {
        let Some(entry) = values.get(&task).and_then(|entries| entries.iter().find(|entry| entry.key == key))
        else {
            return Ok(None);
        };
        entry.value.clone().map(Some).ok_or(AccessError(()))
    })?
}

/// Puts a value in, unless its function, which asked for itself, has done so before. Gives the one that is in.
fn insert(task: u64, key: usize, value: Rc<dyn Any>) -> Result<Rc<dyn Any>, AccessError> {
    if let Some(first) = find(task, key)? {
        return Ok(first);
    }
    with_values(|values| {
        let entries = values.entry(task).or_insert_with(|| {
            TASKS.set(TASKS.get() + 1);
            Vec::new()
        });
        entries.push(Entry { key, value: Some(value.clone()) });
    })?;
    Ok(value)
}

/// The task ends, and this is its thread: drops its values, the last one first, and those that come into being meanwhile.
#[inline]
pub(crate) fn drop_all(task: u64) {
    if TASKS.get() > 0 {
        drop_values(task);
    }
}

#[cold]
fn drop_values(task: u64) {
    let last = || {
        let last = with_values(|values| {
            let mut entries = values.get_mut(&task)?.iter_mut().rev();
            entries.find_map(|entry| entry.value.take())
        });
        last.ok().flatten()
    };
    while let Some(value) = last() {
        // Outside of every borrow. One that panics has nobody left to tell; the panic hook has spoken.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
    }
    let gone = with_values(|values| values.remove(&task));
    if matches!(gone, Ok(Some(_))) {
        TASKS.set(TASKS.get() - 1);
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the calling task's value.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of the calling task's value.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[must_use]
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the calling task's value, and leaves the default.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the calling task's value. Returns the one before.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with the calling task's value.
    ///
    /// # Panics
    /// As [`with`](Self::with); if the value is borrowed mutably.
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with the calling task's value, to change it.
    ///
    /// # Panics
    /// As [`with`](Self::with); if the value is borrowed.
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the calling task's value.
    ///
    /// # Panics
    /// As [`with`](Self::with); if the value is borrowed.
    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    /// Takes the calling task's value, and leaves the default.
    ///
    /// # Panics
    /// As [`with`](Self::with); if the value is borrowed.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Sets the calling task's value. Returns the one before.
    ///
    /// # Panics
    /// As [`with`](Self::with); if the value is borrowed.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
