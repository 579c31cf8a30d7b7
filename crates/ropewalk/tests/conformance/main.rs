//! What the primitives promise whoever waits: each behaviour is one body, run with coroutines, with threads, and with both.
//!
//! A body is given the [`Plans`](support::Plans) of its tasks and does not look at them. Who runs the body itself, and so
//! wakes and cancels the tasks, changes as well: see [`support::CASTS`].
//!
//! What no run may ever meet is explored in `crates/sync/tests/loom`; what tells of the sleeping itself, which no plan
//! shows to its users, is tried on threads in `crates/sync/tests/suite`.

mod support;

mod barrier;
mod cancel_token;
mod channel;
mod channel_cancel;
mod channel_traffic;
mod condvar;
mod crossbeam;
mod fan_out;
mod mpsc;
mod mutex;
mod mutex_poison;
#[allow(clippy::duplicate_mod, reason = "one program, compiled with several imports")]
mod net;
mod once;
#[allow(clippy::duplicate_mod, reason = "one program, compiled with several imports")]
mod programs;
mod rwlock;
mod select;
mod semaphore;
mod topic;
