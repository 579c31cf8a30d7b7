//! A stream in two halves, for two tasks.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::sync::Arc;

/// Ends the direction that is written to.
type End<S> = fn(&S) -> io::Result<()>;

pub(super) fn split<S>(stream: S, end: End<S>) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream: Some(stream), end })
}

/// The half of a [`TcpStream`](super::TcpStream) or [`UnixStream`](super::UnixStream) that reads. `AsRef` gives the stream,
/// for all that is no reading: addresses, time limits.
///
/// ```
/// use ropewalk::net::UnixStream;
/// use ropewalk::{coroutine, thread};
/// use std::io::{Read, Write};
///
/// let (near, mut far) = UnixStream::pair()?;
/// let (mut reader, mut writer) = near.into_split();
/// let sent = thread::spawn(move || writer.write_all(b"rope")); // then the writer ends, and so does that direction
/// let received = coroutine::spawn(move || {
///     let mut text = String::new();
///     reader.read_to_string(&mut text).map(|_| text)
/// });
/// let mut text = String::new();
/// far.read_to_string(&mut text)?;
/// far.write_all(b"walk")?;
/// drop(far);
/// sent.join()??;
/// assert_eq!((&*text, &*received.join()??), ("rope", "walk"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OwnedReadHalf<S> {
    stream: Arc<S>,
}

/// The half that writes. When it is dropped the direction ends ([`Shutdown::Write`](super::Shutdown::Write)): the other side
/// reads what was written and then the end, while the reading half goes on. [`forget`](Self::forget) drops it without that.
pub struct OwnedWriteHalf<S> {
    /// Always there, but for the moment in which it is given back.
    stream: Option<Arc<S>>,
    end: End<S>,
}

impl<S> OwnedReadHalf<S> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Both halves, if they are not of one stream.
    pub fn reunite(self, other: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.stream, other.shared()) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        Ok(Arc::into_inner(self.stream).expect("a half is never cloned"))
    }
}

impl<S> OwnedWriteHalf<S> {
    /// As [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    /// As there.
    pub fn reunite(self, other: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        other.reunite(self)
    }

    /// Drops it and lets the direction be: it ends when the reading half is dropped, too.
    pub fn forget(mut self) {
        self.stream = None;
    }

    fn shared(&self) -> &Arc<S> {
        self.stream.as_ref().expect("it is taken only when the value ends")
    }
}

impl<S> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // A connection that is gone has ended already.
            let _ = (self.end)(stream);
        }
    }
}

impl<S> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        self.shared()
    }
}

impl<S> Read for OwnedReadHalf<S>
where
    for<'a> &'a S: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self.stream).read_vectored(buffers)
    }
}

impl<S> Write for OwnedWriteHalf<S>
where
    for<'a> &'a S: Write,
{
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.as_ref().write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.as_ref().write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_ref().flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for OwnedReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedReadHalf").field(&self.stream).finish()
    }
}

impl<S: fmt::Debug> fmt::Debug for OwnedWriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedWriteHalf").field(self.shared()).finish()
    }
}

/// Two halves that are not of one stream.
pub struct ReuniteError<S>(
    /// The half that reads.
    pub OwnedReadHalf<S>,
    /// The half that writes.
    pub OwnedWriteHalf<S>,
);

impl<S> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl<S> std::error::Error for ReuniteError<S> {}
