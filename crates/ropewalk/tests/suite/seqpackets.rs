//! Unix sockets that carry packets: each comes whole and in order, and the end is heard of.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::time::Duration;

use ropewalk::inspect::State;
use ropewalk::net::unix::SocketAddr;
use ropewalk::net::{Shutdown, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
use ropewalk::{JoinHandle, process, timeout};
use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{LONG, guarded, on_every_pair, on_every_plan, until};

const SOON: Duration = Duration::from_millis(3);

fn pair() -> (UnixSeqpacket, UnixSeqpacket) {
    UnixSeqpacket::pair().expect("there are descriptors")
}

/// An abstract name that nobody else has.
fn name() -> SocketAddr {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("ropewalk-packets-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    SocketAddr::from_abstract_name(name).unwrap()
}

fn until_it_waits<T: Send + 'static>(task: &JoinHandle<T>) {
    until(|| matches!(task.task().state(), State::Blocked(_)));
}

#[test]
fn packets_come_whole_and_in_order_until_the_end() {
    on_every_pair(|plan| {
        let (near, far) = pair();
        let sender = plan.spawn(move || {
            for length in (1..200).chain([30_000, 1]) {
                far.send(&vec![length as u8; length]).unwrap();
            }
            far
        });
        let mut buffer = vec![0; 30_000];
        for length in (1..200).chain([30_000, 1]) {
            assert_eq!(near.recv(&mut buffer).unwrap(), length);
            assert!(buffer[..length].iter().all(|byte| *byte == length as u8));
        }
        drop(sender.join().unwrap());
        assert_eq!(near.recv(&mut buffer).unwrap(), 0);
        assert_eq!(near.recv(&mut buffer).unwrap(), 0, "the end stays");
        assert_eq!(near.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_would_be_cut_or_mistaken_is_an_error() {
    on_every_plan(|plan| {
        let (near, far) = pair();
        assert_eq!(far.send(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(far.send_with_descriptors(b"", &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        far.send(b"too long").unwrap();
        far.send(b"fits").unwrap();
        plan.spawn(move || {
            assert_eq!(near.peek(&mut []).unwrap(), 8, "its length, whatever the room");
            let mut buffer = [0; 4];
            let error = near.recv(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().contains("4 bytes"), "{error}");
            assert_eq!(near.peek(&mut buffer).unwrap(), 4);
            assert_eq!((near.recv(&mut buffer).unwrap(), &buffer), (4, b"fits"));
        })
        .join()
        .unwrap();
        let too_long = far.send(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(too_long.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()), "{too_long}");
    });
}

#[test]
fn paths_and_names_are_bound_and_connected_to() {
    on_every_pair(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixSeqpacketListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        assert!(format!("{listener:?}").contains("socket"));
        let listener = Arc::new(listener);
        let accepting = listener.clone();
        let server = plan.spawn(move || {
            let (socket, peer) = accepting.accept().unwrap();
            assert!(peer.is_unnamed());
            assert_eq!(socket.peer_cred().unwrap().pid, i32::try_from(std::process::id()).ok());
            let mut packet = [0; 8];
            let length = socket.recv(&mut packet).unwrap();
            socket.send(&packet[..length]).unwrap();
        });
        let socket = UnixSeqpacket::connect(&path).unwrap();
        assert_eq!(socket.peer_addr().unwrap().as_pathname(), Some(&*path));
        assert!(socket.local_addr().unwrap().is_unnamed());
        socket.send(b"there").unwrap();
        let mut packet = [0; 8];
        assert_eq!(socket.recv(&mut packet).unwrap(), 5);
        assert_eq!(socket.recv(&mut packet).unwrap(), 0);
        server.join().unwrap();
        // A stream is something else.
        let other_kind = UnixStream::connect(&path).unwrap_err();
        assert_eq!(other_kind.raw_os_error(), Some(Errno::PROTOTYPE.raw_os_error()));
        assert_eq!(UnixSeqpacket::connect_addr(&name()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop(listener);
        let address = name();
        let listener = UnixSeqpacketListener::bind_addr(&address).unwrap();
        let taken = UnixSeqpacketListener::bind_addr(&address).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let client = UnixSeqpacket::connect_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener.try_clone().unwrap().accept().unwrap().0.send(b"x").unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(client.recv(&mut packet).unwrap(), 1);
    });
}

#[test]
fn who_waits_is_cancelled_or_out_of_time_and_loses_nothing() {
    on_every_driver_alone(test_name!(), |_| {
        let before = descriptors();
        for plan in PLANS {
            let (near, far) = pair();
            let near = Arc::new(near);
            let receive = || {
                let near = near.clone();
                plan.spawn(move || near.recv(&mut [0; 8]))
            };
            let waits = receive();
            until_it_waits(&waits);
            waits.cancel();
            assert!(waits.join().unwrap_err().is_cancelled(), "{plan:?}");
            near.set_read_timeout(Some(SOON)).unwrap();
            assert_eq!(receive().join().unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
            near.set_read_timeout(None).unwrap();
            let there = near.clone();
            let timed = plan.spawn(move || timeout(SOON, || there.recv(&mut [0; 8])).is_err());
            assert!(timed.join().unwrap());
            far.send(b"still").unwrap();
            assert_eq!(receive().join().unwrap().unwrap(), 5);

            let far = Arc::new(far);
            let fill = |far: Arc<UnixSeqpacket>| {
                let mut sent = 0;
                while far.send(&[0; 1000]).is_ok() {
                    sent += 1;
                }
                sent
            };
            far.set_nonblocking(true).unwrap();
            let sent = fill(far.clone());
            far.set_nonblocking(false).unwrap();
            let there = far.clone();
            let waits = plan.spawn(move || there.send(b"never"));
            until_it_waits(&waits);
            waits.cancel();
            assert!(waits.join().unwrap_err().is_cancelled(), "{plan:?}");
            far.set_write_timeout(Some(SOON)).unwrap();
            assert_eq!(far.send(b"never").unwrap_err().kind(), ErrorKind::WouldBlock);
            far.set_write_timeout(Some(LONG)).unwrap();
            let there = far.clone();
            let waits = plan.spawn(move || there.send(b"at last"));
            until_it_waits(&waits);
            for _ in 0..sent {
                assert_eq!(near.recv(&mut [0; 1000]).unwrap(), 1000);
            }
            waits.join().unwrap().unwrap();
            assert_eq!(near.recv(&mut [0; 8]).unwrap(), 7);

            let listener = UnixSeqpacketListener::bind_addr(&name()).unwrap();
            let waits = plan.spawn(move || listener.accept().map(drop));
            until_it_waits(&waits);
            waits.cancel();
            assert!(waits.join().unwrap_err().is_cancelled(), "{plan:?}");
        }
        assert_settles(descriptors, before, "nothing was left open");
    });
}

#[test]
fn a_shutdown_and_the_others_end_wake_who_waits() {
    on_every_plan(|plan| {
        for by_the_other in [false, true] {
            let (near, far) = pair();
            let near = Arc::new(near);
            let there = near.clone();
            let waits = plan.spawn(move || there.recv(&mut [0; 8]));
            until_it_waits(&waits);
            if by_the_other {
                drop(far);
            } else {
                near.shutdown(Shutdown::Read).unwrap();
            }
            assert_eq!(waits.join().unwrap().unwrap(), 0);
            assert!(near.take_error().unwrap().is_none());
        }
        // One that has not taken all resets the connection; that is said once.
        let (near, far) = pair();
        near.send(b"unread").unwrap();
        drop(far);
        assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.recv(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn descriptors_stay_in_blocking_mode_and_close_on_exec() {
    on_every_plan(|plan| {
        let address = name();
        let listener = UnixSeqpacketListener::bind_addr(&address).unwrap();
        let client = UnixSeqpacket::connect_addr(&address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (one, other) = pair();
        for socket in [&client, &server, &one, &other] {
            assert!(!rustix::fs::fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK));
            assert!(rustix::io::fcntl_getfd(socket).unwrap().contains(FdFlags::CLOEXEC));
        }
        client.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(LONG));
        assert_eq!(client.write_timeout().unwrap(), None);
        // Taken over in whatever mode it is.
        let fd = OwnedFd::from(client);
        rustix::io::ioctl_fionbio(fd.as_fd(), true).unwrap();
        let client = UnixSeqpacket::from(fd);
        assert_eq!(client.read_timeout().unwrap(), Some(LONG), "it comes along");
        let clone = client.try_clone().unwrap();
        let waits = plan.spawn(move || clone.recv(&mut [0; 8]));
        until_it_waits(&waits);
        server.send(b"x").unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), 1);
        assert!(format!("{client:?}").starts_with("UnixSeqpacket"));
    });
}

#[test]
fn sockets_and_listeners_travel_to_a_process() {
    fn serve((listener, log): (UnixSeqpacketListener, UnixSeqpacket)) -> UnixSeqpacket {
        let (socket, _) = listener.accept().unwrap();
        let mut packet = [0; 16];
        while let length @ 1.. = socket.recv(&mut packet).unwrap() {
            socket.send(&packet[..length].to_ascii_uppercase()).unwrap();
            log.send(b"served").unwrap();
        }
        log
    }
    guarded(|| {
        let address = name();
        let listener = UnixSeqpacketListener::bind_addr(&address).unwrap();
        let (log, theirs) = pair();
        let child = process::spawn(serve, (listener, theirs)).unwrap();
        let socket = UnixSeqpacket::connect_addr(&address).unwrap();
        let mut packet = [0; 16];
        for _ in 0..3 {
            socket.send(b"rope").unwrap();
            assert_eq!(socket.recv(&mut packet).unwrap(), 4);
            assert_eq!(&packet[..4], b"ROPE");
            assert_eq!(log.recv(&mut packet).unwrap(), 6);
        }
        drop(socket);
        let back = child.join().unwrap();
        back.send(b"over").unwrap();
        assert_eq!(log.recv(&mut packet).unwrap(), 4);
    });
}
