//! What tasks cost: `cargo bench -p ropewalk`. Memory is measured by the example `million`.
//!
//! Each figure is the time of one operation. A runtime is built once for each benchmark; what is measured runs in its
//! first coroutine. `workers` is how many threads run coroutines: with two, both ends may land on different CPUs, and a
//! wake-up that crosses them costs what the kernel and the machine take to wake a CPU that sleeps.

use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use divan::Bencher;
use ropewalk::future::block_on;
use ropewalk::sync::{Arc, Mutex, Semaphore};
use ropewalk::{JoinHandle, Runtime, blocking, channel, coroutine, thread};

fn main() {
    divan::main();
}

/// Has divan count `operations` for each call of `body`, which runs in the first coroutine of a runtime.
fn in_runtime(
    bencher: Bencher<'_, '_>,
    workers: usize,
    operations: u64,
    body: impl Fn(u64) + Send + Sync + 'static,
) {
    let (orders, receive_orders) = channel::bounded::<()>(0);
    let (done, receive_done) = channel::bounded::<Duration>(0);
    let runtime = std::thread::spawn(move || {
        Runtime::builder().workers(workers).build().expect("a runtime").run(move || {
            for () in receive_orders {
                let started = Instant::now();
                body(operations);
                if done.send(started.elapsed()).is_err() {
                    return;
                }
            }
        });
    });
    bencher.counter(divan::counter::ItemsCount::new(operations)).bench_local(|| {
        orders.send(()).expect("the runtime runs");
        receive_done.recv().expect("the runtime runs")
    });
    drop(orders);
    runtime.join().expect("the runtime ended");
}

/// Two coroutines of one worker take turns: one switch each.
#[divan::bench(args = [1, 2])]
fn switch(bencher: Bencher<'_, '_>, workers: usize) {
    in_runtime(bencher, workers, 200_000, |count| {
        let other = coroutine::spawn_local(move || (0..count / 2).for_each(|_| coroutine::yield_now()));
        (0..count / 2).for_each(|_| coroutine::yield_now());
        other.join().expect("it returns");
    });
}

#[divan::bench(args = [1, 2])]
fn spawn_and_join(bencher: Bencher<'_, '_>, workers: usize) {
    in_runtime(bencher, workers, 10_000, |count| {
        for i in 0..count {
            coroutine::spawn(move || black_box(i)).join().expect("it returns");
        }
    });
}

#[divan::bench(args = [1, 2])]
fn spawn_and_join_1000(bencher: Bencher<'_, '_>, workers: usize) {
    in_runtime(bencher, workers, 10_000, |count| {
        for _ in 0..count / 1000 {
            let handles: Vec<JoinHandle<u64>> =
                (0..1000).map(|i| coroutine::spawn(move || black_box(i))).collect();
            handles.into_iter().for_each(|handle| drop(handle.join()));
        }
    });
}

#[divan::bench]
fn spawn_and_join_thread(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| thread::spawn(|| black_box(1)).join().expect("it returns"));
}

/// One round trip: two messages, two wake-ups. Both ends on one worker.
#[divan::bench]
fn channel_ping_pong(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 20_000, |count| ping_pong(count, coroutine::spawn));
}

/// One round trip between a coroutine and a thread: both wake-ups go through the kernel.
#[divan::bench]
fn channel_ping_pong_with_a_thread(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 1_000, |count| ping_pong(count, thread::spawn));
}

fn ping_pong(count: u64, spawn: fn(Box<dyn FnOnce() + Send>) -> JoinHandle<()>) {
    let (ping, receive_ping) = channel::bounded(1);
    let (pong, receive_pong) = channel::bounded(1);
    let other = spawn(Box::new(move || {
        for n in receive_ping {
            if pong.send(n).is_err() {
                return;
            }
        }
    }));
    for n in 0..count {
        ping.send(n).expect("the other end lives");
        receive_pong.recv().expect("the other end lives");
    }
    drop(ping);
    other.join().expect("it returns");
}

/// One message through a channel with room for 1,024.
#[divan::bench(args = [1, 2])]
fn channel_stream(bencher: Bencher<'_, '_>, workers: usize) {
    in_runtime(bencher, workers, 100_000, |count| {
        let (sender, receiver) = channel::bounded(1024);
        let producer = coroutine::spawn(move || (0..count).for_each(|n| sender.send(n).expect("it is read")));
        assert_eq!(receiver.iter().count() as u64, count);
        producer.join().expect("it returns");
    });
}

/// One round trip of permits between coroutines that are kept on different workers by being started together.
#[divan::bench]
fn unpark_across_workers(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 2, 1_000, |count| {
        let (here, there) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        // The other one goes to a worker that is free while this one is kept busy.
        let (started, wait_started) = std::sync::mpsc::channel();
        let other = {
            let (here, there) = (here.clone(), there.clone());
            coroutine::spawn(move || {
                started.send(()).expect("it is awaited");
                for _ in 0..count {
                    there.acquire().forget();
                    here.add_permits(1);
                }
            })
        };
        // Blocks this worker on purpose, so that the other one has to steal.
        wait_started.recv().expect("it starts");
        for _ in 0..count {
            there.add_permits(1);
            here.acquire().forget();
        }
        other.join().expect("it returns");
    });
}

#[divan::bench]
fn mutex_without_contention(bencher: Bencher<'_, '_>) {
    let mutex = Mutex::new(0);
    bencher.bench_local(|| *mutex.lock().expect("nobody panics") += 1);
}

/// A call on another thread, while the coroutine waits.
#[divan::bench]
fn blocking_call(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 1_000, |count| {
        for i in 0..count {
            black_box(blocking(|| black_box(i)));
        }
    });
}

/// A future that is ready at once: what the call itself costs.
#[divan::bench]
fn block_on_ready(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 100_000, |count| {
        for i in 0..count {
            black_box(block_on(ready(black_box(i))));
        }
    });
}

/// What somebody sets and somebody else awaits.
#[derive(Default)]
struct Signal {
    set: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
}

impl Signal {
    fn set(&self) {
        self.set.store(true, SeqCst);
        let waker = self.waker.lock().expect("nobody panics").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn take(&self) {
        poll_fn(|context| {
            *self.waker.lock().expect("nobody panics") = Some(context.waker().clone());
            if self.set.swap(false, SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// One round trip between two coroutines that wait for futures: two wake-ups, four polls. Both on one worker.
#[divan::bench]
fn future_ping_pong(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 20_000, |count| {
        let [ping, pong] = [0, 1].map(|_| Arc::new(Signal::default()));
        let other = {
            let (ping, pong) = (ping.clone(), pong.clone());
            coroutine::spawn_local(move || {
                for _ in 0..count {
                    block_on(ping.take());
                    pong.set();
                }
            })
        };
        for _ in 0..count {
            ping.set();
            block_on(pong.take());
        }
        other.join().expect("it returns");
    });
}

/// As `spawn_and_join`, with the handle awaited.
#[divan::bench]
fn spawn_and_await(bencher: Bencher<'_, '_>) {
    in_runtime(bencher, 1, 10_000, |count| {
        block_on(async {
            for i in 0..count {
                coroutine::spawn(move || black_box(i)).await.expect("it returns");
            }
        });
    });
}
