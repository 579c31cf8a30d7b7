//! For hyper 1.x: [`Io`] has its `Read` and `Write`; here are its executor and its timer.
//!
//! hyper needs the executor for HTTP/2 alone, and the timer where a limit of time is set.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::hyper::rt;

use super::{Io, Pollable};
use crate::future::{Sleep, sleep, sleep_until, spawn_future};

impl<S: Pollable> rt::Read for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        self.get_mut().poll_read_with(context, room, |bytes| buffer.put_slice(bytes))
    }
}

impl<S: Pollable> rt::Write for Io<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, &[IoSlice::new(buffer)])
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, buffers)
    }
}

/// Runs hyper's background futures, each as a coroutine that nobody joins.
///
/// ```
/// use hyper::rt::Executor as _;
/// use ropewalk::compat::hyper::Executor;
///
/// let (sender, receiver) = ropewalk::channel::bounded(1);
/// Executor.execute(async move { sender.send(7).unwrap() });
/// assert_eq!(receiver.recv().unwrap(), 7);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(spawn_future(future));
    }
}

/// hyper's limits of time on the runtime's [clock](crate::Clock).
///
/// ```
/// use std::time::Duration;
/// use hyper::rt::Timer as _;
/// use ropewalk::compat::hyper::Timer;
///
/// let before = Timer.now();
/// ropewalk::future::block_on(Timer.sleep(Duration::from_millis(1)));
/// assert!(Timer.now() >= before + Duration::from_millis(1));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Timed(sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Timed(sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        crate::time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Timed>() {
            Some(timed) => timed.get_mut().0.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// What the timer gives: hyper's trait needs a type of this crate.
struct Timed(Sleep);

impl Future for Timed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl rt::Sleep for Timed {}
