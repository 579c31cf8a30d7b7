//! HTTP/1.1 as bytes: reading requests, writing responses. Knows neither sockets nor payments.
//!
//! A connection's bytes are in one `Input`. `head` finds where a request's head ends and what it
//! says, `chunked` decodes a body in place, `response` appends to the bytes to be sent. Nothing in
//! here waits, so all of it is tested with plain slices, cut at every byte.

mod chunked;
mod head;
mod input;
mod response;
mod status;

pub(super) use chunked::{Chunked, Progress};
pub(super) use head::{BodyLength, Head, Method};
pub(super) use input::Input;
pub(super) use response::{CONTINUE, Persistence, Reply, ReplyHead};
pub(super) use status::{Refusal, Status};
