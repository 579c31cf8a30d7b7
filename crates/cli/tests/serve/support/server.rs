//! The server's process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

use super::{Client, WATCHDOG};

/// A running server; killed when the test is over.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    directory: Option<TempDir>,
    database: PathBuf,
    /// Its standard output has ended: so have all processes of the service.
    all_ended: Mutex<Receiver<()>>,
}

impl Server {
    /// A server under `plan` with a fresh database and more flags.
    pub(crate) fn start(plan: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Self::open(plan, &directory.path().join("books.db"), flags);
        server.directory = Some(directory);
        server
    }

    /// A server on a given database.
    pub(crate) fn open(plan: &str, database: &Path, flags: &[&str]) -> Self {
        Self::launch(&mut Self::command(plan, database, flags), database)
    }

    /// The command line of a server.
    pub(crate) fn command(plan: &str, database: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
        command.args(["serve", "--plan", plan, "--listen", "127.0.0.1:0", "--database"]);
        command.arg(database).args(flags);
        command
    }

    /// Runs `command`, whose standard output must be that of a server, and waits until it listens.
    pub(crate) fn launch(command: &mut Command, database: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let (sender, receiver) = mpsc::channel();
        let (ended, all_ended) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
            let read = stdout.read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
            let _ = stdout.read_to_end(&mut Vec::new());
            let _ = ended.send(());
        });
        let line = receiver.recv_timeout(WATCHDOG).expect("the server does not listen").expect("its output");
        let address = line.strip_prefix("listening on ").map(str::trim_end);
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let status = child.wait();
            panic!("the server said `{line}` and ended with {status:?}");
        };
        Self {
            child,
            address,
            directory: None,
            database: database.to_owned(),
            all_ended: Mutex::new(all_ended),
        }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server is there");
    }

    /// Its processes: role, process id and parent.
    pub(crate) fn processes(&self) -> Vec<(String, Pid, i64)> {
        let list = self.connect().get("/processes").json();
        let all = list.as_array().expect("a list").iter().map(|block| {
            let pid = block["pid"].as_i64().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
            let role = block["role"].as_str().expect("a role").to_owned();
            (role, pid.expect("a process id"), block["parent"].as_i64().expect("a parent"))
        });
        all.collect()
    }

    /// The ledger's process.
    pub(crate) fn ledger(&self) -> Pid {
        let ledger = self.processes().into_iter().find(|(role, ..)| role == "ledger");
        ledger.expect("there is a ledger").1
    }

    /// Waits for its end, and that of all its processes.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for_exit(self.pid());
        let all_ended = self.all_ended.get_mut().expect("nobody else waits");
        all_ended.recv_timeout(WATCHDOG).expect("a process of the service outlives it");
        self.child.wait().expect("the server's status")
    }

    /// SIGTERM, and its end, which must be a good one.
    pub(crate) fn stop(mut self) -> StoppedServer {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "the server ended with {status}");
        StoppedServer { _directory: self.directory.take(), database: self.database.clone() }
    }

    /// SIGKILL, and the end of all its processes. What is left is the directory with its database, if it had its own.
    pub(crate) fn kill(mut self) -> Option<TempDir> {
        self.signal(Signal::KILL);
        self.wait();
        self.directory.take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of a server that has ended.
pub(crate) struct StoppedServer {
    _directory: Option<TempDir>,
    database: PathBuf,
}

impl StoppedServer {
    /// Its database.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }
}

/// Waits until a child has ended, and not for ever.
pub(crate) fn wait_for_exit(pid: Pid) {
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("the child is not reaped yet");
    let timeout = Timespec { tv_sec: WATCHDOG.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).expect("poll");
    assert_eq!(ended, 1, "process {pid} does not end");
}
