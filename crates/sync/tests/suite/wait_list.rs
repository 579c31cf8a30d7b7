//! The list that every primitive is built on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sync::park::{Interrupt, Unparker, Unwind, Wait, WaitReason};
use ropewalk_sync::wait_list::{Place, WaitList};

use crate::support::{Task, watched};

fn wait() -> Wait {
    Wait::new(WaitReason::Sleep)
}

/// Waits in the list with this in its slot; gives the slot as it was left.
fn waiter(list: &Arc<WaitList<(), u32>>, slot: u32, place: Place) -> Task<u32> {
    let list = list.clone();
    Task::waiting(WaitReason::Sleep, move || match list.wait_with(list.lock(), &wait(), slot, place) {
        Ok(slot) => slot,
        Err(left) => panic!("{:?}", left.interrupt),
    })
}

#[test]
fn the_first_is_the_one_that_waits_longest_unless_another_asked_to_be_first() {
    watched(|| {
        let list = Arc::new(WaitList::<(), u32>::default());
        let third = waiter(&list, 3, Place::Last);
        let second = waiter(&list, 2, Place::First);
        let fourth = waiter(&list, 4, Place::Last);
        let first = waiter(&list, 1, Place::First);
        for (n, task) in (1..).zip([first, second, third, fourth]) {
            let mut guard = list.lock();
            assert_eq!((guard.first_slot(), guard.waiters()), (Some(n), 5 - n as usize));
            let (slot, unparker) =
                guard.notify_first_with(|(), slot| std::mem::replace(slot, n * 10)).unwrap();
            drop(guard);
            unparker.unpark();
            assert_eq!((slot, task.value()), (n, n * 10));
        }
        assert!(list.lock().is_empty());
        assert_eq!(list.lock().first_slot(), None);
        assert!(list.lock().notify_first(0).is_none());
    });
}

#[test]
fn waiters_leave_from_anywhere_in_the_list() {
    watched(|| {
        for leaving in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let list = Arc::new(WaitList::<(), u32>::default());
            let mut tasks: Vec<_> = (0..3)
                .map(|n| {
                    let list = list.clone();
                    Some(Task::waiting(WaitReason::Sleep, move || {
                        match list.wait_with(list.lock(), &wait(), n, Place::Last) {
                            Ok(_) => panic!("nobody notifies"),
                            Err(left) => (left.interrupt, left.slot, left.guard.waiters()),
                        }
                    }))
                })
                .collect();
            for (still_there, leaves) in (0..3).rev().zip(leaving) {
                let task = tasks[leaves].take().unwrap();
                task.cancel();
                assert_eq!(task.value(), (Interrupt::Raise(Unwind::Cancelled), leaves as u32, still_there));
            }
            assert!(list.lock().is_empty());
        }
    });
}

#[test]
fn who_is_notified_and_cancelled_at_once_has_been_notified() {
    watched(|| {
        let list = Arc::new(WaitList::<(), u32>::default());
        let task = waiter(&list, 1, Place::Last);
        // Nobody unparks it yet: the cancellation does, and finds the result.
        let unparker = list.lock().notify_first(2).unwrap();
        task.cancel();
        assert_eq!(task.value(), 2);
        unparker.unpark();
    });
}

#[test]
fn notify_while_stops_where_it_is_told() {
    watched(|| {
        let list = Arc::new(WaitList::<(), u32>::default());
        let tasks: Vec<_> = (0..40).map(|n| waiter(&list, n, Place::Last)).collect();
        list.notify_while(list.lock(), |(), slot| {
            *slot += 100;
            *slot < 133
        });
        let left = list.lock();
        assert_eq!((left.waiters(), left.first_slot()), (7, Some(133)));
        drop(left);
        list.notify_one();
        list.notify_all();
        let slots: Vec<_> = tasks.into_iter().map(Task::value).collect();
        assert!(slots.into_iter().eq((100..134).chain(34..40)));
    });
}

#[test]
fn a_time_limit_ends_a_wait() {
    watched(|| {
        let list = WaitList::<()>::default();
        let late =
            Wait::new(WaitReason::Sleep).until(Some(std::time::Instant::now() + Duration::from_millis(2)));
        assert_eq!(list.wait(list.lock(), &late), Err(Interrupt::TimedOut));
        assert!(list.lock().is_empty());
    });
}

#[test]
fn what_runs_between_queueing_and_sleeping_may_unwind() {
    watched(|| {
        let list = WaitList::<()>::default();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _ = list.wait_after(list.lock(), &wait(), 0, || {
                assert_eq!(list.lock().waiters(), 1);
                resume_unwind(Box::new("expected"));
            });
        }));
        assert!(unwound.is_err());
        assert!(list.lock().is_empty());
    });
}

#[test]
fn a_notification_from_the_waiter_itself_ends_its_wait() {
    watched(|| {
        let list = WaitList::<()>::default();
        let waited = list.wait_after(list.lock(), &wait(), 0, || {
            let unparker: Option<Unparker> = list.lock().notify_first(5);
            unparker.unwrap().unpark();
        });
        assert!(matches!(waited, Ok(5)));
    });
}
