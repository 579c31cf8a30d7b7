//! After a read that was not filled the next one waits without a look, where the driver's word can be had. What no further
//! edge announces is found all the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};

use ropewalk::inspect::State;
use ropewalk::net::TcpStream;
use ropewalk::{Runtime, coroutine};
use rustix::net::SendFlags;

use crate::support::net::pair_with_std;
use crate::support::{drivers, guarded};

/// Has a coroutine wait in a read, has `peer` send all that it sends while the worker is busy, so that one event reports it,
/// and gives what the coroutine reads, piece by piece, until it has `wanted` bytes or the stream ends.
#[track_caller]
fn pieces(wanted: usize, peer: impl Fn(&StdStream) + Clone + Send + 'static) -> Vec<Vec<Vec<u8>>> {
    let of_driver = |driver| {
        let peer = peer.clone();
        guarded(move || {
            Runtime::builder().workers(1).driver(driver).build().unwrap().run(|| {
                let (stream, far) = pair_with_std();
                let reader = coroutine::spawn_local(move || read_pieces(stream, wanted));
                while !matches!(reader.task().state(), State::Blocked(_)) {
                    coroutine::yield_now();
                }
                peer(&far);
                reader.join().unwrap()
            })
        })
    };
    drivers().into_iter().map(of_driver).collect()
}

fn read_pieces(mut stream: TcpStream, wanted: usize) -> Vec<Vec<u8>> {
    let mut pieces = Vec::<Vec<u8>>::new();
    let mut buffer = [0; 64];
    while pieces.iter().map(Vec::len).sum::<usize>() < wanted {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            length => pieces.push(buffer[..length].to_vec()),
        }
    }
    pieces
}

#[test]
fn an_end_that_came_with_the_last_bytes_is_found() {
    let pieces = pieces(usize::MAX, |mut peer| {
        peer.write_all(b"last").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(pieces.iter().all(|pieces| *pieces == [b"last"]), "{pieces:?}");
}

#[test]
fn what_lies_behind_a_mark_of_urgent_data_is_found() {
    let pieces = pieces(4, |mut peer| {
        peer.write_all(b"ab").unwrap();
        assert_eq!(rustix::net::send(peer, b"!", SendFlags::OOB), Ok(1));
        peer.write_all(b"cd").unwrap();
    });
    // A read ends at the mark.
    assert!(pieces.iter().all(|pieces| *pieces == [b"ab", b"cd"]), "{pieces:?}");
}

#[test]
fn what_has_come_and_was_not_reported_yet_wins_over_a_cancel() {
    for driver in drivers() {
        guarded(move || {
            Runtime::builder().workers(1).driver(driver).build().unwrap().run(|| {
                let (mut stream, mut far) = pair_with_std();
                let mut first = far.try_clone().unwrap();
                let reader = coroutine::spawn_local(move || {
                    let mut buffer = [0; 64];
                    assert_eq!(stream.read(&mut buffer).unwrap(), 5);
                    // The worker does not look before the next read.
                    far.write_all(b"late").unwrap();
                    coroutine::current().cancel();
                    stream.read(&mut buffer).unwrap()
                });
                while !matches!(reader.task().state(), State::Blocked(_)) {
                    coroutine::yield_now();
                }
                first.write_all(b"first").unwrap();
                assert_eq!(reader.join().unwrap(), 4);
            });
        });
    }
}
