//! What the primitives promise, tried on threads (any thread is a task). The interleavings that no run of this suite
//! may ever meet are explored by `tests/loom`.
#![cfg(not(loom))]

mod channel;
mod channel_cancel;
mod channel_traffic;
mod condvar;
mod mutex;
mod mutex_poison;
mod semaphore;
mod support;
mod wait_list;
mod word;
