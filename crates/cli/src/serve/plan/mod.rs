//! What differs between the plans whose connections are tasks of one process: how to accept, to start a connection's
//! task, to read and write, and to wait for the ledger. Everything else of the service is the same code under all of them.

mod coroutines;
mod std_threads;
mod tasks;
mod threads;
mod wires;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{ReplySlot, Reporter, Shared};
pub(super) use coroutines::{Coroutines, STACK_SLOT};
pub(super) use std_threads::{StdStream, StdThreads};
pub(super) use threads::Threads;

/// Which plan runs a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub(super) enum PlanName {
    /// A ropewalk coroutine per connection
    Coroutine,
    /// A ropewalk thread per connection
    Thread,
    /// A process per connection
    Process,
    /// A few processes, with a coroutine per connection in each
    #[value(name = "process+coroutine")]
    ProcessCoroutine,
    /// A thread per connection on plain `std::thread` and `std::net`: the control
    Std,
}

impl PlanName {
    /// The name as on the command line.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Coroutine => "coroutine",
            Self::Thread => "thread",
            Self::Process => "process",
            Self::ProcessCoroutine => "process+coroutine",
            Self::Std => "std",
        }
    }
}

/// How many connections may wait to be accepted. Linux takes the smaller of this and
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A way to run connections.
pub(super) trait Plan: Sized + Send + Sync + 'static {
    /// A listening socket.
    type Listener: AsFd + Send + Sync + 'static;
    /// An accepted connection.
    type Stream: Stream;
    /// What a connection waits in for the ledger.
    type Slot: ReplySlot;

    /// Runs `body`, which listens and accepts, as this plan's first task.
    fn run<T: Send + 'static>(&self, body: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T>;

    /// A connection to the ledger for all tasks of this process, over the socket `ledger`; receives in a task of its
    /// own. Called within `run`.
    fn connect(&self, ledger: OwnedFd, reporter: Option<Reporter>) -> io::Result<Arc<Shared<Self::Slot>>>;

    /// Listens on `address` with a backlog of 4,096.
    fn listen(address: SocketAddr) -> io::Result<Self::Listener>;

    /// Waits for the next connection.
    fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;

    /// How much address space a connection's task takes, in bytes.
    fn reservation(&self) -> usize;

    /// Starts a connection's task. When there is no room for it `connection` is dropped, here or
    /// where it was to run.
    fn spawn(&self, connection: impl FnOnce() + Send + 'static) -> io::Result<()>;

    /// Waits.
    fn sleep(duration: Duration);
}

/// A connection's socket.
pub(super) trait Stream: AsFd + Send + Sync + 'static {
    /// Called once, by the connection's own task, before anything else: sends without delay, and
    /// gives up on a client that does not take its replies within `write_timeout`.
    fn prepare(&self, write_timeout: Duration) -> io::Result<()>;

    /// Reads what is there, or waits for it; `WouldBlock` or `TimedOut` when nothing comes in time.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends all of `bytes`, with one system call unless the socket is full.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;

    /// How long a read waits from now on.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Ends a direction, or both; wakes whoever waits in it.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}
