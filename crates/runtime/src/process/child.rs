//! The child's side: to know that one is a child, to run what the parent sent, and to end.
//!
//! A child runs the parent's program, so somebody has to find out before `main` does anything that this is a child: an
//! entry of the list of functions that the loader calls first (`.init_array`), or [`init`], where the parent's `main`
//! calls it. What tells a child: the name that its parent gave it (`argv[0]`), and a socket to that very parent as its
//! standard input. No variable of the environment, which its own children would inherit.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_sys::process as sys;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Outcome};
use super::report::Panic;

/// What a child that starts before `main` is called.
pub(super) const BEFORE_MAIN: &str = "ropewalk-child";
/// What a child that starts in [`init`] is called.
pub(super) const IN_INIT: &str = "ropewalk-child-of-main";

/// Whether [`init`] was called in this process.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// What is sent to a child first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Which program it must be.
    pub(super) program: (u64, u64),
    pub(super) limits: Limits,
    /// Its standard input, if it is to have one.
    pub(super) stdin: Option<Descriptor>,
}

/// What a child may use.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Of address space, in bytes.
    pub(super) memory: Option<u64>,
    /// Of CPU time, in seconds.
    pub(super) cpu_seconds: Option<u64>,
    /// Of open files.
    pub(super) open_files: Option<u64>,
}

/// What a child answers. The bytes of a result follow the first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Returned,
    Panicked(Panic),
    Refused(String),
}

/// The name for a new child: whether it will run before its `main`, or in it.
pub(super) fn name() -> &'static str {
    // Relaxed: a flag that stands for itself.
    if INITIALISED.load(Relaxed) { IN_INIT } else { BEFORE_MAIN }
}

#[used]
// SAFETY: the loader calls what stands here once, on the main thread, before `main`.
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if is_called(BEFORE_MAIN) {
        run();
    }
}

/// Says where in `main` children are to start: here, instead of before `main`. To be called first in `main`, by programs
/// whose functions need what other code does before `main`, or whose `main` prepares something for them. In a child
/// it never returns.
pub fn init() {
    if is_called(IN_INIT) {
        run();
    }
    INITIALISED.store(true, Relaxed);
}

fn is_called(name: &str) -> bool {
    std::env::args_os().next().is_some_and(|own| own == name)
}

/// Runs what the parent sends, and ends.
fn run() -> ! {
    let status = match serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("ropewalk: this process was started as a child, and cannot be one: {error}");
            2
        }
    };
    std::process::exit(status)
}

fn serve() -> io::Result<()> {
    let link = take_link()?;
    sys::die_with_spawner()?;
    sys::unblock_signals()?;
    sys::survive_broken_pipes();
    // The parent may have ended before the kernel was told: then the link says so.
    let Some(setup) = link.receive(None)? else { return Ok(()) };
    let setup: Setup = decode(setup)?;
    let refused = prepare(setup).err();
    let Some(mut call) = link.receive(None)? else { return Ok(()) };
    let outcome = match refused {
        Some(error) => Outcome::Refused(error.to_string()),
        None => {
            let Some((entry, argument)) = call.bytes.split_first_chunk::<8>() else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let (entry, argument) = (Entry::from_bytes(*entry), argument.to_vec());
            let argument = Message { bytes: argument, descriptors: std::mem::take(&mut call.descriptors) };
            // SAFETY: `prepare` has found that this is the parent's program (`entry`, rule 1).
            unsafe { entry.call(argument) }
        }
    };
    answer(&link, outcome)
}

/// The socket that the parent gave as standard input, which is empty from now on.
fn take_link() -> io::Result<Link> {
    if sys::is_privileged_program() {
        return Err(io::Error::other("a program with more rights than its starter takes no orders"));
    }
    let stdin = io::stdin();
    if !sys::is_link_to_parent(stdin.as_fd())? {
        return Err(io::Error::other("its standard input is no link to its parent"));
    }
    let socket: OwnedFd = stdin.as_fd().try_clone_to_owned()?;
    sys::empty_standard_input()?;
    Ok(Link::from(socket))
}

fn prepare(setup: Setup) -> io::Result<()> {
    let own = sys::open_program()?;
    if sys::file_identity(own.as_fd())? != setup.program {
        return Err(io::Error::other("parent and child do not run the same program"));
    }
    let Limits { memory, cpu_seconds, open_files } = setup.limits;
    for (limit, value) in [
        (sys::Limit::Memory, memory),
        (sys::Limit::CpuSeconds, cpu_seconds),
        (sys::Limit::OpenFiles, open_files),
    ] {
        if let Some(value) = value {
            sys::set_limit(limit, value)?;
        }
    }
    match setup.stdin {
        Some(stdin) => sys::set_standard_input(stdin.into()),
        None => Ok(()),
    }
}

fn answer(link: &Link, outcome: Outcome) -> io::Result<()> {
    let (reply, result) = match outcome {
        Outcome::Returned(result) => (Reply::Returned, Some(result)),
        Outcome::Panicked(panic) => (Reply::Panicked(panic), None),
        Outcome::Refused(why) => (Reply::Refused(why), None),
    };
    let sent = send_reply(link, &reply, result.as_ref());
    match sent {
        Err(error) if result.is_some() && error.kind() == io::ErrorKind::InvalidInput => {
            send_reply(link, &Reply::Refused(format!("the result cannot be sent: {error}")), None)
        }
        // The parent has lost interest, or has ended.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        sent => sent,
    }
}

fn send_reply(link: &Link, reply: &Reply, result: Option<&Message>) -> io::Result<()> {
    let (bytes, _) = encode(reply)?;
    link.send(&bytes, &[])?;
    match result {
        Some(Message { bytes, descriptors }) => {
            let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            link.send(bytes, &descriptors)
        }
        None => Ok(()),
    }
}
