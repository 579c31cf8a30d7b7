//! What `std::thread` promises, after nothing but `use ropewalk::coroutine as thread;`, and the same with
//! `use ropewalk::thread;`.

/// The tests, once for each module.
macro_rules! mirror {
    ($module:ident, $($import:tt)*) => {
        mod $module {
            $($import)*;

            use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
            use std::sync::{Arc, mpsc};
            use std::time::{Duration, Instant};

            use crate::support::guarded;

            #[test]
            fn spawn_join_and_the_handle() {
                guarded(|| {
                    let handle: thread::JoinHandle<u32> = thread::spawn(|| 1);
                    let id: thread::ThreadId = handle.thread().id();
                    assert_ne!(id, thread::current().id());
                    let result: thread::Result<u32> = handle.join();
                    assert_eq!(result.unwrap(), 1);
                    let handle = thread::spawn(|| ());
                    while !handle.is_finished() {
                        thread::yield_now();
                    }
                    handle.join().unwrap();
                });
            }

            #[test]
            fn names() {
                guarded(|| {
                    let builder = thread::Builder::new().name("ada lovelace".to_string()).stack_size(128 * 1024);
                    let handle = builder
                        .spawn(|| assert_eq!(thread::current().name(), Some("ada lovelace")))
                        .unwrap();
                    assert_eq!(handle.thread().name(), Some("ada lovelace"));
                    handle.join().unwrap();
                    thread::spawn(|| assert!(thread::current().name().is_none())).join().unwrap();
                });
            }

            #[test]
            fn payloads() {
                guarded(|| {
                    let error = thread::spawn(|| std::panic::panic_any("static string")).join().map(|(): ()| ()).unwrap_err();
                    assert!(error.is::<&'static str>() && !error.is::<String>());
                    assert_eq!(error.downcast_ref::<&'static str>(), Some(&"static string"));
                    let error = thread::spawn(|| std::panic::panic_any(7_u16)).join().map(|(): ()| ()).unwrap_err();
                    assert_eq!(error.downcast::<u16>().unwrap(), 7);
                });
            }

            #[test]
            fn unpark_before_park() {
                guarded(|| {
                    for _ in 0..10 {
                        thread::current().unpark();
                        thread::current().unpark();
                        thread::park(); // one permit, however often it was given
                    }
                });
            }

            #[test]
            fn unpark_from_another() {
                guarded(|| {
                    for _ in 0..10 {
                        let this = thread::current();
                        let other = thread::spawn(move || {
                            thread::sleep(Duration::from_millis(1));
                            this.unpark();
                        });
                        thread::park();
                        other.join().unwrap();
                    }
                });
            }

            #[test]
            fn a_permit_outlives_other_waits() {
                guarded(|| {
                    let (tell, told) = ropewalk::channel::bounded(0);
                    let (go, gate) = ropewalk::channel::bounded::<()>(0);
                    let waiter = thread::spawn(move || {
                        thread::park();
                        // Given while this waits for something else, and a sleep comes before it is taken.
                        tell.send(()).unwrap();
                        gate.recv().unwrap();
                        thread::sleep(Duration::from_millis(1));
                        thread::park();
                    });
                    waiter.thread().unpark();
                    told.recv().unwrap();
                    waiter.thread().unpark();
                    go.send(()).unwrap();
                    waiter.join().unwrap();
                });
            }

            #[test]
            fn park_timeout_without_unpark() {
                guarded(|| {
                    let start = Instant::now();
                    // It may return earlier for no reason, as std's; not for ever.
                    while start.elapsed() < Duration::from_millis(5) {
                        thread::park_timeout(Duration::from_millis(2));
                    }
                    thread::current().unpark();
                    thread::park_timeout(crate::support::LONG);
                });
            }

            #[test]
            fn park_sees_what_was_done_before_unpark() {
                guarded(|| {
                    let flag = Arc::new(AtomicBool::new(false));
                    let waiter = thread::spawn({
                        let flag = flag.clone();
                        move || {
                            while !flag.load(Ordering::Relaxed) {
                                thread::park();
                            }
                        }
                    });
                    flag.store(true, Ordering::Relaxed);
                    waiter.thread().unpark();
                    waiter.join().unwrap();
                });
            }

            #[test]
            fn parked_ones_can_be_cancelled() {
                guarded(|| {
                    let waiter = thread::spawn(|| loop {
                        thread::park();
                    });
                    waiter.cancel();
                    assert!(waiter.join().map(|(): ()| ()).unwrap_err().is_cancelled());
                });
            }

            #[test]
            fn panicking_is_the_panic_of_this_one() {
                struct Tells(mpsc::Sender<bool>);

                impl Drop for Tells {
                    fn drop(&mut self) {
                        self.0.send(thread::panicking()).unwrap();
                    }
                }

                guarded(|| {
                    let (tell, told) = mpsc::channel();
                    drop(Tells(tell.clone()));
                    let tells = Tells(tell.clone());
                    let panics = thread::spawn(move || {
                        let _tells = tells;
                        std::panic::panic_any(());
                    });
                    panics.join().map(|(): ()| ()).unwrap_err();
                    let tells = Tells(tell);
                    let (here, arrived) = mpsc::channel();
                    let cancelled = thread::spawn(move || {
                        let _tells = tells;
                        here.send(()).unwrap();
                        thread::sleep(crate::support::LONG);
                    });
                    arrived.recv().unwrap();
                    cancelled.cancel();
                    cancelled.join().unwrap_err();
                    assert_eq!(told.iter().collect::<Vec<_>>(), [false, true, false]);
                });
            }

            #[test]
            fn scopes_borrow_and_builders_spawn_in_them() {
                guarded(|| {
                    let count = AtomicUsize::new(0);
                    let mut list = vec![1, 2, 3];
                    thread::scope(|s| {
                        s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
                        let handle: thread::ScopedJoinHandle<'_, usize> = thread::Builder::new()
                            .name("scoped".into())
                            .spawn_scoped(s, || {
                                assert_eq!(thread::current().name(), Some("scoped"));
                                count.fetch_add(1, Ordering::Relaxed)
                            })
                            .unwrap();
                        assert_eq!(handle.thread().name(), Some("scoped"));
                        handle.join().unwrap();
                        s.spawn(|| list.push(4));
                    });
                    assert_eq!((count.into_inner(), list), (2, vec![1, 2, 3, 4]));
                    // A result that is not taken is dropped before the scope ends.
                    let dropped = AtomicBool::new(false);
                    struct Sets<'a>(&'a AtomicBool);
                    impl Drop for Sets<'_> {
                        fn drop(&mut self) {
                            self.0.store(true, Ordering::Relaxed);
                        }
                    }
                    thread::scope(|s| {
                        s.spawn(|| Sets(&dropped));
                    });
                    assert!(dropped.into_inner());
                });
            }

            #[test]
            fn sleep_and_parallelism() {
                guarded(|| {
                    let start = Instant::now();
                    thread::sleep(Duration::from_millis(2));
                    assert!(start.elapsed() >= Duration::from_millis(2));
                    assert!(thread::available_parallelism().unwrap().get() >= 1);
                });
            }

            #[test]
            fn local_values() {
                use ropewalk::task_local as thread_local;
                thread_local! {
                    static FOO: std::cell::Cell<u32> = std::cell::Cell::new(1);
                }
                guarded(|| {
                    FOO.set(2);
                    thread::spawn(|| {
                        assert_eq!(FOO.with(|foo| foo.get()), 1);
                        FOO.set(3);
                    })
                    .join()
                    .unwrap();
                    assert_eq!(FOO.get(), 2);
                    let access: Result<u32, thread::AccessError> = FOO.try_with(|foo| foo.get());
                    assert_eq!(access, Ok(2));
                });
            }
        }
    };
}

mirror!(on_coroutines, use ropewalk::coroutine as thread);
mirror!(on_threads, use ropewalk::thread);
