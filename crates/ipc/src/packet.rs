//! Packets with descriptors, over a Unix socket that keeps packets apart (`SOCK_SEQPACKET`): one arrives whole or not at
//! all, also where several send and several receive. Nothing here waits.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How many bytes go into one packet at most. Well below the send buffer that a kernel gives a socket by default.
pub(crate) const PACKET: usize = 32 * 1024;
/// How many descriptors the kernel takes in one packet (`SCM_MAX_FD`, unix(7)).
pub(crate) const DESCRIPTORS: usize = 253;

/// Sends a packet, if there is room for it now.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !descriptors.is_empty() {
        let pushed = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(pushed, "the room is for {DESCRIPTORS} descriptors");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, parts, &mut ancillary, flags).map(drop).map_err(io::Error::from)
}

/// Receives a packet, if there is one now, and tells how long it is: 0 when the other end is closed.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket.as_fd(), &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        let text = "descriptors were sent that this process has no room for: raise `ulimit -n`";
        return Err(io::Error::other(text));
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(not_a_message("a packet is too long"));
    }
    Ok(received.bytes)
}

/// The other side did not keep to the format.
pub(crate) fn not_a_message(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what came over the link is no message: {why}"))
}
