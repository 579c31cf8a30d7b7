//! What goes over a connection between two programs: a hello from each, then messages. Bytes in and bytes out; nothing here
//! reads or writes.
//!
//! The two may be on different machines, of different builds, and strangers. So nothing is believed: a length is a limit for what
//! comes and never a reason to allocate, and what does not fit is an error that says what.
//!
//! # The wire
//! All numbers are little-endian. Each side first sends its hello, without waiting for the other's:
//!
//! | bytes | |
//! |---|---|
//! | 8 | `ropewalk` |
//! | 2 | the version: [`VERSION`]. These ten bytes are the same in all versions to come |
//! | 2 | zero |
//! | 4 | the longest message that this side takes, in bytes |
//! | 8, 8 | the fingerprints of the types that it sends and receives ([`schema::fingerprint`]) |
//! | 2 | how long the subject is: what the connection is about, nothing or the name of a topic |
//! | 2 | zero |
//! | 4, 4 | how long the texts of the two types are ([`schema::of`]); 0, if longer than [`TEXT_MAX`] |
//! | .. | the subject, and the two texts |
//!
//! Then frames: a letter that tells the kind, four bytes of length, and so many bytes.
//!
//! | kind | length | |
//! |---|---|---|
//! | `m` | any | a message, in postcard's format |
//! | `e` | 0 | the end: no message follows, all senders are gone. Sent once |
//! | `s` | 0 | stop: nobody receives any more, the other side may end as well. Sent once |
//!
//! A connection that is closed before its end was lost: a peer that was killed is told apart from one that had nothing more to
//! say. There is no heartbeat: that a machine is gone is for TCP to notice (`SO_KEEPALIVE`).

use std::error::Error;
use std::fmt;
use std::io;

use crate::schema;

/// The version of all this.
pub const VERSION: u16 = 1;
/// The longest text of a type that is sent: bytes.
pub const TEXT_MAX: usize = 16 * 1024;
/// The longest subject: bytes.
pub const SUBJECT_MAX: usize = 1024;
/// The head of a frame.
pub const HEAD: usize = 5;

const MAGIC: [u8; 8] = *b"ropewalk";
/// A hello without its texts.
const HELLO: usize = 44;
/// Memory for so many bytes at most is there before they have come.
const AHEAD: usize = 64 * 1024;

/// What each side says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the connection is about.
    pub subject: String,
    /// The longest message that this side takes, in bytes.
    pub longest: u32,
    /// What it sends.
    pub sends: Shape,
    /// What it receives.
    pub receives: Shape,
}

/// What messages look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// [`schema::fingerprint`] of the text.
    pub fingerprint: u64,
    /// [`schema::of`]; empty, where it is too long to be sent.
    pub text: String,
}

impl Shape {
    /// Of a text that [`schema::of`] gave.
    #[must_use]
    pub fn new(text: String) -> Self {
        let fingerprint = schema::fingerprint(&text);
        Self { fingerprint, text: if text.len() > TEXT_MAX { String::new() } else { text } }
    }
}

/// Why a peer was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// It does not begin as Ropewalk's do.
    Foreign,
    /// It speaks another version.
    Version(u16),
    /// Its hello is not what a hello can be.
    Hello(&'static str),
    /// It is about something else.
    Subject {
        /// What this side is about.
        here: String,
        /// What it is about.
        there: String,
    },
    /// Its messages are of another type.
    Type {
        /// Whether it is the type that this side sends, and not the one that it receives.
        sent: bool,
        /// Where they differ first, and what this side and the other have there; if both texts are there.
        difference: Option<(String, String, String)>,
    },
    /// A frame of no known kind.
    Kind(u8),
    /// A message is longer than this side takes.
    TooLong {
        /// How long.
        length: usize,
        /// How long it may be.
        longest: usize,
    },
    /// A frame where none can be, or with a length that it cannot have.
    Order(&'static str),
    /// The connection was closed before the end.
    Lost,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the peer does not speak Ropewalk's protocol"),
            Self::Version(theirs) => {
                write!(f, "the peer speaks version {theirs} of Ropewalk's protocol, and this side {VERSION}")
            }
            Self::Hello(what) => write!(f, "the peer's hello is broken: {what}"),
            Self::Subject { here, there } => {
                write!(f, "the peer is about {there:?}, and this side about {here:?}")
            }
            Self::Type { sent, difference } => {
                let (verb, other) = if *sent { ("sends", "receives") } else { ("receives", "sends") };
                write!(f, "the peer {other} messages of another type than this side {verb}")?;
                match difference {
                    Some((place, here, there)) => {
                        let place = if place.is_empty() { "the whole" } else { place };
                        write!(f, ": {place} is {here} here and {there} there")
                    }
                    None => Ok(()),
                }
            }
            Self::Kind(kind) => write!(f, "the peer sent a frame of an unknown kind ({kind:#04x})"),
            Self::TooLong { length, longest } => {
                write!(f, "the peer sent a message of {length} bytes, and {longest} are the most")
            }
            Self::Order(what) => write!(f, "the peer did not keep to the protocol: {what}"),
            Self::Lost => f.write_str("the connection was lost: the peer did not say that it was the end"),
        }
    }
}

impl Error for FrameError {}

/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) for one that was lost, else
/// [`InvalidData`](io::ErrorKind::InvalidData).
impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Lost => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl Hello {
    /// The longest hello that there can be: bytes.
    pub const LONGEST: usize = HELLO + SUBJECT_MAX + 2 * TEXT_MAX;

    /// As bytes. Of a text that is too long none is there.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let up_to = |longest, text| if str::len(text) > longest { "" } else { text };
        let subject = up_to(SUBJECT_MAX, &self.subject);
        let texts = [&self.sends.text, &self.receives.text].map(|text| up_to(TEXT_MAX, text));
        let mut bytes = Vec::with_capacity(HELLO + subject.len() + texts[0].len() + texts[1].len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.longest.to_le_bytes());
        bytes.extend(self.sends.fingerprint.to_le_bytes());
        bytes.extend(self.receives.fingerprint.to_le_bytes());
        bytes.extend((subject.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        texts.iter().for_each(|text| bytes.extend((text.len() as u32).to_le_bytes()));
        debug_assert_eq!(bytes.len(), HELLO);
        bytes.extend(subject.bytes());
        texts.iter().for_each(|text| bytes.extend(text.bytes()));
        bytes
    }

    /// How many bytes of a hello that begins with `bytes` are known to be missing: none when it is whole. What is wrong is
    /// told by the first byte that shows it.
    ///
    /// # Errors
    /// It is none, of another version, or broken.
    pub fn missing(bytes: &[u8]) -> Result<usize, FrameError> {
        if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            return Err(FrameError::Foreign);
        }
        if let Some(version) = number(bytes, 8).map(u16::from_le_bytes)
            && version != VERSION
        {
            return Err(FrameError::Version(version));
        }
        let Some(fixed) = bytes.first_chunk::<HELLO>() else { return Ok(HELLO - bytes.len()) };
        if fixed[10..12] != [0; 2] || fixed[34..36] != [0; 2] {
            return Err(FrameError::Hello("it is not zero where it must be"));
        }
        let [subject, sent, received] = lengths(fixed);
        if subject > SUBJECT_MAX || sent > TEXT_MAX || received > TEXT_MAX {
            return Err(FrameError::Hello("a text is too long"));
        }
        Ok((HELLO + subject + sent + received).saturating_sub(bytes.len()))
    }

    /// The hello at the beginning of `bytes`, and how long it is; nothing, if there are too few bytes yet.
    ///
    /// # Errors
    /// As [`missing`](Self::missing).
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        if Self::missing(bytes)? > 0 {
            return Ok(None);
        }
        let Some((fixed, texts)) = bytes.split_first_chunk::<HELLO>() else { return Ok(None) };
        let [subject, sent, received] = lengths(fixed);
        let text = |place: usize, length: usize| match std::str::from_utf8(&texts[place..place + length]) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(FrameError::Hello("a text is not UTF-8")),
        };
        let wide = |place| number(fixed, place).map_or(0, u64::from_le_bytes);
        let hello = Self {
            subject: text(0, subject)?,
            longest: number(fixed, 12).map_or(0, u32::from_le_bytes),
            sends: Shape { fingerprint: wide(16), text: text(subject, sent)? },
            receives: Shape { fingerprint: wide(24), text: text(subject + sent, received)? },
        };
        Ok(Some((hello, HELLO + subject + sent + received)))
    }

    /// Whether the two sides fit.
    ///
    /// # Errors
    /// They are about different things, or what one sends is not what the other receives.
    pub fn agree(&self, theirs: &Self) -> Result<(), FrameError> {
        if self.subject != theirs.subject {
            return Err(FrameError::Subject { here: self.subject.clone(), there: theirs.subject.clone() });
        }
        for (sent, here, there) in
            [(true, &self.sends, &theirs.receives), (false, &self.receives, &theirs.sends)]
        {
            if here.fingerprint != there.fingerprint {
                let known = !here.text.is_empty() && !there.text.is_empty();
                let difference = known.then(|| schema::difference(&here.text, &there.text)).flatten();
                return Err(FrameError::Type { sent, difference });
            }
        }
        Ok(())
    }
}

/// How long the texts of a hello are: the subject, what is sent, what is received.
fn lengths(fixed: &[u8; HELLO]) -> [usize; 3] {
    let subject = number(fixed, 32).map_or(0, u16::from_le_bytes);
    let text = |place| number(fixed, place).map_or(0, u32::from_le_bytes) as usize;
    [subject.into(), text(36), text(40)]
}

/// So many bytes from this place on.
fn number<const N: usize>(bytes: &[u8], place: usize) -> Option<[u8; N]> {
    bytes.get(place..)?.first_chunk::<N>().copied()
}

/// What comes after the hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Message(Vec<u8>),
    /// No message follows.
    End,
    /// Nobody receives any more.
    Stop,
}

/// The frame that says that no message follows.
pub const END: [u8; HEAD] = [b'e', 0, 0, 0, 0];
/// The frame that says that nobody receives any more.
pub const STOP: [u8; HEAD] = [b's', 0, 0, 0, 0];

/// What goes before a message of so many bytes.
#[must_use]
pub fn message_head(length: u32) -> [u8; HEAD] {
    let [a, b, c, d] = length.to_le_bytes();
    [b'm', a, b, c, d]
}

/// Takes frames out of bytes as they come.
#[derive(Debug)]
pub struct Decoder {
    longest: usize,
    head: [u8; HEAD],
    /// How much of the head is there.
    have: usize,
    /// A message that has begun, and how long it is to be.
    message: Option<(usize, Vec<u8>)>,
    ended: bool,
    stopped: bool,
    broken: Option<FrameError>,
}

impl Decoder {
    /// For messages of so many bytes at most.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest, head: [0; HEAD], have: 0, message: None, ended: false, stopped: false, broken: None }
    }

    /// The next frame. Takes from `input` what it needs; nothing, once all was taken and the frame is not whole.
    ///
    /// # Errors
    /// The peer did not keep to the protocol. All calls give that error from then on.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let decoded = self.step(input);
        if let Err(error) = &decoded {
            self.broken = Some(error.clone());
            self.message = None;
        }
        decoded
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        if self.message.is_none() {
            let part = take(input, HEAD - self.have);
            self.head[self.have..self.have + part.len()].copy_from_slice(part);
            self.have += part.len();
            if self.have < HEAD {
                return Ok(None);
            }
            self.have = 0;
            if let Some(frame) = self.begin()? {
                return Ok(Some(frame));
            }
        }
        let Some((length, message)) = &mut self.message else { return Ok(None) };
        message.extend_from_slice(take(input, *length - message.len()));
        if message.len() < *length {
            return Ok(None);
        }
        Ok(self.message.take().map(|(_, message)| Frame::Message(message)))
    }

    /// What a head means, once it is whole.
    fn begin(&mut self) -> Result<Option<Frame>, FrameError> {
        let [kind, a, b, c, d] = self.head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        match kind {
            b'm' if self.ended => Err(FrameError::Order("a message came after the end")),
            b'm' if length > self.longest => Err(FrameError::TooLong { length, longest: self.longest }),
            b'm' => {
                self.message = Some((length, Vec::with_capacity(length.min(AHEAD))));
                Ok(None)
            }
            b'e' | b's' if length != 0 => Err(FrameError::Order("a frame is longer than its kind")),
            b'e' if !self.ended => {
                self.ended = true;
                Ok(Some(Frame::End))
            }
            b's' if !self.stopped => {
                self.stopped = true;
                Ok(Some(Frame::Stop))
            }
            b'e' | b's' => Err(FrameError::Order("the same was said twice")),
            kind => Err(FrameError::Kind(kind)),
        }
    }

    /// The connection is closed.
    ///
    /// # Errors
    /// It was lost: the peer had not said that it was the end.
    pub fn finish(&self) -> Result<(), FrameError> {
        let whole = self.ended && self.have == 0 && self.message.is_none();
        if whole { Ok(()) } else { Err(FrameError::Lost) }
    }
}

/// Takes so many bytes off, or as many as there are.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (part, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    part
}
