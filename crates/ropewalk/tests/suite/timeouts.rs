//! `timeout` and `shield`: deadlines on a piece of code, and pieces that are spared.

use std::io::{self, Read, Write};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::{Elapsed, coroutine, scope, shield, timeout};

use crate::support::net::pair;
use crate::support::plan::PLANS;
use crate::support::waits::WAITS;
use crate::support::{LONG, Spot, Tracker, guarded, on_every_pair, on_every_plan, runtime, timed, until};

const SOON: Duration = Duration::from_millis(2);

#[test]
fn the_time_ends_in_every_wait() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            let tracker = Tracker::new();
            let task = plan.spawn({
                let value = tracker.value();
                move || {
                    let (outcome, time) = timed(|| {
                        timeout(SOON, move || {
                            let _value = value;
                            wait(&Spot::new());
                        })
                    });
                    // The task goes on, and waits as before.
                    coroutine::sleep(Duration::from_micros(1));
                    (outcome, time)
                }
            });
            let (outcome, time) = task.join().unwrap();
            assert!(outcome.is_err(), "{name} was over by itself");
            assert!(time >= SOON, "{name} ended too early, after {time:?}");
            assert_eq!(tracker.drops(), 1, "{name}: the destructors ran");
        }
    });
}

#[test]
fn a_result_that_is_there_wins() {
    on_every_pair(|_| {
        assert_eq!(timeout(LONG, || 42), Ok(42));
        assert_eq!(timeout(Duration::MAX, || 42), Ok(42));
        // Code that does not wait is not interrupted, however late it is.
        assert_eq!(timeout(Duration::ZERO, || 42), Ok(42));
        let (sender, receiver) = bounded(1);
        sender.send(7).unwrap();
        assert_eq!(timeout(Duration::ZERO, || receiver.recv()), Ok(Ok(7)), "it did not have to wait");
    });
}

#[test]
fn elapsed_says_what_it_is() {
    on_every_pair(|_| {
        let elapsed: Elapsed = timeout(Duration::ZERO, || coroutine::sleep(LONG)).unwrap_err();
        assert_eq!(elapsed.to_string(), "the time was over");
        assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn the_inner_time_ends_inside_the_outer_one() {
    on_every_pair(|_| {
        let outcome = timeout(LONG, || {
            let inner = timeout(SOON, || coroutine::sleep(LONG));
            coroutine::sleep(Duration::from_micros(1));
            inner.is_err()
        });
        assert_eq!(outcome, Ok(true));
    });
}

#[test]
fn the_outer_time_ends_the_inner_code_too() {
    on_every_pair(|_| {
        let reached = AtomicUsize::new(0);
        let (outcome, time) = timed(|| {
            timeout(SOON, || {
                let inner = timeout(LONG, || coroutine::sleep(LONG));
                reached.fetch_add(1, SeqCst);
                inner
            })
        });
        assert!(outcome.is_err(), "the outer one elapsed");
        assert!(time >= SOON);
        assert_eq!(reached.load(SeqCst), 0, "the inner one did not take it for its own");
    });
}

#[test]
fn when_both_times_are_over_each_ends_its_own_code() {
    on_every_pair(|_| {
        let reached = AtomicUsize::new(0);
        let outcome = timeout(Duration::ZERO, || {
            let inner = timeout(Duration::ZERO, || coroutine::sleep(LONG));
            reached.fetch_add(1, SeqCst);
            coroutine::sleep(LONG); // and from here the outer one unwinds
            inner
        });
        assert!(outcome.is_err());
        assert_eq!(reached.load(SeqCst), 1);
    });
}

#[test]
fn the_time_counts_again_after_it_was_swallowed() {
    on_every_pair(|_| {
        let swallowed = AtomicUsize::new(0);
        let outcome = timeout(Duration::ZERO, || {
            for _ in 0..3 {
                if catch_unwind(|| coroutine::sleep(LONG)).is_err() {
                    swallowed.fetch_add(1, SeqCst);
                }
            }
        });
        assert_eq!((outcome, swallowed.load(SeqCst)), (Ok(()), 3));
    });
}

#[test]
fn a_panic_passes_through() {
    on_every_pair(|_| {
        let payload = catch_unwind(|| timeout(LONG, || resume_unwind(Box::new("mine")))).map(|_: Result<(), _>| ());
        assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
        coroutine::sleep(Duration::from_micros(1));
    });
}

#[test]
fn a_cancel_passes_through() {
    on_every_plan(|plan| {
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                let outcome = timeout(LONG, || {
                    spot.mark();
                    coroutine::sleep(LONG);
                });
                unreachable!("a cancel is no timeout: {outcome:?}");
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().map(drop).unwrap_err().is_cancelled());
    });
}

#[test]
fn a_read_that_ran_out_of_time_has_taken_nothing() {
    on_every_pair(|_| {
        let (mut near, mut far) = pair();
        let mut buffer = [7; 8];
        assert!(timeout(SOON, || near.read(&mut buffer)).is_err());
        assert_eq!(buffer, [7; 8]);
        far.write_all(b"late").unwrap();
        near.read_exact(&mut buffer[..4]).unwrap();
        assert_eq!(&buffer[..4], b"late");
    });
}

#[test]
fn many_times_run_out_in_their_order() {
    guarded(|| {
        runtime(2).run(|| {
            let order = std::sync::Mutex::new(Vec::new());
            scope(|s| {
                for n in [5, 1, 4, 2, 3] {
                    let order = &order;
                    s.spawn(move || {
                        let _ = timeout(Duration::from_millis(20 * n), || coroutine::sleep(LONG));
                        order.lock().unwrap().push(n);
                    });
                }
            });
            let mut order = order.into_inner().unwrap();
            order.sort_unstable(); // a busy machine may wake two at once
            assert_eq!(order, [1, 2, 3, 4, 5]);
        });
    });
}

#[test]
fn sleeps_are_never_too_short() {
    on_every_pair(|plan| {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                plan.spawn(move || {
                    let duration = Duration::from_micros(n * 100);
                    let ((), time) = timed(|| coroutine::sleep(duration));
                    assert!(time >= duration, "{time:?} instead of {duration:?}");
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn a_shield_spares_its_code_from_a_cancel() {
    on_every_plan(|plan| {
        let spot = Spot::new();
        let (go, gate) = bounded::<()>(0);
        let flushed = Arc::new(AtomicUsize::new(0));
        let task = plan.spawn({
            let (spot, flushed) = (spot.clone(), flushed.clone());
            move || {
                shield(LONG, || {
                    spot.mark();
                    gate.recv().unwrap();
                    coroutine::sleep(Duration::from_micros(100));
                    flushed.fetch_add(1, SeqCst);
                });
                coroutine::sleep(LONG); // here it comes
            }
        });
        spot.wait_asleep();
        task.cancel();
        go.send(()).expect("it still waits at its gate");
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(flushed.load(SeqCst), 1);
    });
}

#[test]
fn a_shield_ends_with_its_limit() {
    on_every_plan(|plan| {
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                shield(Duration::from_millis(20), || {
                    spot.mark();
                    coroutine::sleep(LONG);
                });
            }
        });
        until(|| spot.is_marked());
        let ((), time) = timed(|| {
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
        });
        assert!(time < LONG);
    });
}

#[test]
fn a_shield_spares_its_code_from_the_timeouts_around_but_not_from_those_inside() {
    on_every_pair(|_| {
        let done = AtomicUsize::new(0);
        let outcome = timeout(Duration::ZERO, || {
            shield(LONG, || {
                coroutine::sleep(SOON);
                done.fetch_add(1, SeqCst);
            });
            coroutine::sleep(LONG);
        });
        assert!(outcome.is_err());
        assert_eq!(done.load(SeqCst), 1);
        let inside = shield(LONG, || timeout(SOON, || coroutine::sleep(LONG)));
        assert!(inside.is_err(), "a timeout inside of a shield is the code's own");
    });
}

#[test]
fn a_shield_inside_of_a_shield_does_not_shorten_it() {
    on_every_pair(|_| {
        let done = AtomicUsize::new(0);
        let outcome = timeout(Duration::ZERO, || {
            shield(LONG, || {
                shield(Duration::from_micros(1), || coroutine::sleep(SOON));
                done.fetch_add(1, SeqCst);
            });
            coroutine::sleep(LONG);
        });
        assert!(outcome.is_err());
        assert_eq!(done.load(SeqCst), 1, "the outer shield was promised an hour");
    });
}

#[test]
fn a_shielded_destructor_may_still_not_read() {
    // A shield puts off cancellation, not the rules of an unwinding coroutine.
    struct Flush(ropewalk::net::TcpStream, std::sync::mpsc::Sender<io::Result<usize>>);

    impl Drop for Flush {
        fn drop(&mut self) {
            let _ = self.1.send(shield(LONG, || self.0.read(&mut [0; 8])));
        }
    }

    on_every_plan(|plan| {
        let spot = Spot::new();
        let (give, taken) = std::sync::mpsc::channel();
        let (near, mut far) = pair();
        far.write_all(b"there").unwrap();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                let _flush = Flush(near, give);
                spot.mark();
                coroutine::sleep(LONG);
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(taken.recv().unwrap().unwrap(), 5, "what is there can be read: it needs no wait");
    });
}

#[test]
fn timeouts_of_neighbours_do_not_meet() {
    for plan in PLANS {
        guarded(|| {
            runtime(1).run(|| {
                let short: Vec<_> = (0..50)
                    .map(|_| plan.spawn(|| timeout(SOON, || coroutine::sleep(LONG)).is_err()))
                    .collect();
                let sound: Vec<_> = (0..50)
                    .map(|_| plan.spawn(|| timeout(LONG, || coroutine::sleep(2 * SOON)).is_ok()))
                    .collect();
                assert!(short.into_iter().chain(sound).all(|task| task.join().unwrap()));
            });
        });
    }
}
