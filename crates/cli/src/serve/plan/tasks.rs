//! What the two plans of ropewalk share: sockets and a reply slot that serve whoever waits.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use ropewalk::channel::{Receiver, Sender, bounded};
use ropewalk::net::{TcpListener, TcpStream};

use super::Stream;
use crate::serve::ledger::{Reply, ReplySlot};

/// Waits for the next connection.
///
/// # Waits
/// The calling task.
pub(super) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.accept().map(|(stream, _)| stream)
}

impl Stream for TcpStream {
    fn prepare(&self, write_timeout: Duration) -> io::Result<()> {
        self.set_nodelay(true)?;
        self.set_write_timeout(Some(write_timeout))
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self;
        Read::read(&mut stream, buffer)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self;
        Write::write_all(&mut stream, bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

/// A channel for one reply. Whoever receives from the ledger hands it to the connection that waits,
/// which holds no lock when it wakes and needs none.
#[derive(Debug)]
pub(in crate::serve) struct ChannelSlot {
    sender: Sender<Reply>,
    receiver: Receiver<Reply>,
}

impl ReplySlot for ChannelSlot {
    fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    fn put(&self, reply: Reply) {
        // Never full: one reply for one request, and the next request comes after it was taken.
        let _ = self.sender.try_send(reply);
    }

    fn take(&self) -> Reply {
        // The sender is here, so only a task that may not wait any more gets an error.
        self.receiver.recv().unwrap_or(Reply::Gone)
    }
}
