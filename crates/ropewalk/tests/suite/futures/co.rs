//! `co`: a generator of futures.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};

use ropewalk::coroutine;
use ropewalk::future::{block_on, co};
use ropewalk::generator::{Generator, Yielder};

use super::{Event, YieldOnce};
use crate::support::{Plan, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

/// A future of a number, which may fail.
type Promise = Pin<Box<dyn Future<Output = Result<u32, Refusal>>>>;

#[derive(Debug, PartialEq, Eq)]
struct Refusal(u32);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refusal {}", self.0)
    }
}

impl Error for Refusal {}

fn promise(value: Result<u32, Refusal>) -> Promise {
    Box::pin(async {
        YieldOnce::default().await;
        value
    })
}

fn generator<R: 'static>(
    body: impl FnOnce(&Yielder<u32, Promise>) -> R + 'static,
) -> Generator<u32, Promise, R> {
    Generator::new(body)
}

#[test]
fn a_yield_gives_what_its_future_gave() {
    on_every_pair(|there| {
        let doubling = move |n: u32| -> Promise {
            Box::pin(async move { Ok(there.spawn(move || 2 * n).await.expect("it returns")) })
        };
        let sum =
            generator(move |yielder| (1..=4).map(|n| yielder.yield_(doubling(n)).unwrap()).sum::<u32>());
        assert_eq!(block_on(co(sum)).unwrap(), 20);
    });
}

#[test]
fn an_error_is_thrown_into_the_generator() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let caught = generator(|yielder| {
                let error = yielder.try_yield(promise(Err(Refusal(7)))).unwrap_err();
                let after = yielder.yield_(promise(Ok(1))).unwrap();
                (*error.downcast::<Refusal>().unwrap(), after)
            });
            assert_eq!(block_on(co(caught)).unwrap(), (Refusal(7), 1));

            let tracker = Tracker::new();
            let value = tracker.value();
            let uncaught = generator(move |yielder| {
                let _held = value;
                yielder.yield_(promise(Err(Refusal(8))));
                unreachable!("the error is raised at the yield");
            });
            let error = block_on(co::<_, _, _, ()>(uncaught)).unwrap_err();
            assert_eq!(*error.downcast::<Refusal>().unwrap(), Refusal(8));
            assert_eq!(tracker.drops(), 1);
        });
        task.join().unwrap();
    });
}

#[test]
fn dropping_it_half_way_closes_the_generator() {
    let (tracker, event) = (Tracker::new(), Event::default());
    let (value, waiting) = (tracker.value(), event.clone());
    let mut half_way = Box::pin(co(generator(move |yielder| {
        let _held = value;
        yielder.yield_(Box::pin(async {
            waiting.await;
            Ok(1)
        }));
        unreachable!("its future was never ready");
    })));
    assert!(half_way.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!((event.polls(), tracker.drops()), (1, 0));
    drop(half_way);
    assert_eq!(tracker.drops(), 1);
}

#[test]
fn a_cancel_closes_the_generator() {
    on_every_plan(|plan| {
        let (tracker, event) = (Tracker::new(), Event::default());
        let (value, waiting) = (tracker.value(), event.clone());
        let task = plan.spawn(move || {
            let body = generator(move |yielder| {
                let _held = value;
                yielder.yield_(Box::pin(async {
                    waiting.await;
                    Ok(1)
                }));
            });
            block_on(co(body)).unwrap();
        });
        until(|| event.polls() > 0);
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 1);
    });
}

#[test]
fn a_panic_of_the_body_arrives() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let body = generator(|yielder| {
                yielder.yield_(promise(Ok(1)));
                resume_unwind(Box::new(5));
            });
            block_on(co::<_, _, _, ()>(body)).unwrap();
        });
        assert_eq!(task.join().unwrap_err().downcast::<i32>().unwrap(), 5);
    });
}

/// The body runs in a poll, so a coroutine must not wait there.
#[test]
fn a_body_may_wait_on_a_thread_only() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let body = generator(|yielder| {
                yielder.yield_(promise(Ok(1)));
                coroutine::yield_now();
            });
            catch_unwind(AssertUnwindSafe(|| block_on(co(body)).unwrap())).is_ok()
        });
        assert_eq!(task.join().unwrap(), plan == Plan::Thread);
    });
}

#[test]
fn a_generator_that_has_ended_is_an_error() {
    let mut ended = generator(|_| 1);
    assert!(ended.next().is_none());
    assert!(block_on(co(ended)).is_err());
}

/// Several are driven by one task, in turns.
#[test]
fn two_of_them_take_turns() {
    guarded(|| {
        runtime(1).run(|| {
            let counting = |from: u32| {
                generator(move |yielder| {
                    (from..from + 3).map(|n| yielder.yield_(promise(Ok(n))).unwrap()).sum()
                })
            };
            let (first, second): (u32, u32) = block_on(async {
                let other = coroutine::spawn_local(move || block_on(co(counting(10))).unwrap());
                (co(counting(0)).await.unwrap(), other.await.unwrap())
            });
            assert_eq!((first, second), (3, 33));
        });
    });
}
