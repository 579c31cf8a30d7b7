//! Who waits: for how long, why, and what ends it.

use std::time::Duration;

use ropewalk::inspect::{State, WaitReason};
use ropewalk::ipc::topic::{RecvError, RecvTimeoutError, Topic};
use ropewalk::{JoinHandle, process, timeout};

use super::{POLICIES, all, block, number_of, topic};
use crate::support::{LONG, on_every_pair, on_every_plan, until};

const SHORT: Duration = Duration::from_millis(2);

fn until_blocked<T>(task: &JoinHandle<T>) -> WaitReason {
    until(|| matches!(task.task().state(), State::Blocked(_)));
    match task.task().state() {
        State::Blocked(blocked) => blocked.reason,
        other => panic!("it has gone on: {other:?}"),
    }
}

#[test]
fn who_waits_says_for_what_and_a_message_a_loan_given_up_and_the_end_wake_it() {
    on_every_pair(|plan| {
        for policy in [ropewalk::ipc::ring::WaitPolicy::Sleep, ropewalk::ipc::ring::WaitPolicy::Adaptive] {
            let topic = topic(4, 0);
            let reader = |mut subscription: ropewalk::ipc::topic::Subscription<super::Block>| {
                subscription.set_wait_policy(policy);
                let task = plan.spawn(move || subscription.recv().map(number_of));
                assert_eq!(until_blocked(&task), WaitReason::SharedTopicReceive);
                task
            };
            let task = reader(topic.subscribe());
            topic.publish(&block(1)).unwrap();
            assert_eq!(task.join().unwrap(), Ok(1));

            // One that is lent and not published is waited for.
            let subscription = topic.subscribe();
            let loan = topic.loan().unwrap();
            topic.publish(&block(2)).unwrap();
            let task = reader(subscription);
            drop(loan);
            assert_eq!(task.join().unwrap(), Ok(2));

            // And one that is kept for a lap is not.
            let subscription = topic.subscribe();
            let loan = topic.loan().unwrap();
            (0..3).for_each(|n| topic.publish(&block(n)).unwrap());
            let task = reader(subscription);
            topic.publish(&block(3)).unwrap();
            assert!(matches!(task.join().unwrap(), Err(RecvError::Lagged(_))));
            drop(loan);

            let task = reader(topic.subscribe());
            topic.close();
            assert_eq!(task.join().unwrap(), Err(RecvError::Closed));
        }
    });
}

#[test]
fn limits_cancellations_and_timeouts_end_every_wait_and_take_nothing_along() {
    on_every_plan(|plan| {
        for policy in POLICIES {
            let topic = topic(4, 0);
            let mut subscription = topic.subscribe();
            subscription.set_wait_policy(policy);
            assert_eq!(subscription.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            assert!(timeout(SHORT, || subscription.recv()).is_err());
            assert!(timeout(SHORT, || subscription.iter().next()).is_err());
            let mut theirs = subscription.clone();
            let task = plan.spawn(move || theirs.recv());
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            // The result wins.
            (1..3).for_each(|n| topic.publish(&block(n)).unwrap());
            assert_eq!(subscription.recv_timeout(Duration::ZERO).map(number_of), Ok(1));
            assert_eq!(subscription.recv_timeout(LONG).map(number_of), Ok(2));
            drop(topic);
            assert_eq!(subscription.recv(), Err(RecvError::Closed));
        }
    });
}

#[test]
fn a_task_that_is_asleep_is_cancelled() {
    on_every_pair(|plan| {
        let topic = topic(4, 0);
        let mut subscription = topic.subscribe();
        subscription.set_wait_policy(ropewalk::ipc::ring::WaitPolicy::Sleep);
        let task = plan.spawn(move || subscription.recv());
        until_blocked(&task);
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        topic.publish(&block(1)).unwrap();
    });
}

#[test]
fn when_all_handles_have_gone_everybody_gets_what_is_left_and_then_the_end() {
    on_every_pair(|plan| {
        for policy in POLICIES {
            let topic = topic(8, 0);
            let readers = [(); 2].map(|()| {
                let mut subscription = topic.subscribe();
                subscription.set_wait_policy(policy);
                plan.spawn(move || (all(&mut subscription), subscription.recv()))
            });
            let clone = topic.clone();
            let third = process::spawn(|topic: Topic<super::Block>| topic.publish(&block(1)).unwrap(), topic);
            third.unwrap().join().unwrap();
            clone.publish(&block(2)).unwrap();
            drop(clone);
            for reader in readers {
                let (got, end) = reader.join().unwrap();
                assert_eq!((got, end), (vec![1, 2], Err(RecvError::Closed)));
            }
        }
    });
}
