//! The cases of sockets, written against `net` and `unix`, whichever those are.

use super::imports::{net, unix};

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use unix::{UnixDatagram, UnixListener, UnixStream};

use crate::as_std::{Case, said};

const SOON: Option<Duration> = Some(Duration::from_millis(2));

/// Puts together what several operations said.
fn and<const N: usize>(parts: [String; N]) -> String {
    parts.join(", then ")
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address at which nobody listens any more.
fn nobody() -> SocketAddr {
    let (_listener, address) = listener();
    address
}

fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    let near = TcpStream::connect(address).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Two ends, of which one has been reset by the other.
fn reset() -> TcpStream {
    let (near, far) = pair();
    end_with_a_reset(far);
    near
}

/// Closing with a linger of zero sends a reset.
fn end_with_a_reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn udp_pair() -> (UdpSocket, UdpSocket) {
    let ((near, near_address), (far, far_address)) = (udp(), udp());
    near.connect(far_address).unwrap();
    far.connect(near_address).unwrap();
    (near, far)
}

/// A directory, and a path in it.
fn path(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

/// Calls `f` when no descriptor is left.
fn without_descriptors(f: impl FnOnce() -> String) -> String {
    let mut files: Vec<OwnedFd> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file.into());
    }
    f()
}

/// Writes until that is an error.
fn write_until_an_error(stream: &mut impl Write) -> io::Error {
    loop {
        if let Err(error) = stream.write(&[1; 64 * 1024]) {
            return error;
        }
    }
}

fn connect_tcp() -> [Case; 7] {
    [
        ("TCP connect: nobody listens", || said(TcpStream::connect(nobody()).map(drop))),
        ("TCP connect, with a limit: the backlog is full", || {
            let congested = crate::support::net::Congested::new();
            said(TcpStream::connect_timeout(&congested.address, Duration::from_millis(20)).map(drop))
        }),
        ("TCP connect, with a limit: nobody listens", || {
            said(TcpStream::connect_timeout(&nobody(), Duration::from_secs(600)).map(drop))
        }),
        ("TCP connect, with a limit of zero", || {
            said(TcpStream::connect_timeout(&nobody(), Duration::ZERO).map(drop))
        }),
        ("TCP connect: no address", || said(TcpStream::connect(&[][..] as &[SocketAddr]).map(drop))),
        ("TCP connect: of two addresses nobody listens on the first", || {
            let (_listener, address) = listener();
            said(TcpStream::connect(&[nobody(), address][..]).map(drop))
        }),
        ("TCP connect: no descriptor is left", || {
            let (_listener, address) = listener();
            without_descriptors(|| said(TcpStream::connect(address).map(drop)))
        }),
    ]
}

fn addresses() -> [Case; 4] {
    [
        ("an address without a port", || said(TcpStream::connect("127.0.0.1").map(drop))),
        ("an address with a port that is too large", || {
            said(TcpStream::connect("127.0.0.1:65536").map(drop))
        }),
        ("an address with a port that is no number", || said(UdpSocket::bind("127.0.0.1:http").map(drop))),
        ("an address that is empty", || said(TcpListener::bind("").map(drop))),
    ]
}

fn listen_tcp() -> [Case; 9] {
    [
        ("TCP bind: the address is in use", || {
            let (_listener, address) = listener();
            said(TcpListener::bind(address).map(drop))
        }),
        ("TCP bind: not an address of this machine", || said(TcpListener::bind("203.0.113.1:0").map(drop))),
        ("TCP bind: a reserved port, without the right", || match TcpListener::bind("127.0.0.1:1") {
            Ok(_) => "skipped: no port is reserved here".to_owned(),
            refused => said(refused.map(drop)),
        }),
        ("TCP bind: no descriptor is left", || {
            without_descriptors(|| said(TcpListener::bind("127.0.0.1:0").map(drop)))
        }),
        ("TCP accept: no descriptor is left, and then there is", || {
            let (listener, address) = listener();
            let _client = TcpStream::connect(address).unwrap();
            let accept = || said(listener.accept().map(drop));
            and([without_descriptors(accept), accept()])
        }),
        ("TCP accept: the listener has been shut down", || {
            let (listener, _) = listener();
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
            said(listener.accept().map(drop))
        }),
        ("TCP accept: the listener is shut down meanwhile", || {
            let (listener, _) = listener();
            let other = listener.as_fd().try_clone_to_owned().unwrap();
            let shutdown = std::thread::spawn(move || {
                (0..100).for_each(|_| std::thread::yield_now());
                rustix::net::shutdown(other, rustix::net::Shutdown::Both).unwrap();
            });
            let accepted = said(listener.accept().map(drop));
            shutdown.join().unwrap();
            accepted
        }),
        ("TCP accept, non-blocking: nobody is there", || {
            let (listener, _) = listener();
            listener.set_nonblocking(true).unwrap();
            said(listener.accept().map(drop))
        }),
        ("TCP accept: who connected has reset the connection", || {
            let (listener, address) = listener();
            end_with_a_reset(TcpStream::connect(address).unwrap());
            let (mut stream, _) = listener.accept().unwrap();
            said(stream.read(&mut [0; 8]))
        }),
    ]
}

fn read_tcp() -> [Case; 11] {
    [
        ("TCP read: the end, twice", || {
            let (mut near, _) = pair();
            and([said(near.read(&mut [0; 8])), said(near.read(&mut [0; 8]))])
        }),
        ("TCP read: what came before the end, and the end", || {
            let (mut near, mut far) = pair();
            far.write_all(b"bytes").unwrap();
            drop(far);
            and([said(near.read(&mut [0; 8])), said(near.read(&mut [0; 8]))])
        }),
        ("TCP read: a reset, and after it", || {
            let mut near = reset();
            and([said(near.read(&mut [0; 8])), said(near.read(&mut [0; 8]))])
        }),
        ("TCP read: the peer closed with something unread", || {
            let (mut near, far) = pair();
            near.write_all(b"unread").unwrap();
            far.peek(&mut [0; 6]).unwrap();
            drop(far);
            said(near.read(&mut [0; 8]))
        }),
        ("TCP read into an empty buffer: nothing is there, with a limit; then something is", || {
            let (mut near, mut far) = pair();
            near.set_read_timeout(SOON).unwrap();
            let nothing = said(near.read(&mut []));
            far.write_all(b"x").unwrap();
            and([nothing, said(near.read(&mut []))])
        }),
        ("TCP read: this direction was shut down", || {
            let (mut near, _far) = pair();
            near.shutdown(Shutdown::Read).unwrap();
            said(near.read(&mut [0; 8]))
        }),
        ("TCP read: the limit has passed", || {
            let (mut near, _far) = pair();
            near.set_read_timeout(SOON).unwrap();
            and([said(near.read(&mut [0; 8])), said(near.peek(&mut [0; 8]))])
        }),
        ("TCP read, non-blocking: nothing is there", || {
            let (mut near, _far) = pair();
            near.set_nonblocking(true).unwrap();
            said(near.read(&mut [0; 8]))
        }),
        ("TCP read to the end, exactly: the end comes too early", || {
            let (mut near, mut far) = pair();
            far.write_all(b"12").unwrap();
            drop(far);
            said(near.read_exact(&mut [0; 3]))
        }),
        ("TCP read of text: it is no UTF-8", || {
            let (mut near, mut far) = pair();
            far.write_all(&[b'a', 0xFF]).unwrap();
            drop(far);
            said(near.read_to_string(&mut String::new()))
        }),
        ("TCP peek: twice, then read, then the end", || {
            let (mut near, mut far) = pair();
            far.write_all(b"look").unwrap();
            drop(far);
            let mut buffer = [0; 4];
            let looks = [said(near.peek(&mut buffer)), said(near.peek(&mut buffer[..2]))];
            and([and(looks), said(near.read(&mut buffer)), said(near.peek(&mut buffer))])
        }),
    ]
}

fn write_tcp() -> [Case; 7] {
    [
        ("TCP write of nothing", || {
            let (mut near, _far) = pair();
            said(near.write(b""))
        }),
        ("TCP write: the peer has closed", || {
            let (mut near, far) = pair();
            drop(far);
            said::<()>(Err(write_until_an_error(&mut near)))
        }),
        ("TCP write: a reset, and after it", || {
            let mut near = reset();
            and([said(near.write(b"x")), said(near.write(b"x"))])
        }),
        ("TCP write: this direction was shut down", || {
            let (mut near, _far) = pair();
            near.shutdown(Shutdown::Write).unwrap();
            said(near.write(b"x"))
        }),
        ("TCP write: the limit has passed", || {
            let (mut near, _far) = pair();
            near.set_write_timeout(SOON).unwrap();
            said::<()>(Err(write_until_an_error(&mut near)))
        }),
        ("TCP write, non-blocking: there is no room", || {
            let (mut near, _far) = pair();
            near.set_nonblocking(true).unwrap();
            said::<()>(Err(write_until_an_error(&mut near)))
        }),
        ("TCP write of all: the peer resets it in the middle", || {
            let (mut near, far) = pair();
            let resetting = std::thread::spawn(move || {
                far.peek(&mut [0; 1]).unwrap();
                end_with_a_reset(far);
            });
            let error = write_until_an_error(&mut near);
            resetting.join().unwrap();
            said::<()>(Err(error))
        }),
    ]
}

fn other_tcp() -> [Case; 8] {
    [
        ("TCP limits of zero", || {
            let (near, _far) = pair();
            let zero = Some(Duration::ZERO);
            and([said(near.set_read_timeout(zero)), said(near.set_write_timeout(zero))])
        }),
        ("TCP shutdown, twice", || {
            let (near, _far) = pair();
            and([said(near.shutdown(Shutdown::Both)), said(near.shutdown(Shutdown::Both))])
        }),
        ("TCP shutdown: a reset was there before", || said(reset().shutdown(Shutdown::Both))),
        ("TCP address of the peer: a reset was there before", || said(reset().peer_addr())),
        ("TCP error of a socket: a reset, and taken again", || {
            let near = reset();
            let kind = |error: Option<io::Error>| error.map(|error| (error.kind(), error.raw_os_error()));
            and([said(near.take_error().map(kind)), said(near.take_error().map(kind))])
        }),
        ("TCP time to live: zero", || said(pair().0.set_ttl(0))),
        ("TCP time to live: 256", || said(listener().0.set_ttl(256))),
        ("TCP clone: no descriptor is left", || {
            let (near, _far) = pair();
            without_descriptors(|| said(near.try_clone().map(drop)))
        }),
    ]
}

fn send_udp() -> [Case; 11] {
    [
        ("UDP bind: the address is in use", || {
            let (_taken, address) = udp();
            said(UdpSocket::bind(address).map(drop))
        }),
        ("UDP bind: no descriptor is left", || {
            without_descriptors(|| said(UdpSocket::bind("127.0.0.1:0").map(drop)))
        }),
        ("UDP send: it is not connected", || said(udp().0.send(b"x"))),
        ("UDP address of the peer: it is not connected", || said(udp().0.peer_addr())),
        ("UDP send to no address", || said(udp().0.send_to(b"x", &[][..] as &[SocketAddr]))),
        ("UDP connect to no address", || said(udp().0.connect(&[][..] as &[SocketAddr]))),
        ("UDP send: it is too long", || {
            let (near, _far) = udp_pair();
            said(near.send(&[0; 65_508]))
        }),
        ("UDP send to an address of IPv6, from one of IPv4", || {
            said(udp().0.send_to(b"x", (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 9)))
        }),
        ("UDP send to a broadcast address, without leave", || {
            said(udp().0.send_to(b"x", (Ipv4Addr::new(127, 255, 255, 255), 9)))
        }),
        ("UDP send to who is not there, and the next calls", || {
            let (near, _) = udp();
            near.connect(udp().1).unwrap();
            near.set_read_timeout(SOON).unwrap();
            and([said(near.send(b"x")), said(near.recv(&mut [0; 8])), said(near.recv(&mut [0; 8]))])
        }),
        ("UDP send to who is not there, and the next send", || {
            let (near, _) = udp();
            near.connect(udp().1).unwrap();
            and([said(near.send(b"x")), said(near.send(b"x")), said(near.send(b"x"))])
        }),
    ]
}

fn receive_udp() -> [Case; 6] {
    [
        ("UDP receive: it is cut, and the next one is whole", || {
            let (near, far) = udp_pair();
            far.send(b"0123456789").unwrap();
            far.send(b"next").unwrap();
            let mut buffer = [0; 5];
            and([said(near.recv(&mut buffer)), said(near.recv(&mut buffer))])
        }),
        ("UDP receive: an empty datagram, and one into an empty buffer", || {
            let (near, far) = udp_pair();
            far.send(b"").unwrap();
            far.send(b"x").unwrap();
            and([said(near.recv(&mut [0; 8])), said(near.recv(&mut []))])
        }),
        ("UDP peek: it is cut; then receive it whole", || {
            let (near, far) = udp_pair();
            far.send(b"look").unwrap();
            let mut buffer = [0; 8];
            and([said(near.peek(&mut buffer[..2])), said(near.recv(&mut buffer))])
        }),
        ("UDP receive: the limit has passed", || {
            let (near, _) = udp();
            near.set_read_timeout(SOON).unwrap();
            and([
                said(near.recv(&mut [0; 8])),
                said(near.recv_from(&mut [0; 8])),
                said(near.peek_from(&mut [0; 8])),
            ])
        }),
        ("UDP receive, non-blocking: nothing is there", || {
            let (near, _) = udp();
            near.set_nonblocking(true).unwrap();
            said(near.recv_from(&mut [0; 8]))
        }),
        ("UDP groups: join what is none, leave what was not joined", || {
            let (near, _) = udp();
            let (none, group) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(239, 1, 2, 3));
            let local = Ipv4Addr::LOCALHOST;
            and([said(near.join_multicast_v4(&none, &local)), said(near.leave_multicast_v4(&group, &local))])
        }),
    ]
}

fn unix_paths() -> [Case; 12] {
    [
        ("Unix connect: there is no such file", || said(UnixStream::connect(path("none").1).map(drop))),
        ("Unix connect: the listener is gone, its file is there", || {
            let (_directory, path) = path("socket");
            drop(UnixListener::bind(&path).unwrap());
            said(UnixStream::connect(&path).map(drop))
        }),
        ("Unix connect: the file is no socket", || {
            let (_directory, path) = path("file");
            File::create(&path).unwrap();
            said(UnixStream::connect(&path).map(drop))
        }),
        ("Unix connect: the path is a directory", || said(UnixStream::connect(path("").0.path()).map(drop))),
        ("Unix connect: a socket of datagrams is there", || {
            let (_directory, path) = path("socket");
            let _datagrams = UnixDatagram::bind(&path).unwrap();
            said(UnixStream::connect(&path).map(drop))
        }),
        ("Unix connect: without the right to write to the file", || {
            use std::os::unix::fs::PermissionsExt;
            let (_directory, path) = path("socket");
            let _listener = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
            said(UnixStream::connect(&path).map(drop))
        }),
        ("Unix bind, connect: the path is too long", || {
            let (_directory, path) = path(&"x".repeat(108));
            and([said(UnixListener::bind(&path).map(drop)), said(UnixStream::connect(&path).map(drop))])
        }),
        ("Unix bind, connect: a zero is in the path", || {
            and([said(UnixListener::bind("a\0b").map(drop)), said(UnixStream::connect("a\0b").map(drop))])
        }),
        ("Unix connect: the path is empty", || said(UnixStream::connect("").map(drop))),
        ("Unix bind: the path is in use", || {
            let (_directory, path) = path("socket");
            let _listener = UnixListener::bind(&path).unwrap();
            and([said(UnixListener::bind(&path).map(drop)), said(UnixDatagram::bind(&path).map(drop))])
        }),
        ("Unix bind: there is no such directory", || {
            said(UnixListener::bind(path("none/socket").1).map(drop))
        }),
        ("Unix bind: without the right to write to the directory", || {
            use std::os::unix::fs::PermissionsExt;
            let (directory, path) = path("socket");
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
            said(UnixListener::bind(path).map(drop))
        }),
    ]
}

fn unix_streams() -> [Case; 7] {
    [
        ("Unix write: the peer has closed", || {
            let (mut near, far) = UnixStream::pair().unwrap();
            drop(far);
            and([said(near.write(b"x")), said(near.read(&mut [0; 8]))])
        }),
        ("Unix read: the peer closed with something unread", || {
            let (mut near, far) = UnixStream::pair().unwrap();
            near.write_all(b"unread").unwrap();
            drop(far);
            and([said(near.read(&mut [0; 8])), said(near.read(&mut [0; 8]))])
        }),
        ("Unix read, write: shut down", || {
            let (mut near, _far) = UnixStream::pair().unwrap();
            near.shutdown(Shutdown::Both).unwrap();
            and([said(near.read(&mut [0; 8])), said(near.write(b"x"))])
        }),
        ("Unix read: the limit has passed", || {
            let (mut near, _far) = UnixStream::pair().unwrap();
            near.set_read_timeout(SOON).unwrap();
            said(near.read(&mut [0; 8]))
        }),
        ("Unix accept: the listener has been shut down", || {
            let (_directory, path) = path("socket");
            let listener = UnixListener::bind(path).unwrap();
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
            said(listener.accept().map(drop))
        }),
        ("Unix accept: no descriptor is left, and then there is", || {
            let (_directory, path) = path("socket");
            let listener = UnixListener::bind(&path).unwrap();
            let _client = UnixStream::connect(&path).unwrap();
            let accept = || said(listener.accept().map(drop));
            and([without_descriptors(accept), accept()])
        }),
        ("Unix pair: no descriptor is left", || {
            without_descriptors(|| {
                and([said(UnixStream::pair().map(drop)), said(UnixDatagram::pair().map(drop))])
            })
        }),
    ]
}

fn unix_datagrams() -> [Case; 8] {
    [
        ("Unix datagram to a path: no such file, nobody there", || {
            let (_directory, path) = path("socket");
            let near = UnixDatagram::unbound().unwrap();
            let missing = said(near.send_to(b"x", &path));
            drop(UnixDatagram::bind(&path).unwrap());
            and([missing, said(near.send_to(b"x", &path))])
        }),
        ("Unix datagram: it is not connected", || {
            let near = UnixDatagram::unbound().unwrap();
            and([said(near.send(b"x")), said(near.peer_addr().map(drop))])
        }),
        ("Unix datagram to a socket of streams", || {
            let (_directory, path) = path("socket");
            let _listener = UnixListener::bind(&path).unwrap();
            said(UnixDatagram::unbound().unwrap().send_to(b"x", &path))
        }),
        ("Unix datagram: it is too long", || {
            let (near, _far) = UnixDatagram::pair().unwrap();
            said(near.send(&vec![0; 1 << 22]))
        }),
        ("Unix datagram: the peer is gone", || {
            let (near, far) = UnixDatagram::pair().unwrap();
            drop(far);
            said(near.send(b"x"))
        }),
        ("Unix datagram: it is cut, and the next one is whole", || {
            let (near, far) = UnixDatagram::pair().unwrap();
            far.send(b"0123456789").unwrap();
            far.send(b"next").unwrap();
            let mut buffer = [0; 5];
            and([said(near.recv(&mut buffer)), said(near.recv(&mut buffer))])
        }),
        ("Unix datagram: receiving was shut down", || {
            let (near, far) = UnixDatagram::pair().unwrap();
            far.send(b"before").unwrap();
            near.shutdown(Shutdown::Read).unwrap();
            and([said(near.recv(&mut [0; 8])), said(near.recv(&mut [0; 8])), said(far.send(b"x"))])
        }),
        ("Unix datagram: there is no room, and the limit has passed", || {
            let (_directory, path) = path("socket");
            let (_receiver, near) = (UnixDatagram::bind(&path).unwrap(), UnixDatagram::unbound().unwrap());
            near.set_write_timeout(SOON).unwrap();
            let error = loop {
                if let Err(error) = near.send_to(b"x", &path) {
                    break error;
                }
            };
            near.connect(&path).unwrap();
            and([said::<()>(Err(error)), said(near.send(b"x"))])
        }),
    ]
}

pub(in crate::as_std) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    all.extend(connect_tcp());
    all.extend(addresses());
    all.extend(listen_tcp());
    all.extend(read_tcp());
    all.extend(write_tcp());
    all.extend(other_tcp());
    all.extend(send_udp());
    all.extend(receive_udp());
    all.extend(unix_paths());
    all.extend(unix_streams());
    all.extend(unix_datagrams());
    all
}
