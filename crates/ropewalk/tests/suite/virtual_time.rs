//! Virtual time and seeded schedules: the simulated halves of the Clock and Schedule seams, and what both halves of each
//! have in common.

use std::io::{ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::sync::{Arc, Condvar, Mutex, Semaphore};
use ropewalk::time::{self, now};
use ropewalk::{Clock, Runtime, Schedule, blocking, channel, coroutine, scope, shield, thread, timeout};

use super::support::guarded;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// What something outside takes, in real time: long enough for an idle worker to do what it must not.
const A_WHILE: Duration = Duration::from_millis(20);

/// Runs `body` in virtual time, on a fair schedule.
#[track_caller]
fn simulated<T>(body: impl FnOnce() -> T) -> T {
    guarded(|| Runtime::builder().clock(Clock::Virtual).build().expect("a runtime can be built").run(body))
}

/// A log of what happened when.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Duration, String)>>>);

impl Log {
    fn note(&self, start: Instant, what: impl Into<String>) {
        self.0.lock().unwrap().push((now() - start, what.into()));
    }

    fn take(&self) -> Vec<(Duration, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn hours_of_sleep_take_no_time_and_end_in_order_and_to_the_nanosecond() {
    let log = Log::default();
    simulated(|| {
        let start = now();
        for hours in [3, 1, 2] {
            let log = log.clone();
            coroutine::spawn(move || {
                coroutine::sleep(hours * HOUR + Duration::from_nanos(1));
                log.note(start, hours.to_string());
            });
        }
        coroutine::sleep_until(start + 2 * HOUR);
        log.note(start, "until");
    });
    let late = |hours: u32| hours * HOUR + Duration::from_nanos(1);
    assert_eq!(
        log.take(),
        [(late(1), "1".into()), (2 * HOUR, "until".into()), (late(2), "2".into()), (late(3), "3".into())]
    );
}

#[test]
fn every_wait_with_a_limit_ends_at_its_very_moment() {
    simulated(|| {
        let start = now();
        let passed = || now() - start;
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let (_sender, receiver) = channel::bounded::<()>(1);
        let semaphore = Semaphore::new(0);
        let sleeper = coroutine::spawn(|| coroutine::sleep(100 * HOUR));

        assert!(timeout(MINUTE, || coroutine::sleep(HOUR)).is_err());
        assert_eq!(passed(), MINUTE);
        assert!(receiver.recv_timeout(MINUTE).is_err());
        assert_eq!(passed(), 2 * MINUTE);
        assert!(condvar.wait_timeout(mutex.lock().unwrap(), MINUTE).unwrap().1.timed_out());
        assert_eq!(passed(), 3 * MINUTE);
        assert!(semaphore.acquire_timeout(MINUTE).is_none());
        assert_eq!(passed(), 4 * MINUTE);
        let sleeper = sleeper.join_timeout(MINUTE).expect_err("it sleeps");
        assert_eq!(passed(), 5 * MINUTE);
        assert!(receiver.recv_deadline(start + 6 * MINUTE).is_err());
        assert_eq!(passed(), 6 * MINUTE);
        let shielded = timeout(MINUTE, || {
            shield(HOUR, || coroutine::sleep(30 * MINUTE));
            coroutine::sleep(HOUR);
        });
        assert!(shielded.is_err());
        assert_eq!(passed(), 36 * MINUTE, "the shield goes first");
        sleeper.cancel();
        assert!(sleeper.join().unwrap_err().is_cancelled());
        assert_eq!(passed(), 36 * MINUTE, "a cancel takes no time");
    });
}

/// Coroutines that sleep, yield, lock and talk, as the clock and the schedule have it.
fn mixture(schedule: Schedule) -> Vec<(Duration, String)> {
    let log = Log::default();
    guarded(|| {
        let runtime = Runtime::builder().clock(Clock::Virtual).schedule(schedule).build().expect("a runtime");
        runtime.run(|| {
            let start = now();
            let lock = Arc::new(Mutex::new(0));
            let (sender, receiver) = channel::bounded(2);
            for number in 0..12_u32 {
                let (log, lock, sender) = (log.clone(), lock.clone(), sender.clone());
                coroutine::spawn(move || {
                    for round in 0..3 {
                        coroutine::sleep(Duration::from_millis(u64::from(number % 4)));
                        let mut guard = lock.lock().unwrap();
                        *guard += 1;
                        coroutine::sleep(Duration::from_micros(10));
                        log.note(start, format!("{number}.{round}: {guard}"));
                        drop(guard);
                        coroutine::yield_now();
                        let _ = timeout(Duration::from_millis(1), || sender.send(number));
                    }
                });
            }
            drop(sender);
            while let Ok(number) = receiver.recv() {
                log.note(start, format!("got {number}"));
                coroutine::sleep(Duration::from_micros(300));
            }
        });
    });
    log.take()
}

#[test]
fn a_run_is_repeated_to_the_nanosecond_and_another_seed_is_another_run() {
    let fair = mixture(Schedule::Fair);
    assert!(fair.len() > 36, "{fair:?}");
    assert_eq!(fair, mixture(Schedule::Fair));
    let seeds: Vec<_> = (0..4).map(|seed| mixture(Schedule::Seeded(seed))).collect();
    for (seed, run) in seeds.iter().enumerate() {
        assert_eq!(*run, mixture(Schedule::Seeded(seed as u64)), "seed {seed}");
        assert!(seeds[..seed].iter().all(|other| other != run), "seed {seed}");
    }
}

#[test]
fn some_seed_brings_any_order_of_three_to_light() {
    let order = |seed| {
        let order = Arc::new(std::sync::Mutex::new(String::new()));
        guarded(|| {
            let runtime = Runtime::builder().schedule(Schedule::Seeded(seed)).build().expect("a runtime");
            runtime.run(|| {
                for name in ['a', 'b', 'c'] {
                    let order = order.clone();
                    coroutine::spawn(move || order.lock().unwrap().push(name));
                }
            });
        });
        order.lock().unwrap().clone()
    };
    let mut seen: Vec<String> = (0..100).map(order).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["abc", "acb", "bac", "bca", "cab", "cba"]);
}

#[test]
fn no_time_is_skipped_while_a_blocking_call_is_under_way() {
    simulated(|| {
        let start = now();
        let slept = Arc::new(AtomicBool::new(false));
        let sleeper = coroutine::spawn({
            let slept = slept.clone();
            move || {
                coroutine::sleep(HOUR);
                slept.store(true, SeqCst);
            }
        });
        blocking(|| std::thread::sleep(A_WHILE));
        assert!(!slept.load(SeqCst), "the clock jumped");
        // It goes on by what calls take, as far as the worker waits for them: all of the first one may be over before it does.
        while now() - start < A_WHILE {
            blocking(|| std::thread::sleep(A_WHILE));
        }
        sleeper.join().unwrap();
        assert_eq!(now() - start, HOUR);
    });
}

#[test]
fn no_time_is_skipped_while_a_thread_of_the_runtime_is_alive() {
    simulated(|| {
        let (sender, receiver) = channel::bounded(0);
        let start = now();
        // It goes on by what a thread takes, as far as the worker waits for that: all of it may be over before it does.
        while now() - start < A_WHILE {
            let sender = sender.clone();
            thread::spawn(move || {
                thread::sleep(A_WHILE);
                sender.send(()).unwrap();
            });
            assert_eq!(receiver.recv_timeout(HOUR), Ok(()));
        }
        // Nobody joins this one: that it ends, while the worker sleeps, is enough.
        thread::spawn(|| thread::sleep(A_WHILE));
        coroutine::sleep(HOUR);
        let words = ["a", "b"];
        let long = thread::scope(|s| {
            let children: Vec<_> = words.iter().map(|word| s.spawn(|| word.len())).collect();
            children.into_iter().map(|child| child.join().unwrap()).sum::<usize>()
        });
        assert_eq!(long, 2);
        coroutine::sleep(HOUR);
        assert!(now() - start >= 2 * HOUR);
    });
}

#[test]
fn no_time_is_skipped_while_a_descriptor_is_watched() {
    simulated(|| {
        let start = now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // A thread of which the runtime knows nothing.
        let client = std::thread::spawn(move || {
            std::thread::sleep(A_WHILE);
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            std::thread::sleep(A_WHILE);
            stream.write_all(b"here").unwrap();
        });
        let (mut stream, _) = timeout(HOUR, || listener.accept()).expect("in time").unwrap();
        let mut text = String::new();
        timeout(HOUR, || stream.read_to_string(&mut text)).expect("in time").unwrap();
        assert_eq!(text, "here");
        drop((stream, listener));
        coroutine::sleep_until(start + HOUR);
        assert_eq!(now() - start, HOUR, "nothing is watched any more");
        client.join().unwrap();
    });
}

#[test]
fn coroutines_that_talk_over_a_socket_need_no_time() {
    simulated(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = coroutine::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            while stream.read(&mut byte).unwrap() > 0 {
                stream.write_all(&byte).unwrap();
            }
        });
        let mut stream = TcpStream::connect(address).unwrap();
        for byte in 0..10 {
            stream.write_all(&[byte]).unwrap();
            let mut answer = [0];
            timeout(HOUR, || stream.read_exact(&mut answer)).expect("in time").unwrap();
            assert_eq!(answer, [byte]);
        }
        drop(stream);
        server.join().unwrap();
    });
}

#[test]
fn a_timer_that_nobody_waits_for_any_more_moves_no_clock() {
    simulated(|| {
        let start = now();
        let (sender, receiver) = channel::bounded(1);
        let early = sender.clone();
        coroutine::spawn(move || early.send(()).unwrap());
        assert_eq!(receiver.recv_timeout(HOUR), Ok(()));
        // With nothing to jump to, time stands still until a stranger calls.
        let stranger = std::thread::spawn(move || {
            std::thread::sleep(A_WHILE);
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        assert!(now() - start < HOUR, "the clock jumped to a time limit that was over");
        stranger.join().unwrap();
    });
}

#[test]
fn threads_and_whatever_comes_after_live_by_the_real_clock() {
    fn is_real() -> bool {
        let before = Instant::now();
        let now = now();
        before <= now && now <= Instant::now()
    }
    simulated(|| {
        coroutine::sleep(HOUR);
        assert!(!is_real());
        assert!(thread::spawn(is_real).join().unwrap());
        assert!(blocking(is_real));
    });
    assert!(is_real());
    let panicked = catch_unwind(AssertUnwindSafe(|| simulated(|| panic!("as it should"))));
    assert!(panicked.is_err() && is_real());
}

#[test]
fn a_destructor_that_sleeps_while_its_task_unwinds_takes_virtual_time() {
    struct SleepsLong;

    impl Drop for SleepsLong {
        fn drop(&mut self) {
            coroutine::sleep(HOUR);
        }
    }

    simulated(|| {
        let start = now();
        let task = coroutine::spawn(|| {
            let _long = SleepsLong;
            coroutine::sleep(10 * HOUR);
        });
        coroutine::sleep(MINUTE);
        task.cancel();
        coroutine::yield_now();
        assert_eq!(now() - start, MINUTE, "its worker is not held up");
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(now() - start, HOUR + MINUTE);
    });
}

#[test]
fn daemons_that_do_not_end_are_left_behind_after_the_limit_of_virtual_time() {
    let turns = Arc::new(AtomicUsize::new(0));
    simulated(|| {
        let turns = turns.clone();
        let stubborn = move || loop {
            let _ = catch_unwind(|| coroutine::sleep(MINUTE));
            shield(HOUR, || coroutine::sleep(Duration::from_secs(1)));
            turns.fetch_add(1, SeqCst);
        };
        coroutine::Builder::new().daemon(true).spawn(stubborn).unwrap();
        coroutine::sleep(Duration::from_secs(1));
    });
    // Five seconds are the limit, and each turn takes one.
    assert!((4..=6).contains(&turns.load(SeqCst)), "{turns:?}");

    let reached = Arc::new(AtomicBool::new(false));
    simulated(|| {
        let reached = reached.clone();
        let patient = move || {
            let _ = catch_unwind(|| coroutine::sleep(MINUTE));
            shield(HOUR, || coroutine::sleep(MINUTE));
            reached.store(true, SeqCst);
        };
        coroutine::Builder::new().daemon(true).spawn(patient).unwrap();
        coroutine::sleep(Duration::from_secs(1));
    });
    assert!(!reached.load(SeqCst), "the clock went on beyond the limit");
}

#[test]
fn what_cannot_be_counted_is_never() {
    simulated(|| {
        let start = now();
        for duration in [Duration::MAX, 1_000 * 365 * 24 * HOUR] {
            assert!(timeout(HOUR, || coroutine::sleep(duration)).is_err());
        }
        assert_eq!(now() - start, 2 * HOUR);
        coroutine::sleep(100 * 365 * 24 * HOUR);
        assert_eq!(now() - start, 2 * HOUR + 100 * 365 * 24 * HOUR);

        let sleeper = coroutine::spawn(|| coroutine::sleep(1_000 * 365 * 24 * HOUR));
        let before = now();
        let (sender, receiver) = channel::bounded(0);
        let stranger = std::thread::spawn(move || {
            std::thread::sleep(A_WHILE);
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        assert!(now() - before < HOUR, "the clock jumped to the end of time");
        sleeper.cancel();
        stranger.join().unwrap();
    });
}

#[test]
fn more_than_one_worker_is_refused_by_name() {
    for builder in [
        Runtime::builder().clock(Clock::Virtual).workers(2),
        Runtime::builder().workers(4).schedule(Schedule::Seeded(1)),
    ] {
        let error = builder.build().expect_err("two workers are no simulation");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("a single worker"), "{error}");
    }
    assert!(Runtime::builder().clock(Clock::Virtual).workers(1).build().is_ok());
}

/// What holds by every clock and on every schedule.
#[test]
fn both_clocks_and_both_schedules_keep_the_same_promises() {
    for clock in [Clock::Real, Clock::Virtual] {
        for schedule in [Schedule::Fair, Schedule::Seeded(1), Schedule::Seeded(2)] {
            guarded(|| {
                let builder = Runtime::builder().clock(clock).schedule(schedule).workers(1);
                builder.build().expect("a runtime").run(promises);
            });
        }
    }
}

fn promises() {
    let millisecond = Duration::from_millis(1);
    // Time does not go back, a sleep is never too short, and a moment of std's clock is as good as one of ours.
    let start = now();
    coroutine::sleep(millisecond);
    assert!(now() - start >= millisecond);
    let moment = Instant::now() + millisecond;
    time::sleep_until(moment);
    assert!(now() >= moment);
    assert!(timeout(millisecond, || coroutine::sleep(HOUR)).is_err());
    assert_eq!(timeout(HOUR, || 42), Ok(42));

    // Who sleeps less wakes first, on an idle worker.
    let (sender, receiver) = channel::unbounded();
    scope(|s| {
        for tens in [3_u32, 1, 2] {
            let sender = sender.clone();
            s.spawn(move || {
                coroutine::sleep_until(start + 10 * tens * millisecond);
                sender.send(tens).unwrap();
            });
        }
    });
    let mut woken: Vec<u32> = receiver.try_iter().collect();
    woken.sort_unstable();
    assert_eq!(woken, [1, 2, 3]);

    // Everybody has a turn, those that never started too, while others keep yielding.
    let over = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(std::sync::Mutex::new(Vec::new()));
    let spinner = |number: usize| {
        let (over, turns) = (over.clone(), turns.clone());
        move || {
            while !over.load(SeqCst) {
                turns.lock().unwrap().push(number);
                coroutine::yield_now();
            }
        }
    };
    let spinners: Vec<_> = (0..4).map(|number| coroutine::spawn_local(spinner(number))).collect();
    let late: Vec<_> = (0..10).map(|number| coroutine::spawn(move || number)).collect();
    assert_eq!(late.into_iter().map(|task| task.join().unwrap()).sum::<i32>(), 45);

    // Who is handed over to runs next, started or not.
    for number in [2, 0, 3, 3, 1] {
        turns.lock().unwrap().clear();
        coroutine::hand_over(&spinners[number]).unwrap();
        assert_eq!(turns.lock().unwrap()[0], number);
    }
    let fresh = coroutine::spawn(spinner(100));
    turns.lock().unwrap().clear();
    coroutine::hand_over(&fresh).unwrap();
    assert_eq!(turns.lock().unwrap()[0], 100);
    over.store(true, SeqCst);
    spinners.into_iter().chain([fresh]).for_each(|task| task.join().unwrap());
}
