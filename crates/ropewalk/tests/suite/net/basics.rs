//! What std's sockets do, ours do.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use ropewalk::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, is_transient};
use ropewalk::scope;

use crate::support::net::{listener, pair, pair_with_std};
use crate::support::{Spot, guarded, on_every_pair, on_every_plan};

#[test]
fn an_echo_comes_back() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let server = plan.spawn(move || -> std::io::Result<usize> {
            let (mut stream, _) = listener.accept()?;
            let mut buffer = [0; 1000];
            let mut echoed = 0;
            loop {
                let length = stream.read(&mut buffer)?;
                if length == 0 {
                    return Ok(echoed);
                }
                stream.write_all(&buffer[..length])?;
                echoed += length;
            }
        });
        let mut stream = TcpStream::connect(address).unwrap();
        for length in [1, 10, 999, 5000] {
            let sent: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            stream.write_all(&sent).unwrap();
            let mut received = vec![0; length];
            stream.read_exact(&mut received).unwrap();
            assert_eq!(received, sent);
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(server.join().unwrap().unwrap(), 6010);
    });
}

#[test]
fn streams_and_listeners_know_their_addresses() {
    on_every_pair(|_| {
        let (listener, address) = listener();
        assert!(address.ip().is_loopback() && address.port() != 0);
        assert!(format!("{listener:?}").contains(&address.to_string()));
        let near = TcpStream::connect(address).unwrap();
        let (far, peer) = listener.accept().unwrap();
        assert_eq!(near.peer_addr().unwrap(), address);
        assert_eq!((near.local_addr().unwrap(), far.peer_addr().unwrap()), (peer, peer));
        assert!(format!("{near:?}").contains(&peer.to_string()));
    });
}

#[test]
fn options_are_the_kernels() {
    on_every_pair(|_| {
        let (near, _far) = pair();
        for nodelay in [true, false] {
            near.set_nodelay(nodelay).unwrap();
            assert_eq!(near.nodelay().unwrap(), nodelay);
        }
        near.set_ttl(42).unwrap();
        assert_eq!(near.ttl().unwrap(), 42);
        assert!(near.take_error().unwrap().is_none());
    });
}

#[test]
fn peek_takes_nothing() {
    on_every_pair(|plan| {
        let (near, mut far) = pair();
        let sender = plan.spawn(move || far.write_all(b"look").map(|()| far));
        let mut buffer = [0; 8];
        let length = near.peek(&mut buffer[..2]).unwrap();
        assert_eq!(&buffer[..length], &b"look"[..length]);
        let mut whole = [0; 4];
        (&near).read_exact(&mut whole).unwrap();
        assert_eq!(&whole, b"look");
        drop(sender.join().unwrap().unwrap());
        assert_eq!(near.peek(&mut buffer).unwrap(), 0, "the end can be seen too");
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
        near.flush().unwrap();
        drop(near);
        assert_eq!(reader.join().unwrap(), b"ropewalk");
    });
}

#[test]
fn a_half_closed_connection_carries_the_answer() {
    on_every_pair(|plan| {
        let (mut near, mut far) = pair();
        let server = plan.spawn(move || {
            let mut request = String::new();
            far.read_to_string(&mut request).unwrap();
            far.write_all(request.to_uppercase().as_bytes()).unwrap();
        });
        near.write_all(b"question").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe, "and no SIGPIPE");
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "QUESTION");
        server.join().unwrap();
    });
}

#[test]
fn a_shutdown_wakes_the_reader() {
    on_every_plan(|plan| {
        for how in [Shutdown::Read, Shutdown::Both] {
            let (near, _far) = pair();
            let near = std::sync::Arc::new(near);
            let spot = Spot::new();
            let reader = plan.spawn({
                let (near, spot) = (near.clone(), spot.clone());
                move || {
                    spot.mark();
                    (&*near).read(&mut [0; 8])
                }
            });
            spot.wait_asleep();
            near.shutdown(how).unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 0);
        }
    });
}

#[test]
fn the_peers_end_wakes_the_reader() {
    on_every_plan(|plan| {
        let (near, far) = pair();
        let spot = Spot::new();
        let reader = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                (&near).read(&mut [0; 8])
            }
        });
        spot.wait_asleep();
        drop(far);
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    });
}

#[test]
fn a_stream_that_is_dropped_with_news_pending_is_closed() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        // Waits once, so that the driver watches it; the next news comes when nobody looks.
        near.set_read_timeout(Some(std::time::Duration::from_micros(1))).unwrap();
        assert!(near.read(&mut [0]).is_err());
        far.write_all(b"unread").unwrap();
        drop(near);
        match far.read(&mut [0]) {
            Ok(length) => assert_eq!(length, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    });
}

#[test]
fn a_reset_is_an_error_for_reader_and_writer() {
    on_every_plan(|plan| {
        let (near, far) = pair();
        let spot = Spot::new();
        let reader = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                let read = (&near).read(&mut [0; 8]).map_err(|error| error.kind());
                (read, (&near).write(b"x").map_err(|error| error.kind()))
            }
        });
        spot.wait_asleep();
        // Closing with a linger of zero sends a reset.
        rustix::net::sockopt::set_socket_linger(&far, Some(std::time::Duration::ZERO)).unwrap();
        drop(far);
        let (read, write) = reader.join().unwrap();
        assert_eq!((read, write), (Err(ErrorKind::ConnectionReset), Err(ErrorKind::BrokenPipe)));
    });
}

#[test]
fn nobody_listens_and_the_connection_is_refused() {
    on_every_pair(|_| {
        let address = listener().1; // and the listener is gone
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_address_in_use_cannot_be_bound_again() {
    on_every_pair(|_| {
        let (_listener, address) = listener();
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn names_are_resolved() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let server = plan.spawn(move || listener.accept().map(|(_, peer)| peer));
        // `localhost` may have an IPv6 address first, on which nobody listens: the next one is tried.
        let stream = TcpStream::connect(("localhost", address.port())).unwrap();
        assert_eq!(server.join().unwrap().unwrap(), stream.local_addr().unwrap());

        let text = format!("localhost:{}", address.port());
        assert!(text.to_socket_addrs().unwrap().any(|found| found == address));
        let owned = (String::from("127.0.0.1"), address.port());
        assert_eq!(owned.to_socket_addrs().unwrap().collect::<Vec<_>>(), [address]);
        assert!(TcpStream::connect("no port here").is_err());
        assert!(TcpListener::bind("name.invalid:0").is_err());
    });
}

#[test]
fn the_first_address_that_answers_is_taken() {
    on_every_pair(|_| {
        let dead = listener().1;
        let (listener, alive) = listener();
        let stream = TcpStream::connect(&[dead, alive][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        drop(listener);
        let none: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn incoming_gives_one_connection_after_the_other() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let clients = plan.spawn(move || {
            (0..5_u8).for_each(|n| TcpStream::connect(address).unwrap().write_all(&[n]).unwrap());
        });
        for (n, stream) in (0..5).zip(listener.incoming()) {
            let mut byte = [0];
            stream.unwrap().read_exact(&mut byte).unwrap();
            assert_eq!(byte, [n]);
        }
        clients.join().unwrap();
    });
}

#[test]
fn a_listener_takes_more_than_stds_backlog_before_anybody_accepts() {
    on_every_pair(|_| {
        let (listener, address) = listener();
        let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
        let peers: Vec<_> = (0..200).map(|_| listener.accept().unwrap().1).collect();
        assert!(clients.iter().all(|client| peers.contains(&client.local_addr().unwrap())));
    });
}

#[test]
fn a_clone_outlives_the_original() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        let spot = Spot::new();
        let original = near.try_clone().unwrap();
        let reader = plan.spawn({
            let spot = spot.clone();
            move || {
                // Waits on both, so both have been watched, where there is a driver.
                let mut byte = [0];
                (&original).read_exact(&mut byte).unwrap();
                drop(original);
                spot.mark();
                (&near).read_exact(&mut byte).unwrap();
                byte
            }
        });
        far.write_all(b"1").unwrap();
        spot.wait_asleep();
        far.write_all(b"2").unwrap();
        assert_eq!(reader.join().unwrap(), *b"2");
    });
}

#[test]
fn a_std_stream_can_be_taken_over_in_whatever_mode() {
    on_every_plan(|plan| {
        for nonblocking in [true, false] {
            let (mut near, far) = pair_with_std();
            far.set_nonblocking(nonblocking).unwrap();
            let far = TcpStream::from(OwnedFd::from(far));
            let spot = Spot::new();
            let reader = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    let mut text = String::new();
                    (&far).read_to_string(&mut text).map(|_| text)
                }
            });
            spot.wait_asleep();
            near.write_all(b"from std").unwrap();
            drop(near);
            assert_eq!(reader.join().unwrap().unwrap(), "from std");
        }
    });
}

#[test]
fn descriptors_stay_in_blocking_mode_and_close_on_exec() {
    on_every_pair(|_| {
        let (near, far) = pair();
        for stream in [near, far] {
            let status = rustix::fs::fcntl_getfl(stream.as_fd()).unwrap();
            assert!(!status.contains(rustix::fs::OFlags::NONBLOCK));
            let flags = rustix::io::fcntl_getfd(stream.as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
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
fn a_stream_is_shared_by_reference_in_a_scope() {
    guarded(|| {
        ropewalk::run(|| {
            let (near, far) = pair();
            scope(|s| {
                s.spawn(|| (&near).write_all(b"by reference"));
                let mut buffer = [0; 12];
                (&far).read_exact(&mut buffer).unwrap();
                assert_eq!(&buffer, b"by reference");
            });
        });
    });
}

#[test]
fn transient_errors_are_told_from_lasting_ones() {
    use rustix::io::Errno;

    for errno in [Errno::CONNABORTED, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::PROTO] {
        assert!(is_transient(&errno.into()), "{errno}");
    }
    for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::FAULT] {
        assert!(!is_transient(&errno.into()), "{errno}");
    }
}
