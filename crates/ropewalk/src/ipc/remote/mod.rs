//! Channels and topics over a connection: to another machine, or to a process that nobody here has started.
//!
//! The ends are those of [`ipc::channel`](super::channel), and what goes over them is any value that serde can send. Each
//! connection has two channels, one for each direction; who needs one only drops the other end.
//!
//! ```
//! use ropewalk::ipc::remote;
//! use ropewalk::net::{TcpListener, TcpStream};
//! use ropewalk::{coroutine, thread};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//!
//! // The other machine: what it sends is what this one receives.
//! let server = coroutine::spawn(move || -> std::io::Result<()> {
//!     let (stream, _) = listener.accept()?;
//!     let (lengths, words) = remote::over::<usize, String>(stream)?;
//!     for word in words {
//!         lengths.send(word?.len())?;
//!     }
//!     Ok(())
//! });
//!
//! let (words, lengths) = remote::over::<String, usize>(TcpStream::connect(address)?)?;
//! words.send("rope".to_owned())?;
//! assert_eq!(lengths.recv()?, 4);
//! drop(words); // the other side's `for` ends
//! assert!(lengths.recv().unwrap_err().is_disconnected());
//! server.join()??;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Nothing is secret, and nobody is who he says
//! **A connection is neither encrypted nor authenticated.** Whoever can reach the port can read, change and send messages. Use it
//! on networks that you trust, or over a stream that sees to it: [`Builder::over_halves`] takes any [`Read`] and [`Write`],
//! rustls' for one. What is promised of strangers: a peer that says nothing, or something else, is dropped with an error; memory is
//! taken for bytes that have come, never for a length that somebody announced; a message that is too long ends the connection.
//! What is not: serde builds what a message says. A type that contains itself can be nested as deep as a message is long, which
//! takes stack, and a sequence of values without content (`Vec<()>`) as long as a number can be, which takes time. Do not
//! receive such types from strangers.
//!
//! # What a connection promises
//! | | |
//! |---|---|
//! | order | messages come out in the order in which their sends took effect |
//! | the beginning | both sides say what they are - version, types, limits, subject - and compare: what does not fit is an error on both sides, which names where the types differ; who says nothing is dropped after [`Builder::handshake_timeout`], 5 s |
//! | room | [`Builder::capacity`] messages on this side, as many on the other, and what the kernel buffers. Who sends more waits |
//! | length | [`Builder::longest_message`], 1 MiB: the receiving side's word counts. A longer one is refused by [`Sender::send`], and the channel goes on |
//! | sent | is what is in the queue of this side. A coroutine writes it; [`run`](crate::run) waits for that, a process that ends in another way does not. To know that a message has arrived takes an answer |
//! | the end | when all senders of a side are gone the other gets what was sent, and then [`Disconnected`](super::RecvError::Disconnected); the other direction goes on. When all receivers are gone the other side's senders get that |
//! | a peer that is killed, a connection that is cut | what came whole is received, then [`Failed`](super::RecvError::Failed) says that the connection was lost, once; half a message is never received |
//! | a machine that is gone without a word | is for TCP to notice: by keepalive, half a minute after the last word; while something is on its way to it, when the kernel gives up, after a quarter of an hour (`net.ipv4.tcp_retries2`). [`SocketOptions::set_user_timeout`] makes that shorter, and ends connections to peers that do not read for so long, too |
//! | both ends are dropped | what was sent is written, and the connection is kept for the other side to read it, a minute at most |
//! | cancelled in a wait, or out of time | the message of a send does not go; the connection is whole |
//! | descriptors, and what holds them | do not travel: an error of `send` |
//! | `fork`, [`process::spawn`](crate::process::spawn) | the ends do not travel; the stream does, before the channel is made |
//!
//! # Topics
//! [`serve_topic`] gives what is published in a [`Topic`](crate::topic::Topic) to a subscriber at the other end of a stream, who
//! has it as a [`Subscription`].

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use ropewalk_ipc::channel::queue::{receiver_of, sender_of};
use ropewalk_ipc::frame::{Hello, Shape};
use ropewalk_ipc::schema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Receiver, Sender};
use crate::net::{Keepalive, SocketOptions, TcpStream, ToSocketAddrs, UnixStream};

mod connection;
mod handshake;
mod topic;

pub use self::topic::{RecvError, Subscription, SubscriptionIter, serve_topic, subscribe};

use self::connection::{Ends, Settings, start};

/// How many messages wait on each side.
const CAPACITY: usize = 32;
const LONGEST: u32 = 1 << 20;
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Both directions over a connected stream: what is sent, and what is received. The other side does the same, with the
/// types exchanged; neither has to be first.
///
/// # Errors
/// [`TimedOut`](io::ErrorKind::TimedOut): the other side has not said what it is in time.
/// [`InvalidData`](io::ErrorKind::InvalidData): it is no Ropewalk, speaks another version, or its messages are of other types.
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): it has hung up. What the kernel says.
///
/// # Waits
/// Until the other side has said what it is.
///
/// # Cancellation
/// Unwinds a cancelled task; the stream is closed.
///
/// # Examples
/// See the [module](self).
pub fn over<S, R>(stream: impl Stream) -> io::Result<(Sender<S>, Receiver<R>)>
where
    S: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Builder::new().over(stream)
}

/// Connects to a listener of TCP, whose side takes the stream to [`over`], and does that here, too.
///
/// # Errors
/// As [`TcpStream::connect`] and [`over`].
///
/// # Waits
/// Until there is a connection, and the other side has said what it is.
///
/// # Cancellation
/// Unwinds a cancelled task.
///
/// # Examples
/// ```
/// use ropewalk::{coroutine, ipc::remote, net::TcpListener};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let other = coroutine::spawn(move || remote::over::<(), u32>(listener.accept()?.0)?.1.recv().map_err(std::io::Error::from));
/// let (numbers, _) = remote::connect::<u32, ()>(address)?;
/// numbers.send(7)?;
/// assert_eq!(other.join()??, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn connect<S, R>(address: impl ToSocketAddrs) -> io::Result<(Sender<S>, Receiver<R>)>
where
    S: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    over(TcpStream::connect(address)?)
}

/// Says how a connection is to be. Each side says it for itself.
///
/// # Examples
/// ```
/// use ropewalk::ipc::remote::Builder;
/// use ropewalk::net::UnixStream;
/// use ropewalk::coroutine;
/// use std::time::Duration;
///
/// let (near, far) = UnixStream::pair()?;
/// let echo = coroutine::spawn(move || -> std::io::Result<()> {
///     let (sender, receiver) = Builder::new().longest_message(10).over::<String, String>(far)?;
///     for text in receiver {
///         sender.send(text?)?;
///     }
///     Ok(())
/// });
/// let builder = Builder::new().capacity(4).handshake_timeout(Duration::from_secs(1));
/// let (sender, receiver) = builder.over::<String, String>(near)?;
/// assert!(sender.send("too long for them".into()).is_err());
/// sender.send("not this".into())?;
/// assert_eq!(receiver.recv()?, "not this");
/// drop(sender);
/// echo.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is told to"]
pub struct Builder {
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        Self { settings: Settings { capacity: CAPACITY, longest: LONGEST, handshake: HANDSHAKE } }
    }
}

impl Builder {
    /// Room for 32 messages, of at most 1 MiB each; 5 s to say hello.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages may wait to be written, and how many that have come to be received: 32, unless told otherwise, and 1 at
    /// least. With the [longest message](Self::longest_message) it bounds the memory that a peer can have this side take.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.settings.capacity = messages.max(1);
        self
    }

    /// How many bytes a message may have that this side receives: 1 MiB, unless told otherwise. The other side is told, and
    /// refuses to send a longer one.
    pub fn longest_message(mut self, bytes: u32) -> Self {
        self.settings.longest = bytes;
        self
    }

    /// How long the other side has to say what it is: 5 s, unless told otherwise.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.settings.handshake = limit;
        self
    }

    /// As [`over`], so.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn over<S, R>(&self, stream: impl Stream) -> io::Result<(Sender<S>, Receiver<R>)>
    where
        S: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let (reader, writer) = stream.halves()?;
        self.over_halves(reader, writer)
    }

    /// As [`over`], over anything that reads and writes: an encrypted stream, two pipes. They go to two coroutines, so they are
    /// to wait in Ropewalk's ways, and to write in one while reading in the other. The direction ends when the writer is
    /// dropped.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    ///
    /// # Examples
    /// ```
    /// use ropewalk::ipc::remote::Builder;
    /// use ropewalk::{coroutine, io::pipe};
    ///
    /// let ((their_reader, our_writer), (our_reader, their_writer)) = (pipe()?, pipe()?);
    /// let other = coroutine::spawn(|| Builder::new().over_halves::<u8, ()>(their_reader, their_writer)?.0.send(7).map_err(std::io::Error::from));
    /// let (_, numbers) = Builder::new().over_halves::<(), u8>(our_reader, our_writer)?;
    /// assert_eq!(numbers.recv()?, 7);
    /// other.join()??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn over_halves<S, R>(
        &self,
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<(Sender<S>, Receiver<R>)>
    where
        S: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let ends = self.start::<S, R>("", reader, writer)?;
        let Ends { outgoing, longest, incoming, here, fate } = ends;
        Ok((sender_of(outgoing, longest, fate.clone()), receiver_of(incoming, here, fate)))
    }

    /// A connection about `subject`, over which `S` goes and `R` comes.
    fn start<S, R>(
        &self,
        subject: &str,
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<Ends>
    where
        S: DeserializeOwned,
        R: DeserializeOwned,
    {
        let hello = Hello {
            subject: subject.to_owned(),
            longest: self.settings.longest,
            sends: Shape::new(schema::of::<S>()),
            receives: Shape::new(schema::of::<R>()),
        };
        start(reader, writer, &hello, self.settings)
    }
}

/// A connected stream that goes both ways: [`TcpStream`], [`UnixStream`].
pub trait Stream: private::Halves {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

mod private {
    use std::io::{self, Read, Write};

    /// Two halves, for two coroutines; when the second is dropped, its direction ends.
    pub trait Halves {
        fn halves(self) -> io::Result<(impl Read + Send + 'static, impl Write + Send + 'static)>;
    }
}

impl private::Halves for TcpStream {
    /// Small messages go at once, and a machine that is gone is noticed.
    fn halves(self) -> io::Result<(impl Read + Send + 'static, impl Write + Send + 'static)> {
        let options = SocketOptions::of(&self);
        if options.keepalive()?.is_none() {
            let keepalive =
                Keepalive::new().idle(Duration::from_secs(15)).interval(Duration::from_secs(5)).count(3);
            options.set_keepalive(Some(keepalive))?;
        }
        self.set_nodelay(true)?;
        Ok(self.into_split())
    }
}

impl private::Halves for UnixStream {
    fn halves(self) -> io::Result<(impl Read + Send + 'static, impl Write + Send + 'static)> {
        Ok(self.into_split())
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends").field("fate", &self.fate).finish_non_exhaustive()
    }
}
