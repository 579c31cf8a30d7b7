//! The parent's side: a coroutine that looks after one child, from its start until it has been reaped.
//!
//! The handle of a process is the handle of this coroutine, so everything that a handle can do - join, with and without a
//! time limit, cancel, belong to a scope or a runtime, be a daemon - is what it is for coroutines. What the coroutine
//! gives is what the child's function gave, or how it ended otherwise: an [`Exit`].
//!
//! # The end of a child, in order
//! 1. The kernel says that it has ended. It is still a zombie, so its number, which is its group's, is its own.
//! 2. If it was to be killed, what is left of its group is killed, too.
//! 3. It is reaped.
//!
//! A child whose function has returned has [`EXIT_LIMIT`] to end; one that is cancelled, or past its deadline, gets
//! `SIGTERM` and after its kill deadline `SIGKILL`. The coroutine waits for the end shielded from cancellation, with that limit.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;

use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::{decode, encode};
use ropewalk_sync::clock;
use ropewalk_sync::park::{Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use ropewalk_sys::process::{Child, Signal, Status};
use serde::de::DeserializeOwned;

use super::child::{Reply, Setup};
use super::report::Panic;
use super::spawner;
use crate::scope::{OnFailure, scope_with};
use crate::task::exit::Exit;
use crate::task::join::Ended;
use crate::timeout;

/// How long a child may take to end after its function has ended, or after it has cut its link.
const EXIT_LIMIT: Duration = Duration::from_secs(5);
/// How long a child that was sent `SIGKILL` may take to end: longer only where the kernel itself is stuck.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// All that a child is told.
pub(super) struct Order {
    pub(super) command: Command,
    pub(super) setup: Setup,
    /// Which function, and its argument.
    pub(super) call: Message,
    /// How long it may take.
    pub(super) deadline: Option<Duration>,
    pub(super) kill_deadline: Duration,
}

/// A child that has not been reaped.
struct Charge {
    child: Child,
    ended: Source,
    status: Option<Status>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ended.forget(self.child.as_fd());
    }
}

/// What the child said before it ended.
enum Said {
    Result(Message),
    Panicked(Panic),
    Refused(String),
    /// It closed its link.
    Nothing,
    /// Nothing until its deadline; it was killed.
    Late,
}

/// Starts the child, and gives what its function returned.
///
/// # Errors
/// How it ended, where its function has not returned.
pub(super) fn look_after<R: DeserializeOwned>(order: Order) -> Result<R, Ended> {
    let (said, status) = conduct(order).map_err(Ended::NotStarted)?;
    Err(match said {
        Said::Result(message) => return decode(message).map_err(Ended::NotStarted),
        Said::Panicked(Panic { message, backtrace }) => Ended::Exited(Exit::Panicked { message, backtrace }),
        Said::Refused(why) => Ended::NotStarted(io::Error::other(why)),
        Said::Late => Ended::Exited(Exit::DeadlineExceeded),
        Said::Nothing => Ended::Exited(match status {
            None => Exit::Lost,
            Some(Status::Exited(code)) => Exit::Exited(code),
            Some(Status::Signaled(signal, _)) if signal == Signal::XCPU.as_raw() => Exit::OutOfCpuTime,
            Some(Status::Signaled(signal, core_dumped)) => Exit::Signaled { signal, core_dumped },
        }),
    })
}

/// From the start of the child to its end. The status is missing if the child had to be killed to have it end.
fn conduct(order: Order) -> io::Result<(Said, Option<Status>)> {
    let Order { mut command, setup, call, deadline, kill_deadline } = order;
    let (link, childs) = Link::pair()?;
    command.stdin(Stdio::from(childs));
    let child = spawner::start(command)?;
    let mut charge = Charge { child, ended: Source::default(), status: None };
    let talked = catch_unwind(AssertUnwindSafe(|| match deadline {
        Some(limit) => timeout::timeout(limit, || talk(&link, &charge, setup, call)),
        None => Ok(talk(&link, &charge, setup, call)),
    }));
    drop(link);
    match talked {
        Ok(Ok(said)) => {
            let orderly = end(&mut charge, EXIT_LIMIT, Rest::Spared);
            let status = charge.status.filter(|_| orderly);
            Ok((said?, status))
        }
        Ok(Err(_elapsed)) => {
            terminate(&mut charge, kill_deadline);
            Ok((Said::Late, charge.status))
        }
        Err(payload) => {
            // Cancelled. First caught, then waited, then raised again.
            terminate(&mut charge, kill_deadline);
            resume_unwind(payload)
        }
    }
}

/// Ends a child that has not ended, and its group.
fn terminate(charge: &mut Charge, kill_deadline: Duration) {
    // It fails only where the process has become another user's: then the kernel would not kill it either.
    if charge.child.signal_group(Signal::TERM).is_ok() {
        end(charge, kill_deadline, Rest::Killed);
    }
}

/// Gives the child its orders and hears what it has to say.
fn talk(link: &Link, charge: &Charge, setup: Setup, call: Message) -> io::Result<Said> {
    scope_with(OnFailure::Isolate, |s| {
        // Somebody else may hold the child's end of the link open after the child's end, such as a process that it
        // forked: so the child's own end is waited for besides.
        let watch = s.spawn(|| {
            if charge.wait_ended(None) {
                link.shut_receiving();
            }
        });
        let said = exchange(link, setup, call);
        watch.cancel();
        said
    })
}

fn exchange(link: &Link, setup: Setup, call: Message) -> io::Result<Said> {
    let (bytes, stdin) = encode(&setup)?;
    drop(setup);
    let setup = Message { bytes, descriptors: stdin };
    let sent = send(link, &setup).and_then(|()| send(link, &call));
    match sent {
        // It died early; what it has said, if anything, and its status tell how.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    // Its descriptors are the child's alone from here on: whoever reads from a pipe hears when the child closes it.
    drop((setup, call));
    let Some(reply) = receive(link)? else { return Ok(Said::Nothing) };
    Ok(match decode(reply)? {
        Reply::Panicked(panic) => Said::Panicked(panic),
        Reply::Refused(why) => Said::Refused(why),
        Reply::Returned => receive(link)?.map_or(Said::Nothing, Said::Result),
    })
}

fn send(link: &Link, message: &Message) -> io::Result<()> {
    let descriptors: Vec<_> = message.descriptors.iter().map(AsFd::as_fd).collect();
    link.send(&message.bytes, &descriptors)
}

/// The next message; nothing if the child has ended, be it in the middle of one.
fn receive(link: &Link) -> io::Result<Option<Message>> {
    match link.receive(None) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        received => received,
    }
}

impl Charge {
    /// Waits until the child has ended, for `limit` at most. `true` if it has.
    fn wait_ended(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(clock::after);
        let wait = Wait::new(WaitReason::ProcessExit).object(self).fallible().until(deadline);
        let waited = self.ended.attempt(self.child.as_fd(), Interest::Read, &wait, || {
            if self.child.has_ended()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        waited.is_ok()
    }
}

/// What becomes of those in a child's group that outlive it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Spared,
    Killed,
}

/// Waits for the child's end, kills it after `limit`, and reaps it. `true` if it ended by itself.
fn end(charge: &mut Charge, limit: Duration, rest: Rest) -> bool {
    timeout::shield(limit + KILL_LIMIT, || {
        let orderly = charge.wait_ended(Some(limit));
        if !orderly && charge.child.signal_group(Signal::KILL).is_ok() {
            charge.wait_ended(Some(KILL_LIMIT));
        } else if rest == Rest::Killed {
            // The group has its number as long as its leader is not reaped.
            let _ = charge.child.signal_group(Signal::KILL);
        }
        match charge.child.reap() {
            Ok(status) => charge.status = status,
            Err(error) => {
                tracing::warn!(pid = charge.child.id(), %error, "somebody else has reaped a child of Ropewalk's");
            }
        }
        orderly
    })
}
