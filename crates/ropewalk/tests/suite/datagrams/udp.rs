//! UDP.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::{SocketAddr, UdpSocket};
use ropewalk::{process, timeout};
use rustix::io::Errno;

use crate::support::plan::PLANS;
use crate::support::{LONG, Spot, guarded, on_every_pair, on_every_plan, runtime, timed};

const SOON: Duration = Duration::from_millis(3);

/// A socket on a free port of the loopback, and its address.
pub(super) fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// Two sockets that are connected to each other.
pub(super) fn pair() -> (UdpSocket, UdpSocket) {
    let ((near, near_address), (far, far_address)) = (bound(), bound());
    near.connect(far_address).expect("UDP connects to whatever there is");
    far.connect(near_address).expect("UDP connects to whatever there is");
    (near, far)
}

/// std's `socket_smoke_test_ip4` and `udp_clone_smoke` in short.
#[test]
fn a_datagram_arrives_with_who_sent_it_and_is_answered() {
    on_every_pair(|plan| {
        let (server, address) = bound();
        let server = plan.spawn(move || {
            let mut buffer = [0; 100];
            let clone = server.try_clone().unwrap();
            for _ in 0..3 {
                let (length, client) = server.recv_from(&mut buffer).unwrap();
                assert_eq!(clone.send_to(&buffer[..length], client).unwrap(), length);
            }
        });
        let (client, own) = bound();
        assert!(format!("{client:?}").contains(&own.to_string()));
        for text in ["one", "", "three"] {
            client.send_to(text.as_bytes(), address).unwrap();
            let mut buffer = [0xA5; 10];
            assert_eq!(client.recv_from(&mut buffer).unwrap(), (text.len(), address));
            assert!(buffer.starts_with(text.as_bytes()) && buffer[text.len()..] == [0xA5; 10][text.len()..]);
        }
        server.join().unwrap();
    });
}

#[test]
fn it_works_over_ipv6() {
    on_every_pair(|plan| {
        let Ok(server) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return eprintln!("skipped: there is no IPv6 here");
        };
        let address = server.local_addr().unwrap();
        let server = plan.spawn(move || server.recv_from(&mut [0; 4]).unwrap());
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        client.send_to(b"six", address).unwrap();
        assert_eq!(server.join().unwrap(), (3, client.local_addr().unwrap()));
    });
}

/// std's `connect_send_recv`.
#[test]
fn a_connected_socket_hears_nobody_else() {
    on_every_pair(|plan| {
        let (near, far) = pair();
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        let (stranger, own) = bound();
        assert_eq!(stranger.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        stranger.send_to(b"hello", near.local_addr().unwrap()).unwrap();
        let sender = plan.spawn(move || far.send(b"friend").map(|_| far));
        let mut buffer = [0; 10];
        assert_eq!(near.recv(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"friend");
        drop(sender.join().unwrap().unwrap());
        near.connect(own).unwrap();
        assert_eq!(near.peer_addr().unwrap(), own);
    });
}

/// std's `connect_send_peek_recv` and `peek_from`.
#[test]
fn peek_leaves_the_datagram_where_it_is() {
    on_every_pair(|plan| {
        let (near, far) = pair();
        let from = far.local_addr().unwrap();
        let sender = plan.spawn(move || {
            far.send(b"first").unwrap();
            far.send(b"second").unwrap();
            far
        });
        let mut buffer = [0; 10];
        for _ in 0..2 {
            assert_eq!(near.peek(&mut buffer).unwrap(), 5);
            assert_eq!(near.peek_from(&mut buffer).unwrap(), (5, from));
            assert_eq!(&buffer[..5], b"first");
        }
        assert_eq!(near.recv(&mut buffer).unwrap(), 5);
        assert_eq!(near.recv_from(&mut buffer).unwrap(), (6, from));
        drop(sender.join().unwrap());
    });
}

#[test]
fn what_does_not_fit_into_the_buffer_is_lost_and_the_next_one_comes_whole() {
    on_every_pair(|_| {
        let (near, far) = pair();
        far.send(b"0123456789").unwrap();
        far.send(b"next").unwrap();
        let mut buffer = [0; 4];
        assert_eq!(near.recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"0123");
        assert_eq!(near.recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"next");
        far.send(b"").unwrap();
        far.send(b"x").unwrap();
        assert_eq!(near.recv(&mut []).unwrap(), 0);
        assert_eq!(near.recv(&mut []).unwrap(), 0, "its byte is lost");
        let error = far.send(&vec![0; 70_000]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()));
    });
}

/// std's `test_read_timeout`, `test_read_with_timeout` and `timeouts`.
#[test]
fn limits_are_kept() {
    on_every_pair(|plan| {
        let (near, far) = pair();
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (None, None));
        for limit in
            [near.set_read_timeout(Some(Duration::ZERO)), near.set_write_timeout(Some(Duration::ZERO))]
        {
            assert_eq!(limit.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        near.set_write_timeout(Some(LONG)).unwrap();
        near.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (Some(SOON), Some(LONG)));
        for _ in 0..2 {
            let (outcome, time) = timed(|| near.recv_from(&mut [0; 8]));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(time >= SOON, "{time:?}");
            assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        assert!(timeout(SOON, || far.recv(&mut [0; 8])).is_err());
        let clone = near.try_clone().unwrap();
        near.set_read_timeout(None).unwrap();
        assert_eq!(clone.read_timeout().unwrap(), Some(SOON));
        let sender = plan.spawn(move || far.send(b"late"));
        assert_eq!(near.recv(&mut [0; 8]).unwrap(), 4);
        sender.join().unwrap().unwrap();
        assert_eq!(clone.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn nobody_there_is_told_to_who_is_connected_at_the_next_call() {
    on_every_plan(|plan| {
        // Where nothing was ever bound: a socket that was may be open a moment longer in a program that is being started.
        let address: SocketAddr = ([127, 88, 1, 2], 9).into();
        let (near, _) = bound();
        near.connect(address).unwrap();
        let spot = Spot::new();
        let waiting = plan.spawn({
            let (near, spot) = (near.try_clone().unwrap(), spot.clone());
            move || {
                spot.mark();
                near.recv(&mut [0; 8])
            }
        });
        spot.wait_asleep();
        near.send(b"anybody?").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        near.send(b"anybody?").unwrap();
        // The kernel of the loopback has answered before `send` was back.
        assert_eq!(near.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
        assert!(near.take_error().unwrap().is_none());
    });
}

#[test]
fn where_to_send_has_to_be_said() {
    on_every_pair(|_| {
        let (near, _) = bound();
        assert_eq!(near.send(b"x").unwrap_err().raw_os_error(), Some(Errno::DESTADDRREQ.raw_os_error()));
        let none: &[SocketAddr] = &[];
        assert_eq!(near.send_to(b"x", none).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(near.connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(UdpSocket::bind(none).unwrap_err().kind(), ErrorKind::InvalidInput);
        let (_taken, address) = bound();
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        let other = UdpSocket::bind(&[address, ([127, 0, 0, 1], 0).into()][..]).unwrap();
        assert_ne!(other.local_addr().unwrap(), address, "the first that can be bound is taken");
        near.send_to(b"x", ("localhost", other.local_addr().unwrap().port())).unwrap_or_default();
    });
}

#[test]
fn options_are_the_kernels() {
    on_every_pair(|_| {
        let (near, address) = bound();
        for yes in [true, false] {
            near.set_broadcast(yes).unwrap();
            assert_eq!(near.broadcast().unwrap(), yes);
            near.set_multicast_loop_v4(yes).unwrap();
            assert_eq!(near.multicast_loop_v4().unwrap(), yes);
        }
        let broadcast = (Ipv4Addr::new(127, 255, 255, 255), address.port());
        assert_eq!(near.send_to(b"x", broadcast).unwrap_err().kind(), ErrorKind::PermissionDenied);
        near.set_ttl(42).unwrap();
        near.set_multicast_ttl_v4(43).unwrap();
        assert_eq!((near.ttl().unwrap(), near.multicast_ttl_v4().unwrap()), (42, 43));
        assert_eq!(near.set_ttl(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(near.set_multicast_loop_v6(true).is_err(), "it is no socket of IPv6");
        if let Ok(six) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
            for yes in [true, false] {
                six.set_multicast_loop_v6(yes).unwrap();
                assert_eq!(six.multicast_loop_v6().unwrap(), yes);
            }
        }
    });
}

#[test]
fn a_group_is_joined_and_left() {
    on_every_pair(|plan| {
        const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 42, 99);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        let again = socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        let no_group = socket.join_multicast_v4(&Ipv4Addr::new(10, 0, 0, 1), &Ipv4Addr::LOCALHOST);
        assert_eq!(no_group.unwrap_err().kind(), ErrorKind::InvalidInput);
        // What is bound to the loopback sends there.
        let (sender, own) = bound();
        let receiver = plan.spawn(move || {
            let received = socket.recv_from(&mut [0; 10]).unwrap();
            socket.leave_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
            let again = socket.leave_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::AddrNotAvailable);
            received
        });
        sender.send_to(b"to all", (GROUP, port)).unwrap();
        assert_eq!(receiver.join().unwrap(), (6, own));
        let Ok(six) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else { return };
        let group = "ff01::4299".parse().unwrap();
        six.join_multicast_v6(&group, 1).unwrap();
        six.leave_multicast_v6(&group, 1).unwrap();
        assert!(six.leave_multicast_v6(&group, 1).is_err());
    });
}

#[test]
fn a_socket_is_taken_over_from_std_and_given_back() {
    on_every_plan(|plan| {
        for nonblocking in [true, false] {
            let (far, address) = bound();
            let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            std.connect(address).unwrap();
            far.connect(std.local_addr().unwrap()).unwrap();
            std.set_nonblocking(nonblocking).unwrap();
            std.set_write_timeout(Some(LONG)).unwrap();
            let near = UdpSocket::from(OwnedFd::from(std));
            assert_eq!(near.write_timeout().unwrap(), Some(LONG), "limits come along");
            let spot = Spot::new();
            let reader = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    near.recv(&mut [0; 8]).map(|length| (length, near))
                }
            });
            spot.wait_asleep();
            far.send(b"hi").unwrap();
            let (length, near) = reader.join().unwrap().unwrap();
            assert_eq!(length, 2);
            near.set_read_timeout(Some(LONG)).unwrap();
            let number = near.as_raw_fd();
            let std = std::net::UdpSocket::from(OwnedFd::from(near));
            assert_eq!(std.read_timeout().unwrap(), Some(LONG), "and go along");
            assert_eq!(std.as_raw_fd(), number);
        }
    });
}

#[test]
fn a_socket_travels_to_a_process() {
    fn serve(socket: UdpSocket) -> usize {
        let mut buffer = [0; 100];
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], client).unwrap()
    }
    guarded(|| {
        let (server, address) = bound();
        let child = process::spawn(serve, server).unwrap();
        let (client, _) = bound();
        client.send_to(b"across", address).unwrap();
        assert_eq!(client.recv_from(&mut [0; 10]).unwrap(), (6, address));
        assert_eq!(child.join().unwrap(), 6);
    });
}

#[test]
fn one_server_answers_many_clients() {
    const CLIENTS: usize = 100;
    guarded(|| {
        runtime(2).run(|| {
            let (server, address) = bound();
            let server = Arc::new(server);
            // Four servers of both plans share the socket: each datagram goes to one of them.
            let servers: Vec<_> = (0..4)
                .map(|n| {
                    let server = server.clone();
                    PLANS[n % 2].spawn(move || {
                        let mut buffer = [0; 64];
                        let mut served = 0;
                        loop {
                            let (length, client) = server.recv_from(&mut buffer).unwrap();
                            if length == 0 {
                                return served;
                            }
                            server.send_to(&buffer[..length], client).unwrap();
                            served += 1;
                        }
                    })
                })
                .collect();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    PLANS[n % 10 / 9].spawn(move || {
                        let (client, _) = bound();
                        client.connect(address).unwrap();
                        for round in 0..10 {
                            let question = format!("{n}: {round}");
                            client.send(question.as_bytes()).unwrap();
                            let mut answer = [0; 64];
                            let length = client.recv(&mut answer).unwrap();
                            assert_eq!(&answer[..length], question.as_bytes());
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            let (last, _) = bound();
            servers.iter().for_each(|_| assert_eq!(last.send_to(b"", address).unwrap(), 0));
            let served: usize = servers.into_iter().map(|server| server.join().unwrap()).sum();
            assert_eq!(served, 10 * CLIENTS);
        });
    });
}
