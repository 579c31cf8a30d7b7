//! `kill -9` of who is at the other end.

use std::io::ErrorKind;

use ropewalk::ipc::{RecvError, SendError, remote};
use ropewalk::process::{self, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::net::listener;
use crate::support::on_every_plan;

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::KILL).expect("it is a child");
}

#[test]
fn what_came_whole_is_received_and_then_that_it_was_lost() {
    on_every_plan(|_| {
        for before in 0..30_u32 {
            let (listener, address) = listener();
            let send = |port: u16| {
                let (sender, _) = remote::connect::<Vec<u32>, ()>(("127.0.0.1", port)).unwrap();
                sender.send(vec![std::process::id()]).unwrap();
                for number in 0.. {
                    sender.send(vec![number; number as usize % 3 * 20_000 + 1]).unwrap();
                }
            };
            let process = process::spawn(send, address.port()).unwrap();
            let (_, receiver) = remote::over::<(), Vec<u32>>(listener.accept().unwrap().0).unwrap();
            let pid = receiver.recv().unwrap()[0];
            let mut next = 0;
            let lost = loop {
                match receiver.recv() {
                    Ok(message) => {
                        let expected = vec![next; next as usize % 3 * 20_000 + 1];
                        assert!(message == expected, "message {next} is another, or half of one");
                        next += 1;
                        if next == before + 1 {
                            kill(pid);
                        }
                    }
                    Err(error) => break error,
                }
            };
            assert!(next > before);
            let RecvError::Failed(error) = lost else { panic!("it had not said that it was the end") };
            let kinds = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
            assert!(kinds.contains(&error.kind()), "{error}");
            assert!(receiver.recv().unwrap_err().is_disconnected());
            let error = process.join().unwrap_err();
            assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })), "{error}");
        }
    });
}

#[test]
fn who_sends_to_a_dead_one_is_told_also_in_a_wait() {
    on_every_plan(|plan| {
        let (listener, address) = listener();
        let take_one = |port: u16| -> () {
            let (sender, receiver) = remote::connect::<u32, Vec<u8>>(("127.0.0.1", port)).unwrap();
            sender.send(std::process::id()).unwrap();
            receiver.recv().unwrap();
            loop {
                std::thread::park();
            }
        };
        let process = process::spawn(take_one, address.port()).unwrap();
        let (sender, receiver) = remote::over::<Vec<u8>, u32>(listener.accept().unwrap().0).unwrap();
        let pid = receiver.recv().unwrap();
        let sending = plan.spawn(move || {
            loop {
                if let Err(error) = sender.send(vec![0; 500_000]) {
                    return error;
                }
            }
        });
        crate::support::until(|| matches!(sending.task().state(), ropewalk::inspect::State::Blocked(_)));
        kill(pid);
        let SendError::Failed(message, error) = sending.join().unwrap() else {
            panic!("it has not stopped: it was killed")
        };
        assert_eq!(message.len(), 500_000, "{error}");
        assert!(process.join().is_err());
    });
}
