//! Programs for std's sockets: what std's own tests promise, in short, and a chat room.

use super::imports::{net, thread, unix};

use std::io::{BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use unix::{UnixDatagram, UnixListener, UnixStream};

const ANY: &str = "127.0.0.1:0";
/// The kernel rounds what std gives it, to a multiple of 4 or 10 ms.
const SOON: Duration = Duration::from_millis(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(ANY).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn would_block<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

pub(crate) fn connections() {
    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(address.to_socket_addrs().unwrap().next(), Some(address));
    let clients = thread::spawn(move || {
        for n in 0..10_u8 {
            TcpStream::connect(address).unwrap().write_all(&[n]).unwrap();
        }
        // Nested: each is open while the next ones connect.
        let mut open: Vec<_> =
            (0..10).map(|_| TcpStream::connect(("127.0.0.1", address.port())).unwrap()).collect();
        for stream in open.iter_mut().rev() {
            stream.write_all(b"!").unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            assert_eq!(all, "heard");
        }
    });
    for n in 0..10 {
        let (mut stream, peer) = listener.accept().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer);
        assert_eq!(stream.local_addr().unwrap(), address);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [n]);
    }
    let servers: Vec<_> = listener
        .incoming()
        .take(10)
        .map(|stream| {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                stream.read_exact(&mut [0]).unwrap();
                stream.write_all(b"heard").unwrap();
            })
        })
        .collect();
    clients.join().unwrap();
    servers.into_iter().for_each(|server| server.join().unwrap());
    assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(TcpStream::connect_timeout(&address, Duration::from_secs(600)).unwrap());
    assert!(format!("{listener:?}").starts_with("TcpListener"));
}

pub(crate) fn clones() {
    let (mut near, far) = pair();
    let mut other = far.try_clone().unwrap();
    let (tell, told) = channel();
    let reader = thread::spawn(move || {
        let mut far = far;
        let mut byte = [0];
        // Waits while the other handle is used, and dropped.
        far.read_exact(&mut byte).unwrap();
        tell.send(byte[0]).unwrap();
        far.read_exact(&mut byte).unwrap();
        byte[0]
    });
    other.write_all(b"x").unwrap();
    near.read_exact(&mut [0]).unwrap();
    near.write_all(&[1]).unwrap();
    while told.try_recv().is_err() {
        thread::yield_now();
    }
    drop(other);
    near.write_all(&[2]).unwrap();
    assert_eq!(reader.join().unwrap(), 2);

    let (near, mut far) = pair();
    let near = Arc::new(near);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let near = near.clone();
            thread::spawn(move || (&*near).write_all(&[n; 3]).unwrap())
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    drop(near);
    let mut all = Vec::new();
    far.read_to_end(&mut all).unwrap();
    all.sort_unstable();
    assert_eq!(all, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);

    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptors =
        [listener.try_clone().unwrap(), listener].map(|listener| thread::spawn(move || listener.accept()));
    let _clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    for acceptor in acceptors {
        acceptor.join().unwrap().unwrap();
    }
}

pub(crate) fn ends() {
    let (mut near, far) = pair();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let answer = thread::spawn(move || {
        let mut far = far;
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
        far.write_all(b"after the end").unwrap();
    });
    let mut text = String::new();
    near.read_to_string(&mut text).unwrap();
    assert_eq!(text, "after the end");
    answer.join().unwrap();

    // A shutdown wakes who reads, whoever makes it.
    let (near, _far) = pair();
    let other = near.try_clone().unwrap();
    let reader = thread::spawn(move || (&near).read(&mut [0; 8]).unwrap());
    thread::yield_now();
    other.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reader.join().unwrap(), 0);

    let (mut near, far) = pair();
    let sum =
        near.write_vectored(&[IoSlice::new(b"rope"), IoSlice::new(b""), IoSlice::new(b"walk")]).unwrap();
    drop(near);
    assert_eq!(sum, 8);
    let (mut head, mut rest) = ([0; 3], [0; 10]);
    let mut far = BufReader::new(far);
    assert_eq!(far.read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)]).unwrap(), 8);
    assert_eq!((&head, &rest[..5]), (b"rop", &b"ewalk"[..]));
    assert!(!far.fill_buf().is_ok_and(|left| !left.is_empty()));
}

pub(crate) fn options() {
    let (mut near, mut far) = pair();
    assert!(!near.nodelay().unwrap());
    near.set_nodelay(true).unwrap();
    near.set_ttl(77).unwrap();
    assert!(near.nodelay().unwrap() && near.ttl().unwrap() == 77 && near.take_error().unwrap().is_none());

    assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (None, None));
    near.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(near.read_timeout().unwrap(), Some(SOON));
    let start = Instant::now();
    assert!(would_block(near.read(&mut [0; 8])));
    assert!(start.elapsed() >= SOON);
    far.write_all(b"hello").unwrap();
    let mut text = [0; 5];
    assert!(near.peek(&mut text).unwrap() > 0);
    near.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
    assert!(would_block(near.read(&mut [0; 8])));
    for zero in [near.set_read_timeout(Some(Duration::ZERO)), near.set_write_timeout(Some(Duration::ZERO))] {
        assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    near.set_read_timeout(None).unwrap();

    near.set_nonblocking(true).unwrap();
    assert!(would_block(near.read(&mut [0; 8])));
    far.write_all(b"x").unwrap();
    while would_block(near.read(&mut [0; 8])) {
        thread::yield_now();
    }
    near.set_nonblocking(false).unwrap();
    let writer = thread::spawn(move || far.write_all(b"y").map(|()| far));
    assert_eq!(near.read(&mut [0; 8]).unwrap(), 1);
    drop(writer.join().unwrap().unwrap());

    let listener = TcpListener::bind(ANY).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(would_block(listener.accept()));
    listener.set_ttl(78).unwrap();
    assert_eq!(listener.ttl().unwrap(), 78);
    let wrong: Result<SocketAddr, net::AddrParseError> = "300.0.0.1:1".parse();
    assert!(wrong.is_err());
}

pub(crate) fn datagrams() {
    let (one, other) = (UdpSocket::bind(ANY).unwrap(), UdpSocket::bind(ANY).unwrap());
    let (here, there) = (one.local_addr().unwrap(), other.local_addr().unwrap());
    let echo = thread::spawn(move || {
        let mut buffer = [0; 20];
        let clone = other.try_clone().unwrap();
        for _ in 0..3 {
            let (length, from) = other.recv_from(&mut buffer).unwrap();
            assert_eq!(from, here);
            clone.send_to(&buffer[..length], from).unwrap();
        }
        other
    });
    let mut buffer = [0; 20];
    for text in ["one", "two", ""] {
        assert_eq!(one.send_to(text.as_bytes(), there).unwrap(), text.len());
        assert_eq!(one.recv_from(&mut buffer).unwrap(), (text.len(), there));
        assert_eq!(&buffer[..text.len()], text.as_bytes());
    }
    let other = echo.join().unwrap();
    one.connect(there).unwrap();
    assert_eq!(one.peer_addr().unwrap(), there);
    one.send(b"peek").unwrap();
    assert_eq!(other.peek_from(&mut buffer).unwrap(), (4, here));
    assert_eq!(other.peek(&mut buffer).unwrap(), 4);
    assert_eq!(other.recv(&mut buffer).unwrap(), 4);
    other.set_read_timeout(Some(SOON)).unwrap();
    let start = Instant::now();
    assert!(would_block(other.recv(&mut buffer)));
    assert!(start.elapsed() >= SOON);
    other.set_read_timeout(None).unwrap();
    other.set_nonblocking(true).unwrap();
    assert!(would_block(other.recv_from(&mut buffer)));
    other.set_broadcast(true).unwrap();
    other.set_multicast_loop_v4(false).unwrap();
    other.set_multicast_ttl_v4(3).unwrap();
    assert!(other.broadcast().unwrap() && !other.multicast_loop_v4().unwrap());
    assert_eq!(other.multicast_ttl_v4().unwrap(), 3);
    assert!(other.take_error().unwrap().is_none());
    assert!(format!("{other:?}").starts_with("UdpSocket"));
}

pub(crate) fn unix_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    let clients = thread::spawn({
        let path = path.clone();
        move || {
            for n in 0..5_u8 {
                UnixStream::connect(&path).unwrap().write_all(&[n]).unwrap();
            }
        }
    });
    for (n, stream) in (0..5).zip(&listener) {
        let mut byte = [0];
        stream.unwrap().read_exact(&mut byte).unwrap();
        assert_eq!(byte, [n]);
    }
    clients.join().unwrap();
    assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut clone = far.try_clone().unwrap();
    near.set_read_timeout(Some(SOON)).unwrap();
    assert!(would_block(near.read(&mut [0; 8])));
    near.set_read_timeout(None).unwrap();
    let writer = thread::spawn(move || {
        (&far).write_all(b"from one, ").unwrap();
        far
    });
    near.read_exact(&mut [0; 10]).unwrap();
    clone.write_all(b"from the other").unwrap();
    drop((writer.join().unwrap(), clone));
    let mut rest = String::new();
    near.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "from the other");
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
}

pub(crate) fn unix_datagrams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let near = UnixDatagram::bind(&path).unwrap();
    let sender = thread::spawn({
        let path = path.clone();
        move || {
            let far = UnixDatagram::unbound().unwrap();
            far.send_to(b"to a path", &path).unwrap();
            far.connect(&path).unwrap();
            assert_eq!(far.peer_addr().unwrap().as_pathname(), Some(&*path));
            // More than there is room for: waits for the receiver.
            for n in 0..1000_u32 {
                far.send(&n.to_be_bytes()).unwrap();
            }
        }
    });
    let mut buffer = [0; 20];
    let (length, from) = near.recv_from(&mut buffer).unwrap();
    assert!(length == 9 && from.is_unnamed());
    for n in 0..1000_u32 {
        assert_eq!(near.recv(&mut buffer).unwrap(), 4);
        assert_eq!(buffer[..4], n.to_be_bytes());
    }
    sender.join().unwrap();
    near.set_read_timeout(Some(SOON)).unwrap();
    assert!(would_block(near.recv(&mut buffer)));
    near.shutdown(Shutdown::Read).unwrap();
    assert_eq!(near.read_timeout().unwrap(), Some(SOON));
    let (one, other) = UnixDatagram::pair().unwrap();
    one.send(b"pair").unwrap();
    assert_eq!(other.try_clone().unwrap().recv(&mut buffer).unwrap(), 4);
}

/// So many people say so many lines each, and everybody hears all of them. Returns how many lines were heard.
pub(crate) fn chat(people: usize, lines: usize) -> usize {
    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let room: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let streams: Vec<_> = listener.incoming().take(people).map(|stream| stream.unwrap()).collect();
        room.lock().unwrap().extend(streams.iter().map(|stream| stream.try_clone().unwrap()));
        let talks: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let room = room.clone();
                thread::spawn(move || {
                    for line in BufReader::new(stream).lines() {
                        let line = line.unwrap() + "\n";
                        let listeners: Vec<_> =
                            room.lock().unwrap().iter().map(|stream| stream.try_clone().unwrap()).collect();
                        for mut listener in listeners {
                            // One call: what others say does not come in between.
                            assert_eq!(listener.write(line.as_bytes()).unwrap(), line.len());
                        }
                    }
                })
            })
            .collect();
        talks.into_iter().for_each(|talk| talk.join().unwrap());
    });
    let people: Vec<_> = (0..people)
        .map(|person| {
            thread::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                let mut says = stream.try_clone().unwrap();
                let hears = thread::spawn(move || {
                    BufReader::new(stream)
                        .lines()
                        .map_while(|line| line.ok().filter(|line| line.contains(':')))
                        .count()
                });
                for line in 0..lines {
                    says.write_all(format!("{person}: {line}\n").as_bytes()).unwrap();
                }
                says.shutdown(Shutdown::Write).unwrap();
                hears
            })
        })
        .collect();
    let ears: Vec<_> = people.into_iter().map(|person| person.join().unwrap()).collect();
    server.join().unwrap();
    ears.into_iter().map(|hears| hears.join().unwrap()).sum()
}
