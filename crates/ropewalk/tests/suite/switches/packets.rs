//! Sockets that carry packets.

use std::net::Shutdown;
use std::os::unix::net::SocketAddr;

use ropewalk::net::{UnixSeqpacket, UnixSeqpacketListener, UnixStream};

use super::Prepare;
use crate::support::LONG;

fn with_socket(f: fn(&UnixSeqpacket)) -> Box<dyn FnOnce()> {
    let (socket, other) = UnixSeqpacket::pair().unwrap();
    Box::new(move || {
        f(&socket);
        drop(other);
    })
}

fn with_listener(f: fn(&UnixSeqpacketListener)) -> Box<dyn FnOnce()> {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixSeqpacketListener::bind(folder.path().join("socket")).unwrap();
    Box::new(move || {
        f(&listener);
        drop(folder);
    })
}

/// A path at which nobody listens, in a folder that goes after the call.
fn with_address(f: fn(&SocketAddr)) -> Box<dyn FnOnce()> {
    let folder = tempfile::tempdir().unwrap();
    let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
    Box::new(move || {
        f(&address);
        drop(folder);
    })
}

pub(super) const PACKETS: &[(&str, Prepare)] = &[
    ("net::UnixSeqpacket::pair", || Box::new(|| drop(UnixSeqpacket::pair().unwrap()))),
    ("net::UnixSeqpacket::local_addr", || with_socket(|socket| drop(socket.local_addr()))),
    ("net::UnixSeqpacket::peer_addr", || with_socket(|socket| drop(socket.peer_addr()))),
    ("net::UnixSeqpacket::peer_cred", || with_socket(|socket| drop(socket.peer_cred()))),
    ("net::UnixSeqpacket::read_timeout", || with_socket(|socket| drop(socket.read_timeout()))),
    ("net::UnixSeqpacket::write_timeout", || with_socket(|socket| drop(socket.write_timeout()))),
    ("net::UnixSeqpacket::set_read_timeout", || {
        with_socket(|socket| socket.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixSeqpacket::set_write_timeout", || {
        with_socket(|socket| socket.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixSeqpacket::set_nonblocking", || with_socket(|socket| socket.set_nonblocking(true).unwrap())),
    ("net::UnixSeqpacket::shutdown", || with_socket(|socket| socket.shutdown(Shutdown::Both).unwrap())),
    ("net::UnixSeqpacket::take_error", || with_socket(|socket| drop(socket.take_error()))),
    ("net::UnixSeqpacket::try_clone", || with_socket(|socket| drop(socket.try_clone()))),
    ("net::UnixSeqpacketListener::bind", || {
        with_address(|address| drop(UnixSeqpacketListener::bind(address.as_pathname().unwrap()).unwrap()))
    }),
    ("net::UnixSeqpacketListener::bind_addr", || {
        with_address(|address| drop(UnixSeqpacketListener::bind_addr(address).unwrap()))
    }),
    ("net::UnixSeqpacketListener::bind_with_backlog", || {
        with_address(|address| drop(UnixSeqpacketListener::bind_with_backlog(address, 1).unwrap()))
    }),
    ("net::UnixSeqpacketListener::local_addr", || with_listener(|listener| drop(listener.local_addr()))),
    ("net::UnixSeqpacketListener::take_error", || with_listener(|listener| drop(listener.take_error()))),
    ("net::UnixSeqpacketListener::try_clone", || with_listener(|listener| drop(listener.try_clone()))),
    ("net::UnixSeqpacketListener::set_backlog", || {
        with_listener(|listener| listener.set_backlog(9).unwrap())
    }),
    ("net::UnixSeqpacketListener::set_nonblocking", || {
        with_listener(|listener| listener.set_nonblocking(true).unwrap())
    }),
    ("net::UnixStream::peer_cred", || {
        let (stream, _) = UnixStream::pair().unwrap();
        Box::new(move || drop(stream.peer_cred()))
    }),
];
