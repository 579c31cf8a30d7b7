//! What happens before what, of the lines of `docs/memory-model.md` that no loom model covers: one side writes without any order
//! of its own, the other has to see all of it, in any mix of coroutines and threads.
//!
//! On x86-64, where stores become visible in order, a mistake shows only if the compiler or a missing wait makes it; on
//! aarch64 also if an ordering is too weak.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Poll, Waker};

use ropewalk::channel::select;
use ropewalk::future::block_on;
use ropewalk::{OnFailure, blocking, coroutine};

use crate::support::{LONG, Plan, guarded, on_every_pair, on_every_plan, runtime, until};

/// Few, because each combination of plans has them.
const ROUNDS: u32 = 100;

/// Places that share no line of the cache.
#[repr(align(128))]
#[derive(Default)]
struct Place(AtomicU32);

/// What one side writes and the other reads.
#[derive(Clone, Default)]
struct Data(Arc<[Place; 4]>);

impl Data {
    fn write(&self, value: u32) {
        self.0.iter().for_each(|place| place.0.store(value, Relaxed));
    }

    /// The last written first.
    #[track_caller]
    fn expect(&self, value: u32) {
        let seen: Vec<_> = self.0.iter().rev().map(|place| place.0.load(Relaxed)).collect();
        assert_eq!(seen, [value; 4]);
    }

    fn is_written(&self, value: u32) -> bool {
        self.0.iter().all(|place| place.0.load(Relaxed) == value)
    }

    /// Written when this is dropped: as the last thing that a task does.
    fn write_at_the_end(&self, value: u32) -> WriteAtTheEnd {
        WriteAtTheEnd(self.clone(), value)
    }
}

struct WriteAtTheEnd(Data, u32);

impl Drop for WriteAtTheEnd {
    fn drop(&mut self) {
        self.0.write(self.1);
    }
}

#[test]
fn spawn_and_the_first_line_of_the_task() {
    on_every_pair(|plan| {
        let data = Data::default();
        for round in 1..=ROUNDS {
            data.write(round);
            let its = data.clone();
            plan.spawn(move || its.expect(round)).join().unwrap();
        }
    });
}

/// Spawns a task that writes while it ends, waits for it by `wait`, and reads.
fn ends(wait: fn(&mut Option<ropewalk::JoinHandle<()>>)) {
    on_every_pair(move |plan| {
        let data = Data::default();
        for round in 1..=ROUNDS {
            let last = data.write_at_the_end(round);
            let mut task = Some(plan.spawn(move || drop(last)));
            wait(&mut task);
            data.expect(round);
        }
    });
}

#[test]
fn the_end_of_a_task_and_its_join() {
    ends(|task| task.take().unwrap().join().unwrap());
    ends(|task| task.take().unwrap().join_timeout(LONG).unwrap().unwrap());
    ends(|task| block_on(task.take().unwrap()).unwrap());
}

#[test]
fn the_end_of_a_task_and_whoever_sees_that_it_is_finished() {
    ends(|task| until(|| task.as_ref().unwrap().is_finished()));
    ends(|task| {
        let ended = task.as_ref().unwrap().ended();
        select! { recv(ended) -> _ => {} }
    });
}

#[test]
fn the_end_of_a_child_and_of_its_scope() {
    on_every_pair(|plan| {
        let data = Data::default();
        for round in 1..=ROUNDS {
            plan.scope_with(OnFailure::Isolate, |s| {
                let last = data.write_at_the_end(round);
                s.spawn(move || drop(last));
            });
            data.expect(round);
        }
    });
}

#[test]
fn the_end_of_every_task_and_of_run() {
    guarded(|| {
        for (round, plan) in (1..).zip([Plan::Coroutine, Plan::Thread].into_iter().cycle().take(20)) {
            let data = Data::default();
            let last = data.write_at_the_end(round);
            runtime(2).run(|| drop(plan.spawn(move || drop(last))));
            data.expect(round);
        }
    });
}

#[test]
fn an_unpark_and_the_park_that_takes_it() {
    on_every_pair(|plan| {
        let data = Data::default();
        let (tell, told) = mpsc::channel();
        let parked = plan.spawn({
            let data = data.clone();
            move || {
                for round in 1..=ROUNDS {
                    coroutine::park();
                    data.expect(round);
                    tell.send(()).unwrap();
                }
            }
        });
        for round in 1..=ROUNDS {
            data.write(round);
            parked.task().unpark();
            until(|| told.try_recv().is_ok());
        }
        parked.join().unwrap();
    });
}

#[test]
fn a_wake_and_the_poll_that_it_causes() {
    on_every_pair(|plan| {
        let data = Data::default();
        for round in 1..=ROUNDS {
            let (give, taken) = mpsc::channel::<Waker>();
            let its = data.clone();
            let waits = plan.spawn(move || {
                let mut give = Some(give);
                block_on(poll_fn(|context| {
                    if let Some(give) = give.take() {
                        give.send(context.waker().clone()).unwrap();
                    }
                    // If the poll that the wake causes did not see all, there would be no other.
                    if its.is_written(round) { Poll::Ready(()) } else { Poll::Pending }
                }));
            });
            let mut waker = None;
            until(|| {
                waker = taken.try_recv().ok();
                waker.is_some()
            });
            data.write(round);
            waker.unwrap().wake();
            waits.join().unwrap();
        }
    });
}

#[test]
fn a_cancel_and_the_destructors_that_it_runs() {
    struct Reads(Data, u32, Arc<AtomicU32>);

    impl Drop for Reads {
        fn drop(&mut self) {
            self.0.expect(self.1);
            self.2.fetch_add(1, Relaxed);
        }
    }

    on_every_pair(|plan| {
        let (data, read) = (Data::default(), Arc::new(AtomicU32::new(0)));
        for round in 1..=ROUNDS {
            let reads = Reads(data.clone(), round, read.clone());
            let task = plan.spawn(move || {
                let _reads = reads;
                coroutine::sleep(LONG);
            });
            data.write(round);
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
        }
        assert_eq!(read.load(Relaxed), ROUNDS);
    });
}

#[test]
fn a_blocking_call_and_what_is_before_and_after_it() {
    on_every_plan(|plan| {
        let outside = plan.spawn(|| {
            let data = Data::default();
            for round in 1..=ROUNDS {
                data.write(2 * round);
                blocking(|| {
                    data.expect(2 * round);
                    data.write(2 * round + 1);
                });
                data.expect(2 * round + 1);
            }
        });
        outside.join().unwrap();
    });
}
