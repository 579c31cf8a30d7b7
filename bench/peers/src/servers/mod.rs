//! Servers for the subjects echo and http: each a process of its own, on a CPU of its own.
//!
//! Echo sends back what it reads, through a buffer of 4 KiB on the heap. The servers of HTTP parse the request and answer 200
//! with "Hello, World!", a content type, and what else the server always says; the floors, which are called so, parse
//! nothing and send a fixed text. All set TCP_NODELAY.

mod date;
mod ours;
mod raw;
mod rivals;

use std::io::{Read, Write};
use std::net::SocketAddrV4;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Server {
    /// Ropewalk, a coroutine for each connection.
    RopewalkEcho,
    /// Ropewalk, a thread for each connection.
    RopewalkThreadsEcho,
    /// Ropewalk, a coroutine for each connection, httparse.
    RopewalkHttp,
    /// hyper, each connection a future in a coroutine of Ropewalk.
    RopewalkHyper,
    /// tokio; one worker is the current thread.
    TokioEcho,
    /// tokio with threads of its own, also for one worker.
    TokioWorkersEcho,
    /// hyper on tokio.
    Hyper,
    /// may, a coroutine for each connection.
    MayEcho,
    /// may_minihttp.
    MayMinihttp,
    /// monoio on io_uring.
    MonoioEcho,
    /// monoio on io_uring, a fixed answer.
    MonoioFixed,
    /// A thread of the kernel for each connection.
    ThreadsEcho,
    /// One thread in a loop around epoll.
    EpollEcho,
    /// One thread in a loop around epoll, a fixed answer.
    EpollFixed,
}

const BUFFER: usize = 4096;
const BODY: &str = "Hello, World!";
/// What a server answers that does not look at the question.
const FIXED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nServer: fixed\r\n\r\nHello, World!";

/// Serves until the process is killed.
pub(crate) fn serve(server: Server, address: SocketAddrV4, workers: usize) -> Result<(), String> {
    raise_descriptors();
    let ended = match server {
        Server::RopewalkEcho => ours::echo(address, workers),
        Server::RopewalkThreadsEcho => ours::echo_on_threads(address),
        Server::RopewalkHttp => ours::http(address, workers),
        Server::RopewalkHyper => ours::hyper(address, workers),
        Server::TokioEcho => rivals::tokio_echo(address, workers, false),
        Server::TokioWorkersEcho => rivals::tokio_echo(address, workers, true),
        Server::Hyper => rivals::hyper(address, workers),
        Server::MayEcho => rivals::may_echo(address, workers),
        Server::MayMinihttp => rivals::may_minihttp(address, workers),
        Server::MonoioEcho => rivals::monoio(address, workers, false),
        Server::MonoioFixed => rivals::monoio(address, workers, true),
        Server::ThreadsEcho => raw::threads(address),
        Server::EpollEcho => raw::epoll(address, None),
        Server::EpollFixed => raw::epoll(address, Some(FIXED)),
    };
    ended.map_err(|error| format!("{server:?}: {error}"))
}

/// As many as the hard limit allows: 10,000 connections are more than the usual soft one.
pub(crate) fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If it is too few, connections fail and the row says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// What every server of echo does that has plain reads and writes.
fn echo_all(mut stream: impl Read + Write) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                if stream.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
        }
    }
}
