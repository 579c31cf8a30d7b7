//! What the streams and datagram sockets of every address family are inside: a descriptor, its time limits, and whether its
//! operations wait.

mod descriptors;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
#[cfg(feature = "compat")]
use std::task::{Context, Poll};
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interest, Interrupted, Wait, WaitReason, interruptible};
#[cfg(feature = "compat")]
use ropewalk_sync::source::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, recv, recvfrom, send, sendto};

#[cfg(feature = "compat")]
use crate::pollable::Polled;
use crate::waitable::Waitable;

/// A time limit in nanoseconds, 0 for none; shared by reference, so in an atomic.
#[derive(Default)]
pub(super) struct Limit(AtomicU64);

impl Limit {
    pub(super) fn set(&self, limit: Option<Duration>) -> io::Result<()> {
        let nanos = match limit {
            None => 0,
            Some(Duration::ZERO) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
            }
            Some(limit) => u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
        };
        self.0.store(nanos, Relaxed);
        Ok(())
    }

    pub(super) fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The kernel counts in microseconds, and takes 0 for "for ever".
    fn for_kernel(&self) -> Option<Duration> {
        self.get().map(|limit| limit.max(Duration::from_micros(1)))
    }

    fn wait(&self, reason: WaitReason) -> Wait {
        Wait::new(reason).fallible().until(self.get().and_then(clock::after))
    }
}

/// The pauses between two attempts to reach a Unix socket that has no room.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// Does `operation` on a Unix socket, which says `WouldBlock` where the other side has no room, until it has something else
/// to say, or `limit` has passed. Between two attempts there is a pause: the kernel tells nobody when there is room, except
/// who blocks in the call.
pub(super) fn until_there_is_room<R>(
    reason: WaitReason,
    limit: Option<Duration>,
    mut operation: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    park::spend();
    let deadline = limit.and_then(clock::after);
    let mut pause = FIRST_PAUSE;
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        let next = clock::after(pause);
        let is_last = deadline.is_some_and(|deadline| next.is_none_or(|next| deadline <= next));
        let wait = Wait::new(reason).fallible().until(if is_last { deadline } else { next });
        match park::park(&wait).map_err(|interrupt| interrupt.deliver()) {
            Ok(()) => {}
            Err(Interrupted::TimedOut) if !is_last => pause = (2 * pause).min(LONGEST_PAUSE),
            Err(over) => return Err(over.into()),
        }
    }
}

/// Does `operation`, which never blocks, and does not wait.
pub(super) fn once<R>(mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    // A loop that asks again and again must not hog its worker.
    park::spend();
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether there will be nothing to receive or to accept any more. Some sockets tell that only to who waits in the call.
pub(super) fn is_shut_down(fd: &impl AsFd) -> bool {
    let mut socket = [PollFd::new(fd, PollFlags::RDHUP)];
    poll(&mut socket, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        && socket[0].revents().contains(PollFlags::RDHUP)
}

pub(super) fn is_nonblocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|mode| mode.contains(OFlags::NONBLOCK))
}

/// A socket of any kind. Two things are kept here that std keeps in the kernel, for all who have the socket: its time limits,
/// and whether operations wait at all.
pub(super) struct Socket {
    fd: Waitable,
    pub(super) read_limit: Limit,
    pub(super) write_limit: Limit,
    /// The limit that the kernel keeps for reads that block in it (`SO_RCVTIMEO`).
    kept_limit: Limit,
    /// Whether no other handle can change the limit that the kernel keeps, or the mode.
    exclusive: AtomicBool,
    /// Whether an operation that would wait is an error instead.
    nonblocking: AtomicBool,
    /// A TCP stream: a read that is not filled has left nothing. (Of a Unix stream it may end before descriptors, too; what
    /// comes from elsewhere may be anything.)
    drains: bool,
}

impl Socket {
    /// Of a descriptor in blocking mode that nobody else has.
    pub(super) fn exclusive(fd: Waitable) -> Self {
        Self::new(fd, true)
    }

    fn new(fd: Waitable, exclusive: bool) -> Self {
        Self {
            fd,
            read_limit: Limit::default(),
            write_limit: Limit::default(),
            kept_limit: Limit::default(),
            exclusive: AtomicBool::new(exclusive),
            nonblocking: AtomicBool::new(false),
            drains: false,
        }
    }

    /// This one is a TCP stream, made here.
    pub(super) fn tcp_stream(fd: Waitable) -> Self {
        Self { drains: true, ..Self::new(fd, true) }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.fd, how)?)
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let fd = self.fd.try_clone()?;
        self.exclusive.store(false, Relaxed);
        let clone = Self { drains: self.drains, ..Self::new(fd, false) };
        clone.read_limit.0.store(self.read_limit.0.load(Relaxed), Relaxed);
        clone.write_limit.0.store(self.write_limit.0.load(Relaxed), Relaxed);
        clone.nonblocking.store(self.nonblocking.load(Relaxed), Relaxed);
        Ok(clone)
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.fd)?.err().map(io::Error::from))
    }

    /// The descriptor gets the mode, too, so that whoever has it next finds what std would have left.
    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&self.fd, nonblocking)?;
        self.nonblocking.store(nonblocking, Relaxed);
        Ok(())
    }

    /// Does `operation`, which never blocks, until it has something to say but "it would block".
    fn attempt<R>(&self, interest: Interest, operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        if self.nonblocking.load(Relaxed) {
            return once(operation);
        }
        let (limit, reason) = match interest {
            Interest::Read => (&self.read_limit, WaitReason::SocketRead),
            Interest::Write => (&self.write_limit, WaitReason::SocketWrite),
        };
        self.fd.attempt(interest, &limit.wait(reason), operation)
    }

    /// Does `operation`, a system call that waits by itself, if the caller may wait in that: a thread does, as it would in
    /// std, so that one system call does it.
    fn in_one_call<R>(
        &self,
        reason: WaitReason,
        operation: impl FnMut(&AtomicU32) -> io::Result<R>,
    ) -> Option<io::Result<R>> {
        let waits = self.exclusive.load(Relaxed) && !self.nonblocking.load(Relaxed);
        if !waits || !park::may_block() {
            return None;
        }
        if let Err(error) = self.keep_limit() {
            return Some(Err(error));
        }
        match park::call(&Wait::new(reason).fallible(), operation) {
            // Not the time limit: somebody else who has the socket, too, has set it to non-blocking mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_nonblocking(&self.fd) => {
                self.exclusive.store(false, Relaxed);
                None
            }
            result => Some(result),
        }
    }

    /// Has the kernel keep the limit of reads. Costs a system call only when the limit has changed.
    fn keep_limit(&self) -> io::Result<()> {
        let wanted = self.read_limit.0.load(Relaxed);
        if self.kept_limit.0.load(Relaxed) != wanted {
            sockopt::set_socket_timeout(&self.fd, Timeout::Recv, self.read_limit.for_kernel())?;
            self.kept_limit.0.store(wanted, Relaxed);
        }
        Ok(())
    }

    /// As `receive_from`, of a Unix datagram socket, which says nothing of its end to who does not wait: it would block.
    pub(super) fn receive_from_unix(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, Option<SocketAddrAny>)> {
        let received = self.in_one_call(WaitReason::SocketRead, |word| {
            interruptible::recv_from(word, self.fd.as_fd(), buffer, flags.bits())
        });
        received.unwrap_or_else(|| {
            let mut receive = || {
                let received = recvfrom(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT);
                received.map(|(length, _, address)| (length, address))
            };
            if self.nonblocking.load(Relaxed) {
                return once(|| Ok(receive()?));
            }
            self.attempt(Interest::Read, || match receive() {
                // What had come before the end comes first.
                Err(Errno::AGAIN) if is_shut_down(&self.fd) => match receive() {
                    Err(Errno::AGAIN) => Ok((0, None)),
                    received => Ok(received?),
                },
                received => Ok(received?),
            })
        })
    }

    /// Has the kernel keep both limits, for whoever has the descriptor next, here or in another process.
    pub(super) fn keep_limits(&self) -> io::Result<()> {
        self.keep_limit()?;
        if self.write_limit.get().is_some() {
            sockopt::set_socket_timeout(&self.fd, Timeout::Send, self.write_limit.for_kernel())?;
        }
        Ok(())
    }

    pub(super) fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let received = self.in_one_call(WaitReason::SocketRead, |word| {
            interruptible::recv(word, self.fd.as_fd(), buffer, flags.bits())
        });
        received.unwrap_or_else(|| {
            let room = buffer.len();
            let receive = || Ok(recv(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT)?.0);
            if self.drains && flags.is_empty() && !self.nonblocking.load(Relaxed) {
                let wait = self.read_limit.wait(WaitReason::SocketRead);
                return self.fd.attempt_read(&wait, room, receive);
            }
            self.attempt(Interest::Read, receive)
        })
    }

    /// As `receive`, with the address of whoever sent it, if it has one.
    pub(super) fn receive_from(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, Option<SocketAddrAny>)> {
        let received = self.in_one_call(WaitReason::SocketRead, |word| {
            interruptible::recv_from(word, self.fd.as_fd(), buffer, flags.bits())
        });
        received.unwrap_or_else(|| {
            self.attempt(Interest::Read, || {
                let (length, _, address) = recvfrom(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT)?;
                Ok((length, address))
            })
        })
    }
    pub(super) fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.attempt(Interest::Read, || {
            let mut control = rustix::net::RecvAncillaryBuffer::default();
            let received = rustix::net::recvmsg(&self.fd, buffers, &mut control, RecvFlags::DONTWAIT)?;
            Ok(received.bytes)
        })
    }

    pub(super) fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(buffer)])
    }

    pub(super) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(Interest::Write, || self.try_send(buffers))
    }

    /// Sends what can be sent at once.
    fn try_send(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if let [buffer] = buffers {
            return Ok(send(&self.fd, buffer, flags)?);
        }
        let mut control = rustix::net::SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(&self.fd, buffers, &mut control, flags)?)
    }

    pub(super) fn send_to(&self, buffer: &[u8], address: &std::net::SocketAddr) -> io::Result<usize> {
        self.attempt(Interest::Write, || {
            Ok(sendto(&self.fd, buffer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, address)?)
        })
    }

    /// That a Unix socket is ready to send tells nothing of the room at `address`.
    pub(super) fn send_to_unix(&self, buffer: &[u8], address: &SocketAddrUnix) -> io::Result<usize> {
        let mut attempt = || {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            Ok(sendto(&self.fd, buffer, flags, address)?)
        };
        if self.nonblocking.load(Relaxed) {
            return once(attempt);
        }
        let limit = self.write_limit.get();
        if limit.is_none() {
            let flags = SendFlags::NOSIGNAL.bits();
            let sent = self.in_one_call(WaitReason::SocketWrite, |word| {
                interruptible::send_to_unix(word, self.fd.as_fd(), buffer, flags, address)
            });
            if let Some(sent) = sent {
                return sent;
            }
        }
        until_there_is_room(WaitReason::SocketWrite, limit, &mut attempt)
    }
}

#[cfg(feature = "compat")]
impl Polled for Socket {
    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.fd.poll_attempt(place, context, || {
            let (length, _) = recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT)?;
            Ok(length)
        })
    }

    fn poll_write(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.fd.poll_attempt(place, context, || self.try_send(buffers))
    }

    fn close(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    /// The limits that the kernel keeps, where somebody has set some, come along.
    fn from(fd: OwnedFd) -> Self {
        let socket = Self::new(fd.into(), false);
        for (limit, which) in [(&socket.read_limit, Timeout::Recv), (&socket.write_limit, Timeout::Send)] {
            if let Ok(Some(kept)) = sockopt::socket_timeout(&socket.fd, which) {
                let _: io::Result<()> = limit.set(Some(kept));
            }
        }
        let kept = socket.read_limit.0.load(Relaxed);
        socket.kept_limit.0.store(kept, Relaxed);
        socket
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        // What cannot be kept is no reason to lose the socket.
        let _: io::Result<()> = socket.keep_limits();
        socket.fd.into()
    }
}

/// What a socket is to others, by its field `$field`: a descriptor.
macro_rules! descriptor_traits {
    ($type:ident, $field:ident, $from:literal) => {
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.$field.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl IntoRawFd for $type {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }

        impl From<OwnedFd> for $type {
            #[doc = $from]
            fn from(fd: OwnedFd) -> Self {
                Self { $field: fd.into() }
            }
        }

        impl From<$type> for OwnedFd {
            fn from(socket: $type) -> Self {
                socket.$field.into()
            }
        }
    };
}
pub(super) use descriptor_traits;

/// What a stream is to others: a reader and a writer, by its field `stream`.
macro_rules! stream_traits {
    ($type:ident) => {
        impl Read for &$type {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.stream.receive(buffer, RecvFlags::empty())
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.stream.receive_vectored(buffers)
            }
        }

        impl Write for &$type {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.stream.send(buffer)
            }

            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                self.stream.send_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Read for $type {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl Write for $type {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (&*self).write(buffer)
            }

            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        #[cfg(feature = "compat")]
        impl crate::pollable::Polled for $type {
            fn poll_read(
                &self,
                place: &mut ropewalk_sync::source::Place,
                context: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<io::Result<usize>> {
                self.stream.poll_read(place, context, buffer)
            }

            fn poll_write(
                &self,
                place: &mut ropewalk_sync::source::Place,
                context: &mut std::task::Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> std::task::Poll<io::Result<usize>> {
                self.stream.poll_write(place, context, buffers)
            }

            fn close(&self, how: std::net::Shutdown) -> io::Result<()> {
                self.stream.shutdown(how)
            }
        }
    };
}
pub(super) use stream_traits;
