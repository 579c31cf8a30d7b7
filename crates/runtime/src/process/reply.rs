//! What a child answers: one message, whose last byte says what the others are.

use std::io;
use std::os::fd::AsFd;

use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::{decode, encode};

use super::report::Panic;
use crate::task::exit::Exit;

/// What a child says.
pub(super) enum Reply {
    /// It waits for calls.
    Ready,
    /// The function's result, as a message.
    Returned(Message),
    /// The function panicked.
    Panicked(Panic),
    /// The function was not called, or its result cannot be sent.
    Refused(String),
    /// The program that it should become was not executed: the kernel's error.
    NotExecuted(i32),
}

const READY: u8 = 0;
const RETURNED: u8 = 1;
const PANICKED: u8 = 2;
const REFUSED: u8 = 3;
const NOT_EXECUTED: u8 = 4;
/// Beside one of the others: the child takes no more calls.
const LAST: u8 = 0x80;

impl Reply {
    /// Says it over `link`; `last` says that no more calls are wanted. A parent that has lost interest, or has ended, is
    /// no error.
    ///
    /// # Errors
    /// What [`Link::send`] gives.
    pub(super) fn send(self, link: &Link, last: bool) -> io::Result<()> {
        let returned = matches!(self, Self::Returned(_));
        match self.send_as_it_is(link, last) {
            Err(error) if returned && error.kind() == io::ErrorKind::InvalidInput => {
                let refused = Self::Refused(format!("the result cannot be sent: {error}"));
                refused.send_as_it_is(link, last)
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    fn send_as_it_is(self, link: &Link, last: bool) -> io::Result<()> {
        let (tag, Message { mut bytes, descriptors }) = match self {
            Self::Ready => (READY, Message::default()),
            Self::Returned(result) => (RETURNED, result),
            Self::Panicked(panic) => (PANICKED, message(&panic)?),
            Self::Refused(why) => (REFUSED, message(&why)?),
            Self::NotExecuted(error) => (NOT_EXECUTED, message(&error)?),
        };
        bytes.push(if last { tag | LAST } else { tag });
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        link.send(&bytes, &descriptors)
    }

    /// The result; of a function that did not return how it ended.
    ///
    /// # Errors
    /// The function was not called, or its result cannot be sent.
    pub(super) fn into_result(self) -> io::Result<Result<Message, Exit>> {
        match self {
            Self::Returned(result) => Ok(Ok(result)),
            Self::Panicked(Panic { message, backtrace }) => Ok(Err(Exit::Panicked { message, backtrace })),
            Self::Refused(why) => Err(io::Error::other(why)),
            Self::Ready | Self::NotExecuted(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// What a child has said, and whether it was its last word.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is no reply.
    pub(super) fn parse(mut message: Message) -> io::Result<(Self, bool)> {
        let tag = message.bytes.pop().ok_or(io::ErrorKind::InvalidData)?;
        let reply = match tag & !LAST {
            READY => Self::Ready,
            RETURNED => Self::Returned(message),
            PANICKED => Self::Panicked(decode(message)?),
            REFUSED => Self::Refused(decode(message)?),
            NOT_EXECUTED => Self::NotExecuted(decode(message)?),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        Ok((reply, tag & LAST != 0))
    }
}

fn message<T: serde::Serialize>(value: &T) -> io::Result<Message> {
    encode(value).map(|(bytes, descriptors)| Message { bytes, descriptors })
}
