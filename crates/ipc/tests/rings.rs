//! What stands in a ring was written by others: what does not fit is refused, and who lies harms nobody.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_ipc::segment::Segment;
use ropewalk_ipc::shared::Region;
use ropewalk_ipc::shared::ring::{self, Builder, Many, One, Receiver, Sender, WaitPolicy};
use ropewalk_sync::channel::{RecvError, TryRecvError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value as another process would get it, as a value of another type.
fn sent<T: Serialize, U: DeserializeOwned>(value: &T) -> std::io::Result<U> {
    let (bytes, descriptors) = encode(value)?;
    decode(Message { bytes, descriptors })
}

#[test]
fn an_end_of_another_kind_or_type_is_refused() {
    let (sender, receiver) = ring::mpmc::<u64>(4).unwrap();
    let slices = Builder::new(4).max_len(1).mpmc::<[u64]>().unwrap();
    sent::<_, Sender<u64>>(&sender).unwrap().try_send(&7).unwrap();
    assert_eq!(sent::<_, Receiver<u64>>(&receiver).unwrap().try_recv(), Ok(7));
    let refused = [
        sent::<_, Sender<i64>>(&sender).unwrap_err(),
        sent::<_, Sender<u64, One>>(&sender).unwrap_err(),
        sent::<_, Receiver<u64>>(&sender).unwrap_err(),
        sent::<_, Receiver<u64, One>>(&receiver).unwrap_err(),
        sent::<_, Sender<[u64]>>(&sender).unwrap_err(),
        sent::<_, Sender<u64>>(&slices.0).unwrap_err(),
        sent::<_, Sender<[u32]>>(&slices.0).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
}

#[test]
fn the_only_end_is_in_one_pair_of_hands() {
    let (mut sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
    sender.send(&1).unwrap();
    let (bytes, descriptors) = encode(&sender).unwrap();
    // It has gone from here.
    assert!(sender.try_send(&2).unwrap_err().is_disconnected());
    assert!(encode(&sender).is_err());
    let again: Vec<OwnedFd> = descriptors.iter().map(|fd| fd.try_clone().unwrap()).collect();
    let mut theirs: Sender<u64, One> = decode(Message { bytes: bytes.clone(), descriptors }).unwrap();
    let twice = decode::<Sender<u64, One>>(Message { bytes, descriptors: again });
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::InvalidData);
    theirs.send(&2).unwrap();
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
    // What is lost on its way is missed, though there is one here that has gone.
    drop(encode(&theirs).unwrap());
    drop(theirs);
    drop(sender);
    assert!(receiver.recv().is_err());
}

/// However often it comes round, and whoever has its ends: a slot is free when its message was read, and not before.
#[test]
fn a_ring_is_full_when_it_is_full() {
    for capacity in [1, 2, 8] {
        let (mut sender, mut receiver) = ring::spsc::<u64>(capacity).unwrap();
        let (mut next, mut read) = (0, 0);
        for round in 0..3 * capacity as u64 {
            while sender.try_send(&next).is_ok() {
                next += 1;
            }
            assert_eq!(next - read, capacity as u64, "there is room for so many");
            // Who has just come knows nothing of the other side.
            if round % 2 == 0 {
                sender = sent(&sender).unwrap();
            } else {
                receiver = sent(&receiver).unwrap();
            }
            assert!(sender.try_send(&next).unwrap_err().is_full());
            // What is forgotten was not read.
            std::mem::forget(receiver.try_recv_ref().unwrap());
            assert!(sender.try_send(&next).unwrap_err().is_full());
            for _ in 0..=round % capacity as u64 {
                assert_eq!(receiver.try_recv(), Ok(read));
                read += 1;
            }
        }
    }
}

/// A slot that is still had by somebody is no end: what stands behind it will be received.
#[test]
fn what_is_behind_a_slot_on_loan_is_not_given_up_when_all_senders_have_gone() {
    let (mut sender, mut receiver) = ring::mpmc::<u64>(4).unwrap();
    let (later, mut told_later) = ring::mpmc::<u64>(4).unwrap();
    // As that of one that has died, until somebody tidies up.
    std::mem::forget(sender.loan().unwrap());
    sender.send(&7).unwrap();
    drop(sender);
    drop(later);
    assert_eq!(told_later.recv(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

/// As an end is written: what another process may make up.
type Written = ((Region, u64, u8, u32, u64, u32), Descriptor);

#[test]
fn an_end_that_somebody_has_made_up_is_refused() {
    let (sender, _receiver) = ring::mpmc::<u64>(4).unwrap();
    let ((region, at, kind, capacity, length, next), line): Written = sent(&sender).unwrap();
    let line = || Descriptor::from(line.as_fd().try_clone_to_owned().unwrap());
    let with = |at, kind, capacity, length, line| {
        sent::<_, Sender<u64>>(&((region.clone(), at, kind, capacity, length, next), line))
    };
    with(at, kind, capacity, length, line()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let refused = [
        with(at + 16, kind, capacity, length, line()),
        with(u64::MAX, kind, capacity, length, line()),
        with(at, kind ^ 1, capacity, length, line()),
        with(at, kind ^ 2, capacity, length, line()),
        with(at, kind ^ 4, capacity, length, line()),
        with(at, kind | 8, capacity, length, line()),
        with(at, kind, 0, length, line()),
        with(at, kind, 8, length, line()),
        with(at, kind, u32::MAX, length, line()),
        // The end for reading, and no pipe at all.
        with(at, kind, capacity, length, Descriptor::from(OwnedFd::from(reader))),
        with(at, kind, capacity, length, Descriptor::from(region.as_fd().try_clone_to_owned().unwrap())),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
    }
    let slices = Builder::new(4).max_len(5).mpmc::<[u64]>().unwrap();
    let ((region, at, kind, capacity, _, next), line): Written = sent(&slices.0).unwrap();
    for length in [64, u64::from(u32::MAX), u64::MAX / 8, u64::MAX] {
        let line = Descriptor::from(line.as_fd().try_clone_to_owned().unwrap());
        let made_up = ((region.clone(), at, kind, capacity, length, next), line);
        assert_eq!(sent::<_, Sender<[u64]>>(&made_up).unwrap_err().kind(), ErrorKind::InvalidData);
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

type Ends<S, R> = (Sender<[u16], S>, Receiver<[u16], R>);

/// Sends and receives, waiting or not, whatever comes of it.
fn use_it<S: ring::Side, R: ring::Side>(ends: &mut Ends<S, R>) {
    let (sender, receiver) = ends;
    for policy in [WaitPolicy::Sleep, WaitPolicy::Adaptive, WaitPolicy::Spin] {
        sender.set_wait_policy(policy);
        receiver.set_wait_policy(policy);
        let _ = sender.try_send(&[1, 2, 3]);
        let _ = sender.send_timeout(&[1; 9], Duration::ZERO);
        if let Ok(mut loan) = sender.try_loan() {
            loan.write_at(3, &[7, 8]);
            loan.truncate(5);
        }
        if let Ok(received) = receiver.try_recv_ref() {
            assert!(received.len() <= 9 && received.read().len() == received.len());
        }
        let _ = receiver.recv_timeout(Duration::ZERO).map(|message| assert!(message.len() <= 9));
    }
}

#[test]
fn nonsense_in_a_ring_harms_nobody() {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    for _ in 0..500 {
        let region = Region::new(16 * 1024).unwrap();
        let words = Segment::<AtomicU32>::try_from(region.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let builder = |capacity| Builder::new(capacity).region(&region).max_len(9);
        let mut one: (Sender<_, One>, Receiver<_, One>) = builder(2).spsc::<[u16]>().unwrap();
        let mut many: (Sender<_, Many>, Receiver<_, Many>) = builder(4).mpmc::<[u16]>().unwrap();
        let mut mixed = builder(8).mpsc::<[u16]>().unwrap();
        let mut other = builder(1).spmc::<[u16]>().unwrap();
        for _ in 0..5 {
            // Anything anywhere.
            for _ in 0..400 {
                let place = chance.next() as usize % words.len();
                let value = [0, 1, 2, u32::MAX, 1 << 8, chance.next() as u32][chance.next() as usize % 6];
                words[place].store(value, Relaxed);
            }
            use_it(&mut one);
            use_it(&mut many);
            use_it(&mut mixed);
            use_it(&mut other);
            let _ = (region.processes(), sent::<_, Sender<[u16]>>(&many.0));
        }
    }
}
