//! The rules of cancellation, at every wait that there is ([`WAITS`]), for coroutines and for threads: the table "Cancellation,
//! rule by rule" of `docs/soundness.md` names a test for each, here and in the modules that know more of it.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use ropewalk::channel::{bounded, unbounded};
use ropewalk::inspect::State;
use ropewalk::net::TcpListener;
use ropewalk::sync::Latch;
use ropewalk::{JoinHandle, coroutine, scope};

use crate::support::net::pair;
use crate::support::waits::WAITS;
use crate::support::{LONG, Plan, Spot, Tracker, on_every_pair, on_every_plan, until};

/// The task has gone to sleep.
fn until_blocked<T>(task: &JoinHandle<T>) {
    until(|| matches!(task.task().state(), State::Blocked(_)));
}

/// Runs `body` in a task that has a local to be dropped, lets it be cancelled while it waits, and looks that it ended so, with the
/// local dropped once.
#[track_caller]
fn ends_cancelled(plan: Plan, name: &str, cancels: usize, body: impl FnOnce(&Spot) + Send + 'static) {
    let (spot, tracker) = (Spot::new(), Tracker::new());
    let task = plan.spawn({
        let (spot, value) = (spot.clone(), tracker.value());
        move || {
            let _value = value;
            body(&spot);
        }
    });
    if cancels > 0 {
        spot.wait_asleep();
    }
    (0..cancels).for_each(|_| task.cancel());
    let error = task.join().expect_err(name);
    assert!(error.is_cancelled(), "{name}: {error}");
    assert_eq!(tracker.drops(), 1, "{name}: the destructors ran once");
}

#[test]
fn one_that_is_cancelled_before_it_waits_unwinds_where_it_would() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            ends_cancelled(plan, name, 0, move |spot| {
                coroutine::current().cancel();
                wait(spot);
            });
        }
    });
}

#[test]
fn one_that_is_cancelled_twice_unwinds_once() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            ends_cancelled(plan, name, 2, wait);
        }
    });
}

#[test]
fn one_that_catches_it_is_unwound_at_the_same_wait_again_and_may_return() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            let task = plan.spawn(move || {
                coroutine::current().cancel();
                let unwound = || catch_unwind(|| wait(&Spot::new())).is_err();
                [unwound(), unwound(), unwound()]
            });
            assert_eq!(task.join().expect(name), [true; 3], "{name}");
        }
    });
}

/// Waits where it is dropped.
struct WaitsInDrop<'a>(&'a dyn Fn());

impl Drop for WaitsInDrop<'_> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A destructor of a task that does not unwind is code as any other.
#[test]
fn in_a_destructor_of_a_task_that_is_well_it_unwinds_and_the_other_destructors_run() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            let tracker = Tracker::new();
            let others = [tracker.value(), tracker.value()];
            ends_cancelled(plan, name, 1, move |spot| {
                let [before, after] = others;
                let _before = before;
                let wait = || wait(spot);
                let _waits = WaitsInDrop(&wait);
                drop(after);
            });
            assert_eq!(tracker.drops(), 2, "{name}");
        }
    });
}

/// A wait that may fail. Gives the kind of its error.
type FallibleWait = Box<dyn Fn() -> Option<ErrorKind> + Send>;

/// The other end has to be there meanwhile.
fn kind<T, O>(result: io::Result<T>, _other_end: &O) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn failed<T, E, O>(result: Result<T, E>, _other_end: &O) -> Option<ErrorKind> {
    result.is_err().then_some(ErrorKind::Other)
}

/// Some, with all that they take: a destructor of a task that unwinds could not connect.
fn fallible_waits() -> [(&'static str, FallibleWait); 5] {
    let (sender, receiver) = unbounded::<()>();
    let (full, other) = bounded(0);
    let (near, far) = pair();
    let (writer, reader) = pair();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    [
        ("receive", Box::new(move || failed(receiver.recv(), &sender))),
        ("send", Box::new(move || failed(full.send(()), &other))),
        ("read", Box::new(move || kind((&near).read(&mut [0]), &far))),
        ("write", Box::new(move || (0..).find_map(|_| kind((&writer).write(&[0; 65_536]), &reader)))),
        ("accept", Box::new(move || kind(listener.accept(), &()))),
    ]
}

/// A task that panics can unwind no second time: a wait that may fail says so, and the panic is what it died of.
#[test]
fn in_a_destructor_of_a_task_that_panics_it_is_an_error_of_the_wait() {
    on_every_plan(|plan| {
        for (name, wait) in fallible_waits() {
            let (give, taken) = std::sync::mpsc::channel();
            let spot = Spot::new();
            let task = plan.spawn({
                let spot = spot.clone();
                move || {
                    let wait = || {
                        spot.mark();
                        give.send(wait()).unwrap();
                    };
                    let _waits = WaitsInDrop(&wait);
                    resume_unwind(Box::new("first"));
                }
            });
            // A thread waits as ever until it is cancelled; a coroutine does not wait at all.
            match plan {
                Plan::Thread => spot.wait_asleep(),
                Plan::Coroutine => until(|| spot.is_marked()),
            }
            task.cancel();
            let error = task.join().map(drop).expect_err(name);
            assert_eq!(error.downcast::<&str>().expect(name), "first");
            assert_eq!(taken.recv().unwrap(), Some(ErrorKind::Other), "{name}");
        }
    });
}

/// One that cannot fail ends by what it waits for, and by nothing else.
#[test]
fn in_a_destructor_of_a_task_that_panics_a_wait_that_cannot_fail_goes_on() {
    on_every_plan(|plan| {
        let (latch, waited) = (Arc::new(Latch::new(1)), Arc::new(Mutex::new(false)));
        let task = plan.spawn({
            let (latch, waited) = (latch.clone(), waited.clone());
            move || {
                let wait = || {
                    latch.wait();
                    *waited.lock().unwrap() = latch.is_open();
                };
                let _waits = WaitsInDrop(&wait);
                resume_unwind(Box::new("first"));
            }
        });
        until_blocked(&task);
        task.cancel();
        latch.count_down();
        assert!(task.join().map(drop).unwrap_err().is_panic());
        assert!(*waited.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    });
}

/// What has come already is taken, and the cancellation comes at the next wait.
#[test]
fn a_permit_a_message_and_an_end_that_are_there_win() {
    on_every_pair(|plan| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let task = plan.spawn({
            let told = told.clone();
            move || {
                let say = |word| told.lock().unwrap().push(word);
                let (sender, receiver) = unbounded();
                sender.send("message").unwrap();
                let ended = coroutine::spawn(|| "end");
                until(|| ended.is_finished());
                let me = coroutine::current();
                me.unpark();
                me.cancel();
                say(receiver.recv().unwrap());
                say(ended.join().unwrap());
                coroutine::park();
                say("permit");
                coroutine::park();
                say("unreachable");
            }
        });
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(*told.lock().unwrap(), ["message", "end", "permit"]);
    });
}

/// "I am cancelled" is an unwind; "my child was" is a value.
#[test]
fn that_a_child_was_cancelled_is_a_value() {
    on_every_pair(|plan| {
        let child = plan.spawn(|| coroutine::sleep(LONG));
        child.cancel();
        let unwound = catch_unwind(AssertUnwindSafe(|| child.join()));
        assert!(unwound.expect("this task goes on").unwrap_err().is_cancelled());
        assert!(!coroutine::current().is_cancelled());
        coroutine::yield_now();
    });
}

/// The end of a scope is waited for, whatever happens: caught first, waited, then raised again.
#[test]
fn a_scope_raises_it_again_after_its_children_have_ended() {
    on_every_plan(|plan| {
        let ended = Arc::new(Tracker::new());
        let (spot, seen) = (Spot::new(), Arc::new(Mutex::new(None)));
        let task = plan.spawn({
            let (ended, seen, spot) = (ended.clone(), seen.clone(), spot.clone());
            move || {
                let children = Cell::new(0);
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    scope(|s| {
                        for _ in 0..3 {
                            let value = ended.value();
                            s.spawn(move || {
                                let _value = value;
                                coroutine::sleep(LONG);
                            });
                            children.set(children.get() + 1);
                        }
                        spot.mark();
                        coroutine::sleep(LONG);
                    });
                }));
                *seen.lock().unwrap() = Some((caught.is_err(), children.get(), ended.drops()));
                caught.unwrap_or_else(|payload| resume_unwind(payload));
            }
        });
        until(|| spot.is_marked());
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(*seen.lock().unwrap(), Some((true, 3, 3)));
    });
}
