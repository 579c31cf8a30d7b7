//! A ropewalk thread per connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::thread;

use super::tasks::{self, ChannelSlot};
use super::{BACKLOG, Plan, wires};
use crate::serve::ledger::{Reporter, Shared};

/// A ropewalk thread per connection.
#[derive(Debug)]
pub(in crate::serve) struct Threads {
    /// How much stack each thread reserves.
    pub(in crate::serve) stack_size: usize,
}

impl Plan for Threads {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Slot = ChannelSlot;

    fn run<T: Send + 'static>(&self, body: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        body()
    }

    fn connect(&self, ledger: OwnedFd, _: Option<Reporter>) -> io::Result<Arc<Shared<ChannelSlot>>> {
        wires::receive_in_thread(ledger)
    }

    fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with_backlog(address, BACKLOG)
    }

    fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        tasks::accept(listener)
    }

    fn reservation(&self) -> usize {
        self.stack_size
    }

    fn spawn(&self, connection: impl FnOnce() + Send + 'static) -> io::Result<()> {
        thread::Builder::new()
            .name("connection".into())
            .stack_size(self.stack_size)
            .spawn(connection)
            .map(drop)
    }

    fn sleep(duration: Duration) {
        thread::sleep(duration);
    }
}
