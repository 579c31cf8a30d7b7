//! Waiting for a descriptor.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Waker};

use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;

use ropewalk_sync::park::{self, Interest, Unparker, Watched};
use ropewalk_sync::source::{Place, Source};

use crate::support::{Suspendable, model, wait};

/// The descriptor becomes ready at any moment; the driver reports it once.
#[test]
fn loses_no_edge() {
    model(|| {
        Suspendable::run(|| {
            let source = Source::default();
            let readiness = source.readiness().clone();
            let ready = Arc::new(AtomicBool::new(false));
            let becomes_ready = ready.clone();
            let driver = thread::spawn(move || {
                becomes_ready.store(true, Relaxed);
                readiness.signal(Interest::Read);
            });
            let stdin = io::stdin();
            let mut tries = 0;
            let attempt = source.attempt(stdin.as_fd(), Interest::Read, &wait(), || {
                tries += 1;
                if ready.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            assert!(attempt.is_ok() && tries <= 2);
            driver.join().unwrap();
        });
    });
}

/// Two wait in the same direction: one edge wakes both.
#[test]
fn wakes_all_who_wait_for_the_edge() {
    model(|| {
        let source = Arc::new(Source::default());
        let readiness = source.readiness().clone();
        let ready = Arc::new(AtomicBool::new(false));
        let read = |source: &Source, ready: &AtomicBool| {
            Suspendable::run(|| {
                let stdin = io::stdin();
                let attempt = source.attempt(stdin.as_fd(), Interest::Read, &wait(), || {
                    if ready.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
                });
                assert!(attempt.is_ok());
            });
        };
        let (other, other_ready) = (source.clone(), ready.clone());
        let reader = thread::spawn(move || read(&other, &other_ready));
        let becomes_ready = ready.clone();
        let driver = thread::spawn(move || {
            becomes_ready.store(true, Relaxed);
            readiness.signal(Interest::Read);
        });
        read(&source, &ready);
        reader.join().unwrap();
        driver.join().unwrap();
    });
}

/// A future polls while the descriptor becomes ready: it finds that, or is woken; also beside another one that is dropped.
#[test]
fn a_poll_loses_no_edge() {
    model(|| {
        Suspendable::run(|| {
            let source = Source::default();
            let readiness = source.readiness().clone();
            let ready = Arc::new(AtomicBool::new(false));
            let becomes_ready = ready.clone();
            let driver = thread::spawn(move || {
                becomes_ready.store(true, Relaxed);
                readiness.signal(Interest::Read);
            });
            let waker = Unparker::current().into_waker();
            let mut tries = 0;
            let mut attempt = |place: &mut Place, waker: &Waker| {
                source.poll_attempt(
                    place,
                    &mut Context::from_waker(waker),
                    || Ok(()),
                    || {
                        tries += 1;
                        if ready.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
                    },
                )
            };
            let mut other = Place::new(Interest::Read);
            let _ = attempt(&mut other, Waker::noop());
            let mut place = Place::new(Interest::Read);
            let mut pending = attempt(&mut place, &waker).is_pending();
            drop(other);
            while pending {
                park::park(&wait()).expect("nobody interrupts it");
                pending = attempt(&mut place, &waker).is_pending();
            }
            assert!(tries <= 5, "{tries}");
            driver.join().unwrap();
        });
    });
}
