//! Time in futures.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ropewalk::future::{Sleep, block_on, sleep, sleep_until, spawn_future};
use ropewalk::{Clock, Runtime, coroutine, time, timeout};

use crate::support::apart::all_apart;
use crate::support::{LONG, guarded, on_every_plan, runtime, until};

const HOUR: Duration = Duration::from_secs(3600);

/// Runs `body` where time is virtual, so that every figure is exact.
fn in_virtual_time<T>(body: impl FnOnce() -> T) -> T {
    guarded(|| Runtime::builder().clock(Clock::Virtual).build().unwrap().run(body))
}

fn poll_once(sleep: &mut Sleep) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop()))
}

/// As `future`, and counts its polls.
async fn counting<F: Future>(future: F, polls: &AtomicUsize) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.fetch_add(1, SeqCst);
        future.as_mut().poll(context)
    })
    .await
}

#[test]
fn it_is_ready_after_its_time_on_every_plan() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let start = Instant::now();
            block_on(sleep(Duration::from_millis(2)));
            start.elapsed()
        });
        assert!(task.join().unwrap() >= Duration::from_millis(2));
    });
}

#[test]
fn it_takes_no_real_time_where_time_is_virtual() {
    let passed = in_virtual_time(|| {
        let start = time::now();
        block_on(async {
            sleep(HOUR).await;
            sleep_until(start + 3 * HOUR).await;
            sleep_until(start).await;
        });
        time::now() - start
    });
    assert_eq!(passed, 3 * HOUR);
}

/// A combinator polls those that its own wakers name: to poll the whole again would wake nobody.
#[test]
fn those_below_a_combinator_are_woken_by_their_own_wakers_each_at_its_time() {
    let woken_at = in_virtual_time(|| {
        let start = time::now();
        let part = |hours: u32| {
            Box::pin(async move {
                sleep(hours * HOUR).await;
                (time::now() - start).as_secs() / 3600
            }) as Pin<Box<dyn Future<Output = u64> + Send>>
        };
        block_on(all_apart(vec![part(3), part(1), part(2), part(2)]))
    });
    assert_eq!(woken_at, [3, 1, 2, 2]);
}

#[test]
fn one_that_is_dropped_wakes_nobody() {
    in_virtual_time(|| {
        let polls = AtomicUsize::new(0);
        let start = time::now();
        let mut dropped = sleep(HOUR);
        block_on(counting(
            async {
                assert!(
                    poll_fn(|context| Poll::Ready(Pin::new(&mut dropped).poll(context))).await.is_pending()
                );
                drop(dropped);
                sleep(2 * HOUR).await;
            },
            &polls,
        ));
        assert_eq!(time::now() - start, 2 * HOUR);
        assert_eq!(polls.into_inner(), 2, "at first, and at the end");
    });
}

#[test]
fn it_can_be_set_to_another_time_also_after_it_was_ready() {
    in_virtual_time(|| {
        let start = time::now();
        let polls = AtomicUsize::new(0);
        block_on(counting(
            async {
                let mut sleep = sleep(Duration::MAX);
                assert_eq!(sleep.deadline(), None);
                for hours in [5, 2, 7] {
                    assert!(hours == 7 || poll_once(&mut sleep).is_pending());
                    sleep.reset(start + hours * HOUR);
                    assert_eq!(sleep.deadline(), Some(start + hours * HOUR));
                    if hours != 5 {
                        (&mut sleep).await;
                        assert_eq!(time::now() - start, hours * HOUR);
                    }
                }
            },
            &polls,
        ));
        assert_eq!(polls.into_inner(), 3, "the first hours that were set wake nobody");
    });
}

#[test]
fn it_goes_along_when_another_task_awaits_it() {
    in_virtual_time(|| {
        let start = time::now();
        let mut sleep = sleep(HOUR);
        block_on(async {
            let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut sleep).poll(context))).await;
            assert!(polled.is_pending());
        });
        let other = spawn_future(async move {
            sleep.await;
            time::now()
        });
        assert_eq!(other.join().unwrap() - start, HOUR);
    });
}

#[test]
fn a_deadline_around_it_and_a_cancel_end_it() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let elapsed = timeout(Duration::from_millis(1), || block_on(sleep(LONG)));
            assert!(elapsed.is_err());
            block_on(async {
                let _later = poll_once(&mut sleep(LONG));
                sleep(LONG).await;
            });
        });
        until(|| matches!(task.task().state(), ropewalk::inspect::State::Blocked(_)));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
    });
}

/// One worker: who hogs it would never see the neighbour.
#[test]
fn a_loop_of_those_that_are_over_at_once_lets_others_run() {
    for pause in [Duration::ZERO, Duration::from_nanos(1)] {
        guarded(|| {
            runtime(1).run(|| {
                let over = Arc::new(AtomicBool::new(false));
                let ends = over.clone();
                let neighbour = coroutine::spawn_local(move || ends.store(true, SeqCst));
                block_on(async {
                    while !over.load(SeqCst) {
                        sleep(pause).await;
                    }
                });
                neighbour.join().unwrap();
            });
        });
    }
}

#[test]
fn under_another_executor_a_coroutine_sleeps_and_is_gone_with_it() {
    guarded(|| {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let start = Instant::now();
        tokio.block_on(async {
            sleep(Duration::from_millis(2)).await;
            let mut dropped = sleep(LONG);
            assert!(poll_once(&mut dropped).is_pending());
            dropped.reset(Instant::now());
            dropped.await;
        });
        assert!(start.elapsed() >= Duration::from_millis(2));
    });
}

#[test]
fn one_that_never_ends_is_no_deadline() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            block_on(async {
                let _never = poll_once(&mut sleep(Duration::MAX));
                pending::<()>().await;
            })
        });
        until(|| matches!(task.task().state(), ropewalk::inspect::State::Blocked(_)));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
    });
}
