//! A ropewalk coroutine per connection, on as many workers as there are CPUs.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{Runtime, coroutine};

use super::tasks::{self, ChannelSlot};
use super::{BACKLOG, Plan, wires};
use crate::serve::ledger::{Reporter, Shared};

/// A stack as the runtime reserves it, guard included.
pub(in crate::serve) const STACK_SLOT: usize = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };

/// A ropewalk coroutine per connection.
#[derive(Debug)]
pub(in crate::serve) struct Coroutines {
    /// How many threads run them; one per CPU unless told otherwise.
    pub(in crate::serve) workers: Option<NonZeroUsize>,
}

impl Plan for Coroutines {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Slot = ChannelSlot;

    fn run<T: Send + 'static>(&self, body: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let mut builder = Runtime::builder();
        if let Some(workers) = self.workers {
            builder = builder.workers(workers.get());
        }
        let runtime = builder.build()?;
        if runtime.driver().reason().is_some() {
            tracing::info!("coroutines wait on {}", runtime.driver());
        }
        runtime.run(body)
    }

    fn connect(&self, ledger: OwnedFd, reporter: Option<Reporter>) -> io::Result<Arc<Shared<ChannelSlot>>> {
        wires::receive_in_coroutine(ledger, reporter)
    }

    fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with_backlog(address, BACKLOG)
    }

    fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        tasks::accept(listener)
    }

    fn reservation(&self) -> usize {
        STACK_SLOT
    }

    fn spawn(&self, connection: impl FnOnce() + Send + 'static) -> io::Result<()> {
        coroutine::Builder::new().name("connection".into()).spawn(connection).map(drop)
    }

    fn sleep(duration: Duration) {
        coroutine::sleep(duration);
    }
}
