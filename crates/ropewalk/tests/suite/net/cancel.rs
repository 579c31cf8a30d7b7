//! What a cancelled socket operation loses: nothing. On each driver by name, because each has its own way to forget.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{DriverKind, coroutine};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::net::{Congested, listener, pair};
use crate::support::process::{assert_settles, descriptors};
use crate::support::{Plan, Spot, Tracker, drivers, on_driver, on_every_plan, until};

/// Runs `body` on a thread, in a runtime of two workers, on every driver that works here.
fn on_every_driver(body: impl Fn(DriverKind) + Send + Sync + 'static) {
    let body = Arc::new(body);
    for driver in drivers() {
        let body = body.clone();
        on_driver(driver, move || body(driver));
    }
}

/// A read of a task of `plan`, with a buffer on its stack that it gives away when the read has unwound.
fn cancelled_read(
    plan: Plan,
    near: Arc<TcpStream>,
    before_cancel: impl FnOnce(&Spot),
) -> Result<usize, [u8; 64]> {
    struct Shows<'a>(&'a [u8; 64], &'a std::sync::mpsc::Sender<[u8; 64]>);

    let (show, shown) = std::sync::mpsc::channel();
    let (spot, tracker) = (Spot::new(), Tracker::new());
    let reader = plan.spawn({
        let (spot, value) = (spot.clone(), tracker.value());
        move || {
            let _value = value;
            let mut buffer = [0xA5; 64];
            spot.mark();
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (&*near).read(&mut buffer)));
            // The unwind goes on below; meanwhile the buffer is looked at, a good while after the read.
            let shows = Shows(&buffer, &show);
            shows.1.send(*shows.0).unwrap();
            match outcome {
                Ok(length) => length.unwrap(),
                Err(payload) => std::panic::resume_unwind(payload),
            }
        }
    });
    before_cancel(&spot);
    reader.cancel();
    let outcome = reader.join();
    assert_eq!(tracker.drops(), 1, "the destructors ran");
    let buffer = shown.recv().unwrap_or([0xA5; 64]); // a task that never started has no buffer
    match outcome {
        Ok(length) => Ok(length),
        Err(error) => {
            assert!(error.is_cancelled(), "{error}");
            Err(buffer)
        }
    }
}

#[test]
fn a_cancelled_read_leaves_its_buffer_alone_and_the_data_to_others() {
    on_every_driver(|driver| {
        for plan in crate::support::plan::PLANS {
            let (near, mut far) = pair();
            let near = Arc::new(near);
            let buffer = cancelled_read(plan, near.clone(), Spot::wait_asleep).unwrap_err();
            assert_eq!(buffer, [0xA5; 64], "{driver}, {plan:?}");
            far.write_all(b"for the next reader").unwrap();
            let next = plan.spawn(move || {
                let mut text = [0; 19];
                (&*near).read_exact(&mut text).unwrap();
                text
            });
            assert_eq!(&next.join().unwrap(), b"for the next reader", "{driver}, {plan:?}");
        }
    });
}

#[test]
fn a_read_that_is_cancelled_while_data_come_takes_all_or_nothing() {
    const ROUNDS: usize = 300;
    on_every_driver(|driver| {
        for plan in crate::support::plan::PLANS {
            let (near, mut far) = pair();
            let near = Arc::new(near);
            let (mut taken, mut cancelled) = (0, 0);
            for round in 0..ROUNDS {
                let outcome = cancelled_read(plan, near.clone(), |spot| {
                    match round % 3 {
                        0 => {}
                        1 => until(|| spot.is_marked()),
                        _ => spot.wait_asleep(),
                    }
                    far.write_all(b"12345678").unwrap();
                });
                match outcome {
                    Ok(length) => taken += length,
                    Err(buffer) => {
                        assert_eq!(buffer, [0xA5; 64], "{driver}, {plan:?}");
                        cancelled += 1;
                    }
                }
            }
            drop(far);
            let mut rest = Vec::new();
            (&*near).read_to_end(&mut rest).unwrap();
            assert_eq!(taken + rest.len(), 8 * ROUNDS, "{driver}, {plan:?}: {cancelled} were cancelled");
        }
    });
}

#[test]
fn a_write_that_is_cancelled_has_written_what_it_said() {
    on_every_driver(|driver| {
        for plan in crate::support::plan::PLANS {
            let (near, mut far) = pair();
            let (spot, written) = (Spot::new(), Arc::new(AtomicUsize::new(0)));
            let writer = plan.spawn({
                let (spot, written) = (spot.clone(), written.clone());
                move || {
                    let block = [1; 48 * 1024];
                    spot.mark();
                    loop {
                        written.fetch_add((&near).write(&block).unwrap(), SeqCst);
                    }
                }
            });
            spot.wait_asleep();
            writer.cancel();
            assert!(writer.join().map(drop).unwrap_err().is_cancelled());
            let mut received = Vec::new();
            far.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), written.load(SeqCst), "{driver}, {plan:?}");
        }
    });
}

#[test]
fn a_cancelled_accept_leaks_no_descriptor_and_no_connection() {
    const ROUNDS: usize = 200;
    on_every_driver_alone(test_name!(), |driver| {
        for plan in crate::support::plan::PLANS {
            let before = descriptors();
            let (listener, address) = listener();
            let listener = Arc::new(listener);
            let (mut returned, mut cancelled) = (0, 0);
            for round in 0..ROUNDS {
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
                let client = std::thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
                acceptor.cancel();
                match acceptor.join() {
                    Ok(()) => returned += 1,
                    Err(_) => cancelled += 1,
                }
                drop(client.join().unwrap());
            }
            // What was not accepted is still in the queue.
            (0..cancelled).for_each(|_| drop(listener.accept().unwrap()));
            assert_eq!(returned + cancelled, ROUNDS);
            drop(listener);
            let what = format!("{driver}, {plan:?}: {cancelled} were cancelled");
            assert_settles(descriptors, before, &what);
        }
    });
}

#[test]
fn an_accept_at_a_listener_in_blocking_mode_can_be_cancelled() {
    on_every_plan(|plan| {
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = std.local_addr().unwrap();
        let listener = Arc::new(TcpListener::from(OwnedFd::from(std)));
        let accept = || {
            let (listener, spot) = (listener.clone(), Spot::new());
            let task = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    listener.accept().unwrap().1
                }
            });
            spot.wait_asleep();
            task
        };
        let cancelled = accept();
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
        let next = accept();
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(next.join().unwrap(), client.local_addr().unwrap());
    });
}

#[test]
fn a_cancelled_connect_leaks_no_descriptor() {
    on_every_driver_alone(test_name!(), |driver| {
        for plan in crate::support::plan::PLANS {
            let congested = Congested::new();
            let before = descriptors();
            for _ in 0..20 {
                let (spot, address) = (Spot::new(), congested.address);
                let task = plan.spawn({
                    let spot = spot.clone();
                    move || {
                        spot.mark();
                        drop(TcpStream::connect(address).unwrap());
                    }
                });
                spot.wait_asleep();
                task.cancel();
                assert!(task.join().unwrap_err().is_cancelled());
            }
            assert_settles(descriptors, before, &format!("{driver}, {plan:?}"));
        }
    });
}

#[test]
fn a_stream_goes_on_after_a_cancelled_neighbour() {
    on_every_plan(|plan| {
        // A reader is cancelled, a second one waits all the time; then the data come.
        let (near, mut far) = pair();
        let near = Arc::new(near);
        let spots = [Spot::new(), Spot::new()];
        let readers = spots.clone().map(|spot| {
            let near = near.clone();
            plan.spawn(move || {
                spot.mark();
                let mut byte = [0];
                (&*near).read_exact(&mut byte).unwrap();
                byte[0]
            })
        });
        spots.iter().for_each(Spot::wait_asleep);
        let [first, second] = readers;
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        far.write_all(b"x").unwrap();
        assert_eq!(second.join().unwrap(), b'x');
    });
}

#[test]
fn a_scope_of_connections_is_cancelled_as_one() {
    on_every_plan(|plan| {
        let (listener, address) = listener();
        let clients: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let spot = Spot::new();
        let server = coroutine::spawn({
            let spot = spot.clone();
            move || {
                plan.scope(|s| {
                    for stream in listener.incoming() {
                        let mut stream = stream.unwrap();
                        spot.mark();
                        s.spawn(move || drop(stream.read(&mut [0; 8])));
                    }
                });
            }
        });
        spot.wait_asleep();
        server.cancel();
        assert!(server.join().unwrap_err().is_cancelled());
        for mut client in clients {
            // Accepted or still in the queue: closed either way.
            let outcome = client.read(&mut [0; 8]);
            assert!(matches!(outcome, Ok(0) | Err(_)), "{outcome:?}");
        }
    });
}
