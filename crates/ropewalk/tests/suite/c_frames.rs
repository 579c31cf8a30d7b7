//! Waits below frames of C, in callbacks, which nothing may unwind through: libc's `qsort`, whose comparison waits.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ropewalk::inspect::State;
use ropewalk::sync::Latch;
use ropewalk::{coroutine, defer_cancel, scope, shield, timeout};
use rustix::process::Signal;

use crate::support::child::{self, Child, test_name};
use crate::support::{LONG, guarded, on_every_plan, runtime, until};

/// What is sorted. libc hands nothing but pointers to the comparison, so each element knows what to wait for.
#[derive(Clone, Copy)]
struct Item<'a> {
    key: u32,
    wait: &'a (dyn Fn() + Sync),
}

extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
    // SAFETY: `sort` gives an array of items, and libc pointers into it.
    let (a, b) = unsafe { (&*a.cast::<Item<'_>>(), &*b.cast::<Item<'_>>()) };
    (a.wait)();
    a.key.cmp(&b.key) as c_int
}

/// Sorts 3, 1, 2 by libc, with a comparison that waits.
fn sort(wait: &(dyn Fn() + Sync)) -> [u32; 3] {
    let mut items = [3, 1, 2].map(|key| Item { key, wait });
    // SAFETY: an array of so many items of that size; `compare` is an order of all of them.
    unsafe { libc::qsort(items.as_mut_ptr().cast(), items.len(), size_of::<Item<'_>>(), Some(compare)) };
    items.map(|item| item.key)
}

#[test]
fn a_cancellation_comes_when_c_has_returned() {
    on_every_plan(|plan| {
        let (gate, sorted) = (Arc::new(Latch::new(1)), Arc::new(Mutex::new(None)));
        let task = plan.spawn({
            let (gate, sorted) = (gate.clone(), sorted.clone());
            move || {
                let result = defer_cancel(|| sort(&|| gate.wait()));
                *sorted.lock().unwrap() = Some(result);
                coroutine::sleep(LONG); // here it comes
            }
        });
        until(|| matches!(task.task().state(), State::Blocked(_)));
        task.cancel();
        task.cancel();
        gate.count_down();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(*sorted.lock().unwrap(), Some([1, 2, 3]), "it was not broken off");
    });
}

/// Lets others run, which is a wait, until then.
fn yield_until(deadline: Instant) {
    while Instant::now() < deadline {
        coroutine::yield_now();
    }
}

#[test]
fn the_time_that_elapses_around_it_is_told_afterwards() {
    on_every_plan(|_| {
        let mut sorted = None;
        let limit = Duration::from_millis(2);
        let deadline = Instant::now() + 3 * limit;
        let late = timeout(limit, || {
            sorted = Some(defer_cancel(|| sort(&|| yield_until(deadline))));
            coroutine::sleep(LONG);
        });
        assert!(late.is_err());
        assert_eq!(sorted, Some([1, 2, 3]));
    });
}

#[test]
fn the_failure_of_a_scope_around_it_is_told_afterwards() {
    on_every_plan(|plan| {
        let (sorted, failed) = (Mutex::new(None), Latch::new(1));
        let task = || {
            plan.scope(|s| {
                let child = s.spawn(|| {
                    failed.wait();
                    std::panic::resume_unwind(Box::new("expected"));
                });
                let wait = || {
                    failed.count_down();
                    until(|| child.is_finished());
                    (0..3).for_each(|_| coroutine::yield_now());
                };
                let first = AtomicBool::new(true);
                let sort_all = || {
                    sort(&|| {
                        if first.swap(false, SeqCst) {
                            wait();
                        }
                    })
                };
                *sorted.lock().unwrap() = Some(defer_cancel(sort_all));
                coroutine::sleep(LONG);
            });
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)).is_err());
        assert_eq!(*sorted.lock().unwrap(), Some([1, 2, 3]));
    });
}

/// What a callback opens itself ends by its own rules, without a frame of C in between.
#[test]
fn a_timeout_and_a_scope_in_the_callback_are_its_own() {
    on_every_plan(|_| {
        let elapsed = AtomicU32::new(0);
        let sorted = defer_cancel(|| {
            sort(&|| {
                let late = timeout(Duration::from_micros(1), || coroutine::sleep(LONG));
                elapsed.fetch_add(u32::from(late.is_err()), SeqCst);
                let child = scope(|s| s.spawn(|| 1).join().unwrap());
                elapsed.fetch_add(child, SeqCst);
            })
        });
        assert_eq!(sorted, [1, 2, 3]);
        assert!(elapsed.load(SeqCst) >= 4, "two comparisons at least: {elapsed:?}");
    });
}

/// The difference between the two: a shield ends, where the task is.
#[test]
fn a_shield_around_it_or_in_it_does_not_end_it() {
    on_every_plan(|plan| {
        let limit = Duration::from_millis(1);
        let sorted = Arc::new(Mutex::new(Vec::new()));
        let task = plan.spawn({
            let sorted = sorted.clone();
            move || {
                let me = coroutine::current();
                shield(limit, || {
                    me.cancel();
                    let deadline = Instant::now() + 3 * limit;
                    let around = defer_cancel(|| sort(&|| yield_until(deadline)));
                    sorted.lock().unwrap().push(around);
                    let deadline = Instant::now() + 3 * limit;
                    let inside = defer_cancel(|| sort(&|| shield(limit, || yield_until(deadline))));
                    sorted.lock().unwrap().push(inside);
                });
                coroutine::sleep(LONG);
            }
        });
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(*sorted.lock().unwrap(), [[1, 2, 3]; 2]);
    });
}

/// What it is for: without it the unwind meets the frames of C, and that is the end.
#[test]
fn without_it_a_cancellation_in_a_callback_aborts_the_process() {
    if child::case().is_none() {
        let outcome = Child::new(test_name!(), "").run();
        outcome.assert_killed_by(Signal::ABORT);
        assert!(outcome.stderr.contains("cannot unwind"), "{outcome:#?}");
        return;
    }
    guarded(|| {
        runtime(1).run(|| {
            let task = coroutine::spawn_local(|| sort(&|| coroutine::sleep(LONG)));
            coroutine::yield_now();
            task.cancel();
            drop(task.join());
        });
    });
}
