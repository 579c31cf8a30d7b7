//! The control: a thread per connection with nothing but `std::thread` and `std::net`.
//!
//! In its best form, since a comparison with a straw man shows nothing: a read is one blocking
//! system call, the read timeout is set only when another one is wanted, the backlog is as large
//! as in the other plans, and a connection waits for the ledger in `thread::park`, one futex.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::{BACKLOG, Plan, Stream, wires};
use crate::serve::ledger::{Reply, ReplySlot, Reporter, Shared};

/// A `std` thread per connection.
#[derive(Debug)]
pub(in crate::serve) struct StdThreads {
    /// How much stack each thread reserves.
    pub(in crate::serve) stack_size: usize,
}

impl Plan for StdThreads {
    type Listener = TcpListener;
    type Stream = StdStream;
    type Slot = ParkSlot;

    fn run<T: Send + 'static>(&self, body: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        body()
    }

    fn connect(&self, ledger: OwnedFd, _: Option<Reporter>) -> io::Result<Arc<Shared<ParkSlot>>> {
        wires::receive_in_thread(ledger)
    }

    fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        // By hand: `TcpListener::bind` listens with a backlog of 128, and connects in excess of it
        // wait for seconds.
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = SocketType::STREAM;
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket.into())
    }

    fn accept(listener: &TcpListener) -> io::Result<StdStream> {
        let (socket, _) = listener.accept()?;
        Ok(StdStream { socket, read_timeout_ns: AtomicU64::new(0) })
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

/// A socket that remembers its read timeout.
#[derive(Debug)]
pub(in crate::serve) struct StdStream {
    socket: TcpStream,
    /// The timeout that the socket has; 0 for none.
    read_timeout_ns: AtomicU64,
}

impl StdStream {
    /// A stream whose reads and writes block, whatever mode the socket was in.
    pub(in crate::serve) fn blocking(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Ok(Self { socket, read_timeout_ns: AtomicU64::new(0) })
    }
}

impl AsFd for StdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for StdStream {
    fn prepare(&self, write_timeout: Duration) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        self.socket.set_write_timeout(Some(write_timeout))
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        let wanted = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: only the connection's own thread sets it.
        if self.read_timeout_ns.load(Relaxed) == wanted {
            return Ok(());
        }
        self.socket.set_read_timeout(Some(timeout))?;
        self.read_timeout_ns.store(wanted, Relaxed);
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

/// Waits by parking the thread that made it.
#[derive(Debug)]
pub(in crate::serve) struct ParkSlot {
    reply: Mutex<Option<Reply>>,
    owner: Thread,
}

impl ReplySlot for ParkSlot {
    fn new() -> Self {
        Self { reply: Mutex::new(None), owner: thread::current() }
    }

    fn put(&self, reply: Reply) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
        // After the lock is free again, so that the woken thread does not run into it.
        self.owner.unpark();
    }

    fn take(&self) -> Reply {
        loop {
            thread::park();
            let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reply) = reply {
                return reply;
            }
        }
    }
}
