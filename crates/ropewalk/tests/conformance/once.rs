//! `Once`, `OnceLock` and `LazyLock`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use ropewalk::coroutine;
use ropewalk::sync::{LazyLock, Once, OnceLock};
use ropewalk_sync::park::WaitReason::{OnceWait, Sleep};

use crate::support::{End, LONG, Plans, Task, elapse, fail, let_others_run, on_every_plan, until};

/// A task that makes the value of the cell, and takes for ever over it.
fn slow(plans: &Plans, cell: &Arc<OnceLock<u32>>) -> Task<()> {
    let cell = cell.clone();
    plans.waiting(Sleep, move || {
        cell.get_or_init(|| {
            coroutine::sleep(LONG);
            unreachable!("it is cancelled before")
        });
    })
}

#[test]
fn one_of_many_does_it_and_the_others_wait_for_that() {
    on_every_plan(|plans| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let tasks = [(); 8].map(|()| {
            let shared = shared.clone();
            plans.spawn(move || {
                let (once, done) = &*shared;
                once.call_once(|| {
                    (0..20).for_each(|_| let_others_run());
                    done.fetch_add(1, Relaxed);
                });
                assert_eq!(done.load(Relaxed), 1);
                assert!(once.is_completed());
            })
        });
        tasks.into_iter().for_each(Task::value);
    });
}

#[test]
fn a_call_that_panics_poisons_a_once_and_a_call_by_force_heals_it() {
    on_every_plan(|plans| {
        let once = Arc::new(Once::new());
        let other = once.clone();
        assert_eq!(plans.spawn(move || other.call_once(|| fail())).join(), End::Panicked);
        assert!(!once.is_completed());
        let other = once.clone();
        assert_eq!(plans.spawn(move || other.call_once(|| {})).join(), End::Panicked);
        let other = once.clone();
        assert_eq!(plans.spawn(move || other.wait()).join(), End::Panicked);
        let other = once.clone();
        let patient = plans.waiting(OnceWait, move || other.wait_force());
        let mut was_poisoned = false;
        once.call_once_force(|state| was_poisoned = state.is_poisoned());
        assert!(was_poisoned && once.is_completed());
        patient.value();
        once.call_once(|| unreachable!("it is done"));
        once.wait();
    });
}

#[test]
fn who_waits_for_a_call_that_panics_hears_of_it() {
    on_every_plan(|plans| {
        let (once, go) = (Arc::new(Once::new()), Arc::new(AtomicBool::new(false)));
        let (other, may_go) = (once.clone(), go.clone());
        let panics = plans.spawn(move || {
            other.call_once(|| {
                until(|| may_go.load(Relaxed));
                fail();
            });
        });
        // It may not have come that far yet.
        let other = once.clone();
        let waits = plans.waiting(OnceWait, move || other.wait());
        go.store(true, Relaxed);
        assert_eq!((panics.join(), waits.join()), (End::Panicked, End::Panicked));
    });
}

#[test]
fn a_call_that_is_cancelled_poisons_nothing_and_the_next_one_is_made() {
    on_every_plan(|plans| {
        let once = Arc::new(Once::new());
        let other = once.clone();
        let cancelled = plans.waiting(Sleep, move || other.call_once(|| coroutine::sleep(LONG)));
        let other = once.clone();
        let next = plans.waiting(OnceWait, move || {
            let mut called = false;
            other.call_once(|| called = true);
            called
        });
        let (other, third) = (once.clone(), once.clone());
        let (waits, leaves) = (
            plans.waiting(OnceWait, move || other.wait()),
            plans.waiting(OnceWait, move || {
                third.call_once(|| unreachable!("it is cancelled while it waits"))
            }),
        );
        leaves.cancel();
        assert_eq!(leaves.join(), End::Cancelled);
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        assert!(next.value());
        waits.value();
        assert!(once.is_completed());
    });
}

#[test]
fn a_call_that_comes_back_to_itself_panics() {
    on_every_plan(|plans| {
        let again = || {
            plans.spawn(|| {
                let once = Once::new();
                once.call_once(|| once.call_once(|| {}));
            })
        };
        assert_eq!(again().join(), End::Panicked);
        let waits = plans.spawn(|| {
            let once = Once::new();
            once.call_once(|| once.wait_force());
        });
        assert_eq!(waits.join(), End::Panicked);
        let cell = plans.spawn(|| {
            let cell = OnceLock::new();
            *cell.get_or_init(|| *cell.get_or_init(|| 1))
        });
        assert_eq!(cell.join(), End::Panicked);
        let lazy = plans.spawn(|| {
            static LAZY: LazyLock<u32> = LazyLock::new(|| *LAZY + 1);
            *LAZY
        });
        assert_eq!(lazy.join(), End::Panicked);
    });
}

#[test]
fn a_cell_is_set_once() {
    on_every_plan(|plans| {
        let cell = Arc::new(OnceLock::new());
        assert_eq!(cell.get(), None);
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let cell = cell.clone();
                plans.spawn(move || match cell.set(n) {
                    Ok(()) => Some(n),
                    Err(own) => {
                        assert_eq!(own, n);
                        None
                    }
                })
            })
            .collect();
        let other = cell.clone();
        let waits = plans.spawn(move || *other.wait());
        let set: Vec<u32> = tasks.into_iter().filter_map(Task::value).collect();
        assert_eq!(set, [*cell.get().unwrap()]);
        assert_eq!(waits.value(), set[0]);
        assert_eq!(*cell.get_or_init(|| unreachable!("it is set")), set[0]);
    });
}

#[test]
fn an_initializer_that_panics_or_is_cancelled_lets_the_next_one_try() {
    on_every_plan(|plans| {
        let cell = Arc::new(OnceLock::new());
        let other = cell.clone();
        assert_eq!(plans.spawn(move || *other.get_or_init(|| fail())).join(), End::Panicked);
        let cancelled = slow(plans, &cell);
        let other = cell.clone();
        let waits = plans.waiting(OnceWait, move || *other.wait());
        let other = cell.clone();
        let next = plans.waiting(OnceWait, move || *other.get_or_init(|| 7));
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        assert_eq!((next.value(), waits.value()), (7, 7));
        let cell = OnceLock::new();
        elapse(|| {
            cell.get_or_init(|| {
                coroutine::sleep(LONG);
                1
            })
        });
        assert_eq!(*cell.get_or_init(|| 2), 2);
    });
}

#[test]
fn a_lazy_value_is_made_once_and_in_the_name_of_all() {
    on_every_plan(|plans| {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let [begun, go] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (begins, may_go) = (begun.clone(), go.clone());
        let lazy = Arc::new(LazyLock::new(move || {
            begins.store(true, Relaxed);
            until(|| may_go.load(Relaxed));
            MADE.fetch_add(1, Relaxed) + 1
        }));
        MADE.store(0, Relaxed);
        let other = lazy.clone();
        let first = plans.spawn(move || **other);
        until(|| begun.load(Relaxed));
        let other = lazy.clone();
        let second = plans.waiting(OnceWait, move || **other);
        // Whoever makes it is not interrupted, for the other needs it as well.
        first.cancel();
        (0..20).for_each(|_| let_others_run());
        assert!(!first.is_finished());
        go.store(true, Relaxed);
        assert_eq!(second.value(), 1);
        assert_eq!(first.join(), End::Returned(1), "it has not waited since");
        assert_eq!(**lazy, 1);
    });
}

#[test]
fn a_limit_does_not_end_what_is_made_for_all() {
    on_every_plan(|_| {
        let lazy = LazyLock::new(|| {
            coroutine::yield_now();
            coroutine::sleep(std::time::Duration::from_millis(1));
            5
        });
        let seen = ropewalk::timeout(std::time::Duration::ZERO, || *lazy);
        assert_eq!(seen, Ok(5));
        elapse(|| {
            assert_eq!(*lazy, 5);
            coroutine::sleep(LONG);
        });
    });
}

#[test]
fn a_lazy_value_whose_function_panicked_is_never_made() {
    on_every_plan(|plans| {
        let lazy: Arc<LazyLock<u32, _>> = Arc::new(LazyLock::new(|| fail()));
        for _ in 0..2 {
            let lazy = lazy.clone();
            assert_eq!(plans.spawn(move || **lazy).join(), End::Panicked);
        }
        assert_eq!(LazyLock::get(&lazy), None);
    });
}

#[test]
fn they_look_like_stds() {
    on_every_plan(|_| {
        fn shared<T: Send + Sync>() {}
        shared::<Once>();
        shared::<OnceLock<u8>>();
        shared::<LazyLock<u8, fn() -> u8>>();

        static ONCE: Once = Once::new();
        ONCE.call_once(|| {});
        assert_eq!(format!("{ONCE:?}"), "Once { .. }");
        let mut cell = OnceLock::new();
        assert_eq!(format!("{cell:?}"), "OnceLock(<uninit>)");
        assert_eq!(cell.set("text".to_owned()), Ok(()));
        assert_eq!(format!("{cell:?}"), "OnceLock(\"text\")");
        assert_eq!(cell.clone(), OnceLock::from("text".to_owned()));
        assert_ne!(cell, OnceLock::default());
        cell.get_mut().unwrap().push('s');
        assert_eq!(cell.take().as_deref(), Some("texts"));
        assert_eq!(cell.into_inner(), None);

        let mut lazy = LazyLock::new(|| 1);
        assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
        *lazy += 1;
        *LazyLock::force_mut(&mut lazy) += 1;
        *LazyLock::get_mut(&mut lazy).unwrap() += 1;
        assert_eq!((LazyLock::force(&lazy), format!("{lazy:?}").as_str()), (&4, "LazyLock(4)"));
        assert_eq!(*LazyLock::<u32>::default(), 0);
    });
}
