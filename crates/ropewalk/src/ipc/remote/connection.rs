//! A connection and its two coroutines: one reads, one writes. What they have in common with the ends of the channel are
//! queues.
//!
//! # Who ends when
//! 1. The writer says the end (`e`) when the last sender of this side is gone and all is written, or the other side said stop;
//!    it says stop (`s`) when the last receiver of this side is gone.
//! 2. It is done when it has said the end, and has said stop or the reader has seen the other side's end: nothing is left to
//!    be said. Then the direction is closed. By the other side's rules that one closes the other direction soon; who does
//!    not within [`LINGER`] is not waited for.
//! 3. The reader goes on to the end of the stream. What comes after the last receiver is gone is thrown away, so that the other
//!    side is never stopped in the middle of a message, and its stop is heard.
//! 4. When the stream ends before the other side has said so, or is no stream of frames, it was lost: both sides are told
//!    why ([`Fate`]).

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_ipc::channel::queue::Fate;
use ropewalk_ipc::frame::{Decoder, END, Frame, FrameError, Hello, STOP, message_head};
use ropewalk_runtime::JoinHandle;
use ropewalk_runtime::coroutine;
use ropewalk_sync::channel::{self, Receiver, Sender, bounded, never, select, unbounded};

use super::handshake::shake;

/// How much is read at once, and gathered to be written at once.
const PART: usize = 32 * 1024;
/// How long a connection over which nothing more is to be said is kept for the other side to say so, too. It may still read
/// what it was sent, and would lose the rest of that if it wrote to a socket that is closed.
const LINGER: Duration = Duration::from_secs(60);

/// What this side has of a connection.
pub(super) struct Ends {
    /// Takes messages that are to be sent.
    pub(super) outgoing: Sender<Vec<u8>>,
    /// How long they may be.
    pub(super) longest: usize,
    /// Gives messages that have come.
    pub(super) incoming: Receiver<Vec<u8>>,
    /// To be kept as long as somebody receives.
    pub(super) here: Sender<Infallible>,
    pub(super) fate: Arc<Fate>,
}

/// What the reader tells the writer.
#[derive(Debug)]
enum News {
    End,
    Stop,
}

/// How a connection is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) capacity: usize,
    pub(super) longest: u32,
    pub(super) handshake: Duration,
}

/// Shakes hands, and starts the two coroutines.
pub(super) fn start<R, W>(mut reader: R, mut writer: W, hello: &Hello, settings: Settings) -> io::Result<Ends>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let theirs = shake(&mut reader, &mut writer, hello, settings.handshake)?;
    let fate = Arc::new(Fate::default());
    let (outgoing, to_write) = bounded(settings.capacity);
    let (read, incoming) = bounded(settings.capacity);
    let (here, gone) = bounded(0);
    let (tell, news) = unbounded();
    let decoder = Decoder::new(hello.longest as usize);
    let reading = Reading { reader, decoder, messages: Some(read), news: tell, fate: fate.clone() };
    let name = |name: &str| coroutine::Builder::new().name(name.into());
    let reading = name("connection, reading").spawn(move || reading.run())?;
    let writing = Writing {
        writer,
        gathered: Vec::new(),
        messages: to_write,
        gone,
        news,
        has_ended: false,
        has_stopped: false,
        hears: true,
        other_has_ended: false,
        fate: fate.clone(),
    };
    name("connection, writing").spawn(move || writing.run(reading))?;
    Ok(Ends { outgoing, longest: theirs.longest as usize, incoming, here, fate })
}

struct Reading<R> {
    reader: R,
    decoder: Decoder,
    /// Nothing, when there is nobody to give them to.
    messages: Option<Sender<Vec<u8>>>,
    news: Sender<News>,
    fate: Arc<Fate>,
}

impl<R: Read> Reading<R> {
    fn run(mut self) {
        if let Err(error) = self.read() {
            self.fate.seal(&error);
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; PART];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(self.decoder.finish()?),
                Ok(count) => self.take(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while let Some(frame) = self.decoder.decode(&mut bytes)? {
            let news = match frame {
                Frame::Message(message) => {
                    if self.messages.as_ref().is_some_and(|messages| messages.send(message).is_err()) {
                        self.messages = None;
                    }
                    continue;
                }
                Frame::End => {
                    // If the connection is lost from here on, that is no news for who receives.
                    self.fate.tell();
                    self.messages = None;
                    News::End
                }
                Frame::Stop => News::Stop,
            };
            // If the writer has gone it needs no news.
            let _ = self.news.send(news);
        }
        Ok(())
    }
}

struct Writing<W> {
    writer: W,
    /// What was not written yet.
    gathered: Vec<u8>,
    messages: Receiver<Vec<u8>>,
    /// Ends with the last receiver.
    gone: Receiver<Infallible>,
    news: Receiver<News>,
    has_ended: bool,
    has_stopped: bool,
    /// Whether the reader still reads.
    hears: bool,
    other_has_ended: bool,
    fate: Arc<Fate>,
}

/// What the writer does next.
enum Next {
    Message(Vec<u8>),
    NoSender,
    NoReceiver,
    News(News),
    NoReader,
}

impl<W: Write> Writing<W> {
    fn run(mut self, reading: JoinHandle<()>) {
        let written = self.write();
        // Nobody waits for room any more from here on.
        self.fate.stop();
        let gone = if self.has_stopped { None } else { Some(self.gone.clone()) };
        if let Err(error) = &written {
            self.fate.seal(error);
        }
        // The other side is told, or finds out, by the end of this direction.
        drop(self);
        if let (Err(_), Some(gone)) = (written, gone) {
            // What the other side has sent is still received.
            select! {
                recv(gone) -> _ => {}
                recv(reading.ended()) -> _ => {}
            }
        }
        if let Err(reading) = reading.join_timeout(LINGER) {
            reading.cancel();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !(self.has_ended && (self.has_stopped || self.other_has_ended || !self.hears)) {
            match self.next() {
                Next::Message(message) => self.gather_all(message)?,
                Next::NoSender | Next::News(News::Stop) => self.end(),
                Next::NoReceiver => {
                    self.has_stopped = true;
                    self.gone = never();
                    self.gathered.extend(STOP);
                }
                Next::News(News::End) => self.other_has_ended = true,
                Next::NoReader => {
                    self.hears = false;
                    self.news = never();
                    if !self.has_ended {
                        return Err(FrameError::Lost.into());
                    }
                }
            }
            self.write_gathered()?;
        }
        Ok(())
    }

    fn next(&self) -> Next {
        select! {
            recv(self.messages) -> message => message.map_or(Next::NoSender, Next::Message),
            recv(self.gone) -> _ => Next::NoReceiver,
            recv(self.news) -> news => news.map_or(Next::NoReader, Next::News),
        }
    }

    /// No more messages are sent.
    fn end(&mut self) {
        if !self.has_ended {
            self.has_ended = true;
            self.fate.stop();
            self.messages = never();
            self.gathered.extend(END);
        }
    }

    /// Takes what is there already, so that small messages do not cost a system call each.
    fn gather_all(&mut self, first: Vec<u8>) -> io::Result<()> {
        self.gather(&first)?;
        while self.gathered.len() < PART
            && let Ok(message) = self.messages.try_recv()
        {
            self.gather(&message)?;
        }
        Ok(())
    }

    fn gather(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.gathered.extend(message_head(length));
        if message.len() < PART {
            self.gathered.extend_from_slice(message);
            return Ok(());
        }
        self.writer.write_all(&self.gathered)?;
        self.gathered.clear();
        self.writer.write_all(message)
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.gathered)?;
        self.gathered.clear();
        self.writer.flush()
    }
}

impl Ends {
    /// Why it ended, if it was lost.
    pub(super) fn lost(&self) -> io::Result<()> {
        self.fate.error().map_or(Ok(()), Err)
    }

    /// Sends a message, when there is room. Whether the other side still takes any.
    pub(super) fn send(&self, message: Vec<u8>) -> bool {
        self.outgoing.send(message).is_ok()
    }

    /// A message that is there.
    pub(super) fn try_receive(&self) -> Result<Vec<u8>, channel::TryRecvError> {
        self.incoming.try_recv()
    }
}
