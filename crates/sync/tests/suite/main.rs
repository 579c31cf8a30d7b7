//! What tells of the sleeping itself, tried on threads (any thread is a task). What the primitives promise whoever waits is
//! in `crates/ropewalk/tests/conformance`; the interleavings that no run may ever meet are explored by `tests/loom`.
#![cfg(not(loom))]

mod condvar;
mod mutex;
mod support;
mod wait_list;
mod word;
