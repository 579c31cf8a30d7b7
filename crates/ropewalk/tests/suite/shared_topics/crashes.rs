//! A process that dies at any of the points between two steps leaves the topic as it should be.

#![cfg(debug_assertions)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk::ipc::Region;
use ropewalk::ipc::topic::{Subscription, Topic};
use ropewalk::thread;

use super::{Block, all, block, number_of, topic};
use crate::rings::crashes::{at_every_one_of, at_every_point};
use crate::shared::is_alone;
use crate::support::until;

/// Nothing of the topic is lost, and nothing that nobody has published is in it.
fn is_whole(topic: &Topic<Block>) {
    until(|| is_alone(topic.region()));
    let loans: Vec<_> = (0..topic.capacity()).map(|_| topic.loan().unwrap()).collect();
    drop(loans);
    let mut subscription = topic.subscribe();
    for round in 1..4 {
        let numbers = || (0..topic.capacity() as u64).map(|n| (1 << 40) * round + n);
        numbers().for_each(|n| topic.publish(&block(n)).unwrap());
        numbers().for_each(|n| assert_eq!(subscription.try_recv().map(number_of), Ok(n)));
        assert!(subscription.try_recv().is_err());
    }
}

/// Publishes, in place and by a copy, and gives up a slot.
fn publish_three(topic: Topic<Block>) {
    topic.publish(&block(1)).unwrap();
    drop(topic.loan().unwrap());
    let mut loan = topic.loan().unwrap();
    loan.write(&block(2));
    loan.publish();
    // By now somebody waits.
    topic.publish(&block(3)).unwrap();
}

#[test]
fn the_only_publisher() {
    let make = || {
        let topic = topic(16, 0);
        let mut subscription = topic.subscribe();
        (topic, thread::spawn(move || all(&mut subscription)))
    };
    at_every_point(publish_three, make, |reader, died| {
        let got = reader.join().unwrap();
        assert_eq!(got, (1..=got.len() as u64).collect::<Vec<_>>());
        assert!(died || got.len() == 3, "{got:?}");
    });
}

#[test]
fn one_of_many_publishers() {
    let make = || {
        let topic = topic(64, 0);
        let (mut subscription, ours) = (topic.subscribe(), topic.clone());
        let rival = thread::spawn(move || {
            (11..16).for_each(|n| ours.publish(&block(n)).unwrap());
            ours
        });
        (topic, (rival, thread::spawn(move || (all(&mut subscription), subscription.missed()))))
    };
    at_every_point(publish_three, make, |(rival, reader), died| {
        let topic = rival.join().unwrap();
        topic.publish(&block(16)).unwrap();
        until(|| is_alone(topic.region()));
        drop(topic);
        let (got, missed) = reader.join().unwrap();
        let (theirs, ours): (Vec<u64>, Vec<u64>) = got.iter().partition(|n| **n < 10);
        assert_eq!((ours, missed), ((11..17).collect(), 0));
        assert_eq!(theirs, (1..=theirs.len() as u64).collect::<Vec<_>>());
        assert!(died || theirs.len() == 3);
    });
}

/// All come round to each other's slots again and again.
#[test]
fn one_of_many_publishers_in_a_small_topic() {
    let make = || {
        let topic = topic(2, 0);
        let (mut subscription, ours) = (topic.subscribe(), topic.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let rival = thread::spawn(move || {
            // Both slots may be somebody's at a moment, or a dead one's who is not known to be dead yet.
            (10..).take_while(|_| !ends.load(Relaxed)).for_each(|n| _ = ours.publish(&block(n)));
            ours
        });
        (topic, (is_over, rival, thread::spawn(move || all(&mut subscription))))
    };
    let scenario = |topic: Topic<Block>| {
        for n in 1..6 {
            let _ = topic.publish(&block(n));
            drop(topic.loan());
        }
    };
    at_every_point(scenario, make, |(is_over, rival, reader), _| {
        is_over.store(true, Relaxed);
        let topic = rival.join().unwrap();
        is_whole(&topic);
        drop(topic);
        let got = reader.join().unwrap();
        assert!(got.iter().filter(|n| (1..10).contains(*n)).is_sorted());
    });
}

#[test]
fn one_of_many_subscribers() {
    let scenario = |mut subscription: Subscription<Block>| {
        for _ in 0..3 {
            let _ = subscription.recv().map(number_of);
        }
        let _ = subscription.clone().recv().map(number_of);
    };
    let make = || {
        let topic = topic(4, 0);
        let (theirs, mut ours) = (topic.subscribe(), topic.subscribe());
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let publisher = thread::spawn(move || {
            let numbers = (0..).take_while(|_| !ends.load(Relaxed));
            let count = numbers.map(|n| topic.publish(&block(n)).unwrap()).count();
            (topic, count)
        });
        let reader = thread::spawn(move || (all(&mut ours).len(), ours.missed()));
        (theirs, (is_over, publisher, reader))
    };
    // To read changes nothing that others see: what is left are the points of whoever comes to a region.
    at_every_one_of(2, scenario, make, |(is_over, publisher, reader), _| {
        is_over.store(true, Relaxed);
        let (topic, count) = publisher.join().unwrap();
        until(|| is_alone(topic.region()));
        drop(topic);
        let (got, missed) = reader.join().unwrap();
        assert_eq!(got as u64 + missed, count as u64);
    });
}

#[test]
fn whoever_makes_a_topic_and_closes_it() {
    let scenario = |region: Region| {
        let topic = Topic::builder().capacity(2).region(&region).build().unwrap();
        let mut subscription = topic.subscribe();
        topic.publish(&block(1)).unwrap();
        topic.close();
        assert_eq!(all(&mut subscription), [1]);
    };
    let make = || {
        let region = Region::new(8 * 1024).unwrap();
        (region.clone(), region)
    };
    at_every_point(scenario, make, |region, _| {
        until(|| is_alone(&region));
        let topic = Topic::builder().capacity(2).region(&region).build().unwrap();
        is_whole(&topic);
    });
}
