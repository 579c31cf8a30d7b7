//! Typed channels between processes: the verbs of the channels between tasks, for values that serde can send.
//!
//! [`channel`] makes both sides. They travel to other processes, in the argument of one that is spawned or in messages, and
//! can be cloned, so any number of processes and tasks may send, and any number receive; each message goes to one of them.
//!
//! ```
//! use ropewalk_ipc::channel::channel;
//!
//! let (sender, receiver) = channel(64 * 1024)?;
//! std::thread::spawn(move || sender.send(("rope", 7_u8).1).unwrap());
//! assert_eq!(receiver.iter().collect::<Result<Vec<u8>, _>>()?, [7]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What a channel promises
//! | | |
//! |---|---|
//! | order | messages come out in the order in which their sends took effect |
//! | room | a bound in bytes: [`channel`] |
//! | a message is whole | it is received as a whole or not at all, however its sender ended: there is no half of one |
//! | a process that dies (`kill -9`) | what it had sent is received; what it had received is lost with it; all others go on |
//! | the end | when the last sender of all processes is gone, dropped or dead, receivers get what is there and then [`Disconnected`](RecvError::Disconnected); when the last receiver is gone, senders get that, and what was on its way is lost |
//! | cancelled in a wait | the message of a send does not arrive; a receive takes none. The channel is as it was |
//! | descriptors | travel in messages, 252 at most in one; so do channels, segments, locks |
//! | length | 1 GiB at most. What is longer than 32 KiB travels as memory |
//! | waiting | coroutines and threads alike. Waiters are not served in their order: who is quick comes first |
//!
//! An end is received only by whom it is meant for: what type its messages have travels with it, and is compared when it
//! arrives ([`schema`]).
//!
//! # Transports
//! Between processes of one machine a message is a packet of a Unix socket (`packets`). Over a connection, to another
//! machine, it waits in a queue for the task that has the connection (`queue`, and `ropewalk::ipc::remote` for what
//! such a channel promises). The types are the same.
//!
//! # Where this differs from the channels between tasks
//! - [`RecvError::Failed`] and its like: what comes from elsewhere may be broken. So [`Receiver::iter`] gives results.
//! - The bound is in bytes. There is no `len`: the kernel does not tell how many messages there are.
//! - They are no operations of `select!`. A task that receives, and sends on to a channel between tasks, makes them one.

use std::io;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::message::{self, deserialize_descriptor};
use crate::schema;

mod error;
mod packets;
pub mod queue;
mod receiver;
mod sender;

pub use self::error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub use self::receiver::{IntoIter, Iter, Receiver, TryIter};
pub use self::sender::Sender;

use self::packets::Packets;
use self::receiver::Incoming;
use self::sender::Outgoing;

/// Why the end of a connection is not sent.
const STAYS: &str =
    "an end of a channel over a connection does not travel: hand over the stream, before the channel is made";

/// A channel between processes, with room for `capacity` bytes of messages that nobody has received.
///
/// The kernel counts, in its own way: each message takes some 700 bytes more than it is long, and one that is longer than 32 KiB
/// counts as that. It rounds up to 2,304 bytes and down to what `net.core.wmem_max` allows, 208 KiB unless somebody has
/// changed it; [`Sender::capacity`] tells what it gave. A single message always fits. Who waits for room is woken when three
/// quarters of it are free.
///
/// # Errors
/// No descriptor is left (`ulimit -n`): it takes two.
///
/// # Examples
/// ```
/// use ropewalk_ipc::channel::channel;
///
/// let (sender, receiver) = channel(4096)?;
/// sender.send(vec![0_u8; 1_000_000])?;
/// assert_eq!(receiver.recv()?.len(), 1_000_000);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn channel<T: Serialize + DeserializeOwned>(capacity: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    let (sends, receives) = Packets::pair(capacity)?;
    let of = Type::of::<T>();
    Ok((
        Sender::new(Outgoing::Packets(Arc::new(sends)), of),
        Receiver::new(Incoming::Packets(Arc::new(receives)), of),
    ))
}

/// What messages look like, in a number: two types that differ nearly always have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Type(u64);

impl Type {
    fn of<T: DeserializeOwned>() -> Self {
        Self(schema::fingerprint(&schema::of::<T>()))
    }

    /// Of an end that does not travel.
    fn unknown() -> Self {
        Self(0)
    }
}

/// An end that has arrived, if it is one of messages of this type.
fn arrived<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Packets, Type), D::Error> {
    /// A descriptor on its way in.
    struct Received(std::os::fd::OwnedFd);

    impl<'de> Deserialize<'de> for Received {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserialize_descriptor(deserializer).map(Self)
        }
    }

    let (of, Received(descriptor)) = <(Type, Received)>::deserialize(deserializer)?;
    if message::is_made_up() {
        // A type of messages may hold channels of its own: it is looked at when one really arrives.
        return Ok((Packets::made_up(descriptor), of));
    }
    if of != Type::of::<T>() {
        let text = format!("the channel has messages of another type than {}", std::any::type_name::<T>());
        return Err(D::Error::custom(text));
    }
    let packets = Packets::try_from(descriptor).map_err(D::Error::custom)?;
    Ok((packets, of))
}
