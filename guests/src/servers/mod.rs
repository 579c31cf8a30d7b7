//! The real things: servers that are installed here, each started in a directory and on a port of its own, and ended with
//! the value that stands for it, or with this process.

mod postgres;
mod redis;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ropewalk::process::Child;

pub use self::postgres::Postgres;
pub use self::redis::Redis;

/// Between two looks at a server that starts.
const PAUSE: Duration = Duration::from_millis(10);

/// An address of the loopback on which nobody listens yet.
///
/// # Errors
/// No port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits until `server` takes connections at `address`.
///
/// # Errors
/// It has ended instead.
pub fn wait_until_it_listens(address: SocketAddr, server: &mut Child) -> io::Result<()> {
    wait_until(server, || Ok(TcpStream::connect(address).is_ok()))
}

fn wait_until(server: &mut Child, mut is_ready: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    while !is_ready()? {
        if let Some(status) = server.try_wait()? {
            return Err(io::Error::other(format!("the server ended before it was ready: {status}")));
        }
        ropewalk::coroutine::sleep(PAUSE);
    }
    Ok(())
}
