//! Futures that are polled only when their own wakers are called, as by the combinators of `futures`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// One of them.
pub(crate) type Part<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The waker of one.
struct Alarm {
    rung: AtomicBool,
    whole: Mutex<Waker>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.whole.lock().unwrap().wake_by_ref();
    }
}

/// Runs all of them, apart from each other, and gives their outputs in their order.
pub(crate) async fn all_apart<T: Unpin>(parts: Vec<Part<'_, T>>) -> Vec<T> {
    let alarm = || Arc::new(Alarm { rung: AtomicBool::new(true), whole: Mutex::new(Waker::noop().clone()) });
    let mut parts: Vec<_> = parts.into_iter().map(|part| (Some(part), None, alarm())).collect();
    poll_fn(|context| {
        for (part, output, alarm) in &mut parts {
            alarm.whole.lock().unwrap().clone_from(context.waker());
            let Some(future) = part else { continue };
            if !alarm.rung.swap(false, SeqCst) {
                continue;
            }
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&alarm.clone().into()))
            {
                *part = None;
                *output = Some(value);
            }
        }
        match parts.iter().all(|(_, output, _)| output.is_some()) {
            true => Poll::Ready(parts.iter_mut().map(|(_, output, _)| output.take().unwrap()).collect()),
            false => Poll::Pending,
        }
    })
    .await
}
