//! Sockets for tests.

use std::net::SocketAddr;

use ropewalk::net::{TcpListener, TcpStream};

/// A listener on a free port of the loopback, and its address.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Two ends of one connection.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    // The kernel accepts by itself, so nobody has to wait here.
    let near = TcpStream::connect(address).expect("the listener is there");
    let (far, peer) = listener.accept().expect("the connection is there");
    assert_eq!(peer, near.local_addr().expect("it is connected"), "no stranger has come between");
    (near, far)
}

/// A connection whose other end is std's.
pub(crate) fn pair_with_std() -> (TcpStream, std::net::TcpStream) {
    let (listener, address) = listener();
    let far = std::net::TcpStream::connect(address).expect("the listener is there");
    let (near, _) = listener.accept().expect("the connection is there");
    (near, far)
}

/// An address at which nobody answers: the queue of its listener is full.
#[derive(Debug)]
pub(crate) struct Congested {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<std::os::fd::OwnedFd>,
}

impl Congested {
    pub(crate) fn new() -> Self {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

        let listener =
            TcpListener::bind_with_backlog("127.0.0.1:0", 0).expect("the loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let queued = (0..4)
            .map(|_| {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
                // Begins to connect; the first may succeed, the others wait for ever.
                let _ = connect(&socket, &address);
                socket
            })
            .collect();
        Self { address, _listener: listener, _queued: queued }
    }
}
