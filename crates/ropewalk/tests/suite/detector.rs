//! The detector of thread-locals that are kept set over a wait.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use ropewalk::channel::bounded;
use ropewalk::inspect::{ExposedStack, WaitReason, on_exposed};
use ropewalk::{Runtime, coroutine, hooks, thread};

use crate::support::guarded;

thread_local! {
    static CONTEXT: Cell<*const u32> = const { Cell::new(std::ptr::null()) };
    static COUNTED: Cell<u32> = const { Cell::new(0) };
}

/// Points the thread-local to a local, runs `f`, and restores it: as `scoped-tls` does.
fn with_context<R>(f: impl FnOnce() -> R) -> R {
    let local = 42;
    let before = CONTEXT.replace(&raw const local);
    let result = f();
    CONTEXT.set(before);
    result
}

/// Runs `body` as a coroutine of this name, and gives what was found of it.
fn found(name: &'static str, runtime: Runtime, body: impl FnOnce() + Send + 'static) -> Vec<ExposedStack> {
    let found = Arc::new(Mutex::new(Vec::new()));
    // For the rest of the process's life: other tests have other names.
    on_exposed({
        let found = found.clone();
        move |exposed| {
            if exposed.name() == Some(name) {
                found.lock().unwrap().push(exposed.clone());
            }
        }
    });
    guarded(|| {
        runtime.run(|| coroutine::Builder::new().name(name.into()).spawn(body).unwrap().join().unwrap());
    });
    std::mem::take(&mut *found.lock().unwrap())
}

fn detecting() -> Runtime {
    Runtime::builder().workers(1).detector(true).build().expect("a runtime can be built")
}

fn receive_from_nobody() {
    let (sender, receiver) = bounded::<()>(1);
    let other = coroutine::spawn_local(move || drop(sender));
    assert!(receiver.recv().is_err());
    other.join().unwrap();
}

#[test]
fn a_thread_local_that_is_kept_set_over_a_wait_is_told_with_name_and_stack() {
    let found = found("keeps it set", detecting(), || with_context(receive_from_nobody));
    let [exposed] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(exposed.reason(), Some(WaitReason::ChannelReceive));
    assert_eq!(exposed.spawned_at().file(), file!());
    assert!(exposed.local().is_some_and(|local| local.contains("CONTEXT")), "{exposed:?}");
    assert!(exposed.offset() > 0 && exposed.object().exists());
    let text = exposed.to_string();
    assert!(
        text.contains("(keeps it set), which has left its worker, receiving from an empty channel"),
        "{text}"
    );
    assert!(text.contains("receive_from_nobody") && text.contains("with_context"), "{text}");
}

#[test]
fn it_is_told_once_for_each_place() {
    let found = found("keeps it set for long", detecting(), || {
        with_context(|| (0..10).for_each(|_| coroutine::yield_now()));
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].reason(), None, "it lets others run");
}

#[test]
fn one_that_is_left_behind_at_the_end_is_told() {
    let found = found("leaves it behind", detecting(), || {
        let local = 42;
        CONTEXT.set(&raw const local);
    });
    CONTEXT.set(std::ptr::null());
    let [exposed] = found.as_slice() else { panic!("{found:?}") };
    assert!(exposed.stack().is_none(), "there is none any more");
}

#[test]
fn what_is_sound_is_not_told() {
    let found = found("behaves", detecting(), || {
        with_context(|| COUNTED.set(COUNTED.get() + 1)); // no wait inside
        coroutine::yield_now();
        let on_the_heap = Box::new(7);
        CONTEXT.set(&raw const *on_the_heap);
        receive_from_nobody();
        CONTEXT.set(std::ptr::null());
        thread::spawn(|| with_context(thread::yield_now)).join().unwrap();
    });
    assert!(found.is_empty(), "{found:?}");
}

/// A hook that gives each coroutine its own is the cure, and the detector sees that it is.
#[test]
fn what_a_hook_takes_away_is_not_told() {
    let hook = hooks::per_coroutine(&CONTEXT, std::ptr::null);
    let runtime = Runtime::builder().workers(1).detector(true).switch_hook(hook).build().unwrap();
    let found = found("has a hook", runtime, || with_context(receive_from_nobody));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn nobody_looks_unless_asked_to() {
    let runtime = Runtime::builder().workers(1).detector(false).build().unwrap();
    let found = found("is not looked at", runtime, || with_context(coroutine::yield_now));
    assert!(found.is_empty(), "{found:?}");
}
