//! `block_on` and `spawn_future`.

use std::future::{pending, poll_fn, ready};
use std::panic::{catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::future::{block_on, spawn_future};
use ropewalk::sync::Mutex;
use ropewalk::{Clock, OnFailure, Runtime, coroutine, no_suspend, thread, time, timeout};

use super::{Event, YieldOnce};
use crate::support::{LONG, Plan, Tracker, guarded, on_every_plan, runtime, until};

/// Wakes itself at every poll, and is never ready.
async fn restless() {
    loop {
        YieldOnce::default().await;
    }
}

#[test]
fn a_future_that_is_ready_is_not_waited_for() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| block_on(async { block_on(ready(20)) + ready(22).await }));
        assert_eq!(task.join().unwrap(), 42);
    });
    assert_eq!(block_on(ready(1)), 1); // on a thread of nobody
}

#[test]
fn a_future_is_woken_from_a_foreign_thread() {
    on_every_plan(|plan| {
        let event = Event::default();
        let task = plan.spawn({
            let event = event.clone();
            move || block_on(event)
        });
        until(|| event.polls() == 1);
        assert!(!task.is_finished());
        std::thread::spawn(move || event.set()).join().unwrap();
        task.join().unwrap();
    });
}

#[test]
fn a_future_is_woken_by_each_plan() {
    crate::support::on_every_pair(|there| {
        let event = Event::default();
        let waking = event.clone();
        let other = there.spawn(move || {
            until(|| waking.polls() > 0);
            waking.set();
        });
        block_on(event);
        other.join().unwrap();
    });
}

/// One worker: were its thread to sleep, or to spin, the neighbour would never run.
#[test]
fn a_coroutine_that_waits_for_a_future_gives_its_worker_away() {
    guarded(|| {
        runtime(1).run(|| {
            let event = Event::default();
            let waking = event.clone();
            let neighbour = coroutine::spawn_local(move || waking.set());
            block_on(event);
            neighbour.join().unwrap();
        });
    });
}

#[test]
fn a_wake_for_no_reason_polls_again_and_no_more() {
    guarded(|| {
        runtime(1).run(|| {
            let event = Event::default();
            let task = coroutine::spawn_local({
                let event = event.clone();
                move || block_on(event)
            });
            coroutine::yield_now();
            for polls in 1..=5 {
                assert_eq!(event.polls(), polls);
                event.wake();
                event.wake();
                coroutine::yield_now();
            }
            event.set();
            task.join().unwrap();
            assert_eq!(event.polls(), 7);
        });
    });
}

/// A waker may come late: the task waits for something else by then, and goes on waiting for that.
#[test]
fn a_stale_wake_disturbs_no_other_wait() {
    on_every_plan(|plan| {
        let (stop, event) = (Arc::new(AtomicBool::new(false)), Event::default());
        event.set();
        let (hand, handed) = std::sync::mpsc::channel::<Waker>();
        let (give, gate) = unbounded();
        let task = plan.spawn({
            let event = event.clone();
            move || {
                block_on(event.clone());
                hand.send(event.waker().expect("it was polled")).unwrap();
                let received: Vec<i32> = gate.iter().collect();
                coroutine::sleep(Duration::from_millis(2));
                let late = gate.recv_timeout(Duration::from_millis(1));
                let elapsed = timeout(Duration::from_millis(1), || coroutine::sleep(LONG));
                (received, late.is_err(), elapsed.is_err(), block_on(async { ready(7).await }))
            }
        });
        let waker = handed.recv().unwrap();
        let pest = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(SeqCst) {
                    waker.wake_by_ref();
                    drop(waker.clone());
                    std::thread::yield_now();
                }
            }
        });
        (0..100).for_each(|n| give.send(n).unwrap());
        drop(give);
        let outcome = task.join().unwrap();
        stop.store(true, SeqCst);
        pest.join().unwrap();
        assert_eq!(outcome, ((0..100).collect(), true, true, 7));
    });
}

#[test]
fn wakers_outlive_their_task_and_its_runtime() {
    on_every_plan(|plan| {
        let event = Event::default();
        let task = plan.spawn({
            let event = event.clone();
            move || timeout(Duration::from_millis(1), || block_on(event)).is_err()
        });
        assert!(task.join().unwrap());
        let wakers = [event.waker().unwrap(), event.waker().unwrap()];
        assert!(wakers[0].will_wake(&wakers[1]));
        event.set();
        wakers[0].wake_by_ref();
        wakers.into_iter().for_each(Waker::wake);
    });
    guarded(|| {
        let waker = runtime(1).run(|| block_on(poll_fn(|context| Poll::Ready(context.waker().clone()))));
        waker.wake_by_ref();
        std::thread::spawn(move || waker.wake()).join().unwrap();
    });
}

/// What the closure of a scope's child borrowed is gone when its waker is dropped.
#[test]
fn the_waker_of_a_child_outlives_its_scope() {
    for plan in [Plan::Coroutine, Plan::Thread] {
        guarded(|| {
            runtime(1).run(|| {
                let text = String::from("borrowed");
                let (length, waker) = plan.scope(|s| {
                    let child = s.spawn(|| {
                        let waker = block_on(poll_fn(|context| Poll::Ready(context.waker().clone())));
                        (text.len(), waker)
                    });
                    child.join().unwrap()
                });
                drop(text);
                assert_eq!(length, 8);
                waker.wake();
            });
        });
    }
}

#[test]
fn a_future_that_wakes_itself_lets_neighbours_run() {
    guarded(|| {
        runtime(1).run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let polls = Arc::new(AtomicUsize::new(0));
            let selfish = coroutine::spawn_local({
                let (stop, polls) = (stop.clone(), polls.clone());
                move || {
                    block_on(async {
                        while !stop.load(SeqCst) {
                            polls.fetch_add(1, SeqCst);
                            YieldOnce::default().await;
                        }
                    });
                }
            });
            // Turns, a timer, and a coroutine that has not started.
            for turn in 0..10 {
                assert!(polls.load(SeqCst) <= turn + 1, "it is polled once for each turn of the others");
                coroutine::yield_now();
            }
            coroutine::sleep(Duration::from_millis(1));
            coroutine::spawn(|| ()).join().unwrap();
            stop.store(true, SeqCst);
            selfish.join().unwrap();
        });
    });
}

#[test]
fn a_future_that_wakes_itself_can_be_cancelled() {
    on_every_plan(|plan| {
        let started = Arc::new(AtomicBool::new(false));
        let task = plan.spawn({
            let started = started.clone();
            move || {
                started.store(true, SeqCst);
                block_on(restless());
            }
        });
        until(|| started.load(SeqCst));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert!(timeout(Duration::from_millis(1), || block_on(restless())).is_err());
    });
}

#[test]
fn a_cancel_drops_the_future_while_the_task_unwinds() {
    struct Witness(std::sync::mpsc::Sender<bool>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.send(std::thread::panicking()).unwrap();
        }
    }

    on_every_plan(|plan| {
        let event = Event::default();
        let (send, dropped) = std::sync::mpsc::channel();
        let task = plan.spawn({
            let event = event.clone();
            move || {
                block_on(async {
                    let _witness = Witness(send);
                    event.await;
                });
            }
        });
        until(|| event.polls() > 0);
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(dropped.recv(), Ok(true), "its destructor runs while the task unwinds");
    });
}

#[test]
fn a_future_that_is_ready_by_then_wins_over_the_cancel() {
    guarded(|| {
        runtime(1).run(|| {
            for set_first in [true, false] {
                let event = Event::default();
                let task = coroutine::spawn_local({
                    let event = event.clone();
                    move || {
                        block_on(event);
                        let swallowed = catch_unwind(|| coroutine::sleep(LONG));
                        swallowed.is_err()
                    }
                });
                coroutine::yield_now();
                if set_first {
                    event.set();
                }
                task.cancel();
                if !set_first {
                    event.set();
                }
                assert!(task.join().unwrap(), "the output came, and the cancel at the next wait");
            }
        });
    });
}

/// Both come after the poll and before the look for a cancel.
#[test]
fn a_future_that_became_ready_during_its_poll_wins_too() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let mut polls = 0;
            let polls = block_on(poll_fn(|context| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(polls);
                }
                context.waker().wake_by_ref();
                coroutine::current().cancel();
                Poll::Pending
            }));
            (polls, catch_unwind(|| coroutine::sleep(LONG)).is_err())
        });
        assert_eq!(task.join().unwrap(), (2, true));
    });
}

#[test]
fn timeouts_and_scopes_reach_a_future() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let value = tracker.value();
        let late = timeout(Duration::from_millis(1), || {
            block_on(async {
                let _held = value;
                pending::<()>().await;
            });
        });
        assert!(late.is_err());
        assert_eq!(tracker.drops(), 1);

        let failed = catch_unwind(std::panic::AssertUnwindSafe(|| {
            plan.scope_with(OnFailure::Cancel, |s| {
                s.spawn(|| resume_unwind(Box::new("a child fails")));
                block_on(pending::<()>());
            });
        }));
        assert!(failed.is_err());
    });
}

#[test]
fn a_panic_of_a_poll_arrives_at_join() {
    on_every_plan(|plan| {
        let event = Event::default();
        let task = plan.spawn({
            let event = event.clone();
            move || {
                block_on(async {
                    event.await;
                    resume_unwind(Box::new(17));
                });
            }
        });
        until(|| event.polls() > 0);
        event.set();
        assert_eq!(task.join().unwrap_err().downcast::<i32>().unwrap(), 17);

        let task = plan.spawn(|| {
            let _ = catch_unwind(|| block_on(async { resume_unwind(Box::new(())) }));
            coroutine::yield_now(); // the region of the poll is over
        });
        task.join().unwrap();
    });
}

/// The inner future is pending, so its `block_on` would have to switch in a poll of the outer one.
#[test]
fn a_wait_in_a_poll_of_a_coroutine_panics_and_says_where_the_future_is_run() {
    guarded(|| {
        runtime(1).run(|| {
            let said = |payload: Box<dyn std::any::Any + Send>| *payload.downcast::<String>().unwrap();
            let began = line!() + 1;
            let outer = || block_on(async { block_on(pending::<()>()) });
            let text = said(catch_unwind(outer).unwrap_err());
            assert!(text.contains("waiting for a future"), "{text}");
            assert!(text.contains(&format!("{}:{began}:", file!())), "{text}");

            let mutex = Mutex::new(1);
            let guard = mutex.lock().unwrap();
            let locking = || block_on(async { *mutex.lock().unwrap() });
            let text = said(catch_unwind(std::panic::AssertUnwindSafe(locking)).unwrap_err());
            assert!(text.contains("locking a mutex"), "{text}");
            drop(guard);
            assert_eq!(locking(), 1, "a lock that is free needs no wait");
        });
    });
}

#[test]
fn a_thread_may_nest_block_on() {
    on_every_plan(|plan| {
        let task = thread::spawn(move || {
            let event = Event::default();
            let waking = event.clone();
            let other = plan.spawn(move || {
                until(|| waking.polls() > 0);
                waking.set();
            });
            block_on(async { block_on(event) });
            other.join().unwrap();
        });
        task.join().unwrap();
    });
}

/// A future that only lets others run needs no switch, so it is polled on in a region; one that waits is refused.
#[test]
fn a_region_around_block_on() {
    guarded(|| {
        runtime(1).run(|| {
            no_suspend(|| block_on(async { YieldOnce::default().await }));
            assert!(catch_unwind(|| no_suspend(|| block_on(pending::<()>()))).is_err());
        });
    });
}

#[test]
fn a_future_may_borrow_and_need_not_be_send() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let mut words = ["rope", "walk"];
            let shared = Rc::new(3);
            let joined = block_on(async {
                words.reverse();
                YieldOnce::default().await;
                words.join("-").repeat(*shared - 2)
            });
            (joined, words.len())
        });
        assert_eq!(task.join().unwrap(), ("walk-rope".to_owned(), 2));
    });
}

#[test]
fn into_future_is_taken_too() {
    struct Order;

    impl IntoFuture for Order {
        type Output = i32;
        type IntoFuture = std::future::Ready<i32>;

        fn into_future(self) -> Self::IntoFuture {
            ready(9)
        }
    }

    assert_eq!(block_on(Order), 9);
}

#[test]
fn a_spawned_future_is_a_coroutine() {
    guarded(|| {
        runtime(2).run(|| {
            let task = spawn_future(async {
                let inner = spawn_future(async { 21 });
                YieldOnce::default().await;
                (inner.await.unwrap() * 2, coroutine::current().is_coroutine())
            });
            assert_eq!(task.join().unwrap(), (42, true));
            let event = Event::default();
            let task = spawn_future(event.clone());
            until(|| event.polls() > 0);
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
        });
    });
}

/// Many futures, woken by many threads, over and over: no wake-up is lost.
#[test]
fn no_wake_up_is_lost() {
    on_every_plan(|plan| {
        let (ask, asked) = bounded::<Event>(4);
        let waking: Vec<_> = (0..2)
            .map(|_| {
                let asked = asked.clone();
                std::thread::spawn(move || asked.iter().for_each(|event| event.set()))
            })
            .collect();
        drop(asked);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let ask = ask.clone();
                plan.spawn(move || {
                    for _ in 0..500 {
                        let event = Event::default();
                        ask.send(event.clone()).unwrap();
                        block_on(event);
                    }
                })
            })
            .collect();
        drop(ask);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        waking.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A future's wait is a wait like any other: in virtual time its deadline comes at once, at exactly its moment.
#[test]
fn a_future_that_is_waited_for_in_virtual_time() {
    guarded(|| {
        let runtime = Runtime::builder().clock(Clock::Virtual).build().unwrap();
        let (late, passed) = runtime.run(|| {
            let start = time::now();
            let late = timeout(LONG, || block_on(pending::<()>())).is_err();
            (late, time::now() - start)
        });
        assert_eq!((late, passed), (true, LONG));
    });
}

/// A future that pins something of its own is not moved between polls.
#[test]
fn a_future_stays_where_it_was_pinned() {
    guarded(|| {
        runtime(1).run(|| {
            let places = block_on(async {
                let own = pin!(7);
                let before: *const i32 = &raw const *own;
                YieldOnce::default().await;
                (before.addr(), (&raw const *own).addr())
            });
            assert_eq!(places.0, places.1);
        });
    });
}
