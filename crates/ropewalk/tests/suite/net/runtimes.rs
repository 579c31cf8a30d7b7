//! Sockets that outlive the runtime in which they were used.

use std::io::{Read, Write};
use std::sync::Arc;

use ropewalk::Runtime;
use ropewalk::channel::bounded;
use ropewalk::net::TcpStream;
use ropewalk::{DriverKind, coroutine, thread};

use crate::support::net::{listener, pair};
use crate::support::{Spot, drivers, guarded, runtime};

fn on(driver: DriverKind) -> Runtime {
    Runtime::builder().workers(2).driver(driver).build().unwrap()
}

/// Waits for a byte, in a coroutine that has to be woken for it.
fn read_after_waiting(stream: &TcpStream, mut far: &TcpStream, byte: u8) {
    ropewalk::scope(|s| {
        let reader = s.spawn(|| {
            let mut byte = [0];
            (&mut &*stream).read_exact(&mut byte).unwrap();
            byte[0]
        });
        coroutine::yield_now();
        far.write_all(&[byte]).unwrap();
        assert_eq!(reader.join().unwrap(), byte);
    });
}

#[test]
fn a_stream_goes_from_runtime_to_runtime() {
    guarded(|| {
        let (near, far) = pair();
        for round in 0..4 {
            for driver in drivers() {
                on(driver).run(|| read_after_waiting(&near, &far, round));
            }
            // Between two runtimes, a plain thread.
            (&far).write_all(b"plain").unwrap();
            let mut text = [0; 5];
            (&near).read_exact(&mut text).unwrap();
            assert_eq!(&text, b"plain");
        }
    });
}

#[test]
fn a_listener_goes_from_runtime_to_runtime() {
    guarded(|| {
        let (listener, address) = listener();
        for driver in drivers().into_iter().cycle().take(4) {
            on(driver).run(|| {
                ropewalk::scope(|s| {
                    let acceptor = s.spawn(|| listener.accept().unwrap().1);
                    coroutine::yield_now();
                    let client = TcpStream::connect(address).unwrap();
                    assert_eq!(acceptor.join().unwrap(), client.local_addr().unwrap());
                });
            });
        }
    });
}

#[test]
fn a_stream_is_dropped_after_its_runtime() {
    guarded(|| {
        for driver in drivers() {
            let (near, far) = pair();
            on(driver).run(|| read_after_waiting(&near, &far, 1));
            drop(near);
            assert_eq!((&far).read(&mut [0]).unwrap(), 0, "{driver}");
        }
    });
}

/// A listener is watched by the first runtime that waits for it. When that one ends, who waits in another one must hear
/// of connections all the same.
#[test]
fn a_socket_of_two_runtimes_outlives_the_one_that_watched_it() {
    guarded(|| {
        for first in drivers() {
            let (listener, address) = listener();
            let listener = Arc::new(listener);
            let (begin_second, second_may_begin) = bounded::<()>(0);
            let spot = Spot::new();
            let second = std::thread::spawn({
                let (listener, spot) = (listener.clone(), spot.clone());
                move || {
                    second_may_begin.recv().unwrap();
                    runtime(1).run(|| {
                        spot.mark();
                        drop(listener.accept().unwrap());
                    });
                }
            });
            on(first).run(|| {
                let acceptor = coroutine::spawn({
                    let listener = listener.clone();
                    move || listener.accept().map(drop)
                });
                coroutine::yield_now();
                let client = TcpStream::connect(address).unwrap();
                acceptor.join().unwrap().unwrap();
                drop(client);
                thread::spawn(move || {
                    begin_second.send(()).unwrap();
                    spot.wait_asleep();
                })
                .join()
                .unwrap();
            });
            let client = TcpStream::connect(address).unwrap();
            second.join().unwrap();
            drop(client);
        }
    });
}

#[test]
fn the_global_runtime_and_another_one_share_a_stream() {
    guarded(|| {
        let (near, far) = pair();
        let near = Arc::new(near);
        let global = coroutine::spawn({
            let near = near.clone();
            move || {
                let mut byte = [0];
                (&*near).read_exact(&mut byte).map(|()| byte[0])
            }
        });
        runtime(1).run(|| (&far).write_all(&[7]).unwrap());
        assert_eq!(global.join().unwrap().unwrap(), 7);
        runtime(1).run(|| read_after_waiting(&near, &far, 8));
    });
}
