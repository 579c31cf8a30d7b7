//! Condition variables.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ropewalk_sync::condvar::Condvar;
use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::WaitReason::{CondvarWait, MutexLock};

use crate::support::{End, Task, elapse, until, watched};

const SHORT: Duration = Duration::from_millis(2);

type Pair = Arc<(Mutex<Vec<u32>>, Condvar)>;

/// Waits for one notification, then notes its number.
fn waiter(pair: &Pair, number: u32) -> Task<()> {
    let pair = pair.clone();
    Task::waiting(CondvarWait, move || {
        let (mutex, condvar) = &*pair;
        condvar.wait(mutex.lock().unwrap()).unwrap().push(number);
    })
}

#[test]
fn waiting_releases_the_lock() {
    watched(|| {
        let pair = Pair::default();
        let task = waiter(&pair, 1);
        assert!(pair.0.try_lock().is_ok());
        pair.1.notify_one();
        task.value();
        assert_eq!(*pair.0.lock().unwrap(), [1]);
    });
}

#[test]
fn notify_one_wakes_those_who_wait_in_their_order() {
    watched(|| {
        let pair = Pair::default();
        let tasks: Vec<_> = (0..5).map(|n| waiter(&pair, n)).collect();
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
    watched(|| {
        let pair = Pair::default();
        let tasks: Vec<_> = (0..40).map(|n| waiter(&pair, n)).collect();
        pair.1.notify_all();
        tasks.into_iter().for_each(Task::value);
        assert_eq!(pair.0.lock().unwrap().len(), 40);
    });
}

#[test]
fn wait_while_goes_on_until_the_condition_is_as_it_should() {
    watched(|| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = Task::waiting(CondvarWait, move || {
            let guard = other.1.wait_while(other.0.lock().unwrap(), |list| list.is_empty()).unwrap();
            guard.len()
        });
        task.until_asleep(1);
        pair.1.notify_one();
        task.until_asleep(2);
        pair.0.lock().unwrap().push(1);
        pair.1.notify_one();
        assert_eq!(task.value(), 1);
    });
}

#[test]
fn a_notification_without_a_waiter_is_nothing() {
    watched(|| {
        let pair = Pair::default();
        pair.1.notify_one();
        pair.1.notify_all();
        let (_guard, result) = pair.1.wait_timeout(pair.0.lock().unwrap(), SHORT).unwrap();
        assert!(result.timed_out());
    });
}

#[test]
fn time_limits() {
    watched(|| {
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
        let task = Task::waiting(CondvarWait, move || {
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
    watched(|| {
        let (turn, changed) = (Mutex::new(0_u32), Condvar::new());
        let take_turns = |own: u32| {
            for _ in 0..10_000 {
                let mut turn = changed.wait_while(turn.lock().unwrap(), |turn| *turn % 2 != own).unwrap();
                *turn += 1;
                drop(turn);
                changed.notify_one();
            }
        };
        thread::scope(|s| {
            s.spawn(|| take_turns(0));
            take_turns(1);
        });
        assert_eq!(turn.into_inner().unwrap(), 20_000);
    });
}

#[test]
fn a_queue_of_many_producers_and_consumers() {
    watched(|| {
        let (queue, filled, emptied) = (Mutex::new(Vec::new()), Condvar::new(), Condvar::new());
        let total = thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for item in 0..3000_u64 {
                        let mut queue =
                            emptied.wait_while(queue.lock().unwrap(), |queue| queue.len() >= 4).unwrap();
                        queue.push(item);
                        drop(queue);
                        filled.notify_one();
                    }
                });
            }
            let consume = || {
                (0..3000)
                    .map(|_| {
                        let mut queue =
                            filled.wait_while(queue.lock().unwrap(), |queue| queue.is_empty()).unwrap();
                        let item = queue.pop().unwrap();
                        drop(queue);
                        emptied.notify_one();
                        item
                    })
                    .sum::<u64>()
            };
            let consumers: Vec<_> = (0..3).map(|_| s.spawn(consume)).collect();
            consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum::<u64>()
        });
        assert_eq!(total, 3 * (2999 * 3000 / 2));
    });
}

#[test]
fn a_cancelled_waiter_does_not_hold_the_lock() {
    watched(|| {
        let pair = Pair::default();
        let cancelled = waiter(&pair, 1);
        let guard = pair.0.lock().unwrap();
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled, "it needs no lock to go");
        drop(guard);
        assert!(!pair.0.is_poisoned());
        let other = waiter(&pair, 2);
        pair.1.notify_one();
        other.value();
        assert_eq!(*pair.0.lock().unwrap(), [2]);
    });
}

#[test]
fn a_cancelled_waiter_passes_its_notification_on() {
    watched(|| {
        let pair = Pair::default();
        let (first, second) = (waiter(&pair, 1), waiter(&pair, 2));
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
    watched(|| {
        let pair = Pair::default();
        elapse(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        assert!(pair.0.try_lock().is_ok());
        let task = waiter(&pair, 1);
        pair.1.notify_one();
        task.value();
    });
}

#[test]
fn a_poisoned_mutex_is_told_after_the_wait() {
    watched(|| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = Task::waiting(CondvarWait, move || other.1.wait(other.0.lock().unwrap()).is_err());
        let other = pair.clone();
        let panicked = Task::spawn(move || {
            let _guard = other.0.lock().unwrap();
            std::panic::resume_unwind(Box::new("expected"));
        });
        assert!(matches!(panicked.join(), End::Panicked(_)));
        pair.1.notify_one();
        assert!(task.value());
        let late = pair.1.wait_timeout(pair.0.lock().unwrap_err().into_inner(), SHORT);
        assert!(late.is_err_and(|error| error.into_inner().1.timed_out()));
    });
}

#[test]
fn a_condition_that_panics_poisons() {
    watched(|| {
        let pair = Pair::default();
        let other = pair.clone();
        let task = Task::spawn(move || {
            let panics = |_: &mut Vec<u32>| std::panic::resume_unwind(Box::new("expected"));
            drop(other.1.wait_while(other.0.lock().unwrap(), panics));
        });
        assert!(matches!(task.join(), End::Panicked(_)));
        until(|| pair.0.is_poisoned());
    });
}
