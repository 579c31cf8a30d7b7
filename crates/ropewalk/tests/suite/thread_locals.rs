//! The hole that `docs/soundness.md` is about: thread-locals that are set, kept over a wait, and restored.

use std::cell::Cell;

use ropewalk::coroutine;

use crate::support::runtime;

thread_local! {
    /// What a scoped thread-local keeps: here a number, where `scoped-tls` keeps a pointer into the caller's stack.
    static CURRENT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Sets the thread-local for the time of `f`, and puts back what was there: in order on one stack.
fn with_set<R>(value: u32, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<u32>);

    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }

    let _restore = Restore(CURRENT.replace(Some(value)));
    f()
}

#[test]
fn a_thread_local_that_is_set_over_a_wait_is_restored_out_of_order() {
    runtime(1).run(|| {
        let a = coroutine::spawn_local(|| {
            with_set(1, || {
                coroutine::yield_now(); // B sets its own, and waits
                CURRENT.get()
            })
        });
        let b = coroutine::spawn_local(|| {
            with_set(2, || {
                coroutine::yield_now(); // A ends, and restores "nothing"
                CURRENT.get()
            })
        });
        // A sees what B has set; B sees nothing.
        assert_eq!((a.join().expect("A"), b.join().expect("B")), (Some(2), None));
        // Both are gone, and what B restored is A's: with a pointer in its place it would dangle.
        assert_eq!(CURRENT.get(), Some(1));
        CURRENT.set(None);
    });
}

#[test]
fn a_thread_local_that_is_not_kept_over_a_wait_is_right() {
    runtime(1).run(|| {
        let tasks = [1, 2].map(|value| {
            coroutine::spawn_local(move || {
                let seen = with_set(value, || CURRENT.get());
                coroutine::yield_now();
                seen
            })
        });
        let [a, b] = tasks.map(|task| task.join().expect("it returns"));
        assert_eq!((a, b, CURRENT.get()), (Some(1), Some(2), None));
    });
}
