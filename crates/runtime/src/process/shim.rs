//! Foreign programs that end with their parent: this program starts instead, and becomes the other one.
//!
//! The kernel ends a process with its parent if the process itself has asked for that (`PR_SET_PDEATHSIG`, prctl(2)), between
//! its start and the foreign program's. To run code there std forks, which copies the page tables of a large process; a child
//! of Ropewalk's asks anyway, and may execute another program as well as call a function. (setpriv(1) does so as a
//! program, and cannot tell an error of its own from the other program's.)
//!
//! # The start, in order
//! 1. The child asks the kernel to end it with its parent, and looks then whether its parent is still the one that
//!    started it: a parent that has ended before is noticed here, one that ends later by the kernel.
//! 2. It gets its order over its link, says that it is ready, and executes the program. The link closes with that.
//! 3. It says why, where that fails, and ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use ropewalk_ipc::link::Link;
use ropewalk_sync::clock;
use serde::{Deserialize, Serialize};

use super::child::{BEFORE_MAIN, Limits, Role, Setup};
use super::foreign::Foreign;
use super::program::Program;
use super::reply::Reply;
use crate::timeout::shield;

/// As long as a start may take, a cancel waits for it. Longer than this takes the kernel only where it is stuck.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What a child is to become.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Execute {
    /// A path, or a name to be looked for in `PATH`.
    pub program: OsString,
    /// What it is told that it is called, if that is not its name.
    pub arg0: Option<OsString>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What starts this program as one that becomes another. Environment, directory, output and the like are to be set on it, its
/// input not.
///
/// # Errors
/// `/proc` is not mounted.
pub fn command() -> io::Result<Command> {
    let mut command = Program::own()?.command();
    command.arg0(BEFORE_MAIN);
    Ok(command)
}

/// Starts the `command` that [`command()`] gave, which becomes what `execute` says, with this standard input; empty if there is
/// none.
///
/// # Errors
/// As [`Foreign::start`], of this program and of the other one.
///
/// # Waits
/// Until the other program runs.
///
/// # Cancellation
/// A start that has begun is not broken off; the cancel comes at the next wait.
pub fn start(mut command: Command, execute: Execute, stdin: Option<OwnedFd>) -> io::Result<Foreign> {
    let program = Program::own()?;
    let (link, childs) = Link::pair()?;
    command.stdin(Stdio::from(childs));
    let setup = Setup {
        program: program.identity,
        parents: true,
        limits: Limits::default(),
        stdin: stdin.map(Into::into),
        role: Role::Execute(execute),
    };
    let setup = setup.into_message()?;
    let mut foreign = Foreign::start(command).map_err(explain)?;
    shield(START_LIMIT, || {
        match await_execution(&link, &setup) {
            Ok(()) => Ok(foreign),
            Err(error) => {
                // It ends by itself, or has ended.
                foreign.kill().and_then(|()| foreign.wait())?;
                Err(error)
            }
        }
    })
}

/// std names no program, and it is not the one that was asked for.
fn explain(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let text = "this program, which starts first to become the other one, cannot be executed again, or the directory not be \
                entered";
    io::Error::new(error.kind(), format!("{error}: {text}"))
}

/// Has the child become the other program, and hears if it cannot.
fn await_execution(link: &Link, setup: &ropewalk_ipc::link::Message) -> io::Result<()> {
    let deadline = clock::after(START_LIMIT);
    link.send_message(setup)?;
    let ended_early = || io::Error::other("the process has ended before it could execute the program");
    let ready = link.receive(deadline)?.ok_or_else(ended_early)?;
    match Reply::parse(ready)?.0 {
        Reply::Ready => {}
        Reply::Refused(why) => return Err(io::Error::other(why)),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    let Some(answer) = link.receive(deadline)? else { return Ok(()) };
    match Reply::parse(answer)?.0 {
        Reply::NotExecuted(code) => Err(io::Error::from_raw_os_error(code)),
        Reply::Refused(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Becomes the other program, in a child. Returns only if that fails.
///
/// # Errors
/// Nobody hears why it failed.
pub(super) fn execute(order: Execute, link: &Link) -> io::Result<()> {
    let Execute { program, arg0, arguments } = order;
    Reply::Ready.send(link, false)?;
    let mut command = Command::new(&program);
    command.arg0(arg0.as_ref().unwrap_or(&program)).args(arguments);
    // Signals are as a program finds them that std has started: nothing blocked, `SIGPIPE` not ignored.
    let error = command.exec();
    let reply = error.raw_os_error().map_or_else(|| Reply::Refused(error.to_string()), Reply::NotExecuted);
    reply.send(link, true)
}
