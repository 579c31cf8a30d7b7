//! The slots of a ring: each message is had once and whole, whoever dies.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

use ropewalk_sync::slots::{Look, Turns};

use crate::support::model;

const CAPACITY: usize = 2;

struct Ring {
    turns: Turns,
    words: [AtomicU32; CAPACITY],
    messages: [UnsafeCell<u32>; CAPACITY],
    tail: AtomicU32,
    head: AtomicU32,
}

// SAFETY: a message is touched by whoever has its slot; that this is one at a time is what the models are about, and loom
// looks.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(CAPACITY).unwrap(),
            words: std::array::from_fn(|_| AtomicU32::new(0)),
            messages: std::array::from_fn(|_| UnsafeCell::new(0)),
            tail: AtomicU32::new(0),
            head: AtomicU32::new(0),
        })
    }

    fn word(&self, position: u32) -> &AtomicU32 {
        &self.words[self.turns.index(position)]
    }

    fn message(&self, position: u32) -> &UnsafeCell<u32> {
        &self.messages[self.turns.index(position)]
    }

    fn claim(&self, owner: u32) -> Option<u32> {
        match self.turns.claim(&self.tail, |index| &self.words[index], owner, |_| ()) {
            Look::Found(position) => Some(position),
            _ => None,
        }
    }

    fn publish(&self, position: u32, message: u32) {
        // SAFETY: see `Ring`.
        self.message(position).with_mut(|place| unsafe { *place = message });
        self.turns.publish(self.word(position), position);
    }

    fn read(&self, position: u32) -> u32 {
        // SAFETY: see `Ring`.
        let message = self.message(position).with(|place| unsafe { *place });
        self.turns.release(self.word(position), position);
        message
    }

    fn take(&self, owner: u32) -> Option<u32> {
        match self.turns.take(&self.head, |index| &self.words[index], owner, |_| ()) {
            Look::Found(position) => Some(self.read(position)),
            _ => None,
        }
    }

    /// Tidies up after somebody who does nothing any more.
    fn recover(&self, owner: u32) {
        self.words.iter().for_each(|word| self.turns.recover(word, owner));
    }

    /// Everything that is left, and then that all slots are there.
    fn drain(&self) -> Vec<u32> {
        let left: Vec<u32> = std::iter::from_fn(|| self.take(9)).collect();
        for n in 0..CAPACITY as u32 {
            let position = self.claim(9).expect("no slot is lost");
            self.publish(position, n);
        }
        assert!(self.claim(9).is_none());
        for n in 0..CAPACITY as u32 {
            assert_eq!(self.take(9), Some(n));
        }
        left
    }
}

/// One of several producers.
fn send(ring: &Ring, owner: u32, message: u32) {
    if let Some(position) = ring.claim(owner) {
        ring.publish(position, message);
    }
}

#[test]
fn two_producers_and_a_consumer() {
    model(|| {
        let ring = Ring::new();
        let producers = [1, 2].map(|owner| {
            let ring = ring.clone();
            thread::spawn(move || send(&ring, owner, owner))
        });
        let mut got: Vec<u32> = (0..2).filter_map(|_| ring.take(3)).collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        got.extend(ring.drain());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn two_consumers_and_a_producer_that_comes_round() {
    model(|| {
        let ring = Ring::new();
        send(&ring, 1, 1);
        send(&ring, 1, 2);
        let consumers = [2, 3].map(|owner| {
            let ring = ring.clone();
            thread::spawn(move || ring.take(owner))
        });
        let position = ring.claim(1);
        if let Some(position) = position {
            ring.publish(position, 3);
        }
        let got = consumers.map(|consumer| consumer.join().unwrap());
        let mut got: Vec<u32> = got.into_iter().flatten().chain(ring.drain()).collect();
        got.sort_unstable();
        assert_eq!(got.len(), 2 + usize::from(position.is_some()));
        assert!(got.iter().copied().eq(1..=got.len() as u32), "{got:?}");
    });
}

/// The claim may be anywhere when it is given up, and another producer and a consumer go on meanwhile.
#[test]
fn a_producer_dies_with_a_claim() {
    model(|| {
        let ring = Ring::new();
        let dead = ring.clone();
        let dies = thread::spawn(move || {
            dead.claim(1);
        });
        let other = ring.clone();
        let producer = thread::spawn(move || send(&other, 2, 7));
        let first = ring.take(3);
        dies.join().unwrap();
        ring.recover(1);
        ring.recover(1);
        producer.join().unwrap();
        let got: Vec<u32> = first.into_iter().chain(ring.drain()).collect();
        assert_eq!(got, [7]);
    });
}

/// Tidying up goes on beside those who live.
#[test]
fn a_slot_of_the_dead_is_freed_while_others_use_theirs() {
    model(|| {
        let ring = Ring::new();
        // It has not even counted on: the next one does.
        let position = ring.claim(1).unwrap();
        ring.tail.store(position, SeqCst);
        let helper = ring.clone();
        let recovers = thread::spawn(move || helper.recover(1));
        let other = ring.clone();
        let producer = thread::spawn(move || send(&other, 2, 7));
        let first = ring.take(3);
        recovers.join().unwrap();
        producer.join().unwrap();
        let got: Vec<u32> = first.into_iter().chain(ring.drain()).collect();
        assert_eq!(got, [7]);
    });
}

/// The producer comes round, and writes only what was read: a pair has no slots to give back.
#[test]
fn a_pair_goes_by_how_far_its_consumer_has_come() {
    model(|| {
        let ring = Ring::new();
        let theirs = ring.clone();
        let producer = thread::spawn(move || {
            let (mut sent, mut seen) = (0, theirs.turns.none_seen(0));
            for position in 0..3 {
                match theirs.turns.next_room(position, &theirs.head, &mut seen) {
                    Look::Found(_) => theirs.publish(position, position + 1),
                    _ => break,
                }
                sent += 1;
            }
            sent
        });
        let (mut next, mut got) = (0, 0);
        let mut look = || match ring.turns.next_full(&mut next, |index| &ring.words[index]) {
            Look::Found(position) => {
                // SAFETY: see `Ring`.
                let message = ring.message(position).with(|place| unsafe { *place });
                assert_eq!(message, position + 1);
                ring.turns.pass(&ring.head, position);
                next = position + 1;
                true
            }
            _ => false,
        };
        (0..2).for_each(|_| got += u32::from(look()));
        let sent = producer.join().unwrap();
        while look() {
            got += 1;
        }
        assert_eq!(got, sent);
        assert!(sent >= CAPACITY as u32, "an empty ring has room");
    });
}

#[test]
fn one_producer_and_one_consumer() {
    model(|| {
        let ring = Ring::new();
        let theirs = ring.clone();
        let producer = thread::spawn(move || {
            let mut sent = 0;
            for position in 0..3 {
                match theirs.turns.next_free(position, |index| &theirs.words[index]) {
                    Look::Found(_) => theirs.publish(position, position + 1),
                    _ => break,
                }
                sent += 1;
            }
            sent
        });
        let (mut next, mut got) = (0, 0);
        let mut look = || match ring.turns.next_full(&mut next, |index| &ring.words[index]) {
            Look::Found(position) => {
                assert_eq!(ring.read(position), position + 1);
                next = position + 1;
                true
            }
            _ => false,
        };
        (0..2).for_each(|_| got += u32::from(look()));
        let sent = producer.join().unwrap();
        while look() {
            got += 1;
        }
        assert_eq!(got, sent);
    });
}
