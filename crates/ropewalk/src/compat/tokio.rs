//! For crates that know tokio: [`Io`] has its `AsyncRead` and `AsyncWrite`, which is all that many of them ask for; and for
//! those that insist on its runtime, [`run`] has one on threads of its own.

use std::io::{self, IoSlice};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::runtime::{Builder, Handle, Runtime};
use ::tokio::task::AbortHandle;

use super::{Io, Pollable};
use crate::future::block_on;

impl<S: Pollable> AsyncRead for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.initialized().len() == buffer.capacity() {
            let length = ready!(self.get_mut().poll_read_into(context, buffer.initialize_unfilled()))?;
            buffer.advance(length);
            return Poll::Ready(Ok(()));
        }
        let room = buffer.remaining();
        self.get_mut().poll_read_with(context, room, |bytes| buffer.put_slice(bytes))
    }
}

impl<S: Pollable> AsyncWrite for Io<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, &[IoSlice::new(buffer)])
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// tokio's runtime of this process, made at first use.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name("ropewalk-tokio").enable_all();
    builder.build().expect("tokio's runtime cannot start")
});

/// The runtime of [`run`], for who wants to spawn there without waiting: the handles that tokio gives are futures.
///
/// It has tokio's default of a thread for each CPU, and those of tokio's drivers (`net`, `time`) with which the program
/// has built tokio.
///
/// # Panics
/// If tokio's runtime cannot start.
pub fn handle() -> &'static Handle {
    RUNTIME.handle()
}

/// Runs a future on tokio's runtime, while the task that calls waits. For crates that call `tokio::spawn`, `tokio::net` or
/// `tokio::time`, and panic without that.
///
/// Honestly: such a crate runs on tokio then, beside Ropewalk and not on it. It costs tokio's threads and two messages
/// between threads for each call, and neither `timeout` nor `inspect` sees into it.
///
/// ```
/// let answer = ropewalk::coroutine::spawn(|| {
///     ropewalk::compat::tokio::run(async {
///         tokio::spawn(async { 6 * 7 }).await.unwrap() // a task of tokio's
///     })
/// });
/// assert_eq!(answer.join()?, 42);
/// # Ok::<(), ropewalk::JoinError>(())
/// ```
///
/// # Panics
/// If the future does, with its payload; if tokio's runtime cannot start.
///
/// # Waits
/// Until the future is ready.
///
/// # Cancellation
/// Unwinds a cancelled task; the future is dropped at its next `await`, by tokio.
#[track_caller]
pub fn run<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// Ends the future if nobody waits for it any more.
    struct Abort(AbortHandle);

    impl Drop for Abort {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    let task = handle().spawn(future);
    let _abort = Abort(task.abort_handle());
    match block_on(task) {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => resume_unwind(payload),
            Err(error) => panic!("tokio's runtime has ended the future: {error}"),
        },
    }
}
