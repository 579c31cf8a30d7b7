//! Deadlines for pieces of code.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Nested, Unwind};

/// The time of a [`timeout`] was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(_: Elapsed) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}

/// Runs `f`, for `limit` at most: when the time is over, `f` unwinds from the wait that it is in, or from its next one,
/// running destructors. Code that does not wait is not interrupted. Timeouts nest; the earlier deadline counts.
///
/// ```
/// use std::time::Duration;
/// use ropewalk_runtime::{coroutine, timeout};
///
/// let late = timeout(Duration::from_millis(1), || coroutine::sleep(Duration::from_secs(60)));
/// assert!(late.is_err());
/// assert_eq!(timeout(Duration::from_secs(60), || 42), Ok(42));
/// ```
///
/// # Errors
/// [`Elapsed`]: the time was over before `f` had returned.
///
/// # Panics
/// If `f` panics.
///
/// # Waits
/// Where `f` does.
///
/// # Cancellation
/// Where `f` waits.
pub fn timeout<F, T>(limit: Duration, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    let Some(own) = clock::after(limit) else { return Ok(f()) };
    let _nested = Nested::enter();
    let outer = park::current(|waiter, _| {
        let outer = waiter.timeout_deadline();
        waiter.set_timeout_deadline(Some(outer.map_or(own, |outer| outer.min(own))));
        outer
    });
    let result = catch_unwind(AssertUnwindSafe(f));
    park::current(|waiter, _| waiter.set_timeout_deadline(outer));
    result.or_else(|payload| {
        // An outer timeout's unwind passes through, unless our time is over as well: then it comes again, at the next
        // wait, from outside of us.
        if Unwind::from_payload(&*payload) == Some(Unwind::Elapsed) && clock::now() >= own {
            Err(Elapsed(()))
        } else {
            resume_unwind(payload)
        }
    })
}

/// Runs `f` without cancellation and without the timeouts around it, for `limit` at most: for cleanup that has to wait. A
/// scope inside of it ends at the failure of a child all the same; the failure of one outside has to wait.
/// What was put off comes at the first wait afterwards, or when the limit is over.
///
/// ```
/// use std::time::Duration;
/// use ropewalk_runtime::{coroutine, shield, timeout};
///
/// let mut flushed = false;
/// let late = timeout(Duration::from_millis(1), || {
///     shield(Duration::from_secs(60), || {
///         coroutine::sleep(Duration::from_millis(5)); // longer than the timeout
///         flushed = true;
///     });
///     coroutine::sleep(Duration::from_secs(60)); // here it comes
/// });
/// assert!(late.is_err() && flushed);
/// ```
///
/// # Waits
/// Where `f` does.
///
/// # Cancellation
/// Only after `limit`.
pub fn shield<F, T>(limit: Duration, f: F) -> T
where
    F: FnOnce() -> T,
{
    /// The shield and the deadline around this one.
    struct Restore(Option<Instant>, Option<Instant>);

    impl Drop for Restore {
        fn drop(&mut self) {
            park::current(|waiter, _| {
                waiter.leave_shield();
                waiter.set_shield(self.0);
                waiter.set_timeout_deadline(self.1);
            });
        }
    }

    let _nested = Nested::enter();
    // A limit beyond the clock is as good as a century.
    let until = clock::after(limit).or_else(|| clock::after(Duration::from_secs(100 * 365 * 86_400)));
    let _restore = park::current(|waiter, _| {
        waiter.enter_shield();
        let shield = waiter.set_shield(until);
        // A shield around this one goes on for as long as it was to, and the timeouts around wait for this one. Those
        // inside are `f`'s own.
        waiter.set_shield(until.max(shield));
        let deadline = waiter.timeout_deadline();
        waiter.set_timeout_deadline(
            deadline.map(|deadline| until.map_or(deadline, |until| deadline.max(until))),
        );
        Restore(shield, deadline)
    });
    f()
}

/// Runs `f` without cancellation and without the timeouts around it, however long it takes: for a call of C code that calls
/// back. A cancellation is an unwind, and C has no frames for one: an unwind that meets them aborts the process, which Rust
/// sees to at the callback's `extern "C"`. What was put off comes at the first wait afterwards.
///
/// A [`shield`] is for cleanup, and ends after its limit, where the wait is; this never ends before `f` does. So put it
/// around the call and nothing else, and bound the waits of the callback by limits of their own: a
/// [`timeout`](fn@timeout) in it unwinds to itself, which is well. So does a scope in it, for its children. A panic in the
/// callback aborts all the same.
///
/// ```
/// use std::ffi::{c_int, c_void};
/// use std::time::Duration;
/// use ropewalk_runtime::{coroutine, defer_cancel};
///
/// unsafe extern "C" {
///     fn qsort(base: *mut c_void, count: usize, size: usize, compare: extern "C" fn(*const u32, *const u32) -> c_int);
/// }
///
/// extern "C" fn compare(a: *const u32, b: *const u32) -> c_int {
///     coroutine::sleep(Duration::from_micros(1)); // where a cancellation would be raised
///     // SAFETY: `qsort` gives elements of the array that it sorts.
///     unsafe { (*a).cmp(&*b) as c_int }
/// }
///
/// let sorted = coroutine::spawn(|| {
///     let mut numbers = [3, 1, 2];
///     // SAFETY: an array of three numbers, and an order of all numbers.
///     defer_cancel(|| unsafe { qsort(numbers.as_mut_ptr().cast(), 3, size_of::<u32>(), compare) });
///     numbers
/// });
/// assert_eq!(sorted.join()?, [1, 2, 3]); // and were it cancelled meanwhile, it would not have been broken off
/// # Ok::<(), ropewalk_runtime::JoinError>(())
/// ```
///
/// # Waits
/// Where `f` does.
///
/// # Cancellation
/// None before `f` has returned.
pub fn defer_cancel<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    park::uninterrupted(f)
}
