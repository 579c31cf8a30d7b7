//! `kill -9` in the middle: what was sent whole comes, nothing comes in part, the others go on and hear of the end.

use ropewalk::ipc::{Receiver, RecvError, SendError, Sender};
use ropewalk::process::{self, Exit};
use ropewalk::{JoinHandle, ipc};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::channel;
use crate::support::{guarded, on_every_plan};

#[derive(Debug, Serialize, Deserialize)]
enum Said {
    /// The number of the process that sends.
    Here(u32),
    /// The same number all through.
    Page(Vec<u32>),
}

/// The next page: every third is longer than a packet.
fn page(number: u32) -> Vec<u32> {
    let length = if number.is_multiple_of(3) { 40_000 } else { number as usize % 5000 + 1 };
    vec![number; length]
}

fn send_for_ever(sender: Sender<Said>) {
    sender.send(Said::Here(std::process::id())).unwrap();
    for number in 0.. {
        sender.send(Said::Page(page(number))).unwrap();
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::KILL).expect("it is a child");
}

fn assert_killed<T: std::fmt::Debug>(process: JoinHandle<T>) {
    let error = process.join().unwrap_err();
    assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })), "{error}");
}

#[test]
fn what_a_killed_process_had_sent_is_whole_and_then_comes_the_end() {
    on_every_plan(|_| {
        // As many pages are read before the kill as chance has it: it hits another moment each time.
        for before in 0..40 {
            let (sender, receiver) = channel();
            let process = process::spawn(send_for_ever, sender).unwrap();
            let Said::Here(pid) = receiver.recv().unwrap() else { panic!("it has to say first who it is") };
            let mut next = 0;
            while let Some(message) = receiver.iter().next() {
                let Said::Page(got) = message.unwrap() else { panic!("it said who it is") };
                assert!(got == page(next), "the page {next} is another, or half of one");
                next += 1;
                if next == before + 1 {
                    kill(pid);
                }
            }
            assert!(next > before);
            assert!(matches!(receiver.recv(), Err(RecvError::Disconnected)));
            assert_killed(process);
        }
    });
}

#[test]
fn the_other_senders_go_on() {
    on_every_plan(|_| {
        let (sender, receiver) = channel();
        let process = process::spawn(send_for_ever, sender.clone()).unwrap();
        let Said::Here(pid) = receiver.recv().unwrap() else { panic!("it has to say first who it is") };
        kill(pid);
        assert_killed(process);
        let rest = receiver.try_iter().map(Result::unwrap).count();
        assert!(receiver.try_recv().unwrap_err().is_empty(), "after {rest} pages; one sender is left");
        sender.send(Said::Here(7)).unwrap();
        assert!(matches!(receiver.recv(), Ok(Said::Here(7))));
        drop(sender);
        assert!(matches!(receiver.recv(), Err(RecvError::Disconnected)));
    });
}

fn receive_for_ever((receiver, here): (Receiver<u32>, Sender<u32>)) {
    here.send(std::process::id()).unwrap();
    for message in receiver {
        message.unwrap();
    }
}

#[test]
fn who_sends_hears_that_all_receivers_are_dead_also_in_a_wait() {
    on_every_plan(|plan| {
        let ((sender, receiver), (here, heard)) = (ipc::channel::<u32>(4096).unwrap(), channel());
        // It does not receive: it is stopped right after it has said who it is.
        let stop = |(receiver, here): (Receiver<u32>, Sender<u32>)| -> () {
            here.send(std::process::id()).unwrap();
            let _kept = receiver;
            loop {
                std::thread::park();
            }
        };
        let process = process::spawn(stop, (receiver, here)).unwrap();
        let pid = heard.recv().unwrap();
        assert!(!sender.is_disconnected());
        let waiting = plan.spawn(move || {
            let failed = (0..).find_map(|n| sender.send(n).err().map(|error| (n, error)));
            (failed.unwrap(), sender.is_disconnected())
        });
        crate::support::until(|| matches!(waiting.task().state(), ropewalk::inspect::State::Blocked(_)));
        kill(pid);
        let ((number, error), is_disconnected) = waiting.join().unwrap();
        assert!(
            matches!(error, SendError::Disconnected(back) if back == number),
            "it gives the message back"
        );
        assert!(is_disconnected);
        assert_killed(process);
    });
}

#[test]
fn the_other_receivers_go_on_and_none_gets_what_another_had() {
    guarded(|| {
        for _ in 0..10 {
            let ((sender, receiver), (here, heard)) = (channel::<u32>(), channel());
            let process = process::spawn(receive_for_ever, (receiver.clone(), here)).unwrap();
            let pid = heard.recv().unwrap();
            let feeding = ropewalk::thread::spawn(move || (0..2000).for_each(|n| sender.send(n).unwrap()));
            kill(pid);
            assert_killed(process);
            // The dead one may have taken some. What is left comes once, in order, and then the end.
            let rest: Vec<_> = receiver.into_iter().map(Result::unwrap).collect();
            assert!(rest.is_sorted_by(|one, next| one < next));
            feeding.join().unwrap();
        }
    });
}
