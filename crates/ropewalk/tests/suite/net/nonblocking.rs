//! `set_nonblocking`: what a program for std expects of it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use ropewalk::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use ropewalk::{coroutine, process};
use rustix::fs::{OFlags, fcntl_getfl};

use crate::support::net::{listener, pair};
use crate::support::{Spot, guarded, on_every_pair, on_every_plan, runtime};

fn mode(socket: impl AsFd) -> bool {
    fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK)
}

fn would_block<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A loop as programs for std have it: tries, and does something else meanwhile.
fn until_it_does_not_block<T>(mut operation: impl FnMut() -> std::io::Result<T>) -> T {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => coroutine::yield_now(),
            outcome => return outcome.unwrap(),
        }
    }
}

#[test]
fn what_would_wait_is_an_error() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        near.set_nonblocking(true).unwrap();
        assert!(mode(&near), "also for who takes the descriptor");
        assert!(would_block(near.read(&mut [0; 8])) && would_block(near.peek(&mut [0; 8])));
        far.write_all(b"12345678").unwrap();
        assert_eq!(until_it_does_not_block(|| near.read(&mut [0; 4])), 4);
        let written = std::iter::from_fn(|| near.write(&[1; 64 * 1024]).ok()).sum::<usize>();
        assert!(would_block(near.write(&[1])));
        far.read_exact(&mut vec![0; written]).unwrap();
        near.set_nonblocking(false).unwrap();
        assert!(!mode(&near));
        near.read_exact(&mut [0; 4]).unwrap();

        let (listener, address) = listener();
        listener.set_nonblocking(true).unwrap();
        assert!(would_block(listener.accept()) && would_block(listener.incoming().next().unwrap()));
        let client = TcpStream::connect(address).unwrap();
        let (accepted, peer) = until_it_does_not_block(|| listener.accept());
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(!mode(&accepted), "a connection begins as ever");

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        assert!(would_block(udp.recv(&mut [0; 8])) && would_block(udp.peek_from(&mut [0; 8])));
        udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
        assert_eq!(until_it_does_not_block(|| udp.recv(&mut [0; 8])), 1);

        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        assert!(would_block(near.recv_from(&mut [0; 8])));
        while near.send(b"x").is_ok() {}
        assert!(would_block(near.send(b"x")));
        drop(far);
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        assert!(would_block(near.read(&mut [0; 8])));
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(would_block(listener.accept()));
    });
}

/// In std the mode is the socket's. Here it is the handle's: who waits is not disturbed by what another handle is told.
#[test]
fn a_clone_has_its_own_mode() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        near.set_nonblocking(true).unwrap();
        let mut clone = near.try_clone().unwrap();
        assert!(would_block(clone.read(&mut [0; 8])), "initially that of its original");
        clone.set_nonblocking(false).unwrap();
        assert!(would_block((&near).read(&mut [0; 8])));
        let spot = Spot::new();
        let waiting = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                clone.read(&mut [0; 8])
            }
        });
        spot.wait_asleep();
        near.set_nonblocking(true).unwrap();
        far.write_all(b"x").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), 1);
    });
}

/// Somebody else who has the socket, too, changes its mode while a thread waits in its own system call, and later.
#[test]
fn another_owner_of_the_socket_may_change_the_mode() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        let other = std::net::TcpStream::from(near.as_fd().try_clone_to_owned().unwrap());
        other.set_nonblocking(true).unwrap();
        let spot = Spot::new();
        let waiting = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                (&near).read(&mut [0; 8])
            }
        });
        spot.wait_asleep();
        far.write_all(b"x").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), 1);
    });
}

/// A loop that asks again and again lets the others of its worker run.
#[test]
fn a_loop_of_tries_does_not_hog_its_worker() {
    guarded(|| {
        runtime(1).run(|| {
            let (near, mut far) = pair();
            near.set_nonblocking(true).unwrap();
            let asking = coroutine::spawn(move || {
                loop {
                    match (&near).read(&mut [0; 8]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        outcome => return outcome.unwrap(),
                    }
                }
            });
            coroutine::yield_now();
            let writer = coroutine::spawn(move || far.write_all(b"x").map(|()| far));
            assert_eq!(asking.join().unwrap(), 1);
            drop(writer.join().unwrap().unwrap());
            // And hears of a cancellation.
            let (near, _far) = pair();
            near.set_nonblocking(true).unwrap();
            let asking = coroutine::spawn(move || {
                loop {
                    assert!(would_block((&near).read(&mut [0; 8])));
                }
            });
            coroutine::yield_now();
            asking.cancel();
            assert!(asking.join().map(drop).unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_listener_in_blocking_mode_may_be_told_not_to_wait() {
    on_every_pair(|_| {
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::from(OwnedFd::from(std));
        assert!(!mode(&listener));
        listener.set_nonblocking(true).unwrap();
        assert!(mode(&listener) && would_block(listener.accept()));
        let clone = listener.try_clone().unwrap();
        assert!(would_block(clone.accept()));
        clone.set_nonblocking(false).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(clone.accept().unwrap().1, client.local_addr().unwrap());
    });
}

/// A process that was sent a socket waits, whatever the mode was.
#[test]
fn the_mode_does_not_travel() {
    fn answer(mut stream: TcpStream) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(&byte).unwrap();
    }
    guarded(|| {
        let (near, mut far) = pair();
        near.set_nonblocking(true).unwrap();
        let child = process::spawn(answer, near).unwrap();
        far.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
        child.join().unwrap();
    });
}
