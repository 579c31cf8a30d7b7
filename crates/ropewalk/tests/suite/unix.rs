//! Unix sockets: what std's do, ours do, and what TCP's tests promise of waits holds for them.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::unix::SocketAddr;
use ropewalk::net::{Shutdown, UnixListener, UnixStream};
use ropewalk::{process, timeout};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{LONG, Spot, drivers, guarded, on_driver, on_every_pair, on_every_plan, timed, until};

const SOON: Duration = Duration::from_millis(3);

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("there are descriptors")
}

/// An abstract name that nobody else has.
fn name() -> SocketAddr {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("ropewalk-suite-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    SocketAddr::from_abstract_name(name).unwrap()
}

fn listener() -> (UnixListener, SocketAddr) {
    let address = name();
    (UnixListener::bind_addr(&address).expect("the name is free"), address)
}

/// std's `basic`.
#[test]
fn a_path_is_bound_and_connected_to() {
    on_every_pair(|plan| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let server = plan.spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            assert!(peer.is_unnamed());
            let mut text = [0; 5];
            stream.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"hello");
            stream.write_all(b"world!").unwrap();
        });
        let mut stream = UnixStream::connect(&path).unwrap();
        assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(&*path));
        assert!(stream.local_addr().unwrap().is_unnamed());
        assert!(format!("{stream:?}").contains("sock"));
        stream.write_all(b"hello").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "world!");
        server.join().unwrap();
    });
}

#[test]
fn an_abstract_name_is_bound_and_connected_to() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let name = address.as_abstract_name();
        assert_eq!(listener.local_addr().unwrap().as_abstract_name(), name);
        let server = plan.spawn(move || listener.accept().unwrap().0.write_all(b"found").unwrap());
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        assert_eq!(stream.peer_addr().unwrap().as_abstract_name(), name);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "found");
        server.join().unwrap();
        assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn paths_that_cannot_be_are_errors() {
    on_every_pair(|_| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let long = directory.path().join("x".repeat(108));
        assert_eq!(UnixListener::bind(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(UnixStream::connect(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// std's `pair`, `try_clone` and `clone_while_reading` in short.
#[test]
fn a_pair_talks_and_is_cloned() {
    on_every_pair(|plan| {
        let (mut near, mut far) = pair();
        assert!(near.local_addr().unwrap().is_unnamed() && near.peer_addr().unwrap().is_unnamed());
        let answer = plan.spawn(move || {
            let mut text = [0; 5];
            far.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"hello");
            far.write_all(b"world!").unwrap();
        });
        let mut clone = near.try_clone().unwrap();
        near.write_all(b"he").unwrap();
        clone.write_all(b"llo").unwrap();
        let mut text = [0; 3];
        clone.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"wor");
        near.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ld!");
        answer.join().unwrap();
        assert_eq!(clone.read(&mut text).unwrap(), 0);
    });
}

/// std's `iter`.
#[test]
fn incoming_gives_one_connection_after_the_other() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let clients = plan.spawn(move || {
            (0..5_u8).for_each(|n| UnixStream::connect_addr(&address).unwrap().write_all(&[n]).unwrap());
        });
        for (n, stream) in (0..5).zip(&listener) {
            let mut byte = [0];
            stream.unwrap().read_exact(&mut byte).unwrap();
            assert_eq!(byte, [n]);
        }
        clients.join().unwrap();
    });
}

#[test]
fn vectored_transfers_keep_the_order() {
    on_every_pair(|plan| {
        let (mut near, mut far) = pair();
        let reader = plan.spawn(move || {
            let (mut head, mut body) = ([0; 3], [0; 100]);
            let length =
                far.read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)]).unwrap();
            let mut all = head[..length.min(3)].to_vec();
            all.extend(&body[..length.saturating_sub(3)]);
            far.read_to_end(&mut all).unwrap();
            all
        });
        let parts = [IoSlice::new(b"rope"), IoSlice::new(b""), IoSlice::new(b"walk")];
        assert_eq!(near.write_vectored(&parts).unwrap(), 8);
        drop(near);
        assert_eq!(reader.join().unwrap(), b"ropewalk");
    });
}

#[test]
fn a_big_transfer_arrives_whole_and_in_order() {
    const LENGTH: usize = 2 << 20;
    fn byte(place: usize) -> u8 {
        (place.wrapping_mul(31) >> 3) as u8
    }
    on_every_pair(|plan| {
        let (mut near, mut far) = pair();
        let sender = plan.spawn(move || {
            let data: Vec<u8> = (0..LENGTH).map(byte).collect();
            far.write_all(&data).unwrap();
        });
        let mut data = Vec::new();
        near.read_to_end(&mut data).unwrap();
        sender.join().unwrap();
        assert_eq!(data.len(), LENGTH);
        assert!(data.iter().enumerate().all(|(place, &found)| found == byte(place)));
    });
}

#[test]
fn a_write_after_the_peers_end_is_an_error_and_no_signal() {
    on_every_pair(|_| {
        let (mut near, far) = pair();
        drop(far);
        assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        let (mut near, _far) = pair();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(near.take_error().unwrap().is_none());
    });
}

#[test]
fn a_shutdown_and_the_peers_end_wake_the_reader() {
    on_every_plan(|plan| {
        let reader = |near: &Arc<UnixStream>| {
            let (spot, near) = (Spot::new(), near.clone());
            let task = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    (&*near).read(&mut [0; 8])
                }
            });
            spot.wait_asleep();
            task
        };
        for how in [Shutdown::Read, Shutdown::Both] {
            let (near, _far) = pair();
            let near = Arc::new(near);
            let task = reader(&near);
            near.shutdown(how).unwrap();
            assert_eq!(task.join().unwrap().unwrap(), 0);
        }
        let (near, far) = pair();
        let task = reader(&Arc::new(near));
        drop(far);
        assert_eq!(task.join().unwrap().unwrap(), 0);
    });
}

/// std's `timeouts`, `test_read_timeout` and `test_read_with_timeout`.
#[test]
fn limits_are_kept_by_reads_and_writes() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (None, None));
        near.set_read_timeout(Some(SOON)).unwrap();
        near.set_write_timeout(Some(SOON)).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(SOON));
        let (outcome, time) = timed(|| near.read(&mut [0; 8]));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(time >= SOON, "{time:?}");
        far.write_all(b"hello world").unwrap();
        let mut text = [0; 11];
        near.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello world");
        let clone = near.try_clone().unwrap();
        near.set_read_timeout(None).unwrap();
        assert_eq!(clone.read_timeout().unwrap(), Some(SOON));
        let mut written = 0;
        let error = loop {
            match near.write(&[7; 64 * 1024]) {
                Ok(length) => written += length,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop((near, clone));
        let mut received = Vec::new();
        far.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), written, "what was said to be written was, and no more");
        for outcome in
            [far.set_read_timeout(Some(Duration::ZERO)), far.set_write_timeout(Some(Duration::ZERO))]
        {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn a_cancelled_read_leaves_the_data_to_others() {
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                let (near, mut far) = pair();
                let near = Arc::new(near);
                let spot = Spot::new();
                let reader = plan.spawn({
                    let (near, spot) = (near.clone(), spot.clone());
                    move || {
                        spot.mark();
                        (&*near).read(&mut [0; 8]).unwrap()
                    }
                });
                spot.wait_asleep();
                reader.cancel();
                assert!(reader.join().map(drop).unwrap_err().is_cancelled());
                far.write_all(b"for the next reader").unwrap();
                let next = plan.spawn(move || {
                    let mut text = [0; 19];
                    (&*near).read_exact(&mut text).map(|()| text)
                });
                assert_eq!(&next.join().unwrap().unwrap(), b"for the next reader", "{driver}, {plan:?}");
            }
        });
    }
}

#[test]
fn a_cancelled_accept_leaks_no_descriptor_and_no_connection() {
    on_every_driver_alone(test_name!(), |driver| {
        for plan in PLANS {
            let before = descriptors();
            let (listener, address) = listener();
            let listener = Arc::new(listener);
            let (mut returned, mut cancelled) = (0, 0);
            for round in 0..100 {
                let spot = Spot::new();
                let acceptor = plan.spawn({
                    let (listener, spot) = (listener.clone(), spot.clone());
                    move || {
                        spot.mark();
                        drop(listener.accept().unwrap());
                    }
                });
                if round % 2 == 0 {
                    spot.wait_asleep();
                }
                // The connection and the cancel race.
                let client = plan.spawn({
                    let address = address.clone();
                    move || UnixStream::connect_addr(&address).unwrap()
                });
                acceptor.cancel();
                match acceptor.join() {
                    Ok(()) => returned += 1,
                    Err(_) => cancelled += 1,
                }
                drop(client.join().unwrap());
            }
            // What was not accepted is still in the queue.
            (0..cancelled).for_each(|_| drop(listener.accept().unwrap()));
            assert_eq!(returned + cancelled, 100);
            drop(listener);
            assert_settles(descriptors, before, &format!("{driver}, {plan:?}: {cancelled} were cancelled"));
        }
    });
}

/// A listener with room for one, which is taken.
fn congested() -> (UnixListener, SocketAddr, UnixStream) {
    let address = name();
    let listener = UnixListener::bind_with_backlog(&address, 0).unwrap();
    let first = UnixStream::connect_addr(&address).unwrap();
    (listener, address, first)
}

#[test]
fn a_connect_waits_for_room_in_the_backlog() {
    on_every_pair(|plan| {
        let (listener, address, _first) = congested();
        let spot = Spot::new();
        let second = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                UnixStream::connect_addr(&address).unwrap().write_all(b"second").unwrap();
            }
        });
        until(|| spot.is_marked());
        drop(listener.accept().unwrap());
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "second");
        second.join().unwrap();
    });
}

#[test]
fn a_connect_that_waits_for_room_can_be_cancelled_and_timed() {
    on_every_driver_alone(test_name!(), |driver| {
        for plan in PLANS {
            let (listener, address, first) = congested();
            let before = descriptors();
            let spot = Spot::new();
            let task = plan.spawn({
                let (spot, address) = (spot.clone(), address.clone());
                move || {
                    spot.mark();
                    drop(UnixStream::connect_addr(&address).unwrap());
                }
            });
            until(|| spot.is_marked());
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled(), "{driver}, {plan:?}");
            let timed = plan.spawn(move || timeout(SOON, || UnixStream::connect_addr(&address)).is_err());
            assert!(timed.join().unwrap());
            assert_settles(descriptors, before, &format!("{driver}, {plan:?}"));
            drop((listener, first));
        }
    });
}

#[test]
fn a_std_stream_can_be_taken_over_in_whatever_mode_and_given_back() {
    on_every_plan(|plan| {
        for nonblocking in [true, false] {
            let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            far.set_nonblocking(nonblocking).unwrap();
            let far = UnixStream::from(OwnedFd::from(far));
            let spot = Spot::new();
            let reader = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    (&far).read_exact(&mut [0; 4]).map(|()| far)
                }
            });
            spot.wait_asleep();
            near.write_all(b"from std").unwrap();
            // What a driver has watched is a plain descriptor again.
            let far = reader.join().unwrap().unwrap();
            let mut far = std::os::unix::net::UnixStream::from(OwnedFd::from(far));
            let mut text = [0; 4];
            far.read_exact(&mut text).unwrap();
            assert_eq!(&text, b" std");
        }
    });
}

#[test]
fn descriptors_stay_in_blocking_mode_and_close_on_exec() {
    on_every_pair(|_| {
        let (listener, address) = listener();
        let connected = UnixStream::connect_addr(&address).unwrap();
        let accepted = listener.accept().unwrap().0;
        let (near, far) = pair();
        for stream in [near, far, connected, accepted] {
            let status = rustix::fs::fcntl_getfl(stream.as_fd()).unwrap();
            assert!(!status.contains(rustix::fs::OFlags::NONBLOCK));
            let flags = rustix::io::fcntl_getfd(stream.as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    });
}

#[test]
fn streams_and_listeners_travel_to_a_process() {
    fn serve((listener, mut log): (UnixListener, UnixStream)) {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"from the child").unwrap();
        log.write_all(b"served").unwrap();
    }
    guarded(|| {
        let (listener, address) = listener();
        let (mut near, far) = pair();
        let child = process::spawn(serve, (listener, far)).unwrap();
        let mut text = String::new();
        UnixStream::connect_addr(&address).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "from the child");
        child.join().unwrap();
        text.clear();
        near.set_read_timeout(Some(LONG)).unwrap();
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served");
    });
}
