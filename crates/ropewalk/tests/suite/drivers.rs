//! Which driver is used, and why; and life without io_uring.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use ropewalk::{DriverKind, Runtime, blocking, coroutine, scope, thread, timeout};

use crate::support::child::{self, Child, test_name};
use crate::support::confine::deny_io_uring;
use crate::support::net::{listener, pair};
use crate::support::{LONG, drivers, guarded};

const DRIVER: &str = "ROPEWALK_DRIVER";

/// A little of everything that waits for a driver.
fn everything_works() {
    let (listener, address) = listener();
    let server = coroutine::spawn(move || -> std::io::Result<()> {
        for stream in listener.incoming().take(3) {
            let mut stream = stream?;
            let mut text = [0; 4];
            stream.read_exact(&mut text)?;
            stream.write_all(&text)?;
        }
        Ok(())
    });
    scope(|s| {
        for _ in 0..3 {
            s.spawn(move || {
                let mut stream = ropewalk::net::TcpStream::connect(address).unwrap();
                stream.write_all(b"ping").unwrap();
                let mut text = [0; 4];
                stream.read_exact(&mut text).unwrap();
                assert_eq!(&text, b"ping");
            });
        }
    });
    server.join().unwrap().unwrap();
    let (mut near, _far) = pair();
    assert!(timeout(Duration::from_millis(1), || near.read(&mut [0])).is_err());
    let sleeper = coroutine::spawn(|| coroutine::sleep(LONG));
    coroutine::sleep(Duration::from_micros(100));
    sleeper.cancel();
    assert!(sleeper.join().unwrap_err().is_cancelled());
    assert_eq!(thread::spawn(|| coroutine::spawn(|| 42).join().unwrap()).join().unwrap(), 42);
    assert_eq!(blocking(|| 42), 42);
}

#[test]
fn everything_works_on_every_driver() {
    for driver in drivers() {
        guarded(|| {
            let runtime = Runtime::builder().workers(2).driver(driver).build().unwrap();
            assert_eq!(runtime.driver().kind(), driver);
            assert_eq!(runtime.driver().reason().is_none(), driver == DriverKind::Uring);
            assert!(format!("{runtime:?}").contains("workers: 2"));
            runtime.run(everything_works);
        });
    }
}

#[test]
fn without_io_uring_everything_works_on_epoll() {
    if let Some(case) = child::case() {
        let errno = if case == "EPERM" { libc::EPERM } else { libc::ENOSYS };
        deny_io_uring(errno);
        return guarded(|| {
            let runtime = Runtime::builder().workers(2).build().unwrap();
            assert_eq!(runtime.driver().kind(), DriverKind::Epoll);
            let reason = runtime.driver().reason().expect("why it is not io_uring").to_owned();
            match errno {
                libc::EPERM => {
                    assert!(reason.contains("seccomp") && reason.contains("io_uring_disabled"), "{reason}")
                }
                _ => assert!(reason.contains("older than") || reason.contains("not implemented"), "{reason}"),
            }
            runtime.run(everything_works);
            ropewalk::run(everything_works);
            everything_works(); // from a plain thread, on the global runtime
        });
    }
    for errno in ["EPERM", "ENOSYS"] {
        Child::new(test_name!(), errno).without(DRIVER).run().assert_success();
    }
}

#[test]
fn io_uring_that_is_asked_for_and_denied_is_an_error_that_says_what_to_do() {
    if let Some(case) = child::case() {
        deny_io_uring(libc::EPERM);
        return guarded(|| {
            let builder = Runtime::builder();
            let (builder, who) = match case.as_str() {
                "builder" => (builder.driver(DriverKind::Uring), "the builder"),
                _ => (builder, DRIVER),
            };
            let error = builder.build().expect_err("it is denied");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("{who} asks for io_uring, which does not work here")),
                "{text}"
            );
            assert!(text.contains("seccomp") && text.contains("kernel.io_uring_disabled"), "{text}");
        });
    }
    Child::new(test_name!(), "builder").env(DRIVER, "epoll").run().assert_success();
    Child::new(test_name!(), "environment").env(DRIVER, "uring").run().assert_success();
}

#[test]
fn a_driver_that_nobody_knows_is_an_error() {
    if child::case().is_some() {
        return guarded(|| {
            let error = Runtime::builder().build().expect_err("there is no such driver");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), "ROPEWALK_DRIVER is 'kqueue': it can be uring or epoll");
            // The global runtime cannot start either, and says so.
            let error = coroutine::Builder::new().spawn(|| ()).expect_err("there is no runtime");
            assert!(error.to_string().contains("kqueue"), "{error}");
            let run = std::panic::catch_unwind(|| ropewalk::run(|| ()));
            let payload = run.expect_err("there is no runtime");
            assert!(payload.downcast_ref::<String>().is_some_and(|text| text.contains("kqueue")));
            // What the builder says counts more than the environment.
            let forced = Runtime::builder().driver(DriverKind::Epoll).build().unwrap();
            assert_eq!(forced.driver().reason(), Some("the builder asks for epoll"));
        });
    }
    Child::new(test_name!(), "").env(DRIVER, "kqueue").run().assert_success();
}

#[test]
fn the_environment_chooses_the_driver() {
    if let Some(case) = child::case() {
        return guarded(|| {
            let runtime = Runtime::builder().workers(1).build().unwrap();
            match case.as_str() {
                "epoll" => {
                    assert_eq!(runtime.driver().kind(), DriverKind::Epoll);
                    assert_eq!(runtime.driver().reason(), Some("ROPEWALK_DRIVER asks for epoll"));
                }
                "uring" => assert_eq!(runtime.driver().kind(), DriverKind::Uring),
                _ => assert_eq!(runtime.driver().kind(), drivers()[0], "unset and empty are the same"),
            }
            runtime.run(everything_works);
        });
    }
    Child::new(test_name!(), "epoll").env(DRIVER, "epoll").run().assert_success();
    Child::new(test_name!(), "").env(DRIVER, "").run().assert_success();
    Child::new(test_name!(), "").without(DRIVER).run().assert_success();
    if drivers().contains(&DriverKind::Uring) {
        Child::new(test_name!(), "uring").env(DRIVER, "uring").run().assert_success();
    }
}
