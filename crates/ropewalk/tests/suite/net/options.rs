//! Options: what is set is what the kernel has, and does what it says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ropewalk::net::{Keepalive, SocketOptions, TcpListener, TcpStream, UdpSocket, UnixStream};

use crate::support::net::{listener, pair};
use crate::support::{on_every_pair, on_every_plan};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_set_is_what_the_kernel_has() {
    on_every_pair(|_| {
        let (near, _far) = pair();
        let options = SocketOptions::of(&near);
        for yes in [true, false] {
            options.set_reuse_address(yes).unwrap();
            options.set_reuse_port(yes).unwrap();
            options.set_nodelay(yes).unwrap();
            options.set_quickack(yes).unwrap();
            let all = [
                options.reuse_address().unwrap(),
                options.reuse_port().unwrap(),
                options.nodelay().unwrap(),
                near.nodelay().unwrap(),
                options.quickack().unwrap(),
            ];
            assert_eq!(all, [yes; 5]);
        }
        // The kernel doubles it, and keeps it within limits.
        options.set_send_buffer_size(20_000).unwrap();
        options.set_receive_buffer_size(20_000).unwrap();
        assert!((20_000..=40_000).contains(&options.send_buffer_size().unwrap()));
        assert!((20_000..=40_000).contains(&options.receive_buffer_size().unwrap()));

        assert_eq!(options.linger().unwrap(), None);
        options.set_linger(Some(7 * SECOND)).unwrap();
        assert_eq!(options.linger().unwrap(), Some(7 * SECOND));
        options.set_linger(None).unwrap();
        assert_eq!(options.linger().unwrap(), None);

        assert_eq!(options.keepalive().unwrap(), None);
        let keepalive = Keepalive::new().idle(60 * SECOND).interval(5 * SECOND).count(4);
        options.set_keepalive(Some(keepalive)).unwrap();
        assert_eq!(options.keepalive().unwrap(), Some(keepalive));
        options.set_keepalive(Some(Keepalive::new().count(9))).unwrap();
        assert_eq!(options.keepalive().unwrap(), Some(keepalive.count(9)), "what is not said stays");
        options.set_keepalive(None).unwrap();
        assert_eq!(options.keepalive().unwrap(), None);
        let never = options.set_keepalive(Some(Keepalive::new().idle(40_000 * SECOND)));
        assert_eq!(never.unwrap_err().kind(), ErrorKind::InvalidInput);

        assert_eq!(options.user_timeout().unwrap(), None);
        options.set_user_timeout(Some(1500 * SECOND / 1000)).unwrap();
        assert_eq!(options.user_timeout().unwrap(), Some(Duration::from_millis(1500)));
        for wrong in [Duration::ZERO, Duration::from_micros(999), Duration::MAX] {
            assert_eq!(options.set_user_timeout(Some(wrong)).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        options.set_user_timeout(None).unwrap();
        assert_eq!(options.user_timeout().unwrap(), None);
    });
}

#[test]
fn what_a_socket_does_not_have_is_an_error() {
    on_every_pair(|_| {
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(SocketOptions::of(&near).set_nodelay(true).is_err());
        assert!(SocketOptions::of(&near).set_only_v6(true).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(SocketOptions::of(&file).set_reuse_port(true).is_err());
    });
}

#[test]
fn a_linger_of_zero_resets_the_connection() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        SocketOptions::of(&near).set_linger(Some(Duration::ZERO)).unwrap();
        let reader = plan.spawn(move || far.read(&mut [0; 8]).unwrap_err().kind());
        drop(near);
        assert_eq!(reader.join().unwrap(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn listeners_share_a_port_if_all_say_so() {
    on_every_pair(|plan| {
        let bind = |address| TcpListener::bind_with(address, |socket| socket.set_reuse_port(true));
        let one = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = one.local_addr().unwrap();
        let other = bind(address).unwrap();
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        // Whichever the kernel gives it to.
        let client = TcpStream::connect(address).unwrap();
        let accept = |listener: TcpListener| plan.spawn(move || (listener.accept().unwrap().1, listener));
        let (one, other) = (accept(one), accept(other));
        let sure = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>();
        let accepted = [one.join().unwrap(), other.join().unwrap()];
        let first = client.local_addr().unwrap();
        assert!(accepted.iter().any(|(peer, _)| *peer == first), "it was the first in one of the queues");
        drop(sure);

        let udp = UdpSocket::bind_with("127.0.0.1:0", |socket| socket.set_reuse_port(true)).unwrap();
        let address = udp.local_addr().unwrap();
        UdpSocket::bind_with(address, |socket| socket.set_reuse_port(true)).unwrap();
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_connection_comes_from_where_it_was_bound() {
    on_every_pair(|_| {
        let (listener, address) = listener();
        let own = Ipv4Addr::new(127, 0, 0, 42);
        let near = TcpStream::connect_with(address, |socket| socket.bind((own, 0).into())).unwrap();
        assert_eq!(near.local_addr().unwrap().ip(), own);
        assert_eq!(listener.accept().unwrap().1, near.local_addr().unwrap());
        let elsewhere = TcpStream::connect_with(address, |socket| socket.bind(([203, 0, 113, 1], 0).into()));
        assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        // What `prepare` says is the error of that address, and the next one is tried.
        let dead = crate::support::net::listener().1;
        let mut tried = Vec::new();
        let stream = TcpStream::connect_with(&[dead, address][..], |socket| {
            tried.push(socket.nodelay()?);
            if tried.len() == 1 { Err(ErrorKind::Other.into()) } else { Ok(()) }
        });
        assert_eq!(stream.unwrap().peer_addr().unwrap(), address);
        assert_eq!(tried, [false, false]);
    });
}

#[test]
fn a_listener_of_ipv6_may_leave_ipv4_alone() {
    on_every_pair(|_| {
        let any = (Ipv6Addr::UNSPECIFIED, 0);
        let only_six = || TcpListener::bind_with(any, |socket| socket.set_only_v6(true));
        if only_six().is_err() {
            return eprintln!("skipped: there is no IPv6 here");
        }
        // The port may be somebody else's for IPv4.
        let is_refused = (0..50).any(|_| {
            let six = only_six().unwrap();
            assert!(SocketOptions::of(&six).only_v6().unwrap());
            let address = (Ipv4Addr::LOCALHOST, six.local_addr().unwrap().port());
            TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        assert!(is_refused);
        let both = TcpListener::bind_with(any, |socket| socket.set_only_v6(false)).unwrap();
        let address = (Ipv4Addr::LOCALHOST, both.local_addr().unwrap().port());
        let stream = TcpStream::connect(address).unwrap();
        let peer = both.accept().unwrap().1;
        assert_eq!(peer.ip().to_canonical(), stream.local_addr().unwrap().ip());
    });
}

#[test]
fn what_a_listener_has_its_connections_have() {
    on_every_pair(|_| {
        let listener = TcpListener::bind_with("127.0.0.1:0", |socket| {
            socket.set_nodelay(true)?;
            socket.set_keepalive(Some(Keepalive::new().idle(30 * SECOND)))
        })
        .unwrap();
        listener.set_ttl(33).unwrap();
        assert_eq!(listener.ttl().unwrap(), 33);
        assert!(listener.take_error().unwrap().is_none());
        let _near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        assert!(far.nodelay().unwrap());
        assert!(SocketOptions::of(&far).keepalive().unwrap().is_some());
        assert_eq!(far.ttl().unwrap(), 33);
    });
}

/// A backlog that is set later counts from then on.
#[test]
fn a_backlog_is_set_later() {
    on_every_pair(|_| {
        let listener = TcpListener::bind_with_backlog("127.0.0.1:0", 0).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_backlog(100).unwrap();
        let clients: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut accepted = clients.iter().map(|_| listener.accept().unwrap().0);
        accepted.next().unwrap().write_all(b"x").unwrap();
        assert_eq!(accepted.count(), 49);
    });
}
