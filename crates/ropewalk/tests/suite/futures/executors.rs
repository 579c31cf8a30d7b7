//! Tasks under executors that know nothing of them, and futures that need a runtime of their own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::future::block_on;
use ropewalk::{coroutine, timeout};

use crate::support::{LONG, on_every_plan, until};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor of its own on std's primitives: a queue of tasks, and one thread that polls them.
#[derive(Default)]
struct Executor {
    queue: Mutex<VecDeque<Arc<Spawned>>>,
    changed: Condvar,
}

struct Spawned {
    future: Mutex<Option<Task>>,
    executor: Arc<Executor>,
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        let executor = self.executor.clone();
        executor.queue.lock().unwrap().push_back(self);
        executor.changed.notify_one();
    }
}

impl Executor {
    fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let future = Mutex::new(Some(Box::pin(future) as Task));
        Arc::new(Spawned { future, executor: self.clone() }).wake();
    }

    /// Until so many tasks have ended.
    fn run(&self, mut tasks: usize) {
        while tasks > 0 {
            let queue = self.changed.wait_while(self.queue.lock().unwrap(), |queue| queue.is_empty());
            let task = queue.unwrap().pop_front().expect("it is not empty");
            let mut slot = task.future.lock().unwrap();
            let Some(mut future) = slot.take() else { continue };
            if future.as_mut().poll(&mut Context::from_waker(&task.clone().into())).is_pending() {
                *slot = Some(future);
            } else {
                tasks -= 1;
            }
        }
    }
}

#[test]
fn an_executor_on_std_threads_awaits_tasks() {
    on_every_plan(|plan| {
        let executor = Arc::new(Executor::default());
        let (tell, told) = std::sync::mpsc::channel();
        for n in 0..10 {
            let tell = tell.clone();
            executor.spawn(async move {
                let doubled = plan.spawn(move || 2 * n).await.unwrap();
                let squared = plan.spawn(move || doubled * doubled).await.unwrap();
                tell.send(squared).unwrap();
            });
        }
        std::thread::spawn(move || executor.run(10)).join().unwrap();
        drop(tell);
        let mut squares: Vec<i32> = told.iter().collect();
        squares.sort_unstable();
        assert_eq!(squares, (0..10).map(|n| 4 * n * n).collect::<Vec<_>>());
    });
}

#[test]
fn tokio_awaits_tasks() {
    on_every_plan(|plan| {
        for threads in [0, 2] {
            let tokio = match threads {
                0 => tokio::runtime::Builder::new_current_thread().enable_time().build(),
                _ => {
                    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_time().build()
                }
            };
            let std_thread = std::thread::spawn(move || {
                tokio.unwrap().block_on(async move {
                    // A task of tokio's awaits one of ours.
                    let inner = tokio::spawn(async move { plan.spawn(|| 21).await.unwrap() });
                    // A task that waits, with tokio's time limit around it; dropping the handle detaches it.
                    let (open, gate) = bounded::<()>(0);
                    let waiting = plan.spawn(move || gate.recv().is_err());
                    assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
                    drop(open);
                    inner.await.unwrap() * 2
                })
            });
            assert_eq!(std_thread.join().unwrap(), 42);
        }
    });
}

/// Tokio's timer runs on a thread of tokio's, and wakes the task that waits here.
#[test]
fn a_future_of_tokio_is_run_by_a_task() {
    on_every_plan(|plan| {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|n: u64| {
                let handle = tokio.handle().clone();
                plan.spawn(move || {
                    let mut work = pin!(async {
                        for _ in 0..3 {
                            tokio::time::sleep(Duration::from_millis(n)).await;
                        }
                        n
                    });
                    // Entered for one poll at a time, as the page on futures tells.
                    let here = block_on(poll_fn(|context| {
                        let _entered = handle.enter();
                        work.as_mut().poll(context)
                    }));
                    let there = block_on(handle.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(n)).await;
                        n
                    }));
                    here + there.unwrap()
                })
            })
            .collect();
        let sum: u64 = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(sum, 12);
    });
}

/// Ours limits the time of theirs.
#[test]
fn a_timeout_ends_a_future_of_tokio() {
    on_every_plan(|_| {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let sleep = {
            let _entered = tokio.enter();
            tokio::time::sleep(LONG)
        };
        assert!(timeout(Duration::from_millis(1), || block_on(sleep)).is_err());
    });
}

/// Async code polls a handle by hand, on a thread of nobody.
#[test]
fn a_handle_is_polled_without_any_executor() {
    on_every_plan(|plan| {
        let (open, gate) = bounded::<()>(0);
        let mut task = plan.spawn(move || gate.recv().is_err());
        std::thread::spawn(move || {
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert!(Pin::new(&mut task).poll(&mut context).is_pending());
            drop(open);
            until(|| matches!(Pin::new(&mut task).poll(&mut context), Poll::Ready(Ok(true))));
        })
        .join()
        .unwrap();
        coroutine::yield_now();
    });
}
