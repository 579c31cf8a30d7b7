//! Which coroutine runs next, on which worker, and what a worker does when there is none.
//!
//! | module | its job |
//! |---|---|
//! | [`core`] | the part of a coroutine that its worker touches |
//! | [`live`] | the coroutines of a worker that have started |
//! | [`timers`] | who is to be woken when |
//! | [`remote`] | what other threads may touch of a worker |
//! | [`schedule`] | which one, of those that can |
//! | [`operations`] | the operations that are under way for a worker's coroutines |
//! | [`sources`] | the descriptors that a worker watches |
//! | [`shared`] | the workers of one runtime, and what they share |
//! | [`worker`] | the loop |

pub(crate) mod core;
pub(crate) mod live;
pub(crate) mod operations;
pub(crate) mod remote;
pub(crate) mod schedule;
pub(crate) mod shared;
mod sources;
pub(crate) mod timers;
pub(crate) mod worker;
