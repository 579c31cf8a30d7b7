//! Values as messages: serde's, in postcard's format, and the descriptors that they hold.
//!
//! A descriptor cannot be written down. While a value is [encoded](encode) its [`Descriptor`]s put duplicates of
//! themselves into a table beside the bytes and write their place in it; while it is [decoded](decode) they take
//! themselves out of the table. The table is the thread's for as long as that takes, and no wait may come in between:
//! an implementation of `Serialize` or `Deserialize` that waits is refused by a panic.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ropewalk_sync::park::no_suspend;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::link::Message;

thread_local! {
    /// Of the value that this thread encodes; `None` when it encodes none.
    static OUTGOING: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// Of the value that this thread decodes.
    static INCOMING: RefCell<Option<Incoming>> = const { RefCell::new(None) };
}

/// Where the descriptors of a value come from.
enum Incoming {
    /// A message: those that have not been taken yet.
    Message(Vec<Option<OwnedFd>>),
    /// Nowhere: the value is made up, and any descriptor will do.
    Any,
}

/// A descriptor that travels inside a message. What it stands for is open in both processes afterwards, as after
/// `dup(2)`.
pub struct Descriptor(OwnedFd);

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Descriptor").field(&self.0).finish()
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl From<Descriptor> for OwnedFd {
    fn from(descriptor: Descriptor) -> Self {
        descriptor.0
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_descriptor(deserializer).map(Self)
    }
}

/// What `Serialize` is for a type that is a descriptor.
///
/// # Errors
/// No message is being encoded; no descriptor is left for the duplicate (`ulimit -n`).
pub fn serialize_descriptor<S: Serializer>(
    descriptor: BorrowedFd<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place = OUTGOING.with_borrow_mut(|table| {
        let table =
            table.as_mut().ok_or("a descriptor travels only in messages between Ropewalk's processes")?;
        table.push(descriptor.try_clone_to_owned().map_err(|error| error.to_string())?);
        Ok::<_, String>(table.len() - 1)
    });
    match place.map(u32::try_from) {
        Ok(Ok(place)) => place.serialize(serializer),
        Ok(Err(error)) => Err(S::Error::custom(error)),
        Err(error) => Err(S::Error::custom(error)),
    }
}

/// What `Deserialize` is for a type that is a descriptor.
///
/// # Errors
/// No message is being decoded; the message does not hold it, or holds it twice.
pub fn deserialize_descriptor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OwnedFd, D::Error> {
    let place = u32::deserialize(deserializer)?;
    INCOMING.with_borrow_mut(|incoming| match incoming {
        Some(Incoming::Message(table)) => {
            let descriptor = table.get_mut(place as usize).and_then(Option::take);
            descriptor.ok_or_else(|| D::Error::custom("the message does not hold this descriptor"))
        }
        Some(Incoming::Any) => File::open("/dev/null").map(OwnedFd::from).map_err(D::Error::custom),
        None => Err(D::Error::custom("no message between processes is decoded")),
    })
}

/// Calls `f`, in which every descriptor that is asked for is there: it reads nothing.
pub(crate) fn with_any_descriptor<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(&INCOMING, INCOMING.replace(Some(Incoming::Any)));
    f()
}

/// Whether what is decoded is a made-up value: [`with_any_descriptor`].
pub(crate) fn is_made_up() -> bool {
    INCOMING.with_borrow(|incoming| matches!(incoming, Some(Incoming::Any)))
}

/// A value as bytes, and the descriptors in it, duplicated.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput): the value cannot be written in postcard's format (`#[serde(flatten)]`,
/// untagged enums, sequences of unknown length), or its own `Serialize` says no.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    // A value whose `Serialize` encodes another one gets its own table back.
    let _restore = Restore(&OUTGOING, OUTGOING.replace(Some(Vec::new())));
    let bytes = no_suspend(|| postcard::to_allocvec(value)).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("the value cannot be sent: {error}"))
    })?;
    let descriptors = OUTGOING.take().unwrap_or_default();
    Ok((bytes, descriptors))
}

/// The value of a message.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData): the message holds no `T`.
pub fn decode<T: DeserializeOwned>(message: Message) -> io::Result<T> {
    let table = message.descriptors.into_iter().map(Some).collect();
    // Descriptors that nobody took are closed with the table.
    let _restore = Restore(&INCOMING, INCOMING.replace(Some(Incoming::Message(table))));
    let invalid = |error: &dyn fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("what came is not what was expected: {error}"))
    };
    let taken = no_suspend(|| postcard::take_from_bytes(&message.bytes));
    let (value, rest) = taken.map_err(|error| invalid(&error))?;
    if !rest.is_empty() {
        return Err(invalid(&"there are bytes left over"));
    }
    Ok(value)
}

/// Puts back what the thread's table was.
struct Restore<T: 'static>(&'static std::thread::LocalKey<RefCell<Option<T>>>, Option<T>);

impl<T> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1.take());
    }
}
