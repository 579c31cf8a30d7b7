//! What those who live hear of a death, and what becomes of what the dead one had in its hands.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use ropewalk::channel::{RecvError, SendError};
use ropewalk::ipc::Segment;
use ropewalk::ipc::ring::{self, Builder, One, Receiver, Sender};
use ropewalk::{JoinHandle, coroutine, process};
use serde::{Deserialize, Serialize};

use super::{Block, block, number_of};
use crate::shared::{is_alone, kill, was_killed};
use crate::support::{Plan, on_every_pair, until};

/// An end that another process has, which says so.
#[derive(Serialize, Deserialize)]
struct Theirs<T> {
    end: T,
    /// The number of that process, from when it has what it wants.
    who: Segment<AtomicU32>,
}

impl<T: Serialize> Theirs<T> {
    /// Until it is killed.
    fn keep(&self) -> ! {
        self.who[0].store(std::process::id(), Release);
        self.who.notify_all(0);
        loop {
            coroutine::park();
        }
    }
}

/// Starts a process that has the end, and waits until it has done with it what it does.
fn start<T>(end: T, body: impl Fn(Theirs<T>) + Copy + Send + 'static) -> (JoinHandle<()>, u32)
where
    T: Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let who = Segment::new(1).unwrap();
    let process = process::spawn(body, Theirs { end, who: who.clone() }).unwrap();
    who.wait(0, 0);
    (process, who[0].load(Acquire))
}

#[test]
fn who_waits_for_the_only_one_on_the_other_side_hears_that_it_has_died() {
    on_every_pair(|plan| {
        let (sender, mut receiver) = ring::spsc::<Block>(4).unwrap();
        let (other, id) = start(sender, |mut theirs| {
            theirs.end.send(&block(1)).unwrap();
            let mut loan = theirs.end.loan().unwrap();
            loan.write(&block(2));
            std::mem::forget(loan);
            theirs.keep();
        });
        assert_eq!(number_of(receiver.recv().unwrap()), 1);
        let task = plan.spawn(move || receiver.recv());
        kill(id);
        assert_eq!(task.join().unwrap(), Err(RecvError));
        assert!(was_killed(other));

        let (mut sender, receiver) = ring::spsc::<Block>(4).unwrap();
        sender.send(&block(1)).unwrap();
        let (other, id) = start(receiver, |mut theirs| {
            std::mem::forget(theirs.end.recv_ref().unwrap());
            theirs.keep();
        });
        let task = plan.spawn(move || {
            while sender.send(&block(1)).is_ok() {}
            sender.send(&block(1))
        });
        kill(id);
        assert_eq!(task.join().unwrap(), Err(SendError(())));
        assert!(was_killed(other));
    });
}

#[test]
fn a_message_that_was_being_written_is_passed_over() {
    on_every_pair(|plan| {
        for only_receiver in [false, true] {
            let builder = Builder::new(4);
            let (sender, receiver): (Sender<Block>, Box<dyn FnMut() -> u64 + Send>) = if only_receiver {
                let (sender, mut receiver) = builder.mpsc::<Block>().unwrap();
                (sender, Box::new(move || number_of(receiver.recv().unwrap())))
            } else {
                let (sender, mut receiver) = builder.mpmc::<Block>().unwrap();
                (sender, Box::new(move || number_of(receiver.recv().unwrap())))
            };
            let (mut sender, mut receive) = (sender, receiver);
            let (other, id) = start(sender.clone(), |theirs| {
                let (mut first, mut second) = (theirs.end.clone(), theirs.end.clone());
                let (_one, mut other) = (first.loan().unwrap(), second.loan().unwrap());
                other.write(&block(8));
                theirs.keep();
            });
            sender.send(&block(1)).unwrap();
            sender.send(&block(2)).unwrap();
            let task = plan.spawn(move || (receive(), receive(), receive));
            kill(id);
            let (one, two, mut receive) = task.join().unwrap();
            assert_eq!((one, two), (1, 2));
            assert!(was_killed(other));
            until(|| is_alone(sender.region()));
            // No slot is lost.
            for n in 0..20 {
                (0..4).for_each(|m| sender.try_send(&block(4 * n + m)).unwrap());
                assert!(sender.try_send(&block(0)).is_err());
                (0..4).for_each(|m| assert_eq!(receive(), 4 * n + m));
            }
        }
    });
}

#[test]
fn the_message_in_the_hands_of_a_dead_receiver_goes_with_it_and_no_other() {
    on_every_pair(|plan| {
        let (mut sender, mut receiver) = ring::mpmc::<Block>(4).unwrap();
        (1..5).for_each(|n| sender.send(&block(n)).unwrap());
        let (other, id) = start(receiver.clone(), |mut theirs: Theirs<Receiver<Block>>| {
            let mut second = theirs.end.clone();
            let (_one, _two) = (theirs.end.recv_ref().unwrap(), second.recv_ref().unwrap());
            let theirs = Theirs { end: (), who: theirs.who.clone() };
            theirs.keep();
        });
        assert_eq!(number_of(receiver.recv().unwrap()), 3);
        let task = plan.spawn(move || {
            (5..8).for_each(|n| sender.send(&block(n)).unwrap());
            sender
        });
        kill(id);
        let sender = task.join().unwrap();
        assert!(was_killed(other));
        (4..8).for_each(|n| assert_eq!(number_of(receiver.recv().unwrap()), n));
        drop(sender);
        assert_eq!(receiver.recv(), Err(RecvError));
    });
}

#[test]
fn an_end_that_dies_on_its_way_is_missed() {
    on_every_pair(|plan| {
        // The other process dies before it has the end in its hands.
        let start = |sender: Sender<u64, One>| {
            let builder = process::Builder::new().env("ROPEWALK_CRASH_AT", "1");
            builder.spawn(|mut sender: Sender<u64, One>| sender.send(&1).unwrap(), sender).unwrap()
        };
        let (sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
        let task = plan.spawn(move || receiver.recv());
        let died = was_killed(start(sender));
        assert_eq!(died, cfg!(debug_assertions));
        assert_eq!(task.join().unwrap().is_err(), died);
        // Nobody ever takes it: the runtime of the other process is asked for something else.
        let (sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
        let task = Plan::Thread.spawn(move || receiver.recv());
        let exits = |_: Sender<u64, One>| -> () { std::process::exit(3) };
        assert!(process::spawn(exits, sender).unwrap().join().is_err());
        assert_eq!(task.join().unwrap(), Err(RecvError));
    });
}
