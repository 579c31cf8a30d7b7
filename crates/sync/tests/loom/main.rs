//! Every interleaving, within bounds, of the protocols in which no task may lose a wake-up.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ropewalk-sync --test loom --release`, best with a target directory of its own.
//! `LOOM_MAX_PREEMPTIONS` sets how many forced switches an execution may have; without it, 3 in most
//! models.
//!
//! # What this cannot check
//! - Time: in a model no time passes, so nothing times out here. A wait that times out takes the path of one that is
//!   cancelled.
//! - More forced switches than the bound, more threads than the models have, and the spinning of a mutex (none here).
//! - Reads that see stores of the future, and the finer points of `SeqCst`: loom does not know the former and takes
//!   the latter for more than it is. Nothing here relies on either.
//! - The kernel: the futex is a lock and a condition variable here, the descriptor a flag.
//! - What a task does while it unwinds: loom runs its threads on one, which then panics for all of them. So a
//!   cancellation unwinds here through frames that have nothing to do on the way.
//! - The internal lock of the lists is loom's, not the one that runs.
#![cfg(loom)]

mod support;

mod barrier;
mod broadcast_slots;
mod cancel_token;
mod channel;
mod condvar;
mod fan_out;
mod mailbox;
mod mutex;
mod once;
mod rwlock;
mod select;
mod semaphore;
mod slots;
mod source;
mod wait_list;
mod word;
