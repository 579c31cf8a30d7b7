//! What the streams of this crate do for futures, which cannot wait in a read or a write.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use ropewalk_sync::source::Place;

/// A stream as futures use it. Each direction has a place for one waker, which is the caller's; limits of time are not kept.
pub trait Polled {
    /// Reads once, or leaves the waker in `place`.
    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    /// Writes once, or leaves the waker in `place`.
    fn poll_write(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Closes one direction, or both.
    fn close(&self, how: Shutdown) -> io::Result<()>;
}
