//! A `JoinHandle` is a future.

use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use ropewalk::channel::bounded;
use ropewalk::future::block_on;
use ropewalk::{JoinHandle, coroutine, thread};

use super::Counter;
use crate::support::{LONG, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, ropewalk::JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

#[test]
fn awaiting_gives_what_join_gives() {
    on_every_pair(|there| {
        let (open, gate) = bounded(0);
        let returning = there.spawn(move || gate.recv().map(|()| String::from("returned")));
        let panicking = there.spawn(|| resume_unwind(Box::new(5)));
        let cancelled = there.spawn(|| coroutine::sleep(LONG));
        cancelled.cancel();
        block_on(async {
            assert_eq!(panicking.await.unwrap_err().downcast::<i32>().unwrap(), 5);
            assert!(cancelled.await.unwrap_err().is_cancelled());
        });
        let opening = there.spawn(move || open.send(()).unwrap());
        assert_eq!(block_on(returning).unwrap().unwrap(), "returned");
        block_on(opening).unwrap();
    });
}

#[test]
fn a_task_that_has_ended_is_ready_at_once() {
    on_every_plan(|plan| {
        let mut task = plan.spawn(|| 3);
        until(|| task.is_finished());
        let counter = Arc::new(Counter::default());
        assert!(matches!(poll(&mut task, &counter.clone().into()), Poll::Ready(Ok(3))));
        assert_eq!(Arc::strong_count(&counter), 1);
    });
}

#[test]
fn the_waker_that_came_last_is_woken_once() {
    on_every_plan(|plan| {
        let (open, gate) = bounded::<()>(0);
        let mut task = plan.spawn(move || gate.recv().is_err());
        let [first, last] = [0, 1].map(|_| Arc::new(Counter::default()));
        assert!(poll(&mut task, &first.clone().into()).is_pending());
        assert!(poll(&mut task, &last.clone().into()).is_pending());
        assert_eq!(Arc::strong_count(&first), 1, "the waker that was replaced is dropped");
        drop(open);
        until(|| last.count() > 0);
        assert!(matches!(poll(&mut task, &last.clone().into()), Poll::Ready(Ok(true))));
        assert_eq!((first.count(), last.count()), (0, 1));
        assert_eq!(Arc::strong_count(&last), 1, "no waker is left behind");
    });
}

/// As `select` of async code: both are polled with one waker, the first that is ready goes on, the other may be awaited
/// later.
#[test]
fn two_handles_can_be_raced() {
    on_every_pair(|there| {
        let (open, gate) = bounded::<()>(0);
        let mut slow = there.spawn(move || gate.recv().is_err());
        let mut fast = there.spawn(|| 1);
        let winner = block_on(poll_fn(|context| {
            if let Poll::Ready(result) = Pin::new(&mut slow).poll(context) {
                return Poll::Ready(Err(result));
            }
            Pin::new(&mut fast).poll(context).map(Ok)
        }));
        assert!(matches!(winner, Ok(Ok(1))));
        drop(open);
        assert!(slow.join().unwrap(), "a handle that was polled can be joined");
    });
}

#[test]
fn dropping_a_pending_handle_detaches_and_lets_go_of_the_waker() {
    on_every_plan(|plan| {
        let (tracker, counter) = (Tracker::new(), Arc::new(Counter::default()));
        let (open, gate) = bounded::<()>(0);
        let value = tracker.value();
        let mut task = plan.spawn(move || {
            let _ = gate.recv();
            value
        });
        assert!(poll(&mut task, &counter.clone().into()).is_pending());
        drop(task);
        assert_eq!(Arc::strong_count(&counter), 1, "an executor's task must not be kept alive");
        drop(open);
        until(|| tracker.drops() == 1);
        assert_eq!(counter.count(), 0);
    });
}

#[test]
fn after_the_result_the_handle_still_tells_who_it_was() {
    on_every_plan(|plan| {
        let mut task = plan.spawn_named("teller", || 4);
        let id = task.id();
        assert_eq!(block_on(&mut task).unwrap(), 4);
        assert_eq!((task.id(), task.name()), (id, Some("teller")));
        assert!(task.is_finished());
        task.cancel();
        let again = catch_unwind(AssertUnwindSafe(|| poll(&mut task, Waker::noop())));
        assert!(again.is_err(), "a result is given once");
        assert!(catch_unwind(AssertUnwindSafe(|| task.join())).is_err());
    });
}

#[test]
fn a_childs_handle_is_a_future_that_may_borrow() {
    on_every_plan(|plan| {
        let words = ["rope", "walk"];
        let lengths = plan.scope(|s| {
            let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word)).collect();
            block_on(async {
                let mut lengths = 0;
                for handle in handles {
                    lengths += handle.await.unwrap().len();
                }
                lengths
            })
        });
        assert_eq!(lengths, 8);
    });
}

/// An executor whose wake-up panics is none of the task's business, nor of those who wait for the task otherwise.
#[test]
fn a_waker_that_panics_harms_nobody() {
    struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("a broken executor"));
        }
    }

    on_every_plan(|plan| {
        let (open, gate) = bounded::<()>(0);
        let mut task = plan.spawn(move || gate.recv().is_err());
        assert!(poll(&mut task, &Waker::from(Arc::new(Broken))).is_pending());
        drop(open);
        assert!(task.join().unwrap());
    });
}

/// A task ends just when its handle is polled, many times: the waker is called, or the poll sees the end.
#[test]
fn no_end_is_missed() {
    on_every_plan(|plan| {
        for _ in 0..500 {
            let task = plan.spawn(|| ());
            block_on(task).unwrap();
        }
    });
}

/// A waker that does something when it is cloned.
struct OnClone {
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    wakes: AtomicUsize,
}

impl OnClone {
    const TABLE: RawWakerVTable =
        RawWakerVTable::new(Self::clone, Self::wake, Self::wake_by_ref, Self::drop_waker);

    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions of the table own, give and take counts of this Arc; everything in it is Send and Sync.
        unsafe { Waker::new(Arc::into_raw(self.clone()).cast(), &Self::TABLE) }
    }

    unsafe fn clone(pointer: *const ()) -> RawWaker {
        // SAFETY: `waker`'s pointer, which lives as long as the waker.
        let this = unsafe { ManuallyDrop::new(Arc::from_raw(pointer.cast::<Self>())) };
        let act = this.act.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        RawWaker::new(Arc::into_raw(Arc::clone(&this)).cast(), &Self::TABLE)
    }

    unsafe fn wake(pointer: *const ()) {
        // SAFETY: `waker`'s pointer, and the waker's own count.
        unsafe { Arc::from_raw(pointer.cast::<Self>()) }.wakes.fetch_add(1, SeqCst);
    }

    unsafe fn wake_by_ref(pointer: *const ()) {
        // SAFETY: `waker`'s pointer, which lives as long as the waker.
        unsafe { &*pointer.cast::<Self>() }.wakes.fetch_add(1, SeqCst);
    }

    unsafe fn drop_waker(pointer: *const ()) {
        // SAFETY: `waker`'s pointer, and the waker's own count.
        drop(unsafe { Arc::from_raw(pointer.cast::<Self>()) });
    }
}

/// The poll has found the task running, and clones the waker to leave it there; just then the task ends.
#[test]
fn an_end_in_the_middle_of_a_poll_is_not_missed() {
    guarded(|| {
        let body = || {
            let (open, gate) = bounded::<()>(0);
            let mut task = coroutine::spawn(move || gate.recv().is_err());
            let let_it_end = move || {
                drop(open);
                // Of what waits for the one worker, what was woken has had its turn after a few that are new.
                (0..8).for_each(|_| coroutine::spawn(|| ()).join().unwrap());
            };
            let act: Box<dyn FnOnce() + Send> = Box::new(let_it_end);
            let hook = Arc::new(OnClone { act: Mutex::new(Some(act)), wakes: AtomicUsize::new(0) });
            let ready = poll(&mut task, &hook.waker()).is_ready();
            assert!(hook.act.lock().unwrap().is_none(), "the waker was cloned");
            assert!(task.is_finished());
            assert!(ready || hook.wakes.load(SeqCst) == 1, "nobody would poll again");
        };
        runtime(1).run(|| thread::spawn(body).join()).unwrap();
    });
}

#[test]
fn the_end_of_a_runtime_reaches_a_handle() {
    guarded(|| {
        let counter = Arc::new(Counter::default());
        let daemon = runtime(1).run(|| {
            let mut daemon = coroutine::Builder::new().daemon(true).spawn(|| coroutine::sleep(LONG)).unwrap();
            assert!(poll(&mut daemon, &counter.clone().into()).is_pending());
            daemon
        });
        assert_eq!(counter.count(), 1);
        assert!(block_on(daemon).unwrap_err().is_cancelled());
    });
}
