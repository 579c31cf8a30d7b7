//! What those who live hear of a death, and that they hear nothing of one who is only stopped.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use ropewalk::ipc::Segment;
use ropewalk::ipc::topic::{RecvError, Subscription, Topic};
use ropewalk::{JoinHandle, coroutine, process};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Block, all, block, number_of, topic};
use crate::shared::{is_alone, kill, was_killed};
use crate::support::{guarded, on_every_pair, until};

/// What another process has, and a word in which it says so.
#[derive(Serialize, Deserialize)]
struct Theirs<T> {
    end: T,
    /// The number of that process, from when it has done what it does.
    who: Segment<AtomicU32>,
}

fn say(who: &Segment<AtomicU32>) {
    who[0].store(std::process::id(), Release);
    who.notify_all(0);
}

fn for_ever() {
    loop {
        coroutine::park();
    }
}

/// Starts a process that has `end`, and waits until it has said so.
fn start<T, R>(end: T, body: impl Fn(Theirs<T>) -> R + Copy + Send + 'static) -> (JoinHandle<R>, u32)
where
    T: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    let who = Segment::new(1).unwrap();
    let process = process::spawn(body, Theirs { end, who: who.clone() }).unwrap();
    who.wait(0, 0);
    (process, who[0].load(Acquire))
}

#[test]
fn when_the_last_publisher_is_killed_who_waits_gets_what_was_published_and_the_end() {
    on_every_pair(|plan| {
        let topic = topic(8, 0);
        let mut subscription = topic.subscribe();
        let (other, id) = start(topic, |theirs: Theirs<Topic<Block>>| {
            theirs.end.publish(&block(1)).unwrap();
            theirs.end.publish(&block(2)).unwrap();
            let mut half = theirs.end.loan().unwrap();
            half.write(&block(9));
            theirs.end.publish(&block(3)).unwrap();
            say(&theirs.who);
            for_ever();
        });
        let task = plan.spawn(move || (all(&mut subscription), subscription.recv()));
        kill(id);
        // The half-written one is nobody's, and holds up nobody.
        assert_eq!(task.join().unwrap(), (vec![1, 2, 3], Err(RecvError::Closed)));
        assert!(was_killed(other));
    });
}

#[test]
fn a_publisher_that_is_killed_in_the_middle_of_a_message_holds_up_nobody() {
    on_every_pair(|plan| {
        let topic = topic(4, 0);
        let mut subscription = topic.subscribe();
        let (other, id) = start(topic.clone(), |theirs: Theirs<Topic<Block>>| {
            let mut half = theirs.end.loan().unwrap();
            half.write(&block(9));
            say(&theirs.who);
            for_ever();
        });
        topic.publish(&block(1)).unwrap();
        let task = plan.spawn(move || (subscription.recv().map(number_of), subscription));
        kill(id);
        let (got, mut subscription) = task.join().unwrap();
        assert_eq!(got, Ok(1));
        assert!(was_killed(other));
        until(|| is_alone(topic.region()));
        // No slot is lost: all can be lent at once.
        let loans: Vec<_> = (0..4).map(|_| topic.loan().unwrap()).collect();
        assert!(topic.loan().is_err());
        loans.into_iter().zip(2..).for_each(|(mut loan, n)| {
            loan.write(&block(n));
            loan.publish();
        });
        drop(topic);
        assert_eq!((all(&mut subscription), subscription.missed()), (vec![2, 3, 4, 5], 0));
    });
}

#[test]
fn a_subscriber_that_is_killed_holds_up_nobody() {
    on_every_pair(|plan| {
        let topic = topic(4, 0);
        let (theirs, mut ours) = (topic.subscribe(), topic.subscribe());
        topic.publish(&block(0)).unwrap();
        let (other, id) = start(theirs, |mut theirs: Theirs<Subscription<Block>>| {
            assert_eq!(number_of(theirs.end.recv().unwrap()), 0);
            say(&theirs.who);
            let _ = theirs.end.recv();
        });
        kill(id);
        assert!(was_killed(other));
        let task = plan.spawn(move || {
            (1..1000).for_each(|n| topic.publish(&block(n)).unwrap());
        });
        let got = all(&mut ours);
        task.join().unwrap();
        assert_eq!(got.last(), Some(&999));
        assert_eq!(got.len() as u64 + ours.missed(), 1000);
    });
}

#[test]
fn a_subscriber_that_is_stopped_holds_up_nobody_and_hears_how_many_it_missed() {
    guarded(|| {
        let signal = |id: u32, signal| {
            let id = i32::try_from(id).ok().and_then(Pid::from_raw).unwrap();
            kill_process(id, signal).unwrap();
        };
        let topic = topic(4, 0);
        let (other, id) = start(topic.subscribe(), |theirs: Theirs<Subscription<Block>>| {
            let mut subscription = theirs.end;
            say(&theirs.who);
            let got = all(&mut subscription);
            (got, subscription.missed())
        });
        signal(id, Signal::STOP);
        (0..10_000).for_each(|n| topic.publish(&block(n)).unwrap());
        signal(id, Signal::CONT);
        drop(topic);
        let (got, missed) = other.join().unwrap();
        assert_eq!(got.last(), Some(&9999));
        assert_eq!(got.len() as u64 + missed, 10_000);
    });
}

#[test]
fn a_publisher_that_is_stopped_in_the_middle_of_a_message_holds_up_no_other() {
    guarded(|| {
        let topic = topic(4, 0);
        let mut ours = topic.subscribe();
        let (other, id) = start(topic.clone(), |theirs: Theirs<Topic<Block>>| {
            let mut half = theirs.end.loan().unwrap();
            half.write(&block(9));
            say(&theirs.who);
            for_ever();
        });
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        for n in 10..100 {
            topic.publish(&block(n)).unwrap();
        }
        // Its place comes round as all do, and is waited at for a lap at most.
        assert!(matches!(ours.recv(), Err(RecvError::Lagged(_))));
        kill(id);
        assert!(was_killed(other));
        topic.publish(&block(100)).unwrap();
        drop(topic);
        let got = all(&mut ours);
        assert_eq!(got.last(), Some(&100));
        assert!(got.is_sorted_by(|one, next| one < next), "{got:?}");
    });
}
