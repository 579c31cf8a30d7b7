//! Streams, listeners and datagrams.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::SocketAddr;

use ropewalk::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};

use super::{Prepare, ignore, waiting};
use crate::support::LONG;
use crate::support::net::{listener, pair};

/// One of a pair of connected sockets.
fn stream() -> TcpStream {
    pair().0
}

pub(super) const SOCKETS: &[(&str, Prepare)] = &[
    ("net::TcpListener::local_addr", || {
        let (listener, _) = listener();
        Box::new(move || drop(listener.local_addr()))
    }),
    ("net::TcpListener::try_clone", || {
        let (listener, _) = listener();
        Box::new(move || drop(listener.try_clone()))
    }),
    ("net::TcpListener::incoming", || {
        let (listener, _): (TcpListener, _) = listener();
        Box::new(move || ignore(listener.incoming()))
    }),
    ("net::TcpStream::local_addr", || {
        let stream = stream();
        Box::new(move || drop(stream.local_addr()))
    }),
    ("net::TcpStream::peer_addr", || {
        let stream = stream();
        Box::new(move || drop(stream.peer_addr()))
    }),
    ("net::TcpStream::nodelay", || {
        let stream = stream();
        Box::new(move || drop(stream.nodelay()))
    }),
    ("net::TcpStream::set_nodelay", || {
        let stream = stream();
        Box::new(move || stream.set_nodelay(true).unwrap())
    }),
    ("net::TcpStream::read_timeout", || {
        let stream = stream();
        Box::new(move || drop(stream.read_timeout()))
    }),
    ("net::TcpStream::set_read_timeout", || {
        let stream = stream();
        Box::new(move || stream.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::TcpStream::write_timeout", || {
        let stream = stream();
        Box::new(move || drop(stream.write_timeout()))
    }),
    ("net::TcpStream::set_write_timeout", || {
        let stream = stream();
        Box::new(move || stream.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::TcpStream::ttl", || {
        let stream = stream();
        Box::new(move || drop(stream.ttl()))
    }),
    ("net::TcpStream::set_ttl", || {
        let stream = stream();
        Box::new(move || stream.set_ttl(9).unwrap())
    }),
    ("net::TcpStream::take_error", || {
        let stream = stream();
        Box::new(move || assert!(stream.take_error().unwrap().is_none()))
    }),
    ("net::TcpStream::try_clone", || {
        let stream = stream();
        Box::new(move || drop(stream.try_clone()))
    }),
    ("net::TcpStream::shutdown", || {
        let stream = stream();
        Box::new(move || stream.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::TcpListener::set_backlog", || with_tcp_listener(|listener| listener.set_backlog(9).unwrap())),
    ("net::TcpListener::set_nonblocking", || {
        with_tcp_listener(|listener| listener.set_nonblocking(true).unwrap())
    }),
    ("net::TcpListener::set_ttl", || with_tcp_listener(|listener| listener.set_ttl(9).unwrap())),
    ("net::TcpListener::take_error", || with_tcp_listener(|listener| drop(listener.take_error()))),
    ("net::TcpListener::ttl", || with_tcp_listener(|listener| drop(listener.ttl()))),
    ("net::TcpStream::into_split", || {
        let stream = stream();
        Box::new(move || drop(stream.into_split()))
    }),
    ("net::TcpStream::set_nonblocking", || {
        let stream = stream();
        Box::new(move || stream.set_nonblocking(true).unwrap())
    }),
    ("a socket that a neighbour reads from is dropped at the other end", || {
        let (near, far) = pair();
        let task = waiting(move || drop(std::io::Read::read(&mut &near, &mut [0])));
        Box::new(move || drop((far, task)))
    }),
    ("net::UnixListener::bind", || {
        let folder = tempfile::tempdir().unwrap();
        Box::new(move || drop(UnixListener::bind(folder.path().join("socket"))))
    }),
    ("net::UnixListener::bind_addr", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixListener::bind_addr(&address), folder)))
    }),
    ("net::UnixListener::bind_with_backlog", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixListener::bind_with_backlog(&address, 1), folder)))
    }),
    ("net::UnixListener::incoming", || with_unix_listener(|listener| ignore(listener.incoming()))),
    ("net::UnixListener::local_addr", || with_unix_listener(|listener| drop(listener.local_addr()))),
    ("net::UnixListener::take_error", || with_unix_listener(|listener| drop(listener.take_error()))),
    ("net::UnixListener::try_clone", || with_unix_listener(|listener| drop(listener.try_clone()))),
    ("net::UnixListener::set_backlog", || with_unix_listener(|listener| listener.set_backlog(9).unwrap())),
    ("net::UnixListener::set_nonblocking", || {
        with_unix_listener(|listener| listener.set_nonblocking(true).unwrap())
    }),
    ("net::UnixStream::into_split", || {
        let (stream, _other) = UnixStream::pair().unwrap();
        Box::new(move || drop(stream.into_split()))
    }),
    ("net::UnixStream::set_nonblocking", || with_unix_stream(|stream| stream.set_nonblocking(true).unwrap())),
    ("net::UnixStream::pair", || Box::new(|| drop(UnixStream::pair()))),
    ("net::UnixStream::local_addr", || with_unix_stream(|stream| drop(stream.local_addr()))),
    ("net::UnixStream::peer_addr", || with_unix_stream(|stream| drop(stream.peer_addr()))),
    ("net::UnixStream::read_timeout", || with_unix_stream(|stream| drop(stream.read_timeout()))),
    ("net::UnixStream::set_read_timeout", || {
        with_unix_stream(|stream| stream.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixStream::write_timeout", || with_unix_stream(|stream| drop(stream.write_timeout()))),
    ("net::UnixStream::set_write_timeout", || {
        with_unix_stream(|stream| stream.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixStream::shutdown", || {
        with_unix_stream(|stream| stream.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::UnixStream::take_error", || with_unix_stream(|stream| drop(stream.take_error()))),
    ("net::UnixStream::try_clone", || with_unix_stream(|stream| drop(stream.try_clone()))),
];

pub(super) const DATAGRAMS: &[(&str, Prepare)] = &[
    ("net::UdpSocket::broadcast", || with_udp(|socket| drop(socket.broadcast()))),
    ("net::UdpSocket::join_multicast_v4", || {
        with_udp(|socket| drop(socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)))
    }),
    ("net::UdpSocket::join_multicast_v6", || {
        with_udp(|socket| drop(socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 1)))
    }),
    ("net::UdpSocket::leave_multicast_v4", || {
        with_udp(|socket| drop(socket.leave_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)))
    }),
    ("net::UdpSocket::leave_multicast_v6", || {
        with_udp(|socket| drop(socket.leave_multicast_v6(&Ipv6Addr::LOCALHOST, 1)))
    }),
    ("net::UdpSocket::local_addr", || with_udp(|socket| drop(socket.local_addr()))),
    ("net::UdpSocket::multicast_loop_v4", || with_udp(|socket| drop(socket.multicast_loop_v4()))),
    ("net::UdpSocket::multicast_loop_v6", || with_udp(|socket| drop(socket.multicast_loop_v6()))),
    ("net::UdpSocket::multicast_ttl_v4", || with_udp(|socket| drop(socket.multicast_ttl_v4()))),
    ("net::UdpSocket::peer_addr", || with_udp(|socket| drop(socket.peer_addr()))),
    ("net::UdpSocket::read_timeout", || with_udp(|socket| drop(socket.read_timeout()))),
    ("net::UdpSocket::set_broadcast", || with_udp(|socket| socket.set_broadcast(true).unwrap())),
    ("net::UdpSocket::set_multicast_loop_v4", || {
        with_udp(|socket| socket.set_multicast_loop_v4(true).unwrap())
    }),
    ("net::UdpSocket::set_multicast_loop_v6", || with_udp(|socket| drop(socket.set_multicast_loop_v6(true)))),
    ("net::UdpSocket::set_multicast_ttl_v4", || with_udp(|socket| socket.set_multicast_ttl_v4(9).unwrap())),
    ("net::UdpSocket::set_nonblocking", || with_udp(|socket| socket.set_nonblocking(true).unwrap())),
    ("net::UdpSocket::set_read_timeout", || with_udp(|socket| socket.set_read_timeout(Some(LONG)).unwrap())),
    ("net::UdpSocket::set_ttl", || with_udp(|socket| socket.set_ttl(9).unwrap())),
    ("net::UdpSocket::set_write_timeout", || {
        with_udp(|socket| socket.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UdpSocket::take_error", || with_udp(|socket| drop(socket.take_error()))),
    ("net::UdpSocket::try_clone", || with_udp(|socket| drop(socket.try_clone()))),
    ("net::UdpSocket::ttl", || with_udp(|socket| drop(socket.ttl()))),
    ("net::UdpSocket::write_timeout", || with_udp(|socket| drop(socket.write_timeout()))),
    ("net::UnixDatagram::bind", || {
        let folder = tempfile::tempdir().unwrap();
        Box::new(move || drop(UnixDatagram::bind(folder.path().join("socket"))))
    }),
    ("net::UnixDatagram::bind_addr", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixDatagram::bind_addr(&address), folder)))
    }),
    ("net::UnixDatagram::connect", || with_datagrams(|socket| assert!(socket.connect("/nowhere").is_err()))),
    ("net::UnixDatagram::connect_addr", || {
        let address = SocketAddr::from_pathname("/nowhere").unwrap();
        Box::new(move || assert!(UnixDatagram::unbound().unwrap().connect_addr(&address).is_err()))
    }),
    ("net::UnixDatagram::pair", || Box::new(|| drop(UnixDatagram::pair()))),
    ("net::UnixDatagram::unbound", || Box::new(|| drop(UnixDatagram::unbound()))),
    ("net::UnixDatagram::local_addr", || with_datagrams(|socket| drop(socket.local_addr()))),
    ("net::UnixDatagram::peer_addr", || with_datagrams(|socket| drop(socket.peer_addr()))),
    ("net::UnixDatagram::read_timeout", || with_datagrams(|socket| drop(socket.read_timeout()))),
    ("net::UnixDatagram::set_nonblocking", || with_datagrams(|socket| socket.set_nonblocking(true).unwrap())),
    ("net::UnixDatagram::set_read_timeout", || {
        with_datagrams(|socket| socket.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixDatagram::set_write_timeout", || {
        with_datagrams(|socket| socket.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixDatagram::shutdown", || {
        with_datagrams(|socket| socket.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::UnixDatagram::take_error", || with_datagrams(|socket| drop(socket.take_error()))),
    ("net::UnixDatagram::try_clone", || with_datagrams(|socket| drop(socket.try_clone()))),
    ("net::UnixDatagram::write_timeout", || with_datagrams(|socket| drop(socket.write_timeout()))),
];

/// A group of which nobody else is.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 42, 98);

fn with_tcp_listener(f: fn(&TcpListener)) -> Box<dyn FnOnce()> {
    let (listener, _) = listener();
    Box::new(move || f(&listener))
}

fn with_udp(f: fn(&UdpSocket)) -> Box<dyn FnOnce()> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Box::new(move || f(&socket))
}

fn with_datagrams(f: fn(&UnixDatagram)) -> Box<dyn FnOnce()> {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    Box::new(move || f(&socket))
}

fn with_unix_listener(f: fn(&UnixListener)) -> Box<dyn FnOnce()> {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    Box::new(move || {
        f(&listener);
        drop((listener, folder));
    })
}

fn with_unix_stream(f: fn(&UnixStream)) -> Box<dyn FnOnce()> {
    let (stream, _other) = UnixStream::pair().unwrap();
    Box::new(move || f(&stream))
}
