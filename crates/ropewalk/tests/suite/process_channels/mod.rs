//! Channels between the processes of one machine: who gets what, what is whole, who hears of whose end.

mod deaths;
mod waiting;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use ropewalk::ipc::{self, Receiver, RecvError, SendError, Sender};
use ropewalk::process::{self, Descriptor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::child::{Child, case, test_name};
use crate::support::process::{assert_settles, cloexec_pipe, descriptors};
use crate::support::{guarded, on_every_pair, on_every_plan};

/// Room for some hundred small messages.
const ROOM: usize = 128 * 1024;

pub(super) fn channel<T: Serialize + DeserializeOwned>() -> (Sender<T>, Receiver<T>) {
    ipc::channel(ROOM).expect("there is a descriptor left")
}

#[test]
fn messages_come_in_order_and_then_the_end() {
    on_every_pair(|plan| {
        let (sender, receiver) = channel();
        let task = plan.spawn(move || (0..1000).try_for_each(|n: u32| sender.send(n)));
        assert!(receiver.iter().map(Result::unwrap).eq(0..1000));
        task.join().unwrap().unwrap();
        assert!(receiver.recv().unwrap_err().is_disconnected());
        assert!(receiver.try_recv().unwrap_err().is_disconnected());
    });
}

#[test]
fn both_ends_travel_and_each_message_goes_to_one_receiver() {
    on_every_plan(|plan| {
        let (jobs, line) = channel::<u32>();
        let (results, done) = channel::<(u32, u32)>();
        let work = |(line, results): (Receiver<u32>, Sender<(u32, u32)>)| {
            for job in &line {
                results.send((std::process::id(), job.unwrap())).unwrap();
            }
        };
        let workers = [(); 3].map(|()| process::spawn(work, (line.clone(), results.clone())).unwrap());
        drop((line, results));
        let feed = |jobs: Sender<u32>| (500..1000).for_each(|job| jobs.send(job).unwrap());
        let feeder = process::spawn(feed, jobs.clone()).unwrap();
        let feeding = plan.spawn(move || (0..500).for_each(|job| jobs.send(job).unwrap()));
        let all: Vec<_> = done.into_iter().map(Result::unwrap).collect();
        feeding.join().unwrap();
        feeder.join().unwrap();
        assert_eq!(all.len(), 1000);
        assert_eq!(all.iter().map(|(_, job)| *job).collect::<BTreeSet<_>>(), (0..1000).collect());
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn long_messages_of_several_processes_do_not_mix() {
    on_every_plan(|_| {
        let (sender, receiver) = channel::<(u8, Vec<u8>)>();
        let say = |(own, sender): (u8, Sender<(u8, Vec<u8>)>)| {
            // Around the length from which on they travel as memory, and far beyond.
            for length in [0, 1, 32_000, 32_760, 32_768, 33_000, 1_000_000].repeat(4) {
                sender.send((own, vec![own; length])).unwrap();
            }
        };
        let all = [1, 2, 3].map(|own| process::spawn(say, (own, sender.clone())).unwrap());
        drop(sender);
        let mut count = 0;
        for message in &receiver {
            let (own, bytes) = message.unwrap();
            assert!(bytes.iter().all(|byte| *byte == own), "a message of {own} with bytes of others");
            count += 1;
        }
        assert_eq!(count, 3 * 28);
        all.into_iter().for_each(|process| process.join().unwrap());
    });
}

#[derive(Serialize, Deserialize)]
struct Question {
    words: Vec<String>,
    /// Where the answer goes.
    answer: Sender<usize>,
}

#[test]
fn a_question_brings_the_way_back() {
    on_every_plan(|_| {
        let (questions, line) = channel::<Question>();
        let answer = |line: Receiver<Question>| {
            for question in line {
                let Question { words, answer } = question.unwrap();
                answer.send(words.iter().map(String::len).sum()).unwrap();
            }
        };
        let server = process::spawn(answer, line).unwrap();
        for n in 0..20 {
            let (answer, back) = channel();
            questions.send(Question { words: vec!["rope".into(); n], answer }).unwrap();
            assert_eq!(back.recv().unwrap(), 4 * n);
        }
        drop(questions);
        server.join().unwrap();
    });
}

/// A type whose messages hold channels of itself.
#[derive(Serialize, Deserialize)]
struct Chain {
    link: u32,
    next: Option<Sender<Chain>>,
}

#[test]
fn a_channel_of_what_holds_such_a_channel() {
    guarded(|| {
        let (first, receiver) = channel::<Chain>();
        let (second, last) = channel::<Chain>();
        first.send(Chain { link: 1, next: Some(second) }).unwrap();
        let Chain { link, next } = receiver.recv().unwrap();
        next.unwrap().send(Chain { link: link + 1, next: None }).unwrap();
        assert_eq!(last.recv().unwrap().link, 2);
    });
}

#[test]
fn descriptors_travel_in_messages_as_many_as_one_packet_takes() {
    guarded(|| {
        let (sender, receiver) = channel::<(Vec<Descriptor>, Vec<u8>)>();
        let write = |receiver: Receiver<(Vec<Descriptor>, Vec<u8>)>| {
            for message in receiver {
                let (ends, text) = message.unwrap();
                for end in ends {
                    File::from(OwnedFd::from(end)).write_all(&text[..1]).unwrap();
                }
            }
        };
        let child = process::spawn(write, receiver).unwrap();
        let (read, written) = cloexec_pipe();
        let copies =
            |count| -> Vec<Descriptor> { (0..count).map(|_| written.try_clone().unwrap().into()).collect() };
        // With a long message one more is needed, for its memory.
        sender.send((copies(252), vec![b'a'; 100_000])).unwrap();
        sender.send((copies(1), vec![b'b'])).unwrap();
        let Err(SendError::Failed((back, _), error)) = sender.send((copies(253), vec![b'c'])) else {
            panic!("it is one too many")
        };
        assert_eq!((back.len(), error.kind()), (253, std::io::ErrorKind::InvalidInput), "{error}");
        drop((sender, back, written));
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a".repeat(252) + "b");
        child.join().unwrap();
    });
}

#[test]
fn a_message_that_is_none_is_told_and_the_next_one_comes() {
    guarded(|| {
        // Both travel as a number, but only one takes them all.
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        struct Even(u32);
        impl TryFrom<u32> for Even {
            type Error = String;
            fn try_from(number: u32) -> Result<Self, String> {
                if number.is_multiple_of(2) { Ok(Self(number)) } else { Err(format!("{number} is odd")) }
            }
        }
        impl From<Even> for u32 {
            fn from(Even(number): Even) -> u32 {
                number
            }
        }
        impl Clone for Even {
            fn clone(&self) -> Self {
                Self(self.0)
            }
        }
        let (sender, receiver) = channel::<Even>();
        for number in [2, 3, 4] {
            sender.send(Even(number)).unwrap();
        }
        assert_eq!(receiver.recv().unwrap(), Even(2));
        let RecvError::Failed(error) = receiver.recv().unwrap_err() else { panic!("it was no message") };
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
        assert_eq!(receiver.recv().unwrap(), Even(4));
    });
}

#[test]
fn nothing_is_left_behind() {
    let Some(_) = case() else { return Child::new(test_name!(), "alone").run().assert_success() };
    guarded(|| {
        let echo = |(receiver, sender): (Receiver<Vec<u8>>, Sender<Vec<u8>>)| {
            receiver.into_iter().for_each(|message| sender.send(message.unwrap()).unwrap());
        };
        process::spawn(|()| (), ()).unwrap().join().unwrap();
        let before = descriptors();
        for _ in 0..20 {
            let ((there, far), (near, back)) = (channel(), channel());
            let child = process::spawn(echo, (far, near)).unwrap();
            for length in [1, 100_000] {
                there.send(vec![1; length]).unwrap();
                assert_eq!(back.recv().unwrap().len(), length);
            }
            drop(there);
            child.join().unwrap();
            // What nobody receives goes with the channel, its memory and descriptors, too.
            let (sender, receiver) = channel();
            sender.send(vec![1; 100_000]).unwrap();
            drop(receiver);
        }
        assert_settles(descriptors, before, "descriptors");
    });
}
