//! Descriptors that go with what streams and datagrams carry; who is at the other end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ropewalk_sync::credentials::of_peer;

use super::{UnixDatagram, UnixStream};

/// Who is at the other end of a Unix socket, mirroring std's unstable `std::os::unix::net::UCred`: the process that has
/// connected, listened or made the pair, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process. `None` if this one cannot see it, because it is in another PID namespace. Its number may be another's by
    /// now.
    pub pid: Option<i32>,
}

pub(super) fn peer_cred(socket: impl AsFd) -> io::Result<UCred> {
    let peer = of_peer(socket.as_fd())?;
    Ok(UCred { uid: peer.uid, gid: peer.gid, pid: peer.pid })
}

impl UnixStream {
    /// Sends bytes with descriptors: files, sockets, pipes, memory. The other side gets descriptors of its own for the same
    /// things, with the first of these bytes; the caller keeps its own. Returns how many bytes were sent: if not all, the
    /// descriptors are on their way all the same, and the rest can be written.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::{Read, Write};
    /// use std::os::fd::AsFd;
    /// use ropewalk::net::UnixStream;
    ///
    /// let (near, far) = UnixStream::pair()?;
    /// let (reader, mut writer) = ropewalk::io::pipe()?;
    /// near.send_with_descriptors(b"a pipe", &[reader.as_fd()])?;
    /// drop(reader); // the one that is on its way is another
    ///
    /// let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
    /// let length = far.recv_with_descriptors(&mut bytes, &mut descriptors)?;
    /// assert_eq!((&bytes[..length], descriptors.len()), (&b"a pipe"[..], 1));
    /// writer.write_all(b"through it")?;
    /// drop(writer);
    /// let mut text = String::new();
    /// File::from(descriptors.remove(0)).read_to_string(&mut text)?;
    /// assert_eq!(text, "through it");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As a write. [`InvalidInput`](io::ErrorKind::InvalidInput): more than 253 descriptors, which is what the kernel takes; or
    /// no byte for them to go with. [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): more are on their way than `ulimit -n`
    /// lets this user have. [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has passed.
    ///
    /// # Waits
    /// While the other side has not read what was sent before.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; then nothing was sent.
    pub fn send_with_descriptors(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        // The kernel would say that it has sent nothing, and drop the descriptors.
        if bytes.is_empty() && !descriptors.is_empty() {
            let text = "descriptors go with a byte at least in a stream";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.stream.send_with_descriptors(bytes, descriptors)
    }

    /// Reads bytes, and takes the descriptors that came with them, which are put behind those in `descriptors`. They are
    /// closed in programs that this one executes. One read ends where the next one's descriptors begin; it gives 0 at the end.
    ///
    /// A plain read of bytes with which descriptors come loses these: who may be sent some reads in this way.
    ///
    /// # Errors
    /// As a read. Where this process has no room for all the descriptors (`ulimit -n`) none is kept, and bytes are lost with
    /// them: the stream is then of no use any more.
    ///
    /// # Waits
    /// Until there is something to read, or the end.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; what was read is returned, not lost.
    pub fn recv_with_descriptors(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        Ok(self.stream.receive_with_descriptors(buffer, descriptors, false)?.bytes)
    }

    /// Who is at the other end. (std has it unstable.)
    ///
    /// ```
    /// let (near, _far) = ropewalk::net::UnixStream::pair()?;
    /// assert_eq!(near.peer_cred()?.pid, Some(std::process::id() as i32));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// None on an open socket.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        peer_cred(&self.stream)
    }
}

impl UnixDatagram {
    /// Sends a datagram with descriptors to where the socket is connected to: as [`UnixStream::send_with_descriptors`], but that
    /// the datagram goes whole, and may be empty.
    ///
    /// # Errors
    /// As [`send`](Self::send). [`InvalidInput`](io::ErrorKind::InvalidInput): more than 253 descriptors.
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): more are on their way than `ulimit -n` lets this user have.
    ///
    /// # Waits
    /// As `send`.
    ///
    /// # Cancellation
    /// As `send`.
    pub fn send_with_descriptors(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.socket.send_with_descriptors(bytes, descriptors)
    }

    /// Takes the next datagram, with the descriptors that came with it: as [`UnixStream::recv_with_descriptors`]. What does
    /// not fit into the buffer is lost, as in [`recv`](Self::recv); of the descriptors none is.
    ///
    /// # Errors
    /// As `recv`. Where this process has no room for all the descriptors (`ulimit -n`) none is kept, and the datagram is lost.
    ///
    /// # Waits
    /// As `recv`.
    ///
    /// # Cancellation
    /// As `recv`.
    pub fn recv_with_descriptors(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        Ok(self.socket.receive_with_descriptors(buffer, descriptors, true)?.bytes)
    }
}
