//! The child's side: to know that one is a child, to run what the parent sent, and to end.
//!
//! A child runs the parent's program, so somebody has to find out before `main` does anything that this is a child: an
//! entry of the list of functions that the loader calls first (`.init_array`), or [`init`], where the parent's `main`
//! calls it. What tells a child: the name that its parent gave it (`argv[0]`), and a socket to that very parent as its
//! standard input. No variable of the environment, which its own children would inherit.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_sys::process as sys;
use serde::{Deserialize, Serialize};

use super::call::{self, Same};
use super::reply::Reply;
use super::shim::{self, Execute};

/// What a child that starts before `main` is called.
pub(super) const BEFORE_MAIN: &str = "ropewalk-child";
/// What a child that starts in [`init`] is called.
pub(super) const IN_INIT: &str = "ropewalk-child-of-main";

/// What goes over the link between parent and child, if they may be of different builds. To be raised with every change of
/// [`Setup`], of calls by name, of replies, and of the link's packets.
pub(super) const PROTOCOL: u32 = 1;

/// What the program's file says of it, so that others need not run it to know: a note, as elf(5) has it.
#[repr(C)]
pub(super) struct Note {
    name_size: u32,
    size: u32,
    kind: u32,
    name: [u8; 12],
    protocol: u32,
}

impl Note {
    const NAME: [u8; 12] = *b"Ropewalk\0\0\0\0";
    const OWN: Self = Self { name_size: 9, size: 4, kind: 1, name: Self::NAME, protocol: PROTOCOL };

    /// The protocol of the note that these bytes are, if they are one.
    pub(super) fn protocol(bytes: &[u8]) -> Option<u32> {
        let (head, rest) = bytes.split_first_chunk::<12>()?;
        let (name, protocol) = rest.split_first_chunk::<12>()?;
        let expected = [Self::OWN.name_size, Self::OWN.size, Self::OWN.kind].map(u32::to_ne_bytes);
        let known = head == expected.as_flattened() && *name == Self::NAME;
        known.then(|| protocol.try_into().map(u32::from_ne_bytes).ok())?
    }
}

/// Where it is.
pub(super) const NOTE_SECTION: &str = ".note.ropewalk";

#[used]
// SAFETY: constant data, which nobody writes to and only who looks for a note by this name reads.
#[unsafe(link_section = ".note.ropewalk")]
static NOTE: Note = Note::OWN;

/// Whether [`init`] was called in this process.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// What is sent to a child first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Which program it must be.
    pub(super) program: (u64, u64),
    /// Whether that is its parent's.
    pub(super) parents: bool,
    pub(super) limits: Limits,
    /// Its standard input, if it is to have one.
    pub(super) stdin: Option<Descriptor>,
    pub(super) role: Role,
}

/// What a child is for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// One call.
    Call,
    /// One after the other.
    Work(PoolRules),
    /// To become another program.
    Execute(Execute),
}

impl Setup {
    /// As it is sent.
    pub(super) fn into_message(self) -> io::Result<Message> {
        let (bytes, descriptors) = encode(&self)?;
        Ok(Message { bytes, descriptors })
    }
}

/// What holds for a worker of a pool.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct PoolRules {
    /// It takes no more calls once it has so many bytes in memory.
    pub(super) memory: Option<u64>,
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
    // First: a parent that ends after this takes its child along, and one that has ended before is not found any more.
    sys::die_with_spawner()?;
    let link = take_link()?;
    sys::unblock_signals()?;
    sys::survive_broken_pipes();
    let Some(setup) = link.receive(None)? else { return Ok(()) };
    let mut setup: Setup = decode(setup)?;
    if let Err(error) = prepare(&mut setup) {
        if matches!(setup.role, Role::Call) {
            // What is left unread the parent would hear of before the answer.
            link.receive(None)?;
        }
        return Reply::Refused(error.to_string()).send(&link, true);
    }
    let same = if setup.parents { Same::Yes } else { Same::No };
    match setup.role {
        Role::Call => {
            let Some(call) = link.receive(None)? else { return Ok(()) };
            perform(call, same)?.send(&link, true)
        }
        Role::Work(rules) => {
            Reply::Ready.send(&link, false)?;
            work(&link, &rules, setup.limits.cpu_seconds, same)
        }
        Role::Execute(order) => shim::execute(order, &link),
    }
}

/// Takes call after call, until the parent wants no more.
fn work(link: &Link, rules: &PoolRules, cpu_seconds: Option<u64>, same: Same) -> io::Result<()> {
    while let Some(call) = link.receive(None)? {
        if let Some(seconds) = cpu_seconds {
            sys::limit_further_cpu(seconds)?;
        }
        let reply = perform(call, same)?;
        // Before the result, so that who has joined finds it printed. There may be nobody to read it.
        let _ = io::stdout().flush();
        let last = rules.memory.is_some_and(|most| sys::resident_memory().is_ok_and(|has| has > most));
        reply.send(link, last)?;
        if last {
            break;
        }
    }
    Ok(())
}

fn perform(call: Message, same: Same) -> io::Result<Reply> {
    // SAFETY: `prepare` has found that this is the program that the parent meant, and it says whether that is its own
    // (`place`, rule 1).
    unsafe { call::perform(call, same) }
}

/// The socket that the parent gave as standard input, which is empty from now on.
fn take_link() -> io::Result<Link> {
    if sys::is_privileged_program() {
        return Err(io::Error::other("a program with more rights than its starter takes no orders"));
    }
    let stdin = sys::standard_input();
    if !sys::is_link_to_parent(stdin)? {
        return Err(io::Error::other("its standard input is no link to its parent"));
    }
    let socket: OwnedFd = stdin.try_clone_to_owned()?;
    sys::empty_standard_input()?;
    Ok(Link::from(socket))
}

fn prepare(setup: &mut Setup) -> io::Result<()> {
    let own = sys::open_program()?;
    if sys::file_identity(own.as_fd())? != setup.program {
        return Err(io::Error::other("it does not run the program that its parent has started"));
    }
    let Limits { memory, cpu_seconds, open_files } = setup.limits;
    // A worker's CPU time is counted call by call.
    let cpu_seconds = cpu_seconds.filter(|_| !matches!(setup.role, Role::Work(_)));
    for (limit, value) in [
        (sys::Limit::Memory, memory),
        (sys::Limit::CpuSeconds, cpu_seconds),
        (sys::Limit::OpenFiles, open_files),
    ] {
        if let Some(value) = value {
            sys::set_limit(limit, value)?;
        }
    }
    match (setup.stdin.take(), &setup.role) {
        (None, _) => Ok(()),
        // What this process ignores the other program would ignore.
        (Some(stdin), Role::Execute(_)) => sys::replace_standard_input(stdin.into()),
        (Some(stdin), _) => sys::set_standard_input(stdin.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, PROTOCOL, Role, Setup};

    /// What another build reads. Who has to change this has to raise `PROTOCOL`, too.
    #[test]
    fn a_setup_is_written_as_protocol_1_has_it() {
        assert_eq!(PROTOCOL, 1);
        let limits = Limits { memory: Some(3), cpu_seconds: None, open_files: None };
        let setup = Setup { program: (1, 2), parents: true, limits, stdin: None, role: Role::Call };
        assert_eq!(setup.into_message().unwrap().bytes, [1, 2, 1, 1, 3, 0, 0, 0, 0]);
    }
}
