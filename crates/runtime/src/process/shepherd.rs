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
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;

use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::decode;
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Cancelled};
use ropewalk_sys::process::{Signal, Status};
use serde::de::DeserializeOwned;

use super::charge::{Charge, EXIT_LIMIT, KILL_LIMIT, exit_of};
use super::child::Setup;
use super::program::Running;
use super::reply::Reply;
use super::spawner;
use crate::scope::{OnFailure, scope_with};
use crate::task::current;
use crate::task::exit::Exit;
use crate::task::join::Ended;
use crate::timeout;

/// All that a child is told.
pub(super) struct Order {
    /// What the command executes, which is needed until it has.
    pub(super) program: Running,
    pub(super) command: Command,
    pub(super) setup: Setup,
    /// Which function, and its argument.
    pub(super) call: Message,
    /// How long it may take.
    pub(super) deadline: Option<Duration>,
    pub(super) kill_deadline: Duration,
}

/// What became of a call.
enum Heard {
    Reply(Reply),
    /// The child closed its link.
    Nothing,
    /// Nothing until its deadline; it was killed.
    Late,
    /// Nothing until it was cancelled, in a program in which nothing unwinds.
    Cancelled,
}

/// Starts the child, and gives what its function returned.
///
/// # Errors
/// How it ended, where its function has not returned.
pub(super) fn look_after<R: DeserializeOwned>(order: Order) -> Result<R, Ended> {
    let (heard, status) = conduct(order).map_err(|error| match error {
        error if is_interruption(&error) => Ended::Cancelled,
        error => Ended::NotStarted(error),
    })?;
    let result = match heard {
        Heard::Reply(reply) => reply.into_result().map_err(Ended::NotStarted)?.map_err(Ended::Exited)?,
        Heard::Late => return Err(Ended::Exited(Exit::DeadlineExceeded)),
        Heard::Cancelled => return Err(Ended::Cancelled),
        Heard::Nothing => return Err(Ended::Exited(exit_of(status))),
    };
    decode(result).map_err(Ended::NotStarted)
}

/// From the start of the child to its end. The status is missing if the child had to be killed to have it end.
fn conduct(order: Order) -> io::Result<(Heard, Option<Status>)> {
    let Order { program, mut command, setup, call, deadline, kill_deadline } = order;
    let (link, childs) = Link::pair()?;
    command.stdin(Stdio::from(childs));
    let child = spawner::start(command)?;
    drop(program);
    current::stand_for(child.id());
    let charge = Charge::new(child);
    let talked = catch_unwind(AssertUnwindSafe(|| match deadline {
        Some(limit) => timeout::timeout(limit, || talk(&link, &charge, setup, call)),
        None => Ok(talk(&link, &charge, setup, call)),
    }));
    drop(link);
    match talked {
        Ok(Ok(Err(error))) if is_interruption(&error) => {
            terminate(&charge, kill_deadline);
            let cancelled = park::current(|waiter, _| waiter.is_cancelled());
            Ok((if cancelled { Heard::Cancelled } else { Heard::Late }, None))
        }
        Ok(Ok(said)) => {
            let status = end(&charge, EXIT_LIMIT, Rest::Spared);
            Ok((said?, status))
        }
        Ok(Err(_elapsed)) => {
            terminate(&charge, kill_deadline);
            Ok((Heard::Late, None))
        }
        Err(payload) => {
            // Cancelled. First caught, then waited, then raised again.
            terminate(&charge, kill_deadline);
            resume_unwind(payload)
        }
    }
}

/// Whether a wait was cancelled, or is past a deadline: with `panic = "abort"` both come as an error.
pub(super) fn is_interruption(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

/// Ends a child that has not ended, and its group.
fn terminate(charge: &Charge, kill_deadline: Duration) {
    // It fails only where the process has become another user's: then the kernel would not kill it either.
    if charge.child.signal_group(Signal::TERM).is_ok() {
        end(charge, kill_deadline, Rest::Killed);
    }
}

/// Gives the child its orders and hears what it has to say.
fn talk(link: &Link, charge: &Charge, setup: Setup, call: Message) -> io::Result<Heard> {
    scope_with(OnFailure::Isolate, |s| {
        // Somebody else may hold the child's end of the link open after the child's end, such as a process that it
        // forked: so the child's own end is waited for besides.
        let watch = s.spawn(|| {
            if charge.wait_ended(None, || None::<()>).is_ok() {
                link.shut_receiving();
            }
        });
        let said = exchange(link, setup, call);
        watch.cancel();
        said
    })
}

fn exchange(link: &Link, setup: Setup, call: Message) -> io::Result<Heard> {
    let setup = setup.into_message()?;
    let sent = link.send_message(&setup).and_then(|()| link.send_message(&call));
    match sent {
        // It died early; what it has said, if anything, and its status tell how.
        Err(error) if is_end(&error) => {}
        sent => sent?,
    }
    // Its descriptors are the child's alone from here on: whoever reads from a pipe hears when the child closes it.
    drop((setup, call));
    match link.receive(None) {
        Err(error) if is_end(&error) => Ok(Heard::Nothing),
        received => received?.map_or(Ok(Heard::Nothing), |reply| Ok(Heard::Reply(Reply::parse(reply)?.0))),
    }
}

/// Whether the error of a link tells of the end of the other side, be it in the middle of a message.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

/// What becomes of those in a child's group that outlive it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Spared,
    Killed,
}

/// Waits for the child's end, kills it after `limit`, and reaps it. Gives the status of one that ended by itself.
fn end(charge: &Charge, limit: Duration, rest: Rest) -> Option<Status> {
    timeout::shield(limit + KILL_LIMIT, || {
        let wait = |limit| charge.wait_ended(clock::after(limit), || None::<()>).is_ok();
        let orderly = wait(limit);
        if !orderly && charge.child.signal_group(Signal::KILL).is_ok() {
            wait(KILL_LIMIT);
        } else if rest == Rest::Killed {
            // The group has its number as long as its leader is not reaped.
            let _ = charge.child.signal_group(Signal::KILL);
        }
        // Its number may be another one's soon.
        current::stand_for(0);
        charge.reap().filter(|_| orderly)
    })
}
