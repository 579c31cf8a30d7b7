//! Rings of messages in shared memory, between the tasks of any processes, without copies and without system calls.
//!
//! A [`Sender`] lends a slot ([`Loan`]), the message is written there, in place, and published; a [`Receiver`] reads it there
//! ([`Received`]), and gives the slot back. `send` and `recv` copy into the slot and out of it. The kernel is called only when
//! somebody sleeps ([`WaitPolicy`]).
//!
//! | | senders | receivers |
//! |---|---|---|
//! | [`spsc`], [`Builder::spsc`] | one | one |
//! | [`Builder::mpsc`] | many | one |
//! | [`Builder::spmc`] | one | many |
//! | [`mpmc`], [`Builder::mpmc`] | many | many |
//!
//! A side of one is faster: it has nothing to agree upon. Ends travel in the arguments and results of processes.
//!
//! # What is promised
//! - **Order.** Messages are received in the order in which their slots were lent; those of one sender in the order in which it has
//!   sent them. Each is received once, by one receiver.
//! - **Bounds.** A ring has a capacity, rounded up to a power of two, and messages a largest size; both are allocated when it is
//!   made. A sender waits while the ring is full.
//! - **A sender that dies** has published a message or not; a half-written one is passed over. **A receiver that dies** takes
//!   the message with it that it had in its hands: it is not delivered a second time, because it may be what has killed its
//!   receiver. All other messages stay.
//! - **When all have gone** on one side, by dropping their ends or by dying, or on the way there, the other side is told:
//!   receivers get what is left, and then [`RecvError`](ropewalk_sync::channel::RecvError); senders
//!   [`SendError`](ropewalk_sync::channel::SendError), in both cases a moment later.
//! - **Trust.** Who lies harms nobody's memory: messages are copied as integers of which any bits are valid, lengths are cut to what
//!   there is room for.
//!   References to what stands in a slot are for those who trust the others not to write there meanwhile, and `unsafe`.
//!
//! # Rules
//! 1. The word of a slot says whose turn it is, and where there is one end of each kind `head` says what was read:
//!    [`ropewalk_sync::slots`] has the protocol, and its proof.
//! 2. Whoever changes either rings the bell of those that may wait for that, afterwards; a bell that nobody listens to is one load.
//! 3. Slots begin at lines of the cache, and messages in them at a multiple of their alignment, with room for `max_len` values
//!    before the next slot (`shape.rs`). Capacity, length and alignment are this process's own figures, never read from the
//!    memory again.

mod end;
mod hang_up;
mod payload;
mod policy;
mod receiver;
mod sender;
mod shape;

use std::io;

use self::end::End;
pub(super) use self::hang_up::{HungUp, Line, ReceivedLine, SentLine};
pub use self::payload::Message;
pub(super) use self::payload::{copy_in, copy_out};
pub(super) use self::policy::Patience;
pub use self::policy::WaitPolicy;
pub use self::receiver::{Received, Receiver};
pub use self::sender::{Loan, Sender};
pub(super) use self::shape::Role;
use self::shape::Shape;
pub(super) use self::shape::recover;
use super::block::Block;
use super::region::Region;
use super::value::Plain;

/// How many there can be of an end: [`One`] or [`Many`].
pub trait Side: sealed::Side {}

mod sealed {
    pub trait Side: Send + Sync + 'static {
        const IS_ONE: bool;
    }
}

/// There is one such end of the ring.
#[derive(Clone, Copy, Debug)]
pub enum One {}

/// There can be many such ends of the ring: clones, and those of other processes.
#[derive(Clone, Copy, Debug)]
pub enum Many {}

impl sealed::Side for One {
    const IS_ONE: bool = true;
}
impl sealed::Side for Many {
    const IS_ONE: bool = false;
}
impl Side for One {}
impl Side for Many {}

/// A ring for one sender and one receiver, with room for `capacity` messages (rounded up to a power of two), in a region of its own.
///
/// # Errors
/// As those of [`Region::new`]; [`InvalidInput`](io::ErrorKind::InvalidInput): a capacity of 0, or of more than 65,536.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::ring;
///
/// let (mut sender, mut receiver) = ring::spsc(4)?;
/// sender.send(&7).unwrap();
/// assert_eq!(receiver.recv(), Ok(7));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spsc<T: Plain>(capacity: usize) -> io::Result<(Sender<T, One>, Receiver<T, One>)> {
    Builder::new(capacity).build()
}

/// A ring for many senders and many receivers; else as [`spsc`].
///
/// # Errors
/// As those of [`spsc`].
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::ring;
///
/// let (mut sender, mut receiver) = ring::mpmc(4)?;
/// sender.clone().send(&7).unwrap();
/// sender.send(&8).unwrap();
/// assert_eq!((receiver.clone().recv(), receiver.recv()), (Ok(7), Ok(8)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn mpmc<T: Plain>(capacity: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    Builder::new(capacity).build()
}

/// A ring that is to be made: in a region that is there, for slices, for other numbers of ends.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::Region;
/// use ropewalk_ipc::shared::ring::Builder;
///
/// let region = Region::new(64 * 1024)?;
/// let (mut requests, mut worker) = Builder::new(16).region(&region).max_len(1000).mpsc::<[u8]>()?;
/// let (mut done, mut results) = Builder::new(16).region(&region).spsc::<u32>()?;
/// requests.send(b"count me").unwrap();
/// done.send(&(worker.recv().unwrap().len() as u32)).unwrap();
/// assert_eq!(results.recv(), Ok(8));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<'a> {
    capacity: usize,
    max_len: Option<usize>,
    region: Option<&'a Region>,
}

impl<'a> Builder<'a> {
    /// With room for `capacity` messages: 1 to 65,536, rounded up to a power of two.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, max_len: None, region: None }
    }

    /// For slices: the most values in a message. Each slot has room for so many.
    pub fn max_len(mut self, max_len: usize) -> Self {
        self.max_len = Some(max_len);
        self
    }

    /// In this region, in place of one of its own. It takes there, rounded up to 64 bytes each, 384 and for each message its largest
    /// size and 8, or as many as its alignment is.
    pub fn region(mut self, region: &'a Region) -> Self {
        self.region = Some(region);
        self
    }

    /// For one sender and one receiver.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): a capacity of 0, or of more than 65,536; slices without
    /// [`max_len`](Self::max_len), or anything else with it; an alignment of more than 64.
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full. [`FileTooLarge`](io::ErrorKind::FileTooLarge): more
    /// than 2 GiB. As those of [`Region::new`], in a region of its own; no descriptor is left, or no thread.
    ///
    /// # Waits
    /// While somebody else places something in the region.
    pub fn spsc<M: Message + ?Sized>(self) -> io::Result<(Sender<M, One>, Receiver<M, One>)> {
        self.build()
    }

    /// For many senders and one receiver.
    ///
    /// # Errors
    /// As those of [`spsc`](Self::spsc).
    ///
    /// # Waits
    /// As [`spsc`](Self::spsc).
    pub fn mpsc<M: Message + ?Sized>(self) -> io::Result<(Sender<M, Many>, Receiver<M, One>)> {
        self.build()
    }

    /// For one sender and many receivers, of which each message goes to one.
    ///
    /// # Errors
    /// As those of [`spsc`](Self::spsc).
    ///
    /// # Waits
    /// As [`spsc`](Self::spsc).
    pub fn spmc<M: Message + ?Sized>(self) -> io::Result<(Sender<M, One>, Receiver<M, Many>)> {
        self.build()
    }

    /// For many senders and many receivers.
    ///
    /// # Errors
    /// As those of [`spsc`](Self::spsc).
    ///
    /// # Waits
    /// As [`spsc`](Self::spsc).
    pub fn mpmc<M: Message + ?Sized>(self) -> io::Result<(Sender<M, Many>, Receiver<M, Many>)> {
        self.build()
    }

    fn build<M, S, R>(self) -> io::Result<(Sender<M, S>, Receiver<M, R>)>
    where
        M: Message + ?Sized,
        S: Side,
        R: Side,
    {
        let shape = Shape::of::<M>(self.capacity, self.max_len, [S::IS_ONE, R::IS_ONE])?;
        let own;
        let region = match self.region {
            Some(region) => region,
            None => {
                own = Region::of(shape.form())?;
                &own
            }
        };
        let (reader, writer) = io::pipe()?;
        let initialize = |fields: super::block::Fields<'_>| shape.initialize(fields);
        let block = Block::place(region, shape.form(), 0, shape.extra(), initialize)?;
        let sender = End::new(block.clone(), shape, Role::Sender, writer.into())?;
        let receiver = End::new(block, shape, Role::Receiver, reader.into())?;
        Ok((Sender::of(sender), Receiver::of(receiver)))
    }
}
