//! How each plan sends to the ledger and receives from it.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use ropewalk::coroutine;

use crate::serve::ledger::{ReplySlot, Reporter, Shared, Wire};
use crate::serve::socket::Socket;

/// The stack of the thread that receives; it parses frames and wakes others.
const RECEIVER_STACK: usize = 256 << 10;

/// For plans with threads: plain blocking system calls, and a thread that receives.
pub(super) fn receive_in_thread<R: ReplySlot>(ledger: OwnedFd) -> io::Result<Arc<Shared<R>>> {
    let socket = UnixStream::from(ledger);
    let receiver = socket.try_clone()?;
    let shared = Shared::new(Blocking(socket), None);
    let theirs = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("replies".into())
        .stack_size(RECEIVER_STACK)
        .spawn(move || theirs.receive(receiver))?;
    Ok(shared)
}

/// For plans with coroutines: one of them receives.
pub(super) fn receive_in_coroutine<R: ReplySlot>(
    ledger: OwnedFd,
    reporter: Option<Reporter>,
) -> io::Result<Arc<Shared<R>>> {
    let socket = Arc::new(Socket::from(ledger));
    let shared = Shared::new(Yielding(Arc::clone(&socket)), reporter);
    let theirs = Arc::clone(&shared);
    coroutine::Builder::new().name("replies".into()).spawn(move || theirs.receive(&*socket)).map(drop)?;
    Ok(shared)
}

/// The calling thread blocks until the kernel has taken all.
struct Blocking(UnixStream);

impl Wire for Blocking {
    fn gather(&self) {
        // Where threads wait for a CPU, some of them are about to pay: they go first, and share the system call.
        std::thread::yield_now();
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn close(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The calling coroutine waits until the kernel has taken all.
struct Yielding(Arc<Socket>);

impl Wire for Yielding {
    fn gather(&self) {
        // All that are ready on this worker have their turn first: many of them are about to pay.
        coroutine::yield_now();
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.0).write_all(bytes)
    }

    fn close(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
