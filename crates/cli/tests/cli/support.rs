//! The binary as a child with a watchdog, and what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Whatever takes longer than this hangs. No test waits so long for anything that works.
const WATCHDOG: Duration = Duration::from_secs(150);

/// How often something outside is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A run of the binary. Dropping it kills it.
pub(crate) struct Run {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    stderr: Option<JoinHandle<String>>,
    started: Instant,
}

/// How a run ended.
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Fails with all output unless the run ended with `code`.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails with all output unless standard output contains `text`.
    #[track_caller]
    pub(crate) fn assert_says(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text),
            "`{text}` is missing in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails with all output unless the run ended with `code`.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        self.assert_code(code);
        self
    }

    /// The last line of standard output.
    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

/// Starts the binary with these arguments, separated by blanks.
pub(crate) fn ropewalk(arguments: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    command.args(arguments.split_whitespace());
    Run::start(command)
}

impl Run {
    /// Starts any command, with its output read from the beginning.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_writing_to(command, Stdio::piped())
    }

    /// Starts any command, with another standard output. Only one that is piped is read.
    pub(crate) fn start_writing_to(mut command: Command, stdout: Stdio) -> Self {
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("the binary was built with the test");
        let (stdout, mut stderr) = (child.stdout.take(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = stdout {
            std::thread::spawn(move || forward(BufReader::new(stdout), &sender));
        }
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self { child, lines, seen: String::new(), stderr: Some(stderr), started: Instant::now() }
    }

    /// The process.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Waits for a line of standard output that contains `text`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.next_line() {
                Some(line) if line.contains(text) => return line.trim_end().to_owned(),
                Some(_) => {}
                None => panic!("`{text}` never came:\n{}", self.seen),
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let left = WATCHDOG.saturating_sub(self.started.elapsed());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.seen += &line;
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the run hangs:\n{}", self.seen),
        }
    }

    /// Sends a signal to the process alone, as `kill` does.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).expect("the process runs");
    }

    /// Stops reading standard output: the pipe closes.
    pub(crate) fn close_stdout(&mut self) {
        self.lines = mpsc::channel().1;
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        while self.next_line().is_some() {}
        let code = until("the run ends", || self.child.try_wait().expect("it can be waited for")).code();
        let stderr = self.stderr.take().and_then(|stderr| stderr.join().ok()).unwrap_or_default();
        Ended { code, stdout: std::mem::take(&mut self.seen), stderr }
    }

    /// Waits for a child of the run whose command line contains `word`, and returns its process id.
    pub(crate) fn wait_for_child(&self, word: &str) -> i32 {
        until(word, || children(self.pid()).into_iter().find(|&child| command_line(child).contains(word)))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process_group(Pid::from_raw(self.pid()).unwrap(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Sends line after line as it is, its end included.
fn forward(mut stdout: impl BufRead, lines: &Sender<String>) {
    let mut line = String::new();
    while stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
        // A test that wants no more lines has dropped its end, and the pipe closes with this thread.
        if lines.send(std::mem::take(&mut line)).is_err() {
            break;
        }
    }
}

/// Looks until there is an answer, and not for ever.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(start.elapsed() < WATCHDOG, "in vain: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The children of all threads of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn command_line(pid: i32) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .unwrap_or_default()
}

/// Whether a process runs: zombies do not.
pub(crate) fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

/// Fails unless the directory is empty.
#[track_caller]
pub(crate) fn assert_empty(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
