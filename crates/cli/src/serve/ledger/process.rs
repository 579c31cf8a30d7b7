//! The ledger's process: how it is started and ended, and what it does.
//!
//! Whoever serves connections gets a socket of its own to it. The ledger gets the other end through a control socket,
//! which only the process that started it holds.
//!
//! # Ends
//! - The service closes all sockets: the ledger commits what it was given, closes the database and ends.
//! - The service dies: so do its processes, which closes all sockets. The same follows, without anybody to be told.
//! - The ledger dies: the service says so and ends with an error; what was acknowledged is on the disk.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::thread::JoinHandle;

use ropewalk::channel::{Receiver, Sender, bounded};
use ropewalk::process::{self, Descriptor};
use ropewalk::{OnFailure, Runtime, scope_with};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair,
};
use rustix::process::set_parent_process_death_signal;
use serde::{Deserialize, Serialize};

use super::books::Opening;
use super::desk::Desk;
use super::direct::Direct;
use super::engine::Engine;
use super::wire::{Reply, Request};
use crate::logging::Logging;
use crate::serve::drain;
use crate::serve::socket::Socket;
use crate::serve::throttle::Throttle;

/// So many new connections wait for the ledger's runtime at once.
const NEWCOMERS: usize = 64;

/// What the ledger's process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    /// Any bytes: a path need not be text.
    database: Vec<u8>,
    accounts: u32,
    balance: i64,
    control: Descriptor,
    logging: Logging,
}

/// A running ledger, as the process that started it sees it.
pub(in crate::serve) struct LedgerProcess {
    /// How many accounts there are.
    pub(in crate::serve) accounts: u64,
    /// Its process.
    pub(in crate::serve) pid: u32,
    control: OwnedFd,
    phase: Arc<AtomicU8>,
    watch: Option<JoinHandle<Result<(), String>>>,
}

/// How the ledger's life goes on, as far as its end can be told: each phase is entered once, from the one before.
mod phase {
    /// It opens its database. Its end is an error of the start.
    pub(super) const STARTING: u8 = 0;
    /// It serves. Its end is the service's.
    pub(super) const SERVING: u8 = 1;
    /// It is to end.
    pub(super) const CLOSING: u8 = 2;
    /// It has ended.
    pub(super) const ENDED: u8 = 3;
}

impl LedgerProcess {
    /// Starts the ledger on a database and waits until it has opened it.
    ///
    /// # Errors
    /// The process cannot be started, or the database cannot be used.
    pub(in crate::serve) fn start(database: &Path, opening: Opening) -> io::Result<Self> {
        let (control, theirs) = pair(SocketType::SEQPACKET)?;
        let order = Order {
            database: database.as_os_str().to_owned().into_vec(),
            accounts: opening.accounts,
            balance: opening.balance,
            control: theirs.into(),
            logging: Logging::current(),
        };
        let phase = Arc::new(AtomicU8::new(phase::STARTING));
        let theirs = Arc::clone(&phase);
        let watch = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            // A runtime of its own, with this thread as its one worker: all that it does is to wait for the child.
            let runtime = Runtime::builder().workers(1).build().map_err(|error| error.to_string())?;
            runtime.run(|| watch(order, &theirs))
        })?;
        let mut ledger = Self { accounts: 0, pid: 0, control, phase, watch: Some(watch) };
        let greeted = ledger.connect().map(Direct::new).map(|direct| direct.ask(&Request::State));
        let serving = ledger.phase.compare_exchange(phase::STARTING, phase::SERVING, SeqCst, SeqCst).is_ok();
        match greeted {
            Ok(Reply::State(state)) if serving => {
                ledger.accounts = state.accounts;
                ledger.pid = u32::try_from(state.pid).unwrap_or(0);
                Ok(ledger)
            }
            // Why it has ended is for it to say.
            greeted => Err(match (ledger.close(), greeted) {
                (Err(error), _) | (Ok(()), Err(error)) => error,
                (Ok(()), Ok(_)) => io::Error::other("the ledger's process has ended"),
            }),
        }
    }

    /// A new connection to the ledger: what comes out of it is answered there.
    ///
    /// # Errors
    /// No descriptor is left, here or there (`ulimit -n`); the ledger has ended.
    pub(in crate::serve) fn connect(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = pair(SocketType::STREAM)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        let theirs = [theirs.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&theirs));
        sendmsg(&self.control, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(ours)
    }

    /// Lets the ledger commit what it was given, and waits for its end. All connections must have been closed.
    ///
    /// # Errors
    /// It ended otherwise.
    pub(in crate::serve) fn close(mut self) -> io::Result<()> {
        self.phase.store(phase::CLOSING, SeqCst);
        // When it has ended already there is nothing to shut.
        let _ = shutdown(&self.control, Shutdown::Both);
        let ended = self.watch.take().map(JoinHandle::join);
        match ended {
            Some(Ok(result)) => result.map_err(io::Error::other),
            Some(Err(_)) => Err(io::Error::other("the thread that looks after the ledger panicked")),
            None => Ok(()),
        }
    }
}

/// A pair of sockets that block, as the ledger's peers want them.
fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

/// Starts the process and waits for its end. While it should serve, its end is that of the service.
fn watch(order: Order, phase: &AtomicU8) -> Result<(), String> {
    let started = process::Builder::new().name("ledger".into()).spawn(keep, order);
    let ended = match started.map(ropewalk::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(format!("the ledger's process: {error}")),
        Err(error) => Err(format!("the ledger's process cannot be started: {error}")),
    };
    if phase.swap(phase::ENDED, SeqCst) == phase::SERVING {
        let why = ended.err().unwrap_or_else(|| "it has ended by itself".to_owned());
        tracing::error!("{why}; what was acknowledged is safe, start the service again");
        std::process::exit(1);
    }
    ended
}

/// The ledger's process.
fn keep(order: Order) -> Result<(), String> {
    order.logging.start();
    // It outlives its parent by the time that it takes to commit what came: the end of all sockets is its end, too.
    set_parent_process_death_signal(None).map_err(|error| error.to_string())?;
    drain::ignore_file_size_signal().map_err(|error| error.to_string())?;
    let database = PathBuf::from(OsString::from_vec(order.database));
    let opening = Opening { accounts: order.accounts, balance: order.balance };
    let engine = Engine::open(&database, opening).map_err(|error| error.to_string())?;
    let desk = Desk::new(engine);
    let (door, newcomers) = bounded(NEWCOMERS);
    let control = OwnedFd::from(order.control);
    std::thread::Builder::new()
        .name("doorman".into())
        .spawn(move || open_door(&control, &door))
        .map_err(|error| error.to_string())?;
    let runtime = Runtime::builder().workers(1).build().map_err(|error| error.to_string())?;
    runtime.run(|| serve_all(&desk, &newcomers));
    desk.engine.close();
    Ok(())
}

/// Serves everybody who comes, until the door is closed and all have gone.
fn serve_all(desk: &Desk, newcomers: &Receiver<OwnedFd>) {
    scope_with(OnFailure::Isolate, |scope| {
        for socket in newcomers {
            let socket = Socket::from(socket);
            drop(scope.spawn(move || desk.serve(&socket)));
        }
    });
}

/// Takes new connections out of the control socket until that is closed.
fn open_door(control: &OwnedFd, door: &Sender<OwnedFd>) {
    let mut reports = Throttle::default();
    loop {
        match receive_socket(control) {
            Ok(Some(socket)) => {
                if door.send(socket).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            // Its other end finds the connection closed.
            Err(error) => reports.report(format_args!("the ledger cannot take a connection: {error}")),
        }
    }
}

/// The next connection; nothing when no more will come.
fn receive_socket(control: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let mut byte = [0];
    let parts = &mut [IoSliceMut::new(&mut byte)];
    let received = match recvmsg(control, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Err(rustix::io::Errno::INTR) => return receive_socket(control),
        // The other end has died with something of ours unread: closed all the same.
        Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        received => received?,
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let socket = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let missing = || io::Error::other("no descriptor came with it: raise `ulimit -n`");
    socket.map(Some).ok_or_else(missing)
}
