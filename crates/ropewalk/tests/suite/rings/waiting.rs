//! Who waits: for how long, why, and what ends it.

use std::time::Duration;

use ropewalk::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError};
use ropewalk::inspect::{State, WaitReason};
use ropewalk::ipc::ring::{self, WaitPolicy};
use ropewalk::{JoinHandle, process, timeout};

use super::POLICIES;
use crate::support::{LONG, on_every_pair, on_every_plan, until};

fn until_blocked<T>(task: &JoinHandle<T>) -> WaitReason {
    until(|| matches!(task.task().state(), State::Blocked(_)));
    match task.task().state() {
        State::Blocked(blocked) => blocked.reason,
        other => panic!("it has gone on: {other:?}"),
    }
}

const SHORT: Duration = Duration::from_millis(2);

#[test]
fn who_waits_says_for_what() {
    on_every_pair(|plan| {
        for policy in [WaitPolicy::Sleep, WaitPolicy::Adaptive] {
            let (mut sender, mut receiver) = ring::mpmc::<u32>(1).unwrap();
            receiver.set_wait_policy(policy);
            sender.set_wait_policy(policy);
            assert_eq!((receiver.wait_policy(), sender.wait_policy()), (policy, policy));
            let mut theirs = receiver.clone();
            let task = plan.spawn(move || theirs.recv());
            assert_eq!(until_blocked(&task), WaitReason::RingReceive);
            sender.send(&1).unwrap();
            assert_eq!(task.join().unwrap(), Ok(1));

            sender.send(&2).unwrap();
            let mut theirs = sender.clone();
            let task = plan.spawn(move || theirs.send(&3));
            assert_eq!(until_blocked(&task), WaitReason::RingSend);
            assert_eq!(receiver.recv(), Ok(2));
            task.join().unwrap().unwrap();
            assert_eq!(receiver.recv(), Ok(3));
        }
    });
}

#[test]
fn limits_cancellations_and_timeouts_end_every_wait_and_take_nothing_along() {
    on_every_plan(|plan| {
        for policy in POLICIES {
            let (mut sender, mut receiver) = ring::mpmc::<u32>(2).unwrap();
            sender.set_wait_policy(policy);
            receiver.set_wait_policy(policy);
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.recv_ref_timeout(SHORT).map(drop), Err(RecvTimeoutError::Timeout));
            assert!(timeout(SHORT, || receiver.recv()).is_err());
            let mut theirs = receiver.clone();
            let task = plan.spawn(move || theirs.recv());
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            (1..3).for_each(|n| sender.send(&n).unwrap());
            assert_eq!(sender.send_timeout(&9, SHORT), Err(SendTimeoutError::Timeout(())));
            assert_eq!(sender.loan_timeout(SHORT).map(drop), Err(SendTimeoutError::Timeout(())));
            assert!(timeout(SHORT, || sender.send(&9)).is_err());
            let mut theirs = sender.clone();
            let task = plan.spawn(move || theirs.send(&9));
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            // The result wins.
            assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
            assert_eq!(receiver.recv_timeout(LONG), Ok(2));
            sender.send_timeout(&3, LONG).unwrap();
            assert_eq!(receiver.recv(), Ok(3));
            assert!(receiver.try_recv().is_err());
        }
    });
}

#[test]
fn a_task_that_is_asleep_is_cancelled() {
    on_every_pair(|plan| {
        let (_sender, mut receiver) = ring::spsc::<u32>(2).unwrap();
        receiver.set_wait_policy(WaitPolicy::Sleep);
        let task = plan.spawn(move || receiver.recv());
        until_blocked(&task);
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn when_all_on_the_other_side_have_gone_who_waits_is_told() {
    on_every_pair(|plan| {
        for policy in POLICIES {
            let (sender, mut receiver) = ring::mpmc::<u32>(2).unwrap();
            receiver.set_wait_policy(policy);
            let others = [0; 2].map(|_| {
                let mut theirs = receiver.clone();
                plan.spawn(move || theirs.recv())
            });
            let mut clone = sender.clone();
            let third = process::spawn(|mut sender: ring::Sender<u32>| sender.send(&7).unwrap(), sender);
            third.unwrap().join().unwrap();
            clone.send(&8).unwrap();
            drop(clone);
            let mut got = others.map(|task| task.join().unwrap()).to_vec();
            got.push(receiver.recv());
            got.sort_by_key(|got| got.ok());
            assert_eq!(got, [Err(RecvError), Ok(7), Ok(8)]);
            assert_eq!(receiver.recv(), Err(RecvError));

            let (mut sender, receiver) = ring::mpmc::<u32>(2).unwrap();
            sender.set_wait_policy(policy);
            (1..3).for_each(|n| sender.send(&n).unwrap());
            let mut theirs = sender.clone();
            let task = plan.spawn(move || theirs.send(&3));
            process::spawn(drop::<ring::Receiver<u32>>, receiver).unwrap().join().unwrap();
            assert_eq!(task.join().unwrap(), Err(SendError(())));
            assert_eq!(sender.send(&3), Err(SendError(())));
        }
    });
}

#[test]
fn what_is_left_is_received_before_the_end_is_told() {
    on_every_plan(|_| {
        for n in 1..50 {
            let (sender, mut receiver) = ring::spsc::<u32>(64).unwrap();
            let send = |(n, mut sender): (u32, ring::Sender<u32, ring::One>)| {
                (0..n).for_each(|n| sender.send(&n).unwrap());
            };
            let other = process::spawn(send, (n, sender)).unwrap();
            if n % 2 == 0 {
                other.join().unwrap();
            }
            (0..n).for_each(|n| assert_eq!(receiver.recv(), Ok(n)));
            assert_eq!(receiver.recv(), Err(RecvError));
        }
    });
}
