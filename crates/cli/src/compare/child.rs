//! A child process of a comparison: never outlives it, and what it said last is kept.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::logging::message_of;
use crate::settings::is_of_command;

/// So many of the last lines on standard error are kept.
const TAIL_LINES: usize = 20;

/// How often a child is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running child of this program. Dropping it kills it, and waits for whatever it started.
pub(crate) struct Child {
    process: Process,
    /// Reads standard error to its end and returns the last lines.
    stderr: Option<JoinHandle<VecDeque<String>>>,
    /// The lines of standard output.
    stdout: Receiver<String>,
}

impl Child {
    /// Starts this program with other arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> io::Result<Self> {
        // The kernel's link, not the path: a program that was rebuilt meanwhile would be another one.
        let mut command = Command::new("/proc/self/exe");
        // What the environment says of these commands was not said of their part in a comparison.
        for (variable, _) in std::env::vars_os() {
            let is_of = |name| variable.to_str().is_some_and(|variable| is_of_command(variable, name));
            if is_of("serve") || is_of("load") {
                command.env_remove(variable);
            }
        }
        let mut process = command
            .arg0("ropewalk")
            // For this process to read: what it said last tells why it failed.
            .args(["--log", "json", "--log-level", "warn"])
            // The child dies by SIGKILL when this process does, however that happens.
            .arg("--parent")
            .arg(std::process::id().to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: a Ctrl-C at the terminal is for this process to act on.
            .process_group(0)
            .spawn()?;
        let stderr =
            process.stderr.take().map(|stderr| std::thread::spawn(move || tail(BufReader::new(stderr))));
        let (sender, stdout) = mpsc::channel();
        if let Some(pipe) = process.stdout.take() {
            // Not joined: it ends with the pipe, and the lines that nobody wants are dropped.
            std::thread::spawn(move || forward(pipe, &sender));
        }
        Ok(Self { process, stderr, stdout })
    }

    /// The next line on standard output; `None` when there is none within `patience` or the output has ended.
    pub(crate) fn next_line(&self, patience: Duration) -> Option<String> {
        self.stdout.recv_timeout(patience).ok()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for the end, looking several times a second; `None` as soon as `give_up` says so.
    ///
    /// # Errors
    /// When the child cannot be waited for.
    pub(crate) fn wait(&mut self, mut give_up: impl FnMut() -> bool) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(Some(status));
            }
            if give_up() {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks it to end with SIGTERM and waits; `None` when it has not ended within `patience`.
    ///
    /// # Errors
    /// When the child cannot be waited for.
    pub(crate) fn terminate(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(pid) = self.pid() {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + patience;
        self.wait(|| Instant::now() >= deadline)
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Kills it and returns what it said last on standard error.
    pub(crate) fn kill_and_last_words(&mut self) -> Vec<String> {
        self.kill();
        let lines = self.stderr.take().and_then(|stderr| stderr.join().ok()).unwrap_or_default();
        lines.into_iter().map(|line| message_of(&line).unwrap_or(line)).collect()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }

    fn kill(&mut self) {
        // A pid that was waited for may belong to someone else by now: ask first.
        if self.is_running() {
            if let Some(pid) = self.pid() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Waits for the end of its standard error, which is that of the processes that it has started, too: after this
        // nobody uses the database any more.
        let _ = self.kill_and_last_words();
    }
}

fn forward(pipe: ChildStdout, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

fn tail(pipe: impl BufRead) -> VecDeque<String> {
    let mut last = VecDeque::new();
    for line in pipe.lines().map_while(Result::ok) {
        if last.len() == TAIL_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        let text: String = (0..30).map(|i| format!("line {i}\n")).collect();
        let last = tail(text.as_bytes());
        assert_eq!(last.len(), TAIL_LINES);
        assert_eq!(last.front().map(String::as_str), Some("line 10"));
        assert_eq!(last.back().map(String::as_str), Some("line 29"));
    }
}
