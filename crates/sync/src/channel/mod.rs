//! Messages between tasks, many to many: crossbeam-channel's interface, for tasks of any plan.
//!
//! [`bounded`] makes a channel that holds so many messages and then lets senders wait, [`unbounded`] one that never
//! does. `bounded(0)` is a rendezvous: a message changes hands only when both sides are there. Both sides can be cloned;
//! when the last of one side is dropped the channel is *disconnected*: sending fails, and receiving fails once the
//! messages that are still in it have been taken.
//!
//! # Order
//! Messages come out in the order in which their sends took effect, and waiters are served first come, first served: a
//! message that meets a waiting receiver goes straight to the one that has waited longest, and nobody overtakes it.
//!
//! # Memory
//! What a task did before it sent a message is visible to the task that received it. With `bounded(n)` what a task did
//! before it received a message is visible to the task whose send took the place of that message.
//!
//! # Cancellation
//! A cancelled task unwinds out of its wait and the channel is as if the call had never been made: the message of an
//! interrupted send does not arrive (it is dropped), and an interrupted receive takes none. Who was served before the
//! interruption came has been served: the call returns its result.
//!
//! A task that waits while it unwinds (a destructor that sends), and a cancelled one where `panic = "abort"` forbids
//! unwinding, hears of it as an error instead: the one that means "disconnected".
//!
//! # Several at once
//! [`select!`](macro@select) waits for the first of several operations that can be done; [`Select`] does so for a list that is made at
//! run time. [`after`], [`at`] and [`tick`] are receivers that time sends to, and [`never`](fn@never) is one that nobody sends to.
//!
//! # Where this differs from crossbeam-channel
//! The names, the bounds, the texts of errors and what a program may rely on are crossbeam-channel's (0.5). The exceptions:
//!
//! - A wait may end by an unwinding, if its task is cancelled; and a task that cannot unwind hears "disconnected" of a channel
//!   that is not. See above.
//! - Waiters are served in the order in which they came, and a message that is promised to a select is counted by `len` no
//!   more. Crossbeam promises no order of waiters.
//! - In a `no_suspend` region [`Receiver::try_recv`] does not meet a sender that waits in a select, in a channel without
//!   capacity: it would have to wait for the message. Elsewhere whoever meets a select waits for that, where crossbeam spins.
//! - A [`SelectedOperation`] that is dropped gives back what it had been promised, before it panics; while the task unwinds
//!   anyway it does not panic again.
//! - [`tick`] never loses a tick to a receive that was interrupted.
//! - [`bounded`] allocates at most 1,024 places ahead, and a longer queue gives its memory back when it is empty.
//! - There is a lock inside, held for a few instructions. Nothing spins.
//! - The messages that go with the last receiver are all dropped, as those of a `Vec` are: if the destructors of two of them panic
//!   the process aborts. Crossbeam leaks what comes after the first that panics.
//! - `Debug` of [`SendTimeoutError`] says which of the two it is.
//!
//! # Examples
//! ```
//! use ropewalk_sync::channel::bounded;
//!
//! let (sender, receiver) = bounded(8);
//! let squares = std::thread::spawn(move || receiver.iter().map(|n: u64| n * n).sum::<u64>());
//! for n in 1..=10 {
//!     sender.send(n).expect("the receiver is there until the sender goes");
//! }
//! drop(sender);
//! assert_eq!(squares.join().unwrap(), 385);
//! ```

use std::sync::Arc;

mod begun;
mod error;
mod exchange;
mod feed;
mod iterator;
mod operation;
mod receiver;
mod select;
mod select_macro;
mod sender;
mod timer;

pub(crate) use self::feed::Feed;

pub use self::error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError,
    TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
pub use self::iterator::{IntoIter, Iter, TryIter};
pub use self::operation::SelectedOperation;
pub use self::receiver::Receiver;
pub use self::select::Select;
pub use self::sender::Sender;
pub use self::timer::{after, at, never, tick};
pub use crate::{select, select_biased};

#[doc(hidden)]
pub use self::operation::internal;

use self::exchange::Exchange;

/// A channel that holds at most `capacity` messages; with 0, one where sender and receiver have to meet.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::bounded;
///
/// let (sender, receiver) = bounded(1);
/// sender.send("one").unwrap();
/// assert!(sender.try_send("two").is_err());
/// assert_eq!(receiver.recv(), Ok("one"));
/// ```
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    both_sides(Some(capacity))
}

/// A channel that holds as many messages as there is memory for: sending never waits.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// for n in 0..1000 {
///     sender.send(n).unwrap();
/// }
/// assert_eq!(receiver.len(), 1000);
/// ```
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    both_sides(None)
}

fn both_sides<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let exchange = Arc::new(Exchange::new(capacity));
    (Sender::first(exchange.clone()), Receiver::first(exchange))
}
