//! What the streams of every address family are inside: a connected socket and its time limits.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
#[cfg(feature = "compat")]
use std::task::{Context, Poll};
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::Interest::{Read as ForRead, Write as ForWrite};
use ropewalk_sync::park::{self, Wait, WaitReason, interruptible};
#[cfg(feature = "compat")]
use ropewalk_sync::source::Place;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

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

    fn wait(&self, reason: WaitReason) -> Wait {
        Wait::new(reason).fallible().until(self.get().and_then(clock::after))
    }
}

pub(super) struct Stream {
    socket: Waitable,
    pub(super) read_limit: Limit,
    pub(super) write_limit: Limit,
    /// The limit that the socket itself keeps for reads that block in it (`SO_RCVTIMEO`).
    socket_limit: Limit,
    /// Whether no other handle can change the socket's limit, or its mode.
    exclusive: AtomicBool,
}

impl Stream {
    /// Of a socket in blocking mode that nobody else has.
    pub(super) fn exclusive(socket: Waitable) -> Self {
        Self::new(socket, true)
    }

    fn new(socket: Waitable, exclusive: bool) -> Self {
        Self {
            socket,
            read_limit: Limit::default(),
            write_limit: Limit::default(),
            socket_limit: Limit::default(),
            exclusive: AtomicBool::new(exclusive),
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.socket, how)?)
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        self.exclusive.store(false, Relaxed);
        let clone = Self::new(socket, false);
        clone.read_limit.0.store(self.read_limit.0.load(Relaxed), Relaxed);
        clone.write_limit.0.store(self.write_limit.0.load(Relaxed), Relaxed);
        Ok(clone)
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.socket)?.err().map(io::Error::from))
    }

    pub(super) fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        // A thread waits in `recv` itself, as it would in std: one system call for each read.
        if self.exclusive.load(Relaxed) && park::may_block() {
            self.keep_limit_in_socket()?;
            let wait = Wait::new(WaitReason::SocketRead).fallible();
            return park::call(&wait, |word| {
                interruptible::recv(word, self.socket.as_fd(), buffer, flags.bits())
            });
        }
        self.socket.attempt(ForRead, &self.read_limit.wait(WaitReason::SocketRead), || {
            let (length, _) = recv(&self.socket, &mut *buffer, flags | RecvFlags::DONTWAIT)?;
            Ok(length)
        })
    }

    /// Has the socket itself keep the limit of reads. Costs a system call only when the limit has changed.
    fn keep_limit_in_socket(&self) -> io::Result<()> {
        let wanted = self.read_limit.0.load(Relaxed);
        if self.socket_limit.0.load(Relaxed) != wanted {
            // The kernel counts in microseconds, and takes 0 for "for ever".
            let limit = self.read_limit.get().map(|limit| limit.max(Duration::from_micros(1)));
            sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, limit)?;
            self.socket_limit.0.store(wanted, Relaxed);
        }
        Ok(())
    }

    pub(super) fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.attempt(ForRead, &self.read_limit.wait(WaitReason::SocketRead), || {
            let mut control = rustix::net::RecvAncillaryBuffer::default();
            let received = rustix::net::recvmsg(&self.socket, buffers, &mut control, RecvFlags::DONTWAIT)?;
            Ok(received.bytes)
        })
    }

    pub(super) fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(buffer)])
    }

    pub(super) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wait = self.write_limit.wait(WaitReason::SocketWrite);
        self.socket.attempt(ForWrite, &wait, || self.try_send(buffers))
    }

    /// Sends what can be sent at once.
    fn try_send(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if let [buffer] = buffers {
            return Ok(send(&self.socket, buffer, flags)?);
        }
        let mut control = rustix::net::SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(&self.socket, buffers, &mut control, flags)?)
    }
}

#[cfg(feature = "compat")]
impl Polled for Stream {
    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_attempt(place, context, || {
            let (length, _) = recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)?;
            Ok(length)
        })
    }

    fn poll_write(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_attempt(place, context, || self.try_send(buffers))
    }

    fn close(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Stream {
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd.into(), false)
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        stream.socket.into()
    }
}

/// What a stream is to others - a reader, a writer, a descriptor - by its field `stream`.
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

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.stream.as_fd()
            }
        }

        impl From<OwnedFd> for $type {
            /// Takes over a connected socket; whether it is in blocking mode does not matter and is not changed.
            fn from(fd: OwnedFd) -> Self {
                Self { stream: fd.into() }
            }
        }

        impl From<$type> for OwnedFd {
            fn from(stream: $type) -> Self {
                stream.stream.into()
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
