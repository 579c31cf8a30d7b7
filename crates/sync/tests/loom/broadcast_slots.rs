//! The slots of a topic in shared memory: no message is torn, none is missed without a word, whoever is slow or dies.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

use ropewalk_sync::broadcast_slots::{Claim, Laps, Look};

use crate::support::model;

struct Topic<const CAPACITY: usize> {
    laps: Laps,
    words: [AtomicU32; CAPACITY],
    /// Each message is one number, twice.
    messages: [[AtomicU32; 2]; CAPACITY],
    tail: AtomicU32,
}

impl<const CAPACITY: usize> Topic<CAPACITY> {
    fn new() -> Arc<Self> {
        let laps = Laps::new(CAPACITY).unwrap();
        Arc::new(Self {
            laps,
            words: std::array::from_fn(|_| AtomicU32::new(0)),
            messages: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
            tail: AtomicU32::new(laps.first()),
        })
    }

    fn claim(&self, owner: u32) -> Option<usize> {
        match self.laps.claim(&self.tail, |index| &self.words[index], owner, |_| (), || ()) {
            Claim::Slot(index) => Some(index),
            _ => None,
        }
    }

    fn write(&self, index: usize, message: u32) {
        self.messages[index].iter().for_each(|half| half.store(message, Relaxed));
    }

    fn publish(&self, owner: u32, message: u32) -> bool {
        let Some(index) = self.claim(owner) else { return false };
        self.write(index, message);
        self.laps.publish(&self.words[index], owner);
        true
    }

    /// Tidies up after somebody who does nothing any more.
    fn recover(&self, owner: u32) {
        self.words.iter().for_each(|word| self.laps.give_up(word, owner));
    }

    fn begin(&self, history: usize) -> u32 {
        self.laps.begin(history, &self.tail, |index| &self.words[index])
    }
}

/// A reader, and what it has seen.
struct Reader {
    next: u32,
    got: Vec<u32>,
    missed: u32,
}

impl Reader {
    fn new(next: u32) -> Self {
        Self { next, got: Vec::new(), missed: 0 }
    }

    /// Whether there was something.
    fn look<const CAPACITY: usize>(&mut self, topic: &Topic<CAPACITY>) -> bool {
        match topic.laps.look(&mut self.next, 0, &topic.tail, |index| &topic.words[index]) {
            Look::Found(position) => {
                let index = topic.laps.index(position);
                let [one, other] = [0, 1].map(|half| topic.messages[index][half].load(Relaxed));
                if topic.laps.is_still(&topic.words[index], position) {
                    assert_eq!(one, other, "half of one message, and half of another");
                    self.got.push(one);
                    self.next = position.wrapping_add(1);
                }
                true
            }
            Look::Missed(missed) => {
                self.missed += missed;
                true
            }
            Look::Nothing | Look::Held | Look::Busy => false,
        }
    }

    fn drain<const CAPACITY: usize>(&mut self, topic: &Topic<CAPACITY>) {
        while self.look(topic) {}
    }
}

#[test]
fn a_reader_that_is_overtaken_notices() {
    model(|| {
        let topic = Topic::<1>::new();
        let mut reader = Reader::new(topic.begin(0));
        assert!(topic.publish(1, 1));
        let theirs = topic.clone();
        let publisher = thread::spawn(move || (2..4).for_each(|n| assert!(theirs.publish(1, n))));
        (0..2).for_each(|_| _ = reader.look(&topic));
        publisher.join().unwrap();
        reader.drain(&topic);
        assert_eq!(reader.got.last(), Some(&3));
        assert!(reader.got.is_sorted());
        assert_eq!(reader.got.len() as u32 + reader.missed, 3, "{:?}", reader.got);
    });
}

#[test]
fn two_publishers_and_a_reader() {
    model(|| {
        let topic = Topic::<2>::new();
        let mut reader = Reader::new(topic.begin(0));
        let publishers = [1, 2].map(|owner| {
            let topic = topic.clone();
            thread::spawn(move || assert!(topic.publish(owner, owner)))
        });
        (0..2).for_each(|_| _ = reader.look(&topic));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        reader.drain(&topic);
        reader.got.sort_unstable();
        assert_eq!((&reader.got[..], reader.missed), (&[1, 2][..], 0));
        // All see the same.
        let mut late = Reader::new(topic.begin(2));
        late.drain(&topic);
        late.got.sort_unstable();
        assert_eq!(late.got, [1, 2]);
    });
}

/// Between its look at the tail and that at the slot the others may have come round any number of times.
#[test]
fn a_publisher_that_is_late_by_a_lap_goes_on_where_the_others_are() {
    model(|| {
        let topic = Topic::<1>::new();
        let mut reader = Reader::new(topic.begin(0));
        let theirs = topic.clone();
        let late = thread::spawn(move || u32::from(theirs.publish(1, 7)));
        let published = (1..3).filter(|n| topic.publish(2, *n)).count() as u32;
        let published = published + late.join().unwrap();
        reader.drain(&topic);
        assert_eq!((reader.got.len() as u32, reader.missed), (1, published - 1), "{:?}", reader.got);
    });
}

/// One keeps its slot while the others come round to it, and publishes in the middle of that.
#[test]
fn a_slot_that_is_kept_moves_on_with_its_message() {
    model(|| {
        let topic = Topic::<2>::new();
        let mut reader = Reader::new(topic.begin(0));
        let kept = topic.claim(1).unwrap();
        assert!(topic.publish(2, 1));
        let theirs = topic.clone();
        let keeper = thread::spawn(move || {
            theirs.write(kept, 7);
            theirs.laps.publish(&theirs.words[kept], 1);
        });
        assert!(topic.publish(2, 2));
        let _ = reader.look(&topic);
        keeper.join().unwrap();
        reader.drain(&topic);
        // Either it was in time, or it comes behind one that it has let pass.
        assert!(reader.got.contains(&2), "{:?}", reader.got);
        assert!(reader.got.len() as u32 + reader.missed >= 3, "{:?} and {}", reader.got, reader.missed);
        let mut late = Reader::new(topic.begin(2));
        late.drain(&topic);
        assert!(late.got.contains(&2), "{:?}", late.got);
        assert!(topic.publish(1, 3) && topic.publish(2, 4));
        reader.drain(&topic);
        assert_eq!(reader.got[reader.got.len() - 2..], [3, 4]);
    });
}

/// The claim may be anywhere when it is given up, and another publisher and a reader go on meanwhile.
#[test]
fn a_publisher_dies_with_a_claim() {
    model(|| {
        let topic = Topic::<2>::new();
        let mut reader = Reader::new(topic.begin(0));
        let dead = topic.clone();
        let dies = thread::spawn(move || {
            if let Some(index) = dead.claim(1) {
                dead.messages[index][0].store(9, Relaxed);
            }
        });
        let other = topic.clone();
        let publisher = thread::spawn(move || assert!(other.publish(2, 7)));
        let _ = reader.look(&topic);
        dies.join().unwrap();
        topic.recover(1);
        topic.recover(1);
        publisher.join().unwrap();
        reader.drain(&topic);
        assert_eq!((&reader.got[..], reader.missed), (&[7][..], 0));
        // No slot is lost.
        (1..3).for_each(|n| assert!(topic.publish(2, n)));
        reader.drain(&topic);
        assert_eq!(reader.got, [7, 1, 2]);
    });
}

/// Tidying up goes on beside those who come round to the slot of the dead one.
#[test]
fn the_slot_of_a_dead_one_is_void_whoever_comes_round_to_it() {
    model(|| {
        let topic = Topic::<2>::new();
        let mut reader = Reader::new(topic.begin(0));
        // It has not even counted on: the next one does.
        let position = topic.tail.load(Relaxed);
        topic.claim(1).unwrap();
        topic.tail.store(position, Relaxed);
        let helper = topic.clone();
        let recovers = thread::spawn(move || helper.recover(1));
        (1..4).for_each(|n| assert!(topic.publish(2, n)));
        recovers.join().unwrap();
        reader.drain(&topic);
        assert_eq!(reader.got.last(), Some(&3));
        assert!(reader.got.is_sorted());
        assert!((1..=3).contains(&(reader.got.len() as u32)), "{:?}", reader.got);
        assert!(topic.words.iter().all(|word| word.load(Relaxed) & 3 != 1), "a claim is left");
    });
}

/// It has died before it had counted, and is passed over before anybody else has counted for it.
#[test]
fn a_reader_may_be_one_ahead() {
    model(|| {
        let topic = Topic::<2>::new();
        let mut reader = Reader::new(topic.begin(0));
        let position = topic.tail.load(Relaxed);
        topic.claim(1).unwrap();
        topic.tail.store(position, Relaxed);
        topic.recover(1);
        reader.drain(&topic);
        let theirs = topic.clone();
        let publisher = thread::spawn(move || assert!(theirs.publish(2, 7)));
        reader.drain(&topic);
        publisher.join().unwrap();
        reader.drain(&topic);
        assert_eq!((&reader.got[..], reader.missed), (&[7][..], 0));
    });
}

#[test]
fn a_message_orders_what_was_before_it() {
    model(|| {
        let topic = Topic::<2>::new();
        let before = Arc::new(UnsafeCell::new(0));
        let mut reader = Reader::new(topic.begin(0));
        let (theirs, written) = (topic.clone(), before.clone());
        let publisher = thread::spawn(move || {
            // SAFETY: nobody looks at it before the message has come; that this is so loom sees to.
            written.with_mut(|place| unsafe { *place = 42 });
            assert!(theirs.publish(1, 1));
        });
        reader.drain(&topic);
        if reader.got == [1] {
            // SAFETY: as above.
            assert_eq!(before.with(|place| unsafe { *place }), 42);
        }
        publisher.join().unwrap();
    });
}
