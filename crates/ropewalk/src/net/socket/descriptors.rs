//! Descriptors in the messages of Unix sockets (`SCM_RIGHTS`, unix(7)), and packets that come whole.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ropewalk_sync::park::{Interest, WaitReason, interruptible};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};

use super::{Socket, is_shut_down};

/// How many the kernel takes in one message (`SCM_MAX_FD`).
pub(in crate::net) const DESCRIPTORS_MAX: usize = 253;

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl Socket {
    /// Sends a message with descriptors, which stay the caller's, too.
    pub(in crate::net) fn send_with_descriptors(
        &self,
        buffer: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(invalid(format!(
                "{} descriptors are too many for one message: {DESCRIPTORS_MAX} are the most",
                descriptors.len()
            )));
        }
        self.attempt(Interest::Write, || {
            let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut room);
            if !descriptors.is_empty() {
                let pushed = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
                debug_assert!(pushed, "the room is for {DESCRIPTORS_MAX} descriptors");
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.fd, &[IoSlice::new(buffer)], &mut ancillary, flags) {
                Err(Errno::TOOMANYREFS) => Err(io::Error::new(
                    io::ErrorKind::QuotaExceeded,
                    "more descriptors are on their way between processes than this user may have open: raise `ulimit -n`, \
                     or have them received",
                )),
                sent => Ok(sent?),
            }
        })
    }

    /// Receives a message, and puts the descriptors that came with it behind those in `descriptors`: all of them, or none and
    /// an error. `ends_silently`: the kernel does not tell of the end who does not wait (Unix datagrams).
    pub(in crate::net) fn receive_with_descriptors(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
        ends_silently: bool,
    ) -> io::Result<Received> {
        self.attempt(Interest::Read, || {
            match self.try_receive_with_descriptors(buffer, descriptors) {
                Err(error)
                    if ends_silently
                        && error.kind() == io::ErrorKind::WouldBlock
                        && is_shut_down(&self.fd) =>
                {
                    // What had come before the end comes first.
                    match self.try_receive_with_descriptors(buffer, descriptors) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::default()),
                        received => received,
                    }
                }
                received => received,
            }
        })
    }

    fn try_receive_with_descriptors(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<Received> {
        // Room for a sender's credentials, too: somebody may have asked for those (`SO_PASSCRED`).
        let mut room =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut room);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.fd, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
        let before = descriptors.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            descriptors.truncate(before);
            return Err(io::Error::other(
                "descriptors came that this process has no room for, and the message is lost with them: raise `ulimit -n`",
            ));
        }
        Ok(Received { bytes: received.bytes, cut: received.flags.contains(ReturnFlags::TRUNC) })
    }

    /// Receives a packet, or looks at it, and says how long it is, which may be more than there is room for.
    pub(in crate::net) fn receive_packet(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let flags = flags | RecvFlags::TRUNC;
        let received = self.in_one_call(WaitReason::SocketRead, |word| {
            interruptible::recv(word, self.fd.as_fd(), buffer, flags.bits())
        });
        received.unwrap_or_else(|| {
            self.attempt(Interest::Read, || {
                let (_, length) = recv(&self.fd, &mut *buffer, flags | RecvFlags::DONTWAIT)?;
                Ok(length)
            })
        })
    }
}

/// What has come beside the descriptors.
#[derive(Debug, Default)]
pub(in crate::net) struct Received {
    pub(in crate::net) bytes: usize,
    /// Whether there was more in the message than room in the buffer.
    pub(in crate::net) cut: bool,
}
