//! Time limits of sockets.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use ropewalk::net::TcpStream;
use ropewalk::timeout;

use crate::support::net::{Congested, pair};
use crate::support::{LONG, on_every_pair, timed};

const SOON: Duration = Duration::from_millis(3);

#[test]
fn a_read_with_a_limit_would_block_when_it_is_over() {
    on_every_pair(|plan| {
        let (mut near, mut far) = pair();
        near.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(SOON));
        for _ in 0..2 {
            let (outcome, time) = timed(|| near.read(&mut [0; 8]));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(time >= SOON, "{time:?}");
            assert_eq!(near.peek(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        // The connection is as good as before.
        let writer = plan.spawn(move || far.write_all(b"late").map(|()| far));
        near.set_read_timeout(None).unwrap();
        let mut buffer = [0; 4];
        near.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"late");
        drop(writer.join().unwrap().unwrap());
        near.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(near.read(&mut buffer).unwrap(), 0);
    });
}

#[test]
fn a_write_with_a_limit_would_block_when_it_is_over() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        near.set_write_timeout(Some(SOON)).unwrap();
        assert_eq!(near.write_timeout().unwrap(), Some(SOON));
        let block = [7; 64 * 1024];
        let mut written = 0;
        let error = loop {
            match near.write(&block) {
                Ok(length) => written += length,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), written, "what was said to be written was, and no more");
    });
}

#[test]
fn no_time_at_all_is_no_limit() {
    on_every_pair(|_| {
        let (near, _far) = pair();
        for outcome in
            [near.set_read_timeout(Some(Duration::ZERO)), near.set_write_timeout(Some(Duration::ZERO))]
        {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let address = near.peer_addr().unwrap();
        let outcome = TcpStream::connect_timeout(&address, Duration::ZERO);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_clone_begins_with_the_limits_of_its_original_and_has_its_own() {
    on_every_pair(|_| {
        let (near, _far) = pair();
        near.set_read_timeout(Some(SOON)).unwrap();
        let mut clone = near.try_clone().unwrap();
        assert_eq!(clone.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        near.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(clone.read_timeout().unwrap(), Some(SOON));
        assert_eq!(clone.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn the_clones_limit_does_not_reach_the_original() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        // A limit that was used before the descriptor was duplicated, and one that is set after.
        near.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(near.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut clone = near.try_clone().unwrap();
        clone.set_read_timeout(None).unwrap();
        let late = timeout(4 * SOON, || clone.read(&mut [0; 8]));
        assert!(late.is_err(), "the clone waits for ever: {late:?}");
        assert_eq!(near.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.write_all(b"12").unwrap();
        near.read_exact(&mut [0; 1]).unwrap();
        clone.read_exact(&mut [0; 1]).unwrap();
    });
}

#[test]
fn a_connect_with_a_limit_times_out() {
    on_every_pair(|_| {
        let congested = Congested::new();
        let (outcome, time) = timed(|| TcpStream::connect_timeout(&congested.address, SOON));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(time >= SOON, "{time:?}");
        let (near, _far) = pair();
        let (listener, address) = crate::support::net::listener();
        TcpStream::connect_timeout(&address, LONG).unwrap();
        drop((near, listener));
    });
}

#[test]
fn the_shorter_of_a_limit_and_a_timeout_counts() {
    on_every_pair(|_| {
        let (mut near, _far) = pair();
        near.set_read_timeout(Some(LONG)).unwrap();
        assert!(timeout(SOON, || near.read(&mut [0; 8])).is_err());
        near.set_read_timeout(Some(SOON)).unwrap();
        let outcome = timeout(LONG, || near.read(&mut [0; 8])).expect("the limit was shorter");
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}
