//! Values that each task has for itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use ropewalk::coroutine::LocalKey;
use ropewalk::{TaskId, blocking, coroutine, task_local, thread};

use crate::support::{LONG, guarded, on_every_pair, runtime};

task_local! {
    /// Not `Send`, and lazy.
    static NOTES: RefCell<Vec<Rc<u32>>> = RefCell::default();
    pub(super) static COUNT: Cell<u32> = const { Cell::new(7) };
}

#[test]
fn each_task_has_its_own() {
    on_every_pair(|plan| {
        COUNT.set(1);
        let tasks: Vec<_> = (10..30)
            .map(|n| {
                plan.spawn(move || {
                    assert_eq!(COUNT.replace(n), 7);
                    NOTES.with_borrow_mut(|notes| notes.push(Rc::new(n)));
                    coroutine::yield_now();
                    coroutine::sleep(Duration::from_micros(50));
                    NOTES.with_borrow(|notes| assert_eq!(notes.as_slice(), [Rc::new(n)]));
                    COUNT.get()
                })
            })
            .collect();
        let counts: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
        assert_eq!(counts, (10..30).collect::<Vec<_>>());
        assert_eq!(COUNT.get(), 1);
        COUNT.set(7);
    });
}

#[test]
fn a_value_may_be_looked_at_over_a_wait() {
    on_every_pair(|plan| {
        let looks = |n| {
            move || {
                COUNT.set(n);
                COUNT.with(|count| {
                    for _ in 0..20 {
                        coroutine::yield_now();
                        assert_eq!(count.get(), n);
                    }
                });
            }
        };
        let tasks = [1, 2, 3].map(|n| plan.spawn(looks(n)));
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

static LOG: Mutex<Vec<(TaskId, &str)>> = Mutex::new(Vec::new());

/// Tells when it is dropped, and where.
struct Tells(&'static str);

impl Drop for Tells {
    fn drop(&mut self) {
        coroutine::sleep(Duration::from_micros(1)); // it may wait: it is still the task that runs
        LOG.lock().unwrap().push((coroutine::current().id(), self.0));
    }
}

/// Asks another key, which comes into being then; and itself, which is gone.
struct Asks;

impl Drop for Asks {
    fn drop(&mut self) {
        LATE.with(|_| ());
        assert!(ASKS.try_with(|_| ()).is_err());
        LOG.lock().unwrap().push((coroutine::current().id(), "asks"));
    }
}

static FIRST: LocalKey<Tells> = LocalKey::new(|| Tells("first"));
static SECOND: LocalKey<Tells> = LocalKey::new(|| Tells("second"));
static LATE: LocalKey<Tells> = LocalKey::new(|| Tells("late"));
static ASKS: LocalKey<Asks> = LocalKey::new(|| Asks);

#[test]
fn values_are_dropped_in_the_task_before_it_is_joined_the_last_one_first() {
    on_every_pair(|plan| {
        let handle = plan.spawn(|| {
            FIRST.with(|_| ());
            ASKS.with(|_| ());
            SECOND.with(|_| ());
        });
        let id = handle.id();
        handle.join().unwrap();
        let log: Vec<_> =
            LOG.lock().unwrap().iter().filter(|(task, _)| *task == id).map(|(_, what)| *what).collect();
        assert_eq!(log, ["second", "asks", "late", "first"]);
    });
}

#[test]
fn values_are_dropped_however_the_task_ends() {
    on_every_pair(|plan| {
        let panics = plan.spawn(|| {
            FIRST.with(|_| ());
            std::panic::resume_unwind(Box::new(()));
        });
        let id = panics.id();
        panics.join().map(|(): ()| ()).unwrap_err();
        assert!(LOG.lock().unwrap().contains(&(id, "first")), "it panicked");

        // The destructor does not wait: a cancelled task unwinds from each wait.
        thread_local! {
            static DROPS: Cell<u32> = const { Cell::new(0) };
        }
        struct Counts(std::sync::mpsc::Sender<()>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        task_local! {
            static KEPT: RefCell<Option<Counts>> = const { RefCell::new(None) };
        }
        let (tell, told) = std::sync::mpsc::channel();
        let cancelled = plan.spawn(move || {
            KEPT.set(Some(Counts(tell)));
            coroutine::sleep(LONG);
        });
        cancelled.cancel();
        cancelled.join().unwrap_err();
        // Nothing at all if it had not started.
        assert!(
            told.try_recv() != Err(std::sync::mpsc::TryRecvError::Empty),
            "it was dropped before the join"
        );
    });
}

#[test]
fn a_destructor_that_panics_takes_no_other_value_with_it() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("no message, please"));
        }
    }
    static PANICS: LocalKey<Panics> = LocalKey::new(|| Panics);
    on_every_pair(|plan| {
        let handle = plan.spawn(|| {
            FIRST.with(|_| ());
            PANICS.with(|_| ());
            42
        });
        let id = handle.id();
        assert_eq!(handle.join().unwrap(), 42, "the function had returned");
        assert!(LOG.lock().unwrap().contains(&(id, "first")));
    });
}

#[test]
fn a_value_may_ask_for_itself_while_it_is_made() {
    static DEEP: LocalKey<u32> = LocalKey::new(|| {
        thread_local! {
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }
        DEPTH.set(DEPTH.get() + 1);
        if DEPTH.get() < 3 { DEEP.with(|inner| inner + 1) } else { 0 }
    });
    guarded(|| {
        // The innermost came first, and everybody sees that one.
        let seen = thread::spawn(|| (DEEP.with(|value| *value), DEEP.with(|value| *value)));
        assert_eq!(seen.join().unwrap(), (0, 0));
    });
}

#[test]
fn calls_on_the_blocking_pool_have_values_of_their_own() {
    guarded(|| {
        runtime(1).run(|| {
            COUNT.set(1);
            for _ in 0..10 {
                assert_eq!(blocking(|| COUNT.replace(99)), 7, "neither the caller's nor an earlier call's");
            }
            assert_eq!(COUNT.get(), 1);
        });
    });
}
