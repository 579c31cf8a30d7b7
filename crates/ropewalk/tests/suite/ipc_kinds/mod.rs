//! What becomes of each way to talk between processes when `kill -9` ends the one at the other side: the claims of
//! `docs/ipc.md`, a test for each row. (Locks in shared memory have `shared::deaths` and `shared::recovery`.)

mod addressed;
mod confined;
mod connected;

use std::io::{Read, Write};

use ropewalk::JoinHandle;
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::process::{self, Exit};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A process that is going to be killed, once it has said that it is ready.
struct Victim {
    task: JoinHandle<()>,
    ready: PipeReader,
}

/// In the victim: says that it is ready, and does nothing more.
fn hold(mut ready: PipeWriter) -> ! {
    writeln!(ready, "{}", std::process::id()).unwrap();
    loop {
        std::thread::park();
    }
}

impl Victim {
    /// Runs `f` in a process, which is to end in [`hold`].
    fn start<A, F>(f: F, argument: A) -> Self
    where
        A: Serialize + DeserializeOwned + 'static,
        F: Fn((A, PipeWriter)) + Copy + Send + 'static,
    {
        let (ready, theirs) = pipe().unwrap();
        Self { task: process::spawn(f, (argument, theirs)).unwrap(), ready }
    }

    /// Waits until it is ready, and kills it. Nobody has the number any more that it had.
    fn kill(mut self) -> Pid {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            assert_eq!(self.ready.read(&mut byte).unwrap(), 1, "the victim has ended by itself");
            line.push(byte[0]);
        }
        let pid = String::from_utf8(line).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let error = self.task.join().unwrap_err();
        assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })), "{error}");
        pid
    }
}
