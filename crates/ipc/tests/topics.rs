//! Topics in shared memory: everybody gets every message, or hears how many it missed; nobody sees half of one; who lies harms
//! nobody.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_ipc::segment::Segment;
use ropewalk_ipc::shared::Region;
use ropewalk_ipc::shared::ring::{self, WaitPolicy};
use ropewalk_ipc::shared::topic::{Loan, RecvError, RecvTimeoutError, Subscription, Topic, TryRecvError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value as another process would get it, as a value of another type.
fn sent<T: Serialize, U: DeserializeOwned>(value: &T) -> std::io::Result<U> {
    let (bytes, descriptors) = encode(value)?;
    decode(Message { bytes, descriptors })
}

/// What may wait for ever if it is wrong.
fn guarded(body: impl FnOnce() + Send + 'static) {
    let (tell, told) = std::sync::mpsc::channel();
    let body = std::thread::spawn(move || {
        body();
        let _ = tell.send(());
    });
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = told.recv_timeout(Duration::from_secs(300)) {
        panic!("it hangs");
    }
    body.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn topic(capacity: usize, history: usize) -> Topic<u64> {
    Topic::builder().capacity(capacity).history(history).build().unwrap()
}

/// What is before it.
fn all(subscription: &mut Subscription<u64>) -> Vec<u64> {
    std::iter::from_fn(|| subscription.try_recv().ok()).collect()
}

#[test]
fn everybody_gets_everything_in_one_order_from_where_it_began() {
    guarded(|| {
        let topic = topic(8, 0);
        topic.publish(&0).unwrap();
        let mut first = topic.subscribe();
        let other: Topic<u64> = sent(&topic).unwrap();
        topic.publish(&1).unwrap();
        let mut second = other.subscribe();
        other.publish(&2).unwrap();
        topic.clone().publish(&3).unwrap();
        assert_eq!(first.recv(), Ok(1));
        // Each is a subscription of its own, and has what the one before had.
        let mut clone = first.clone();
        let mut theirs: Subscription<u64> = sent(&first).unwrap();
        for subscription in [&mut first, &mut second, &mut clone, &mut theirs] {
            assert_eq!(all(subscription), [2, 3]);
            assert_eq!(subscription.missed(), 0);
        }
    });
}

#[test]
fn who_is_overtaken_hears_how_many_it_missed_and_goes_on_with_the_oldest() {
    for (asked, capacity) in [(1, 1), (2, 2), (3, 4), (8, 8)] {
        let topic = topic(asked, 0);
        assert_eq!((topic.capacity(), topic.max_len()), (capacity as usize, 1));
        let mut subscription = topic.subscribe();
        let mut missed = 0;
        let mut published = 0;
        for more in 1..40_u64 {
            (published..published + more).for_each(|n| topic.publish(&n).unwrap());
            published += more;
            let lost = more.saturating_sub(capacity);
            if lost > 0 {
                assert_eq!(subscription.try_recv(), Err(TryRecvError::Lagged(lost)));
                missed += lost;
            }
            assert_eq!(all(&mut subscription), (published - more + lost..published).collect::<Vec<_>>());
            assert_eq!(subscription.missed(), missed);
            assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

#[test]
fn who_comes_late_gets_the_history() {
    for history in 0..=4 {
        for published in 0..12_u64 {
            let topic = topic(4, history);
            (0..published).for_each(|n| topic.publish(&n).unwrap());
            let first = published.saturating_sub(history as u64);
            assert_eq!(all(&mut topic.subscribe()), (first..published).collect::<Vec<_>>());
            // It goes along.
            let theirs: Topic<u64> = sent(&topic).unwrap();
            assert_eq!(all(&mut theirs.subscribe()), (first..published).collect::<Vec<_>>());
        }
    }
    assert_eq!(topic(1, 5).capacity(), 8, "there is room for it");
    // What was never published is not counted.
    let topic = topic(8, 3);
    (0..4).for_each(|n| topic.publish(&n).unwrap());
    drop(topic.loan().unwrap());
    topic.publish(&4).unwrap();
    drop(topic.loan().unwrap());
    assert_eq!(all(&mut topic.subscribe()), [2, 3, 4]);
}

#[test]
fn a_loan_is_a_message_when_it_is_published() {
    let topic = topic(4, 0);
    let mut subscription = topic.subscribe();
    for n in 0..20 {
        let mut loan = topic.loan().unwrap();
        loan.write(&99);
        assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
        drop(loan);
        let mut loan = topic.loan().unwrap();
        loan.write(&n);
        loan.publish();
        assert_eq!(all(&mut subscription), [n]);
    }
    // What was lent later comes later.
    let mut loan = topic.loan().unwrap();
    loan.write(&1);
    topic.publish(&2).unwrap();
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
    loan.publish();
    assert_eq!(all(&mut subscription), [1, 2]);
    assert_eq!(subscription.missed(), 0);
}

#[test]
fn a_loan_that_is_kept_holds_up_no_publisher_and_readers_for_a_lap() {
    let topic = topic(4, 0);
    let mut subscription = topic.subscribe();
    let mut kept = topic.loan().unwrap();
    (0..3).for_each(|n| topic.publish(&n).unwrap());
    assert_eq!(subscription.try_recv(), Err(TryRecvError::Empty));
    // The place that it had is passed now, and with the slot that is lent next goes the oldest message.
    topic.publish(&3).unwrap();
    assert!(matches!(subscription.try_recv(), Err(TryRecvError::Lagged(_))));
    assert_eq!(all(&mut subscription), [1, 2]);
    kept.write(&7);
    kept.publish();
    assert_eq!(all(&mut subscription), [7, 3]);
    (0..100).for_each(|n| topic.publish(&n).unwrap());
    assert!(matches!(subscription.try_recv(), Err(TryRecvError::Lagged(96))));
    assert_eq!(all(&mut subscription), [96, 97, 98, 99]);
}

#[test]
fn where_all_slots_are_on_loan_there_is_none() {
    for capacity in [1, 2, 8] {
        let topic = topic(capacity, 0);
        let mut subscription = topic.subscribe();
        let mut loans: Vec<_> = (0..capacity).map(|_| topic.loan().unwrap()).collect();
        for _ in 0..3 {
            assert!(topic.publish(&9).unwrap_err().is_full());
        }
        (0..).zip(&mut loans).for_each(|(n, loan)| loan.write(&n));
        loans.into_iter().for_each(Loan::publish);
        assert_eq!(all(&mut subscription), (0..capacity as u64).collect::<Vec<_>>());
        assert_eq!(subscription.missed(), 0);
        let loans: Vec<_> = (0..capacity).map(|_| topic.loan().unwrap()).collect();
        drop(loans);
        assert_eq!(all(&mut subscription), []);
        topic.publish(&5).unwrap();
        assert_eq!(all(&mut subscription), [5]);
        // One that was lent and never published counts if it is missed.
        drop(topic.loan().unwrap());
        (0..capacity as u64).for_each(|n| topic.publish(&n).unwrap());
        assert_eq!(subscription.try_recv(), Err(TryRecvError::Lagged(1)));
    }
}

#[test]
fn the_end_comes_behind_what_was_published() {
    guarded(|| {
        let topic = topic(4, 0);
        let mut subscription = topic.subscribe();
        let other: Topic<u64> = sent(&topic).unwrap();
        topic.publish(&1).unwrap();
        drop(topic);
        assert!(!other.is_closed());
        other.publish(&2).unwrap();
        std::mem::forget(other.loan().unwrap());
        other.publish(&3).unwrap();
        assert_eq!(all(&mut subscription), [1, 2]);
        drop(other);
        // What was forgotten is nobody's now.
        assert_eq!(subscription.recv(), Ok(3));
        assert_eq!(subscription.recv(), Err(RecvError::Closed));
        assert_eq!(subscription.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Closed));

        let topic = self::topic(4, 4);
        let mut subscription = topic.subscribe();
        (1..4).for_each(|n| topic.publish(&n).unwrap());
        sent::<_, Topic<u64>>(&topic).unwrap().close();
        assert!(topic.is_closed());
        assert!(topic.publish(&4).unwrap_err().is_disconnected());
        assert!(topic.loan().map(drop).unwrap_err().is_disconnected());
        assert_eq!(subscription.iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(topic.subscribe().iter().count(), 3);
        assert_eq!(subscription.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn who_waits_is_woken_however_it_waits() {
    guarded(|| {
        for policy in [WaitPolicy::Sleep, WaitPolicy::Adaptive, WaitPolicy::Spin] {
            let (topic, back) = (topic(4, 0), topic(4, 0));
            let (mut there, mut here) = (topic.subscribe(), back.subscribe());
            there.set_wait_policy(policy);
            here.set_wait_policy(policy);
            assert_eq!((there.wait_policy(), there.capacity(), there.max_len()), (policy, 4, 1));
            let echo = std::thread::spawn(move || {
                for n in there.iter() {
                    back.publish(&(n + 1)).unwrap();
                }
            });
            for n in 0..500 {
                topic.publish(&n).unwrap();
                assert_eq!(here.recv(), Ok(n + 1));
            }
            assert_eq!(here.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
            drop(topic);
            assert_eq!(here.recv(), Err(RecvError::Closed));
            echo.join().unwrap();
        }
    });
}

/// A message that is seen whether it is whole.
type Block = [u64; 40];

fn block(n: u64) -> Block {
    std::array::from_fn(|i| n.wrapping_mul(i as u64 + 1))
}

fn number_of(block: Block) -> u64 {
    assert_eq!(block, self::block(block[0]), "half of a message");
    block[0]
}

#[test]
fn no_message_is_torn_and_none_is_missed_without_a_word() {
    guarded(|| {
        const MESSAGES: u64 = 20_000;
        for capacity in [1, 2, 16] {
            let topic = Topic::<Block>::builder().capacity(capacity).build().unwrap();
            let readers = [(); 2].map(|()| {
                let mut subscription = topic.subscribe();
                std::thread::spawn(move || {
                    let got: Vec<u64> = subscription.iter().map(number_of).collect();
                    assert!(got.is_sorted_by(|one, next| one < next));
                    assert_eq!(got.last(), Some(&MESSAGES));
                    assert_eq!(got.len() as u64 + subscription.missed(), MESSAGES);
                    got.len()
                })
            });
            (1..=MESSAGES).for_each(|n| topic.publish(&block(n)).unwrap());
            drop(topic);
            readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() > 0));
        }
    });
}

#[test]
fn of_many_publishers_each_has_its_order_and_all_readers_see_the_same() {
    guarded(|| {
        const MESSAGES: u64 = 10_000;
        let topic = Topic::<Block>::builder().capacity(4096).build().unwrap();
        let readers = [(); 2].map(|()| {
            let mut subscription = topic.subscribe();
            std::thread::spawn(move || {
                let mut last = [0; 3];
                for n in subscription.iter().map(number_of) {
                    let (publisher, n) = ((n % 3) as usize, n / 3);
                    assert!(last[publisher] < n, "{n} of {publisher} behind {}", last[publisher]);
                    last[publisher] = n;
                }
                (last.iter().sum::<u64>(), subscription.missed())
            })
        });
        let publishers = [0, 1, 2].map(|publisher| {
            let topic = topic.clone();
            std::thread::spawn(move || {
                for n in 1..=MESSAGES {
                    topic.publish(&block(3 * n + publisher)).unwrap();
                }
            })
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        drop(topic);
        for reader in readers {
            let (sum, missed) = reader.join().unwrap();
            assert!(sum == 3 * MESSAGES || missed > 0);
        }
    });
}

#[test]
fn slices_have_any_length_up_to_the_largest() {
    guarded(|| {
        let topic = Topic::<[u16]>::builder().capacity(2).max_len(5).build().unwrap();
        let mut subscription = topic.subscribe();
        let mut other = subscription.clone();
        assert_eq!((topic.max_len(), subscription.max_len()), (5, 5));
        let mut values = vec![9; 9];
        for length in 0..=5 {
            let numbers: Vec<u16> = (0..length).collect();
            topic.publish(&numbers).unwrap();
            let mut loan = topic.loan().unwrap();
            numbers.iter().rev().enumerate().for_each(|(at, n)| loan.write_at(at, &[*n]));
            loan.truncate(usize::from(length));
            loan.truncate(5);
            loan.publish();
            assert_eq!(subscription.recv().unwrap(), numbers);
            other.recv_into(&mut values).unwrap();
            assert_eq!(values, numbers);
            assert!(subscription.recv().unwrap().iter().rev().eq(&numbers));
            other.recv_into(&mut values).unwrap();
            assert!(values.iter().rev().eq(&numbers));
        }
        topic.close();
        assert_eq!(other.recv_into(&mut values), Err(RecvError::Closed));
        assert!(values.is_empty());
        let topic = Topic::<[u16]>::builder().capacity(2).max_len(5).build().unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| topic.publish(&[0; 6]))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| topic.loan().unwrap().write_at(3, &[0; 3]))).is_err());
        assert!(
            catch_unwind(AssertUnwindSafe(|| topic.loan().unwrap().write_at(usize::MAX, &[0; 3]))).is_err()
        );
    });
}

#[test]
fn what_makes_no_topic_is_refused() {
    fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
        result.map(drop).unwrap_err().kind()
    }
    for capacity in [0, 65_537, usize::MAX] {
        assert_eq!(kind(Topic::<u8>::builder().capacity(capacity).build()), ErrorKind::InvalidInput);
    }
    assert_eq!(kind(Topic::<u8>::builder().history(65_537).build()), ErrorKind::InvalidInput);
    assert_eq!(kind(Topic::<[u8]>::new()), ErrorKind::InvalidInput);
    assert_eq!(kind(Topic::<u8>::builder().max_len(2).build()), ErrorKind::InvalidInput);
    for length in [1 << 31, u32::MAX as usize + 1, usize::MAX] {
        let built = Topic::<[u64]>::builder().capacity(1).max_len(length).build();
        assert_eq!(kind(built), ErrorKind::FileTooLarge);
    }
    let region = Region::new(1024).unwrap();
    assert_eq!(kind(Topic::<u64>::builder().region(&region).build()), ErrorKind::StorageFull);
    let topic = Topic::<u64>::builder().capacity(4).region(&region).build().unwrap();
    assert_eq!(topic.region().processes(), [std::process::id()]);
    assert_eq!(topic.subscribe().region().processes(), [std::process::id()]);
}

#[test]
fn a_topic_of_another_kind_or_type_is_refused() {
    let topic = topic(4, 0);
    let subscription = topic.subscribe();
    let ring = ring::mpmc::<u64>(4).unwrap();
    let refused = [
        sent::<_, Topic<i64>>(&topic).unwrap_err(),
        sent::<_, Topic<[u64]>>(&topic).unwrap_err(),
        sent::<_, Topic<u64>>(&subscription).unwrap_err(),
        sent::<_, Subscription<i64>>(&subscription).unwrap_err(),
        sent::<_, Subscription<[u64]>>(&subscription).unwrap_err(),
        sent::<_, Subscription<u64>>(&ring.1).unwrap_err(),
        sent::<_, ring::Receiver<u64>>(&subscription).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
    assert_eq!(sent::<_, Subscription<u64>>(&subscription).unwrap().try_recv(), Err(TryRecvError::Empty));
}

/// As a subscription and a handle are written: what another process may make up.
type Written = (Region, u64, u32, u64, u32, Descriptor);
type WrittenTopic = (Region, u64, u32, u64, u32, Descriptor, Descriptor);

#[test]
fn what_somebody_has_made_up_is_refused() {
    let topic = topic(4, 0);
    let (region, at, capacity, length, next, line): Written = sent(&topic.subscribe()).unwrap();
    let line = || Descriptor::from(line.as_fd().try_clone_to_owned().unwrap());
    let with = |at, capacity, length, next, line| {
        sent::<_, Subscription<u64>>(&(region.clone(), at, capacity, length, next, line))
    };
    topic.publish(&1).unwrap();
    assert_eq!(with(at, capacity, length, next, line()).unwrap().try_recv(), Ok(1));
    // Any position is one.
    for next in [0, 1, next + 1, next + 2, next + 1000, next.wrapping_sub(1000), u32::MAX] {
        let mut made_up = with(at, capacity, length, next, line()).unwrap();
        let _ = made_up.try_recv();
        topic.publish(&2).unwrap();
        all(&mut made_up);
    }
    let (_reader, writer) = std::io::pipe().unwrap();
    let refused = [
        with(at + 16, capacity, length, next, line()),
        with(u64::MAX, capacity, length, next, line()),
        with(at, 0, length, next, line()),
        with(at, 8, length, next, line()),
        with(at, u32::MAX, length, next, line()),
        // The end for writing, and no pipe at all.
        with(at, capacity, length, next, Descriptor::from(OwnedFd::from(writer))),
        with(at, capacity, length, next, Descriptor::from(region.as_fd().try_clone_to_owned().unwrap())),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
    }
    let (region, at, capacity, length, history, reader, writer): WrittenTopic = sent(&topic).unwrap();
    let crossed = (region, at, capacity, length, history, writer, reader);
    assert_eq!(sent::<_, Topic<u64>>(&crossed).unwrap_err().kind(), ErrorKind::InvalidData);

    let slices = Topic::<[u64]>::builder().capacity(4).max_len(5).build().unwrap();
    let (region, at, capacity, _, next, line): Written = sent(&slices.subscribe()).unwrap();
    for length in [64, u64::from(u32::MAX), u64::MAX / 8, u64::MAX] {
        let line = Descriptor::from(line.as_fd().try_clone_to_owned().unwrap());
        let made_up = (region.clone(), at, capacity, length, next, line);
        assert_eq!(sent::<_, Subscription<[u64]>>(&made_up).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

/// Numbers that look like chance (xorshift, Marsaglia).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Publishes and receives, waiting or not, whatever comes of it.
fn use_it(topic: &Topic<[u16]>, subscription: &mut Subscription<[u16]>) {
    for policy in [WaitPolicy::Sleep, WaitPolicy::Adaptive, WaitPolicy::Spin] {
        subscription.set_wait_policy(policy);
        let _ = topic.publish(&[1, 2, 3]);
        if let Ok(mut loan) = topic.loan() {
            loan.write_at(3, &[7, 8]);
            loan.truncate(5);
        }
        for subscription in [&mut *subscription, &mut topic.subscribe()] {
            let _ = subscription.try_recv().map(|message| assert!(message.len() <= 9));
            let _ = subscription.recv_timeout(Duration::ZERO).map(|message| assert!(message.len() <= 9));
        }
    }
}

#[test]
fn nonsense_in_a_topic_harms_nobody() {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    for _ in 0..500 {
        let region = Region::new(16 * 1024).unwrap();
        let words = Segment::<AtomicU32>::try_from(region.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let topics = [1, 2, 8].map(|capacity| {
            let builder = Topic::<[u16]>::builder().capacity(capacity).history(1);
            let topic = builder.region(&region).max_len(9).build().unwrap();
            let subscription = topic.subscribe();
            (topic, subscription)
        });
        let mut topics = topics;
        for _ in 0..5 {
            // Anything anywhere.
            for _ in 0..400 {
                let place = chance.next() as usize % words.len();
                let value = [0, 1, 2, u32::MAX, 1 << 8, chance.next() as u32][chance.next() as usize % 6];
                words[place].store(value, Relaxed);
            }
            for (topic, subscription) in &mut topics {
                use_it(topic, subscription);
                let _ = (sent::<_, Topic<[u16]>>(topic), sent::<_, Subscription<[u16]>>(subscription));
            }
            let _ = region.processes();
        }
    }
}
