//! Topics over a connection. The publisher's side has a subscription of the topic for each stream and passes on what
//! that receives, so who is slow is dealt with there, as any subscriber is.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message;
use ropewalk_sync::channel::{RecvTimeoutError, Select, TryRecvError};
use ropewalk_sync::clock;
use ropewalk_sync::topic::{self, Policy, Topic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connection::Ends;
use super::{Builder, Stream};

/// What goes to a subscriber.
#[derive(Serialize, Deserialize)]
enum Item<T> {
    Message(T),
    /// So many were missed before what follows.
    Missed(u64),
    /// It was too slow, and gets no more.
    TooSlow,
}

/// Gives what is published in `topic` to the subscriber at the other end of `stream`, who calls [`subscribe`] with the
/// topic's name (nothing, if it has none). Returns when the topic is closed, or the subscriber is gone; as there are many, a
/// task for each:
///
/// ```
/// use ropewalk::ipc::remote;
/// use ropewalk::net::{TcpListener, TcpStream};
/// use ropewalk::topic::Topic;
/// use ropewalk::coroutine;
///
/// let prices = Topic::<u32>::builder().history(1).named("price of rope by the metre").unwrap();
/// prices.publish(20).unwrap();
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let topic = prices.clone();
/// let server = coroutine::spawn(move || -> std::io::Result<()> {
///     let (stream, _) = listener.accept()?;
///     remote::serve_topic(&topic, stream)
/// });
///
/// // On another machine:
/// let subscription = remote::subscribe::<u32>("price of rope by the metre", TcpStream::connect(address)?)?;
/// assert_eq!(subscription.recv().unwrap(), 20); // who comes late gets the history first
/// prices.publish(21).unwrap();
/// prices.close();
/// assert_eq!(subscription.recv().unwrap(), 21);
/// assert!(subscription.recv().unwrap_err().is_closed());
/// server.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// | | |
/// |---|---|
/// | order | as the topic's subscribers have it |
/// | who is slow, or dead | never holds up a publisher. When the queues between are full - [`Builder::capacity`] messages on each side, and the kernel's buffers - messages wait in the topic; there its [`Policy`] decides: the oldest makes room and the subscriber is told how many it missed, or it is disconnected |
/// | who comes late | gets the topic's history first |
/// | the end | closing the topic; the subscriber gets what is before it |
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput): the topic's policy is [`Policy::Block`], with which a subscriber could hold up
/// publishers. As [`over`](super::over); a subscriber that has another type, or wants a topic of another name, is told by its
/// `subscribe`, too. The connection was lost. A message cannot be sent.
///
/// # Waits
/// Until the topic is closed or the subscriber is gone.
///
/// # Cancellation
/// Unwinds a cancelled task; the subscriber gets what it was sent, and then the end.
pub fn serve_topic<T>(topic: &Topic<T>, stream: impl Stream) -> io::Result<()>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Builder::new().serve_topic(topic, stream)
}

/// Subscribes to the topic `name` of whoever serves it ([`serve_topic`]) at the other end of `stream`.
///
/// # Errors
/// As [`over`](super::over); the other side serves a topic of another name or type.
///
/// # Waits
/// Until the other side has said what it is.
///
/// # Cancellation
/// Unwinds a cancelled task; the stream is closed.
///
/// # Examples
/// See [`serve_topic`].
pub fn subscribe<T>(name: &str, stream: impl Stream) -> io::Result<Subscription<T>>
where
    T: Serialize + DeserializeOwned,
{
    Builder::new().subscribe(name, stream)
}

impl Builder {
    /// As [`serve_topic`], so.
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
    /// See [`serve_topic`].
    pub fn serve_topic<T>(&self, topic: &Topic<T>, stream: impl Stream) -> io::Result<()>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        if topic.policy() == Policy::Block {
            let text =
                "a topic that lets publishers wait for slow subscribers is not served to other machines";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (reader, writer) = stream.halves()?;
        let ends = self.start::<Item<T>, ()>(topic.name().unwrap_or_default(), reader, writer)?;
        pass_on(&topic.subscribe(), &ends)?;
        ends.lost()
    }

    /// As [`subscribe`], so.
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
    /// See [`serve_topic`].
    pub fn subscribe<T>(&self, name: &str, stream: impl Stream) -> io::Result<Subscription<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let (reader, writer) = stream.halves()?;
        let ends = self.start::<(), Item<T>>(name, reader, writer)?;
        Ok(Subscription { ends, missed: AtomicU64::new(0), messages: PhantomData })
    }
}

/// Sends what comes, until nothing more can come or nobody takes it.
fn pass_on<T>(subscription: &topic::Subscription<T>, ends: &Ends) -> io::Result<()>
where
    T: Serialize + Send + Sync + 'static,
{
    let mut select = Select::new();
    let _news = select.recv(subscription.as_channel());
    // The subscriber sends nothing: when there is something, it is its end.
    let end = select.recv(&ends.incoming);
    loop {
        if select.ready() == end {
            return Ok(());
        }
        // Not as a channel, which leaves out what was missed and does not say where.
        let message = match subscription.try_recv() {
            Ok(message) => message,
            Err(topic::TryRecvError::Lagged(missed)) if ends.send(encode(&Item::<&T>::Missed(missed))?) => {
                continue;
            }
            Err(topic::TryRecvError::Empty) => continue,
            Err(topic::TryRecvError::TooSlow) => {
                ends.send(encode(&Item::<&T>::TooSlow)?);
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        let bytes = encode(&Item::Message(&*message))?;
        if bytes.len() > ends.longest {
            let text =
                format!("a message of {} bytes is too long: {} are the most", bytes.len(), ends.longest);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if !ends.send(bytes) {
            return Ok(());
        }
    }
}

fn encode<T: Serialize>(item: &Item<T>) -> io::Result<Vec<u8>> {
    let (bytes, descriptors) = message::encode(item)?;
    if descriptors.is_empty() {
        return Ok(bytes);
    }
    let text = "a descriptor does not travel over a connection";
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Why a [`Subscription`] received nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// All messages were received, and no more can come: the topic was closed, or its server has ended.
    Closed,
    /// So many messages were missed. The subscription goes on with the oldest that is there.
    Lagged(u64),
    /// The subscriber missed a message, and gets none any more.
    TooSlow,
    /// A message was not what was expected, or the connection was lost: why. The second is told once.
    Failed(io::Error),
}

impl RecvError {
    /// Whether no more can come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => topic::RecvError::Closed.fmt(f),
            Self::Lagged(missed) => topic::RecvError::Lagged(*missed).fmt(f),
            Self::TooSlow => topic::RecvError::TooSlow.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {}

/// Receives what is published in a topic elsewhere. See [`serve_topic`].
///
/// Several tasks may share it, by reference or in an `Arc`: then each message goes to one of them.
pub struct Subscription<T> {
    ends: Ends,
    missed: AtomicU64,
    messages: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Subscription<T> {
    /// Receives the next message.
    ///
    /// # Errors
    /// [`RecvError`]: all was received and the topic has ended; messages were missed; a message was no `T`, or the
    /// connection was lost.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Examples
    /// See [`serve_topic`].
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.ends.incoming.recv() {
            Ok(bytes) => self.take(bytes),
            Err(_) => Err(self.end()),
        }
    }

    /// Receives the next message if there is one. Never waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use ropewalk::{coroutine, ipc::remote, net::UnixStream, topic::Topic};
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// let topic = Topic::<u8>::new();
    /// let server = { let topic = topic.clone(); coroutine::spawn(move || remote::serve_topic(&topic, far)) };
    /// let subscription = remote::subscribe::<u8>("", near)?;
    /// assert_eq!(subscription.try_recv().unwrap(), None);
    /// drop(subscription);
    /// server.join()??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<Option<T>, RecvError> {
        match self.ends.try_receive() {
            Ok(bytes) => self.take(bytes).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(self.end()),
        }
    }

    /// As [`recv`](Self::recv), for at most `timeout`: then `None`.
    ///
    /// # Errors
    /// As `recv`.
    ///
    /// # Waits
    /// Until there is a message, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// See [`serve_topic`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<T>, RecvError> {
        match clock::after(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            None => self.recv().map(Some),
        }
    }

    /// As [`recv`](Self::recv), until `deadline` at most: then `None`.
    ///
    /// # Errors
    /// As `recv`.
    ///
    /// # Waits
    /// Until there is a message, until `deadline` at most.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// See [`serve_topic`].
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Option<T>, RecvError> {
        match self.ends.incoming.recv_deadline(deadline) {
            Ok(bytes) => self.take(bytes).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.end()),
        }
    }

    /// The messages as they come, until the end. What was missed is left out; [`missed`](Self::missed) says how many those
    /// are.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// See [`serve_topic`].
    pub fn iter(&self) -> SubscriptionIter<'_, T> {
        SubscriptionIter { subscription: self }
    }

    fn take(&self, bytes: Vec<u8>) -> Result<T, RecvError> {
        match message::decode(Message { bytes, descriptors: Vec::new() }) {
            Ok(Item::Message(message)) => Ok(message),
            Ok(Item::Missed(count)) => {
                // Relaxed: a count.
                self.missed.fetch_add(count, Relaxed);
                Err(RecvError::Lagged(count))
            }
            Ok(Item::TooSlow) => Err(RecvError::TooSlow),
            Err(error) => Err(RecvError::Failed(error)),
        }
    }
}

impl<T> Subscription<T> {
    /// How many messages it has missed, because it was slow, as far as it was told.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    fn end(&self) -> RecvError {
        match self.ends.lost() {
            Err(error) if self.ends.fate.tell() => RecvError::Failed(error),
            _ => RecvError::Closed,
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Subscription { .. }")
    }
}

/// The messages of a subscription as they come. See [`Subscription::iter`].
#[derive(Debug)]
pub struct SubscriptionIter<'a, T> {
    subscription: &'a Subscription<T>,
}

impl<T: DeserializeOwned> Iterator for SubscriptionIter<'_, T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return match self.subscription.recv() {
                Ok(message) => Some(Ok(message)),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Failed(error)) => Some(Err(error)),
                Err(RecvError::Closed | RecvError::TooSlow) => None,
            };
        }
    }
}

impl<T: DeserializeOwned> FusedIterator for SubscriptionIter<'_, T> {}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Subscription<T> {
    type Item = io::Result<T>;
    type IntoIter = SubscriptionIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
