//! Descriptors: that they are all given back, and what happens when there are none.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream, is_transient};
use ropewalk::{Runtime, coroutine, scope, thread};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::child::{self, Child, on_every_driver_alone, test_name};
use crate::support::net::{listener, pair};
use crate::support::plan::{PLANS, driver_named, drivers};
use crate::support::process::{assert_settles, descriptors, threads};
use crate::support::{Spot, guarded, on_driver, until};

/// Opens descriptors until there are no more, under a limit that is not far away.
fn exhaust_descriptors() -> Vec<std::fs::File> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(descriptors() as u64 + 20);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files
}

#[test]
fn accept_without_descriptors_is_a_transient_error_and_loses_no_connection() {
    on_every_driver_alone(test_name!(), |driver| {
        for plan in PLANS {
            let (listener, address) = listener();
            let before = getrlimit(Resource::Nofile);
            let mut client = std::net::TcpStream::connect(address).unwrap();
            let files = exhaust_descriptors();
            let listener = Arc::new(listener);
            let accept = |listener: Arc<TcpListener>| plan.spawn(move || listener.accept()).join().unwrap();
            let error = accept(listener.clone()).expect_err("no descriptor is left");
            assert!(is_transient(&error), "{driver}, {plan:?}: {error}");
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
            assert!(TcpStream::connect(address).is_err() && listener.try_clone().is_err());
            drop(files);
            setrlimit(Resource::Nofile, before).unwrap();
            let (mut stream, _) = accept(listener.clone()).expect("the connection is still in the queue");
            client.write_all(b"patience").unwrap();
            let mut text = [0; 8];
            stream.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"patience");
        }
    });
}

#[test]
fn a_runtime_without_descriptors_is_an_error_and_not_a_panic() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        for driver in drivers() {
            let before = getrlimit(Resource::Nofile);
            let files = exhaust_descriptors();
            let error =
                Runtime::builder().workers(2).driver(driver).build().expect_err("no descriptor is left");
            assert!(error.to_string().contains("Too many open files"), "{driver}: {error}");
            drop(files);
            setrlimit(Resource::Nofile, before).unwrap();
        }
    });
}

#[test]
fn a_worker_that_cannot_open_its_driver_ends_run_with_the_reason() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        for driver in drivers() {
            let before = getrlimit(Resource::Nofile);
            let threads_before = threads();
            let built = Runtime::builder().workers(6).driver(driver).build().unwrap();
            let mut files = exhaust_descriptors();
            files.truncate(files.len() - 3); // enough for some of the workers
            let run = std::panic::AssertUnwindSafe(|| built.run(|| coroutine::spawn(|| ()).join().unwrap()));
            let outcome = std::panic::catch_unwind(run);
            drop(files);
            setrlimit(Resource::Nofile, before).unwrap();
            let payload = outcome.expect_err("not every worker can start");
            let message = payload.downcast_ref::<String>().unwrap();
            assert!(message.contains("Too many open files") && message.contains("ulimit -n"), "{message}");
            assert_settles(threads, threads_before, "those that could start have ended");
        }
    });
}

#[test]
fn runtimes_one_after_the_other_leave_nothing_behind() {
    let Some(case) = child::case() else {
        return drivers()
            .iter()
            .for_each(|driver| Child::new(test_name!(), driver.to_string()).run().assert_success());
    };
    guarded(|| {
        let one = || {
            let built = Runtime::builder().workers(3).driver(driver_named(&case)).build().unwrap();
            built.run(|| {
                let (listener, address) = listener();
                drop(coroutine::Builder::new().daemon(true).spawn(move || {
                    for stream in listener.incoming() {
                        let mut stream = stream.unwrap();
                        drop(coroutine::spawn(move || {
                            let mut byte = [0];
                            stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte))
                        }));
                    }
                }));
                scope(|s| {
                    for _ in 0..5 {
                        s.spawn(move || {
                            let mut stream = TcpStream::connect(address).unwrap();
                            stream.write_all(b"x").unwrap();
                            stream.read_exact(&mut [0]).unwrap();
                        });
                    }
                });
                thread::spawn(|| thread::sleep(Duration::from_micros(10))).join().unwrap();
            });
        };
        let before = (descriptors(), threads());
        (0..60).for_each(|_| one());
        assert_settles(descriptors, before.0, "descriptors");
        assert_settles(threads, before.1, "threads");
    });
}

#[test]
fn leaving_a_runtime_that_never_ran_leaves_nothing_behind() {
    on_every_driver_alone(test_name!(), |driver| {
        let before = descriptors();
        for _ in 0..50 {
            drop(Runtime::builder().workers(4).driver(driver).build().unwrap());
        }
        assert_settles(descriptors, before, &driver.to_string());
    });
}

#[test]
fn many_connections_come_and_go_and_leave_no_descriptor() {
    on_every_driver_alone(test_name!(), |driver| {
        let before = descriptors();
        let (listener, address) = listener();
        scope(|s| {
            s.spawn(move || {
                for stream in listener.incoming().take(300) {
                    let mut stream = stream.unwrap();
                    // Served by whichever worker is free, and closed there.
                    drop(coroutine::spawn(move || stream.read_to_end(&mut Vec::new())));
                }
            });
            for _ in 0..30 {
                s.spawn(move || {
                    for _ in 0..10 {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.write_all(b"and goodbye").unwrap();
                    }
                });
            }
        });
        assert_settles(descriptors, before, &driver.to_string());
    });
}

/// A descriptor's number is given out again as soon as it is closed. What is still under way for the old socket, on the
/// worker that watched it, must not reach the new one.
#[test]
fn sockets_closed_on_another_worker_do_not_disturb_who_gets_their_numbers() {
    for driver in drivers() {
        guarded(|| {
            Runtime::builder().workers(4).driver(driver).build().unwrap().run(|| {
                scope(|s| {
                    for lane in 0..8_u8 {
                        s.spawn(move || {
                            for round in 0..60 {
                                reuse_round(lane.wrapping_mul(31).wrapping_add(round));
                            }
                        });
                    }
                });
            });
        });
    }
}

/// Watches a stream in one coroutine, closes it in another, and talks over new ones meanwhile.
fn reuse_round(mark: u8) {
    let (near, mut far) = pair();
    let near = Arc::new(near);
    let watcher = coroutine::spawn({
        let near = near.clone();
        move || {
            let mut byte = [0];
            (&*near).read_exact(&mut byte).map(|()| byte[0])
        }
    });
    coroutine::yield_now();
    // Gets its end while the last reference may be here or there.
    let closer = coroutine::spawn(move || drop(near));
    if mark.is_multiple_of(3) {
        watcher.cancel();
    } else {
        far.write_all(&[mark]).unwrap();
    }
    let (mut next, mut other) = pair();
    let echo = coroutine::spawn(move || {
        let mut bytes = [0; 2];
        other.read_exact(&mut bytes).unwrap();
        other.write_all(&bytes).unwrap();
    });
    next.write_all(&[mark, !mark]).unwrap();
    let mut bytes = [0; 2];
    next.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [mark, !mark]);
    echo.join().unwrap();
    closer.join().unwrap();
    match watcher.join() {
        Ok(byte) => assert_eq!(byte.unwrap(), mark),
        Err(error) => assert!(error.is_cancelled() && mark.is_multiple_of(3), "{error}"),
    }
}

/// A stream that is dropped is closed, as a std stream is, whatever its worker does next.
#[test]
fn the_peer_sees_the_end_while_the_worker_is_busy() {
    for driver in drivers() {
        on_driver(driver, move || {
            let (near, mut far) = pair();
            let (spot, done) = (Spot::new(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
            let busy = coroutine::spawn({
                let (spot, done) = (spot.clone(), done.clone());
                move || {
                    near.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                    assert!((&near).read(&mut [0]).is_err()); // it is watched now
                    drop(near);
                    spot.mark();
                    while !done.load(std::sync::atomic::Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                }
            });
            until(|| spot.is_marked());
            far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let outcome = far.read(&mut [0]);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            busy.join().unwrap();
            assert_eq!(outcome.expect("the end, within five seconds"), 0, "{driver}");
        });
    }
}
