//! The thread that starts all children.
//!
//! The kernel kills a child that asked for it (`PR_SET_PDEATHSIG`) when the *thread* ends that started it, so one thread
//! starts them all, and lives as long as the process does. It waits for requests as any thread waits.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use ropewalk_sync::channel::{Sender, bounded};
use ropewalk_sync::park::Cancelled;
use ropewalk_sys::process::{Child, Signal, is_out_of_descriptors};

use crate::timeout::shield;

/// As many requests wait at once; who comes then waits until there is room.
const REQUESTS: usize = 64;

/// As long as a start may take (milliseconds, as a rule), a cancel waits for it: whoever asked for a child has it then, and
/// nobody has to look after one that runs already and belongs to nobody. Longer than this takes the kernel only where it
/// is stuck, on a file system that does not answer.
const START_LIMIT: Duration = Duration::from_secs(10);

struct Request {
    command: Command,
    leads_group: bool,
    reply: Sender<io::Result<Started>>,
}

/// A child on its way to whoever wanted it.
struct Started {
    child: Option<Child>,
    leads_group: bool,
}

impl Drop for Started {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let killed =
            if self.leads_group { child.signal_group(Signal::KILL) } else { child.signal(Signal::KILL) };
        // It has not had the time to do anything, least of all to refuse to die: this is over in a moment.
        while killed.is_ok() && matches!(child.has_ended(), Ok(false)) {
            std::thread::yield_now();
        }
        let _ = child.reap();
    }
}

/// Starts `command` as the leader of a process group of its own.
///
/// # Errors
/// The program cannot be executed, or there is no room for another process: `ulimit -u`, `kernel.pid_max`,
/// the cgroup's `pids.max`, memory, or descriptors (`ulimit -n`).
///
/// # Waits
/// Until it runs.
///
/// # Cancellation
/// A start that has begun is not broken off; the cancel comes at the next wait.
pub(super) fn start(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    request(command, true).map_err(explain)
}

/// Starts `command`, which may run any program, in the group that it names.
///
/// # Errors
/// What the kernel says.
///
/// # Waits
/// Until it runs.
///
/// # Cancellation
/// A start that has begun is not broken off; the cancel comes at the next wait.
pub(super) fn start_foreign(command: Command) -> io::Result<Child> {
    request(command, false)
}

fn request(command: Command, leads_group: bool) -> io::Result<Child> {
    let (reply, answer) = bounded(1);
    // The thread never ends: it is the task that was cancelled, where nothing unwinds.
    spawner()?.send(Request { command, leads_group, reply }).map_err(|_| Cancelled)?;
    let mut started: Started = shield(START_LIMIT, || answer.recv()).map_err(|_| Cancelled)??;
    started.child.take().ok_or_else(|| Cancelled.into())
}

fn spawner() -> io::Result<&'static Sender<Request>> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (sender, requests) = bounded::<Request>(REQUESTS);
    std::thread::Builder::new().name("ropewalk-spawner".into()).spawn(move || {
        for Request { mut command, leads_group, reply } in requests {
            let started = spawn(&mut command);
            // The other ends of what the child was given are the child's alone from here on.
            drop(command);
            let _ = reply.send(started.map(|child| Started { child: Some(child), leads_group }));
        }
    })?;
    Ok(SPAWNER.get_or_init(|| sender))
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut child = command.spawn()?;
    Child::open(child.id()).inspect_err(|_| {
        // Without a descriptor of its own nobody could look after it.
        let _ = child.kill().and_then(|()| child.wait());
    })
}

/// What the kernel's word means here, and what can be done about it.
fn explain(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "the kernel does not let the program be executed: it lies on a file system that is mounted noexec, has \
             no x bits for this user, or a sandbox (seccomp) forbids it"
        }
        io::ErrorKind::NotFound => "there is no such working directory, or /proc is not mounted",
        io::ErrorKind::WouldBlock => {
            "there is no room for another process: see `ulimit -u`, kernel.pid_max, and pids.max of the cgroup"
        }
        io::ErrorKind::OutOfMemory => "there is no memory for another process",
        _ if is_out_of_descriptors(&error) => "no descriptor is left: raise `ulimit -n`",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {why}"))
}
