//! A hook for the spans of `tracing`.
//!
//! Subscribers keep for each thread the stack of the spans that were entered and not exited. Two coroutines of a worker that
//! take turns inside of spans exit them in another order, and each one's events land in the other's span. So a span is
//! exited when its coroutine leaves, and entered again when it comes back: what `tracing`'s own `Instrument` does to a future
//! around each poll, and subscribers see the same.

use tracing::Span;

use super::SwitchHook;

/// More spans than this, one in the other, are not moved: something does not exit what it is told to.
const DEEPEST: usize = 1000;

/// A hook by which each coroutine has its own current span, and its own stack of spans: those that it is in survive its
/// waits, and its neighbours do not see them.
///
/// A coroutine begins outside of all spans, as a thread does. To begin in the spawner's, move `Span::current()` into the
/// closure and enter it there.
///
/// ```
/// use ropewalk_runtime::{Runtime, coroutine, hooks};
/// use tracing::{Span, info_span};
///
/// let runtime = Runtime::builder().switch_hook(hooks::TracingSpans).build()?;
/// runtime.run(|| {
///     let _request = info_span!("request", id = 7).entered();
///     let span = Span::current();
///     let helper = coroutine::spawn(move || {
///         let _inside = span.enter();
///         tracing::info!("an event of the request");
///     });
///     helper.join().unwrap();
///     tracing::info!("another one, after a wait");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// What it does not cover: a subscriber that is set for a thread (`tracing::subscriber::set_default`, `with_default`) by a
/// coroutine which then waits. Set it for the program, or around `run`. And a subscriber runs in the hook, so it must not wait for
/// anything of Ropewalk's.
///
/// A switch takes longer with each span that the coroutine is in.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSpans;

/// The spans of a coroutine that is away, outermost first; of its worker, while it runs.
#[derive(Debug, Default)]
pub struct OwnSpans {
    away: Vec<Span>,
    /// Room for those that come in exchange.
    room: Vec<Span>,
}

impl OwnSpans {
    fn exchange(&mut self) {
        // From the innermost outwards.
        while self.room.len() < DEEPEST {
            let span = Span::current();
            let exited = span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
            if exited.is_none() {
                break;
            }
            self.room.push(span);
        }
        self.room.reverse();
        for span in self.away.drain(..) {
            span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
        }
        std::mem::swap(&mut self.away, &mut self.room);
    }
}

impl SwitchHook for TracingSpans {
    type Saved = OwnSpans;

    fn enter(&self, saved: &mut OwnSpans) {
        saved.exchange();
    }

    fn leave(&self, saved: &mut OwnSpans) {
        saved.exchange();
    }
}
