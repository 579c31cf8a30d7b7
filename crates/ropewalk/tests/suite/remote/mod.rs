//! Channels over connections: both directions and their ends, limits, and what is left of a connection that is lost.

mod deaths;
mod strangers;
mod topics;

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use ropewalk::inspect::State;
use ropewalk::ipc::remote::{self, Builder};
use ropewalk::ipc::{Receiver, SendError, Sender};
use ropewalk::net::UnixStream;
use ropewalk::process::{self, Descriptor};
use ropewalk::{JoinHandle, coroutine};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::net::{listener, pair};
use crate::support::process::{assert_settles, descriptors};
use crate::support::{guarded, on_every_pair, on_every_plan, until};

/// Messages there, and messages back.
type Both<S, R> = (Sender<S>, Receiver<R>);

/// Both sides of a connection.
pub(super) fn sides<A, B>(near: Builder, far: Builder) -> (Both<A, B>, Both<B, A>)
where
    A: Serialize + DeserializeOwned + 'static,
    B: Serialize + DeserializeOwned + 'static,
{
    let (here, there) = pair();
    let other = coroutine::spawn(move || far.over::<B, A>(there));
    let near = near.over(here).expect("they fit");
    (near, other.join().unwrap().expect("they fit"))
}

fn connection<A, B>() -> (Both<A, B>, Both<B, A>)
where
    A: Serialize + DeserializeOwned + 'static,
    B: Serialize + DeserializeOwned + 'static,
{
    sides(Builder::new(), Builder::new())
}

/// Until the task waits.
fn until_blocked<T>(task: &JoinHandle<T>) {
    until(|| matches!(task.task().state(), State::Blocked(_)));
}

#[test]
fn messages_go_both_ways_and_each_way_ends_by_itself() {
    on_every_pair(|plan| {
        let ((words, lengths), (answers, questions)) = connection::<String, usize>();
        let server = plan.spawn(move || {
            for word in questions {
                answers.send(word.unwrap().len()).unwrap();
            }
            // Nothing is asked any more, and yet there is something to be said.
            answers.send(usize::MAX).unwrap();
        });
        for length in 0..200 {
            words.send("x".repeat(length)).unwrap();
            assert_eq!(lengths.recv().unwrap(), length);
        }
        drop(words);
        assert_eq!(lengths.recv().unwrap(), usize::MAX);
        assert!(lengths.recv().unwrap_err().is_disconnected());
        server.join().unwrap();
    });
}

#[test]
fn it_connects_to_another_process() {
    on_every_plan(|_| {
        let (listener, address) = listener();
        let ask = |port: u16| {
            let (sender, receiver) = remote::connect::<u32, u32>(("127.0.0.1", port)).unwrap();
            for n in 0..100 {
                sender.send(n).unwrap();
            }
            drop(sender);
            receiver.iter().map(Result::unwrap).sum::<u32>()
        };
        let process = process::spawn(ask, address.port()).unwrap();
        let (sender, receiver) = remote::over::<u32, u32>(listener.accept().unwrap().0).unwrap();
        receiver.into_iter().for_each(|n| sender.send(2 * n.unwrap()).unwrap());
        drop(sender);
        assert_eq!(process.join().unwrap(), 2 * (99 * 100) / 2);
    });
}

#[test]
fn a_stream_is_handed_to_a_process_and_then_made_a_channel() {
    on_every_plan(|_| {
        let (near, far) = UnixStream::pair().unwrap();
        let double = |stream: UnixStream| {
            let (sender, receiver) = remote::over::<u64, u64>(stream).unwrap();
            receiver.into_iter().for_each(|n| sender.send(2 * n.unwrap()).unwrap());
        };
        let process = process::spawn(double, far).unwrap();
        let (sender, receiver) = remote::over::<u64, u64>(near).unwrap();
        sender.send(21).unwrap();
        assert_eq!(receiver.recv().unwrap(), 42);
        drop(sender);
        process.join().unwrap();
    });
}

#[test]
fn who_does_not_receive_any_more_tells_who_sends() {
    on_every_plan(|plan| {
        let ((sender, receiver), (back, far)) = connection::<Vec<u8>, u8>();
        let other = receiver.clone();
        drop((far, receiver));
        // Perhaps it is noticed in the middle of a wait.
        let sending = plan.spawn(move || {
            loop {
                if let Err(error) = sender.send(vec![0; 10_000]) {
                    return (error, sender);
                }
            }
        });
        let (error, sender) = sending.join().unwrap();
        assert!(matches!(&error, SendError::Disconnected(message) if message.len() == 10_000), "{error:?}");
        assert!(sender.is_disconnected());
        // The other way goes on, as long as one receiver is there.
        back.send(7).unwrap();
        assert_eq!(other.recv().unwrap(), 7);
        drop(other);
        until(|| back.is_disconnected());
        assert!(back.send(8).unwrap_err().is_disconnected());
    });
}

#[test]
fn a_clone_keeps_its_side_and_ends_are_served_by_many_tasks() {
    on_every_plan(|plan| {
        let ((sender, _none), (_, receiver)) = connection::<u32, ()>();
        let tasks: Vec<_> = (0..4)
            .map(|own| {
                let sender = sender.clone();
                plan.spawn(move || (0..250).for_each(|n| sender.send(own * 250 + n).unwrap()))
            })
            .collect();
        drop(sender);
        let mut all: Vec<_> = receiver.into_iter().map(Result::unwrap).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn who_is_slow_lets_the_other_wait_and_nothing_is_torn_by_a_cancel() {
    on_every_plan(|plan| {
        let small = || Builder::new().capacity(2);
        let ((sender, _none), (_, receiver)) = sides::<(u32, Vec<u8>), ()>(small(), small());
        let send = |number: u32| {
            let sender = sender.clone();
            move || sender.send((number, vec![number as u8; 300_000])).map_err(|error| error.into_inner().0)
        };
        // Until one waits because all is full, the queues and what the kernel buffers: that one is cancelled. If there was
        // room after all, its result comes.
        let mut sent = Vec::new();
        loop {
            let number = sent.len() as u32;
            let task = plan.spawn(send(number));
            until(|| task.is_finished() || matches!(task.task().state(), State::Blocked(_)));
            task.cancel();
            match task.join() {
                Ok(done) => sent.push(done.map(|()| number).unwrap()),
                Err(error) => break assert!(error.is_cancelled(), "{error}"),
            }
        }
        let last = plan.spawn(send(1001));
        sent.push(1001);
        for number in sent {
            let (got, bytes) = receiver.recv().unwrap();
            assert!(got == number && bytes.iter().all(|byte| *byte == number as u8), "{got}, not {number}");
        }
        last.join().unwrap().unwrap();
        drop(sender);
        assert!(receiver.recv().unwrap_err().is_disconnected());
    });
}

#[test]
fn a_cancelled_receive_takes_no_message_along() {
    on_every_plan(|plan| {
        let ((sender, _none), (_, receiver)) = connection::<u32, ()>();
        for n in 0..20 {
            let other = receiver.clone();
            let task = plan.spawn(move || other.recv());
            until_blocked(&task);
            task.cancel();
            sender.send(n).unwrap();
            match task.join() {
                Ok(message) => assert_eq!(message.unwrap(), n),
                Err(error) => {
                    assert!(error.is_cancelled());
                    assert_eq!(receiver.recv().unwrap(), n);
                }
            }
        }
        assert!(receiver.try_recv().unwrap_err().is_empty());
        assert!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    });
}

#[test]
fn a_message_that_is_too_long_for_the_other_side_is_refused_and_the_channel_goes_on() {
    on_every_plan(|_| {
        let near = Builder::new().longest_message(10);
        let far = Builder::new().longest_message(2_000_000);
        let ((to_far, from_far), (to_near, from_near)) = sides::<Vec<u8>, Vec<u8>>(near, far);
        let Err(SendError::Failed(message, error)) = to_near.send(vec![1; 10]) else {
            panic!("with its length it is longer than 10 bytes")
        };
        assert_eq!((message.len(), error.kind()), (10, ErrorKind::InvalidInput));
        assert!(error.to_string().contains("11 bytes is too long: 10"), "{error}");
        to_near.send(vec![1; 9]).unwrap();
        assert_eq!(from_far.recv().unwrap(), [1; 9]);
        to_far.send(vec![2; 1_900_000]).unwrap();
        assert_eq!(from_near.recv().unwrap(), vec![2; 1_900_000]);
    });
}

#[test]
fn what_means_something_in_one_machine_only_does_not_travel() {
    on_every_plan(|_| {
        let ((sender, receiver), _far) = connection::<Descriptor, u8>();
        let null = std::fs::File::open("/dev/null").unwrap();
        let Err(SendError::Failed(_, error)) =
            sender.send(Descriptor::from(std::os::fd::OwnedFd::from(null)))
        else {
            panic!("it is a descriptor")
        };
        assert!(error.to_string().contains("descriptor does not travel"), "{error}");
        for error in [
            process::spawn(|_: Sender<Descriptor>| (), sender).unwrap_err(),
            process::spawn(|_: Receiver<u8>| (), receiver).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    });
}

/// The error of both sides when one has these types and the other those.
fn refused<A, B, C, D>() -> [io::Error; 2]
where
    A: Serialize + DeserializeOwned + 'static,
    B: Serialize + DeserializeOwned + 'static,
    C: Serialize + DeserializeOwned + 'static,
    D: Serialize + DeserializeOwned + 'static,
{
    let (near, far) = pair();
    let other = coroutine::spawn(move || remote::over::<C, D>(far).map(drop));
    let here = remote::over::<A, B>(near).map(drop);
    [here.unwrap_err(), other.join().unwrap().unwrap_err()]
}

#[derive(Serialize, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

#[derive(Serialize, Deserialize)]
struct WideSize {
    width: u32,
    height: u64,
}

#[test]
fn types_that_differ_are_told_on_both_sides_with_the_place() {
    on_every_plan(|_| {
        for error in refused::<Size, (), (), WideSize>() {
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            let text = error.to_string();
            assert!(text.contains(".height") && text.contains("u32") && text.contains("u64"), "{text}");
        }
        // They would fit if both had not taken the same side.
        for error in refused::<u32, String, u32, String>() {
            assert!(error.to_string().contains("another type"), "{error}");
        }
    });
}

#[test]
fn halves_of_any_kind_will_do() {
    on_every_plan(|_| {
        let (near, far) = UnixStream::pair().unwrap();
        let (near_back, far_back) = UnixStream::pair().unwrap();
        // A writer that keeps what it is given until it is told to flush.
        let buffered = move || Builder::new().over_halves::<u32, ()>(near_back, io::BufWriter::new(near));
        let other = coroutine::spawn(buffered);
        let (_, receiver) = Builder::new().over_halves::<(), u32>(far, far_back).unwrap();
        let (sender, _) = other.join().unwrap().unwrap();
        sender.send(7).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
    });
}

#[test]
fn run_waits_until_what_was_sent_is_written() {
    guarded(|| {
        let (near, far) = pair();
        let reading = std::thread::spawn(move || {
            let (_, receiver) = remote::over::<(), Vec<u8>>(far).unwrap();
            receiver.into_iter().map(|message| message.unwrap().len()).sum::<usize>()
        });
        crate::support::runtime(1).run(|| {
            let (sender, _) = remote::over::<Vec<u8>, ()>(near).unwrap();
            (0..30).for_each(|_| sender.send(vec![0; 100_000]).unwrap());
        });
        assert_eq!(reading.join().unwrap(), 3_000_000);
    });
}

#[test]
fn nothing_is_left_behind() {
    on_every_driver_alone(test_name!(), |_| {
        let tasks = || {
            let all = ropewalk::inspect::dump();
            all.to_string().matches("(connection, ").count()
        };
        drop(connection::<u8, u8>());
        assert_settles(tasks, 0, "tasks of the first one");
        let before = descriptors();
        for _ in 0..10 {
            let ((sender, receiver), (back, far)) = connection::<u8, u8>();
            sender.send(1).unwrap();
            assert_eq!(far.recv().unwrap(), 1);
            drop((sender, back));
            assert!(receiver.recv().unwrap_err().is_disconnected());
            drop(receiver);
            // Killed in the middle, from the outside.
            let (near, mut raw) = pair();
            let other = coroutine::spawn(move || remote::over::<u8, u8>(near).map(drop));
            raw.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            assert!(other.join().unwrap().is_err());
        }
        assert_settles(tasks, 0, "tasks");
        assert_settles(descriptors, before, "descriptors");
    });
}
