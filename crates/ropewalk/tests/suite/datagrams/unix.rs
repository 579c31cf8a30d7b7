//! Unix datagrams.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::time::Duration;

use ropewalk::net::unix::SocketAddr;
use ropewalk::net::{Shutdown, UnixDatagram};
use ropewalk::{process, timeout};
use rustix::io::Errno;

use crate::support::{LONG, Spot, guarded, on_every_pair, on_every_plan, timed, until};

const SOON: Duration = Duration::from_millis(3);

/// An abstract name that nobody else has.
pub(super) fn name() -> SocketAddr {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("ropewalk-datagrams-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    SocketAddr::from_abstract_name(name).unwrap()
}

pub(super) fn bound() -> (UnixDatagram, SocketAddr) {
    let address = name();
    (UnixDatagram::bind_addr(&address).expect("the name is free"), address)
}

/// Sends without waiting until there is no room; returns how many there was room for.
fn fill(send: impl Fn() -> std::io::Result<usize>) -> usize {
    (0..).find(|_| send().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)).unwrap()
}

/// std's `test_unix_datagram`, `test_unnamed_unix_datagram`, `test_connect_unix_datagram` in short.
#[test]
fn datagrams_go_by_path_by_name_and_by_connection() {
    on_every_pair(|plan| {
        let directory = tempfile::tempdir().unwrap();
        let (path, other_path) = (directory.path().join("one"), directory.path().join("other"));
        let one = UnixDatagram::bind(&path).unwrap();
        let other = UnixDatagram::bind(&other_path).unwrap();
        assert_eq!(one.local_addr().unwrap().as_pathname(), Some(&*path));
        assert_eq!(one.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        let sender = plan.spawn({
            let path = path.clone();
            move || {
                other.send_to(b"by path", &path).unwrap();
                let unbound = UnixDatagram::unbound().unwrap();
                unbound.connect(&path).unwrap();
                assert_eq!(unbound.peer_addr().unwrap().as_pathname(), Some(&*path));
                unbound.send(b"by connection").unwrap();
                unbound.send(b"").unwrap();
                other
            }
        });
        let mut buffer = [0; 20];
        let (length, from) = one.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.as_pathname()), (&b"by path"[..], Some(&*other_path)));
        let (length, from) = one.peek_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"by connection");
        assert!(from.is_unnamed());
        assert_eq!(one.peek(&mut buffer).unwrap(), 13);
        assert_eq!(one.recv(&mut buffer[..2]).unwrap(), 2, "the rest of it is lost");
        assert_eq!(one.recv(&mut buffer).unwrap(), 0, "an empty one");
        let other = sender.join().unwrap();
        assert!(format!("{other:?}").contains("other"));

        let (named, address) = bound();
        assert_eq!(named.local_addr().unwrap().as_abstract_name(), address.as_abstract_name());
        named.send_to(b"x", &path).unwrap();
        let (_, from) = one.recv_from(&mut buffer).unwrap();
        assert_eq!(from.as_abstract_name(), address.as_abstract_name());
        one.send_to_addr(b"back", &from).unwrap();
        assert_eq!(named.recv(&mut buffer).unwrap(), 4);
        one.connect_addr(&address).unwrap();
        one.send(b"connected").unwrap();
        assert_eq!(named.recv(&mut buffer).unwrap(), 9);
    });
}

#[test]
fn addresses_that_cannot_be_are_errors() {
    on_every_pair(|_| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let socket = UnixDatagram::unbound().unwrap();
        assert_eq!(socket.send_to(b"x", &path).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(socket.connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let bound = UnixDatagram::bind(&path).unwrap();
        assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(bound);
        // A program that another test starts at this moment may have it for a moment more.
        let refused = |sent: std::io::Result<usize>| {
            sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        socket.set_nonblocking(true).unwrap();
        until(|| refused(socket.send_to(b"x", &path)));
        let long = directory.path().join("x".repeat(108));
        assert_eq!(UnixDatagram::bind(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.send_to(b"x", &long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
        let listener = directory.path().join("stream");
        let _listener = ropewalk::net::UnixListener::bind(&listener).unwrap();
        let wrong = socket.send_to(b"x", &listener).unwrap_err();
        assert_eq!(wrong.raw_os_error(), Some(Errno::PROTOTYPE.raw_os_error()));
        let (near, far) = UnixDatagram::pair().unwrap();
        assert!(near.local_addr().unwrap().is_unnamed() && near.peer_addr().unwrap().is_unnamed());
        let error = near.send(&vec![0; 1 << 22]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()));
        drop(far);
        near.set_nonblocking(true).unwrap();
        until(|| refused(near.send(b"x")));
        assert!(near.take_error().unwrap().is_none());
    });
}

#[test]
fn who_sends_waits_until_there_is_room() {
    on_every_plan(|plan| {
        for connected in [true, false] {
            let (receiver, address) = bound();
            let sender = UnixDatagram::unbound().unwrap();
            if connected {
                sender.connect_addr(&address).unwrap();
            }
            let send = move |sender: &UnixDatagram| match connected {
                true => sender.send(b"datagram"),
                false => sender.send_to_addr(b"datagram", &address),
            };
            sender.set_nonblocking(true).unwrap();
            let room = fill(|| send(&sender));
            assert!(room > 0);
            sender.set_nonblocking(false).unwrap();
            sender.set_write_timeout(Some(SOON)).unwrap();
            let (outcome, time) = timed(|| send(&sender));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(time >= SOON, "{time:?}");
            sender.set_write_timeout(None).unwrap();
            assert!(timeout(SOON, || send(&sender)).is_err());
            let spot = Spot::new();
            let waiting = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    (0..20).for_each(|_| assert_eq!(send(&sender).unwrap(), 8));
                }
            });
            spot.wait_asleep();
            (0..room + 20).for_each(|_| assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 8));
            waiting.join().unwrap();
            receiver.set_nonblocking(true).unwrap();
            assert_eq!(receiver.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock, "and no more");
        }
    });
}

#[test]
fn limits_are_kept_by_receives() {
    on_every_pair(|_| {
        let (near, _far) = UnixDatagram::pair().unwrap();
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (None, None));
        near.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(SOON));
        let (outcome, time) = timed(|| near.recv_from(&mut [0; 8]));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(time >= SOON, "{time:?}");
        let clone = near.try_clone().unwrap();
        near.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(clone.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        for outcome in
            [near.set_read_timeout(Some(Duration::ZERO)), near.set_write_timeout(Some(Duration::ZERO))]
        {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

/// std's `test_unix_datagram_shutdown`.
#[test]
fn a_shutdown_wakes_who_receives() {
    on_every_plan(|plan| {
        let (near, far) = UnixDatagram::pair().unwrap();
        let spot = Spot::new();
        let reader = plan.spawn({
            let (near, spot) = (near.try_clone().unwrap(), spot.clone());
            move || {
                spot.mark();
                near.recv(&mut [0; 8])
            }
        });
        spot.wait_asleep();
        near.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0);
        assert_eq!(far.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_socket_is_taken_over_from_std_and_travels_to_a_process() {
    fn serve(socket: UnixDatagram) {
        assert_eq!(socket.read_timeout().unwrap(), Some(LONG), "limits travel, too");
        let mut buffer = [0; 20];
        let length = socket.recv(&mut buffer).unwrap();
        socket.send(&buffer[..length]).unwrap();
    }
    guarded(|| {
        for nonblocking in [false, true] {
            let (near, far) = std::os::unix::net::UnixDatagram::pair().unwrap();
            far.set_nonblocking(nonblocking).unwrap();
            let far = UnixDatagram::from(OwnedFd::from(far));
            far.set_read_timeout(Some(LONG)).unwrap();
            let child = process::spawn(serve, far).unwrap();
            near.send(b"there and back").unwrap();
            assert_eq!(near.recv(&mut [0; 20]).unwrap(), 14);
            child.join().unwrap();
        }
    });
}
