//! What crates of the async world ask of a runtime: streams that can be polled, timers, an executor. With the feature
//! `compat`.
//!
//! Code of Ropewalk is plain and waits where it stands. A crate with an `async` face gives futures instead, which somebody
//! has to poll, and which must not wait meanwhile. [`block_on`] and [`spawn_future`] poll them; this module is what the
//! futures find below them:
//!
//! | for | there is |
//! |---|---|
//! | hyper | [`Io`] around a stream, [`hyper::Executor`], [`hyper::Timer`] |
//! | crates that take tokio's `AsyncRead` and `AsyncWrite` (tokio-postgres, tungstenite, rustls, h2) | [`Io`] |
//! | crates that take those of `futures-io` | [`Io`] |
//! | crates that insist on tokio's runtime (reqwest, and what calls `tokio::spawn` or `tokio::net`) | [`tokio::run`], which has threads of its own |
//! | time in `async` code | [`future::sleep`](crate::future::sleep) |
//!
//! The workspace `guests` in the repository runs such crates, each in a short program.
//!
//! # A server
//! The loop that accepts is plain code; each connection is a coroutine that runs hyper's future.
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::io::{Read, Write};
//! # use ropewalk::net::TcpStream;
//! use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
//! use ropewalk::compat::Io;
//! use ropewalk::future::spawn_future;
//! use ropewalk::net::TcpListener;
//!
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let address = listener.local_addr()?;
//! # let client = ropewalk::thread::spawn(move || {
//! #     let mut stream = TcpStream::connect(address).unwrap();
//! #     stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut answer = String::new();
//! #     stream.read_to_string(&mut answer).unwrap();
//! #     answer
//! # });
//! async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new("hello\n".into()))
//! }
//!
//! for stream in listener.incoming().take(1) {
//!     spawn_future(http1::Builder::new().serve_connection(Io::new(stream?), service_fn(hello)));
//! }
//! # assert!(client.join()?.ends_with("hello\n"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Plain code in an async handler
//! A handler is polled, so it must not wait. What waits goes into a coroutine of its own, and the handler awaits its handle:
//! `coroutine::spawn(move || plain_code()).await`.
//!
//! # On which thread
//! In a coroutine the driver of its worker wakes a future. A thread has no driver: a future that is polled there, also by
//! another executor, is woken by a worker of the runtime, which costs a message between threads each time. So run such
//! futures in coroutines.
//!
//! [`block_on`]: crate::future::block_on
//! [`spawn_future`]: crate::future::spawn_future

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use ropewalk_sync::park::Interest;
use ropewalk_sync::source::Place;

use crate::pollable::Polled;

mod futures;
pub mod hyper;
pub mod tokio;

/// What [`Io`] can be made of: [`TcpStream`](crate::net::TcpStream) and [`UnixStream`](crate::net::UnixStream).
/// Sealed.
pub trait Pollable: Polled + Unpin {}

impl<S: Polled + Unpin> Pollable for S {}

/// A stream that is polled: hyper's `Read` and `Write`, and the `AsyncRead` and `AsyncWrite` of tokio and `futures-io`.
///
/// Each direction remembers one waker, that of its last poll which found nothing, until data comes or this is dropped:
/// as in these traits' contracts. The read and write timeouts of the stream are for plain code; here
/// [`future::sleep`](crate::future::sleep) is raced against a read, as elsewhere.
///
/// ```
/// use ropewalk::compat::Io;
/// use ropewalk::future::block_on;
/// use ropewalk::net::UnixStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (near, far) = UnixStream::pair()?;
/// let (mut near, mut far) = (Io::new(near), Io::new(far));
/// let word = ropewalk::coroutine::spawn(move || {
///     block_on(async {
///         near.write_all(b"rope").await?;
///         drop(near);
///         let mut word = String::new();
///         far.read_to_string(&mut word).await.map(|_| word)
///     })
/// });
/// assert_eq!(word.join()??, "rope");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Io<S> {
    stream: S,
    reading: Place,
    writing: Place,
}

impl<S: Pollable> Io<S> {
    /// Of a connected stream.
    pub fn new(stream: S) -> Self {
        Self { stream, reading: Place::new(Interest::Read), writing: Place::new(Interest::Write) }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream alone, for plain code again. Nothing is buffered here, so nothing is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Reads up to `most` bytes, and gives what has come to `take`, in pieces.
    fn poll_read_with(
        &mut self,
        context: &mut Context<'_>,
        most: usize,
        take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        with_scratch(|scratch| {
            let room = most.min(scratch.len());
            let length = ready!(self.poll_read_into(context, &mut scratch[..room]))?;
            scratch[..length].chunks(PIECE).for_each(take);
            Poll::Ready(Ok(()))
        })
    }

    fn poll_read_into(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(&mut self.reading, context, buffer)
    }

    fn poll_send(&mut self, context: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(&mut self.writing, context, buffers)
    }

    /// Says the peer that nothing more comes. One that has gone already need not be told.
    fn end(&self) -> io::Result<()> {
        match self.stream.close(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// As much as a read brings at most.
const SCRATCH: usize = 64 * 1024;

/// How much of it is copied at a time. For more than 2 KiB the C library's copy uses `rep movsb`, which some processors take 25
/// times as long for if both addresses happen to differ by 16 in a page (glibc's bug 30994).
const PIECE: usize = 1024;

thread_local! {
    /// The buffer of all reads on this thread. The buffers of the traits are not initialized, which safe code cannot read
    /// into; to copy what has come, 12 ns for a KiB, costs less than to clear, each time, the room for what could.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Calls `f` with the thread's buffer: nothing in a poll switches.
fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SCRATCH].into_boxed_slice());
    let result = f(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}
