//! A process that dies at any of the points between two steps leaves the ring as it should be.
//!
//! As in `shared::crashes`: a process is started as often as there are points on its way, and each time dies at the next one.

#![cfg(debug_assertions)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk::ipc::ring::{self, Builder, One, Receiver, Sender};
use ropewalk::{process, thread};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Block, block, number_of};
use crate::shared::{is_alone, was_killed};
use crate::support::{guarded, until};

/// More than there are on any way.
const POINTS_MAX: u32 = 1000;
/// So many are on the way of each, at least.
const POINTS_MIN: u32 = 10;

/// Runs `scenario` with what `make` gives in a process that dies at its first point, at its second, and so on, until it passes
/// them all. `check` is told whether it has died.
pub(crate) fn at_every_point<S, A, H>(scenario: S, make: impl Fn() -> (A, H), check: impl Fn(H, bool))
where
    S: Fn(A) + Copy + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
{
    at_every_one_of(POINTS_MIN, scenario, make, check);
}

/// As [`at_every_point`], where there are so many at least.
pub(crate) fn at_every_one_of<S, A, H>(
    least: u32,
    scenario: S,
    make: impl Fn() -> (A, H),
    check: impl Fn(H, bool),
) where
    S: Fn(A) + Copy + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
{
    guarded(|| {
        for point in 1..POINTS_MAX {
            let (theirs, ours) = make();
            let builder = process::Builder::new().env("ROPEWALK_CRASH_AT", point.to_string());
            let process = builder.spawn(scenario, theirs).unwrap();
            let died = was_killed(process);
            check(ours, died);
            if !died {
                assert!(point > least, "there are only {point} points");
                return;
            }
        }
        panic!("there is no end of points");
    });
}

/// What comes, until the end.
fn all(receiver: &mut Receiver<Block, One>) -> Vec<u64> {
    std::iter::from_fn(|| receiver.recv().ok()).map(number_of).collect()
}

#[test]
fn the_only_sender() {
    let scenario = |mut sender: Sender<Block, One>| {
        sender.send(&block(0)).unwrap();
        drop(sender.loan().unwrap());
        let mut loan = sender.loan().unwrap();
        loan.write(&block(1));
        loan.publish();
        // By now somebody waits.
        sender.send(&block(2)).unwrap();
    };
    let make = || {
        let (sender, mut receiver) = ring::spsc::<Block>(2).unwrap();
        (sender, thread::spawn(move || all(&mut receiver)))
    };
    at_every_point(scenario, make, |receiver, died| {
        let got = receiver.join().unwrap();
        assert_eq!(got, (0..got.len() as u64).collect::<Vec<_>>());
        assert!(died || got.len() == 3, "{got:?}");
    });
}

#[test]
fn the_only_receiver() {
    let scenario = |mut receiver: Receiver<Block, One>| {
        assert_eq!(number_of(receiver.recv().unwrap()), 0);
        drop(receiver.recv_ref().unwrap());
        assert_eq!(number_of(receiver.recv().unwrap()), 2);
    };
    let make = || {
        let (mut sender, receiver) = ring::spsc::<Block>(2).unwrap();
        let send = move || (0..).take_while(|n| sender.send(&block(*n)).is_ok()).count();
        (receiver, thread::spawn(send))
    };
    at_every_point(scenario, make, |sender, died| {
        let sent = sender.join().unwrap();
        // Two more than were received, if it has not heard before that nobody receives any more.
        assert!(sent <= 5 && (died || sent >= 3), "{sent}");
    });
}

/// Nothing comes behind it.
const LAST: u64 = 99;

/// Nothing of the ring is lost, and nothing that nobody has sent is in it.
fn is_whole(sender: &mut Sender<Block>, mut receive: impl FnMut() -> Option<u64>) {
    until(|| is_alone(sender.region()));
    for round in 0..3 {
        (0..sender.capacity() as u64).for_each(|n| sender.try_send(&block(100 * round + n)).unwrap());
        assert!(sender.try_send(&block(0)).is_err());
        (0..sender.capacity() as u64).for_each(|n| assert_eq!(receive(), Some(100 * round + n)));
        assert_eq!(receive(), None);
    }
}

#[test]
fn one_of_many_senders() {
    let scenario = |mut sender: Sender<Block>| {
        sender.send(&block(1)).unwrap();
        drop(sender.loan().unwrap());
        sender.send(&block(2)).unwrap();
        sender.send(&block(3)).unwrap();
    };
    let make = || {
        let (sender, receiver) = Builder::new(2).mpsc::<Block>().unwrap();
        let mut ours = sender.clone();
        // Another sender gets in between, and somebody receives.
        let rival = thread::spawn(move || {
            (11..16).for_each(|n| ours.send(&block(n)).unwrap());
            ours
        });
        let receive = thread::spawn(move || {
            let mut receiver = receiver;
            let got = std::iter::from_fn(|| receiver.recv().ok()).map(number_of);
            let got: Vec<u64> = got.take_while(|n| *n != LAST).collect();
            (got, receiver)
        });
        (sender, (rival, receive))
    };
    at_every_point(scenario, make, |(rival, receive), died| {
        let mut sender = rival.join().unwrap();
        sender.send(&block(LAST)).unwrap();
        let (got, mut receiver) = receive.join().unwrap();
        let (theirs, ours): (Vec<u64>, Vec<u64>) = got.iter().partition(|n| **n < 10);
        assert_eq!(ours, [11, 12, 13, 14, 15]);
        assert_eq!(theirs, (1..=theirs.len() as u64).collect::<Vec<_>>());
        assert!(died || theirs.len() == 3);
        is_whole(&mut sender, || receiver.try_recv().ok().map(number_of));
    });
}

#[test]
fn one_of_many_receivers() {
    let scenario = |mut receiver: Receiver<Block>| {
        let _ = receiver.recv();
        let _ = receiver.recv_ref().map(drop);
        let _ = receiver.recv();
    };
    let make = || {
        let (mut sender, receiver) = ring::mpmc::<Block>(2).unwrap();
        let (mut ours, is_over) = (receiver.clone(), Arc::new(AtomicBool::new(false)));
        let ends = is_over.clone();
        // So that the other process, which may die with some of them, always gets its three.
        let send = thread::spawn(move || {
            let numbers = (100..).take_while(|_| !ends.load(Relaxed));
            let count = numbers.map(|n| sender.send(&block(n)).unwrap()).count();
            (sender, count)
        });
        // Another receiver gets all that the first does not.
        let receive = thread::spawn(move || {
            let mut got = BTreeSet::new();
            loop {
                match number_of(ours.recv().unwrap()) {
                    LAST => return (got, ours),
                    n => assert!(got.insert(n), "{n} has come twice"),
                }
            }
        });
        (receiver, (is_over, send, receive))
    };
    at_every_point(scenario, make, |(is_over, send, receive), died| {
        is_over.store(true, Relaxed);
        let (mut sender, count) = send.join().unwrap();
        sender.send(&block(LAST)).unwrap();
        let (got, mut receiver) = receive.join().unwrap();
        // It has received them, or taken them along.
        let missing = count - got.len();
        assert!(missing <= 3 && (died || missing == 3), "{missing} of {count}");
        is_whole(&mut sender, || receiver.try_recv().ok().map(number_of));
    });
}

#[test]
fn whoever_makes_a_ring() {
    let scenario = |region: ropewalk::ipc::Region| {
        let (mut sender, mut receiver) = Builder::new(2).region(&region).spsc::<Block>().unwrap();
        sender.send(&block(1)).unwrap();
        assert_eq!(number_of(receiver.recv().unwrap()), 1);
    };
    let make = || {
        let region = ropewalk::ipc::Region::new(8 * 1024).unwrap();
        (region.clone(), region)
    };
    at_every_point(scenario, make, |region, _| {
        until(|| is_alone(&region));
        let (mut sender, mut receiver) = Builder::new(2).region(&region).spsc::<Block>().unwrap();
        sender.send(&block(1)).unwrap();
        assert_eq!(number_of(receiver.recv().unwrap()), 1);
    });
}
