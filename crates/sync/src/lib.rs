//! How tasks wait.
//!
//! Everything that waits in Ropewalk waits through [`park`], whatever runs the task: so a lock or a channel of this
//! crate blocks a coroutine or a thread, whichever comes, and serves any mix of them. This crate knows what waiting is;
//! it does not know what a task is, nor who schedules it.
//!
//! | module | its job |
//! |---|---|
//! | [`primitive`] | the only place that chooses between std's atomics and loom's |
//! | [`clock`] | the only place that reads the time |
//! | [`chance`] | the only place that draws lots |
//! | [`park`] | the seam: one waiter, one wait, how it is interrupted |
//! | [`mailbox`] | messages to a worker that may sleep |
//! | [`slots`] | who may have which slot of a ring in shared memory |
//! | [`wait_list`] | who waits for an object, first in, first out |
//! | [`source`] | waiting for a descriptor |
//! | [`mutex`], [`rwlock`], [`condvar`], [`semaphore`] | the locks |
//! | [`barrier`], [`latch`] | waiting for one another |
//! | [`once`], [`once_lock`], [`lazy_lock`] | what is done once |
//! | [`cancel_token`] | asking many to end, in a tree |
//! | [`channel`], [`mpsc`], [`oneshot`] | messages, each to one receiver; selects |
//! | [`watch`], [`broadcast`], [`topic`] | the latest value, and every message, to all; publish and subscribe by name |

pub mod barrier;
pub mod broadcast;
pub mod broadcast_slots;
pub mod cancel_token;
pub mod chance;
pub mod channel;
pub mod clock;
pub mod condvar;
mod holder;
pub mod latch;
pub mod lazy_lock;
mod log;
pub mod mailbox;
pub mod mpsc;
pub mod mutex;
pub mod once;
pub mod once_lock;
pub mod oneshot;
pub mod park;
mod poison;
pub mod primitive;
pub mod rwlock;
pub mod semaphore;
pub mod slots;
pub mod source;
pub mod topic;
pub mod wait_list;
pub mod watch;

/// Who is at the other end of a socket: a fact of the kernel's, for the layers above.
pub use ropewalk_sys::credentials;
