//! The runtimes, each as its documentation recommends for what is measured, and each timed from within a task of its own.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use ropewalk::Runtime;

pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn time(body: impl FnOnce()) -> Duration {
    let started = Instant::now();
    body();
    started.elapsed()
}

/// What a future takes, in whatever polls it.
pub(crate) async fn time_future(future: impl Future) -> Duration {
    let started = Instant::now();
    future.await;
    started.elapsed()
}

/// A body in Ropewalk's first coroutine.
pub(crate) fn on_ropewalk<T: Send>(workers: usize, body: impl FnOnce() -> T + Send) -> T {
    Runtime::builder().workers(workers).build().expect("a runtime").run(body)
}

pub(crate) fn tokio_current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn tokio_workers(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().expect("a runtime")
}

/// In a task: the future of `block_on` is slower to wake. One worker is the current thread, which is faster than a thread of
/// its own.
pub(crate) fn on_tokio<F>(workers: usize, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let runtime = if workers == 1 { tokio_current() } else { tokio_workers(workers) };
    runtime.block_on(async { tokio::spawn(future).await.expect("it returns") })
}

/// On the executor of smol, on this thread.
pub(crate) fn on_smol<T>(body: impl AsyncFnOnce(&async_executor::LocalExecutor<'static>) -> T) -> T {
    let executor = async_executor::LocalExecutor::new();
    futures_lite::future::block_on(executor.run(body(&executor)))
}

/// A body in a coroutine of may. It takes its settings once for the process: stacks of 64 KiB, counted in words.
pub(crate) fn on_may<T: Send + 'static>(workers: usize, body: impl FnOnce() -> T + Send + 'static) -> T {
    may::config().set_workers(workers).set_stack_size(0x2000);
    spawn_may(body).join().expect("it returns")
}

/// A coroutine of may, whose `spawn` is unsafe since the body might use thread-locals over a switch, or overflow its stack.
pub(crate) fn spawn_may<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> may::coroutine::JoinHandle<T> {
    // SAFETY: no body of this program keeps a thread-local over a switch, and none goes deep.
    unsafe { may::coroutine::spawn(body) }
}

/// Wakes itself and is pending once: a yield without what tokio's own does around it.
pub(crate) struct PlainYield(pub bool);

impl Future for PlainYield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}
