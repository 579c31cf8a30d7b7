//! Condition variables.

use std::sync::Arc;
use std::time::Duration;

use ropewalk::sync::Condvar;
use ropewalk::sync::Mutex;
use ropewalk_sync::park::WaitReason::{CondvarWait, MutexLock};

use crate::support::{End, Plans, Task, elapse, fail, on_every_plan, until};

const SHORT: Duration = Duration::from_millis(2);

type Pair = Arc<(Mutex<Vec<u32>>, Condvar)>;

/// Waits for one notification, then notes its number.
fn waiter(plans: &Plans, pair: &Pair, number: u32) -> Task<()> {
    let pair = pair.clone();
    plans.waiting(CondvarWait, move || {
        let (mutex, condvar) = &*pair;
        condvar.wait(mutex.lock().unwrap()).unwrap().push(number);
    })
}

#[test]
fn waiting_releases_the_lock() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let task = waiter(plans, &pair, 1);
        assert!(pair.0.try_lock().is_ok());
        pair.1.notify_one();
        task.value();
        assert_eq!(*pair.0.lock().unwrap(), [1]);
    });
}

#[test]
fn notify_one_wakes_those_who_wait_in_their_order() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let tasks: Vec<_> = (0..5).map(|n| waiter(plans, &pair, n)).collect();
        for (n, task) in tasks.into_iter().enumerate() {
            pair.1.notify_one();
            task.value();
            assert_eq!(pair.0.lock().unwrap().len(), n + 1, "it woke one");
        }
        assert_eq!(*pair.0.lock().unwrap(), [0, 1, 2, 3, 4]);
        pair.1.notify_one();
    });
}

#[test]
fn notify_all_wakes_all() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let tasks: Vec<_> = (0..40).map(|n| waiter(plans, &pair, n)).collect();
        pair.1.notify_all();
        tasks.into_iter().for_each(Task::value);
        assert_eq!(pair.0.lock().unwrap().len(), 40);
    });
}

#[test]
fn wait_while_goes_on_until_the_condition_is_as_it_should() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = plans.waiting(CondvarWait, move || {
            let guard = other.1.wait_while(other.0.lock().unwrap(), |list| list.len() < 3).unwrap();
            guard.len()
        });
        for number in 0..3 {
            task.until_waiting(CondvarWait);
            pair.0.lock().unwrap().push(number);
            pair.1.notify_one();
        }
        assert_eq!(task.value(), 3);
    });
}

#[test]
fn a_notification_without_a_waiter_is_nothing() {
    on_every_plan(|_| {
        let pair = Pair::default();
        pair.1.notify_one();
        pair.1.notify_all();
        let (_guard, result) = pair.1.wait_timeout(pair.0.lock().unwrap(), SHORT).unwrap();
        assert!(result.timed_out());
    });
}

#[test]
fn time_limits() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let (mutex, condvar) = &*pair;
        let (guard, result) =
            condvar.wait_timeout_while(mutex.lock().unwrap(), SHORT, |list| list.is_empty()).unwrap();
        assert!(result.timed_out() && guard.is_empty());
        let (guard, result) =
            condvar.wait_timeout_while(guard, Duration::ZERO, |list| !list.is_empty()).unwrap();
        assert!(!result.timed_out());
        drop(guard);

        let other = pair.clone();
        let task = plans.waiting(CondvarWait, move || {
            let (mutex, condvar) = &*other;
            let limit = Duration::from_secs(3600);
            let (_guard, result) =
                condvar.wait_timeout_while(mutex.lock().unwrap(), limit, |list| list.is_empty()).unwrap();
            result.timed_out()
        });
        condvar.notify_one();
        mutex.lock().unwrap().push(1);
        condvar.notify_one();
        assert!(!task.value());
    });
}

/// Two tasks take turns a great many times: one lost notification would stop them.
#[test]
fn no_notification_is_lost() {
    on_every_plan(|plans| {
        let pair = Arc::new((Mutex::new(0_u32), Condvar::new()));
        let tasks = [0, 1].map(|own| {
            let pair = pair.clone();
            plans.spawn(move || {
                let (turn, changed) = &*pair;
                for _ in 0..2_000 {
                    let mut turn = changed.wait_while(turn.lock().unwrap(), |turn| *turn % 2 != own).unwrap();
                    *turn += 1;
                    drop(turn);
                    changed.notify_one();
                }
            })
        });
        tasks.into_iter().for_each(Task::value);
        assert_eq!(*pair.0.lock().unwrap(), 4_000);
    });
}

/// What producers and consumers share.
#[derive(Default)]
struct Queue {
    items: Mutex<Vec<u64>>,
    filled: Condvar,
    emptied: Condvar,
}

#[test]
fn a_queue_of_many_producers_and_consumers() {
    on_every_plan(|plans| {
        let shared = Arc::new(Queue::default());
        let producers: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                plans.spawn(move || {
                    for item in 0..500 {
                        let items = shared.items.lock().unwrap();
                        let mut items = shared.emptied.wait_while(items, |items| items.len() >= 4).unwrap();
                        items.push(item);
                        drop(items);
                        shared.filled.notify_one();
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                plans.spawn(move || {
                    let consume = |_| {
                        let items = shared.items.lock().unwrap();
                        let mut items = shared.filled.wait_while(items, |items| items.is_empty()).unwrap();
                        let item = items.pop().unwrap();
                        drop(items);
                        shared.emptied.notify_one();
                        item
                    };
                    (0..500).map(consume).sum::<u64>()
                })
            })
            .collect();
        producers.into_iter().for_each(Task::value);
        let total: u64 = consumers.into_iter().map(Task::value).sum();
        assert_eq!(total, 3 * (499 * 500 / 2));
    });
}

#[test]
fn a_cancelled_waiter_does_not_hold_the_lock() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let cancelled = waiter(plans, &pair, 1);
        let guard = pair.0.lock().unwrap();
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled, "it needs no lock to go");
        drop(guard);
        assert!(!pair.0.is_poisoned());
        let other = waiter(plans, &pair, 2);
        pair.1.notify_one();
        other.value();
        assert_eq!(*pair.0.lock().unwrap(), [2]);
    });
}

#[test]
fn a_cancelled_waiter_passes_its_notification_on() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let (first, second) = (waiter(plans, &pair, 1), waiter(plans, &pair, 2));
        let guard = pair.0.lock().unwrap();
        pair.1.notify_one();
        first.until_waiting(MutexLock);
        first.cancel();
        assert_eq!(first.join(), End::Cancelled);
        second.until_waiting(MutexLock);
        drop(guard);
        second.value();
        assert_eq!(*pair.0.lock().unwrap(), [2]);
    });
}

#[test]
fn an_elapsed_time_limit_around_a_wait() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        elapse(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        assert!(pair.0.try_lock().is_ok());
        let task = waiter(plans, &pair, 1);
        pair.1.notify_one();
        task.value();
    });
}

#[test]
fn a_poisoned_mutex_is_told_after_the_wait() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = plans.waiting(CondvarWait, move || other.1.wait(other.0.lock().unwrap()).is_err());
        let other = pair.clone();
        let panicked = plans.spawn(move || {
            let _guard = other.0.lock().unwrap();
            fail();
        });
        assert!(matches!(panicked.join(), End::Panicked));
        pair.1.notify_one();
        assert!(task.value());
        let late = pair.1.wait_timeout(pair.0.lock().unwrap_err().into_inner(), SHORT);
        assert!(late.is_err_and(|error| error.into_inner().1.timed_out()));
    });
}

#[test]
fn a_condition_that_panics_poisons() {
    on_every_plan(|plans| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = plans.spawn(move || {
            let panics = |_: &mut Vec<u32>| fail();
            drop(other.1.wait_while(other.0.lock().unwrap(), panics));
        });
        assert!(matches!(task.join(), End::Panicked));
        until(|| pair.0.is_poisoned());
    });
}
