//! The spans of `tracing` belong to the coroutine that entered them.

use std::sync::{Arc, Mutex};

use ropewalk::hooks::TracingSpans;
use ropewalk::{Runtime, coroutine, scope};
use tracing::field::{Field, Visit};
use tracing::{Event, Span, Subscriber, info, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::support::guarded;

/// Writes down each event with the spans that it is in, as `outer:inner: message`, and the spans' starts and ends.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    /// Since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Runs `f` as the first coroutine of one worker, on this thread, under this journal.
    fn record(&self, hooked: bool, f: impl FnOnce()) {
        let builder = Runtime::builder().workers(1);
        let builder = if hooked { builder.switch_hook(TracingSpans) } else { builder };
        let runtime = builder.build().expect("a runtime can be built");
        let subscriber = Registry::default().with(self.clone());
        tracing::subscriber::with_default(subscriber, || runtime.run(f));
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Ropewalk's own are not asked for.
        if !event.metadata().target().starts_with(module_path!()) {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let scope = context.event_scope(event).into_iter().flat_map(|scope| scope.from_root());
        let spans: Vec<_> = scope.map(|span| span.name()).collect();
        self.0.lock().unwrap().push(format!("{}: {}", spans.join(":"), message.0));
    }

    fn on_close(&self, id: tracing::span::Id, context: Context<'_, S>) {
        let name = context.span(&id).map_or("?", |span| span.name());
        self.0.lock().unwrap().push(format!("{name} is closed"));
    }
}

/// Two coroutines take turns, each in a span of its own. Gives what was written down.
fn two_in_turns(hooked: bool) -> Vec<String> {
    let journal = Journal::default();
    journal.record(hooked, || {
        scope(|s| {
            s.spawn_local(|| {
                let _span = info_span!("a").entered();
                coroutine::yield_now();
                info!("one");
                coroutine::yield_now();
            });
            s.spawn_local(|| {
                let _span = info_span!("b").entered();
                coroutine::yield_now();
                info!("two");
            });
        });
        info!("the end");
    });
    journal.take()
}

#[test]
fn a_span_survives_the_waits_of_its_coroutine_and_is_nobody_elses() {
    guarded(|| {
        let expected = ["a: one", "b: two", "b is closed", "a is closed", ": the end"];
        assert_eq!(two_in_turns(true), expected);
    });
}

/// What it is for: `docs/soundness.md`.
#[test]
fn without_the_hook_events_end_up_in_the_spans_of_strangers() {
    guarded(|| assert_eq!(two_in_turns(false)[0], "a:b: one"));
}

#[test]
fn spans_in_spans_come_back_in_their_order_and_close_in_time() {
    guarded(|| {
        let journal = Journal::default();
        journal.record(true, || {
            let neighbour = coroutine::spawn_local(|| {
                for _ in 0..6 {
                    info!("outside");
                    coroutine::yield_now();
                }
            });
            let outer = info_span!("outer").entered();
            {
                let _again = outer.enter(); // twice the same
                let _inner = info_span!("inner").entered();
                coroutine::yield_now();
                info!("deep");
                coroutine::yield_now();
            }
            info!("less deep");
            coroutine::yield_now();
            info!("still");
            drop(outer);
            coroutine::yield_now();
            info!("out");
            neighbour.join().unwrap();
        });
        let mut written = journal.take();
        written.retain(|line| line != ": outside");
        let expected = [
            "outer:inner: deep",
            "inner is closed",
            "outer: less deep",
            "outer: still",
            "outer is closed",
            ": out",
        ];
        assert_eq!(written, expected);
    });
}

/// As a thread: the span of the spawner has to be handed over.
#[test]
fn a_coroutine_begins_outside_of_all_spans_and_may_take_one_along() {
    guarded(|| {
        let journal = Journal::default();
        let subscriber = Registry::default().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || {
            let around = info_span!("around").entered();
            let runtime = Runtime::builder().workers(1).switch_hook(TracingSpans).build().unwrap();
            runtime.run(|| {
                info!("main");
                let _request = info_span!(parent: None, "request").entered();
                coroutine::spawn_local(|| info!("without")).join().unwrap();
                let span = Span::current();
                coroutine::spawn_local(move || span.in_scope(|| info!("with"))).join().unwrap();
                info!("after");
            });
            info!("the thread");
            drop(around);
        });
        let expected = [
            ": main",
            ": without",
            "request: with",
            "request: after",
            "request is closed",
            "around: the thread",
            "around is closed",
        ];
        assert_eq!(journal.take(), expected);
    });
}

#[test]
fn a_cancelled_coroutine_leaves_its_spans() {
    guarded(|| {
        let journal = Journal::default();
        journal.record(true, || {
            let task = coroutine::spawn_local(|| {
                let _span = info_span!("request").entered();
                coroutine::sleep(crate::support::LONG);
            });
            coroutine::yield_now();
            info!("meanwhile");
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            info!("afterwards");
        });
        assert_eq!(journal.take(), [": meanwhile", "request is closed", ": afterwards"]);
    });
}
