//! Switch hooks: what each coroutine has for itself of what its thread has only one of.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use ropewalk::channel::{bounded, unbounded};
use ropewalk::generator::Generator;
use ropewalk::hooks::{SwitchHook, per_coroutine};
use ropewalk::{Runtime, blocking, coroutine, scope, thread};
use rustix::process::Signal;

use crate::support::child::{self, Child, test_name};
use crate::support::{LONG, guarded, until};

thread_local! {
    static VALUE: Cell<u32> = const { Cell::new(0) };
}

/// Sets the thread-local, runs `f`, and restores what was there: what some libraries do.
fn set<R>(value: u32, f: impl FnOnce() -> R) -> R {
    let before = VALUE.replace(value);
    let result = f();
    VALUE.set(before);
    result
}

/// A runtime in which each coroutine has its own `VALUE`, which begins as 100.
fn with_own_values(workers: usize) -> Runtime {
    let hook = per_coroutine(&VALUE, || 100);
    Runtime::builder().workers(workers).switch_hook(hook).build().expect("a runtime can be built")
}

/// The sequence of `docs/soundness.md`, which ends up with a value of somebody who is gone, is right.
#[test]
fn what_is_set_over_a_wait_is_restored_to_whoever_set_it() {
    guarded(|| {
        VALUE.set(7);
        with_own_values(1).run(|| {
            let (open, gates): (Vec<_>, Vec<_>) = (0..2).map(|_| bounded::<()>(0)).unzip();
            let tasks: Vec<_> = gates
                .into_iter()
                .zip([1, 2])
                .map(|(gate, number)| {
                    coroutine::spawn_local(move || {
                        let inside = set(number, || {
                            gate.recv().unwrap();
                            VALUE.get()
                        });
                        (inside, VALUE.get())
                    })
                })
                .collect();
            coroutine::yield_now();
            // First in, first out: not the order of a stack.
            let ends: Vec<_> = tasks
                .into_iter()
                .zip(open)
                .map(|(task, gate)| {
                    gate.send(()).unwrap();
                    task.join().unwrap()
                })
                .collect();
            assert_eq!(ends, [(1, 100), (2, 100)]);
            assert_eq!(VALUE.get(), 100, "the main task has its own, too");
        });
        assert_eq!(VALUE.get(), 7, "the thread's is as it was");
    });
}

#[test]
fn values_stay_with_their_coroutines_whoever_runs_in_between() {
    guarded(|| {
        with_own_values(2).run(|| {
            scope(|s| {
                for n in 0..100 {
                    s.spawn(move || {
                        for turn in 0..20 {
                            VALUE.set(n * 100 + turn);
                            coroutine::yield_now();
                            assert_eq!(VALUE.get(), n * 100 + turn);
                        }
                    });
                }
            });
        });
    });
}

/// Threads have their thread-locals to themselves, so hooks are not called; a call in `blocking` has its thread's.
#[test]
fn threads_and_blocking_calls_have_those_of_their_threads() {
    guarded(|| {
        with_own_values(1).run(|| {
            VALUE.set(1);
            let in_thread = thread::spawn(|| {
                let first = VALUE.replace(2);
                thread::yield_now();
                (first, VALUE.get())
            });
            assert_eq!(in_thread.join().unwrap(), (0, 2));
            assert_eq!((blocking(|| VALUE.get()), VALUE.get()), (0, 1));
        });
    });
}

#[test]
fn another_runtime_has_other_hooks() {
    guarded(|| {
        with_own_values(1).run(|| VALUE.set(1));
        VALUE.set(7);
        crate::support::runtime(1).run(|| assert_eq!(VALUE.get(), 7, "no hook"));
    });
}

/// A generator's body is a part of the task that resumes it: what it sets stays set over a yield. When the whole task waits in
/// the body, that is a switch as any other.
#[test]
fn a_generators_body_shares_the_value_of_who_resumes_it() {
    guarded(|| {
        with_own_values(1).run(|| {
            let other = coroutine::spawn_local(|| {
                VALUE.set(3);
                coroutine::yield_now();
                VALUE.get()
            });
            let mut generator: Generator<(), u32, ()> = Generator::new(|yielder| {
                VALUE.set(1);
                coroutine::yield_now(); // the task waits, and the other one runs
                yielder.yield_(VALUE.get());
                yielder.yield_(VALUE.get());
            });
            assert_eq!(generator.next(), Some(1));
            assert_eq!(VALUE.get(), 1);
            VALUE.set(2);
            assert_eq!(generator.next(), Some(2));
            assert_eq!(other.join().unwrap(), 3);
        });
    });
}

/// What happens to a coroutine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Made,
    Entered,
    Left,
    Dropped,
}

type Log = Mutex<Vec<(&'static str, Event)>>;

/// Notes what it is told, with its own name.
struct Recorder {
    name: &'static str,
    log: Arc<Log>,
}

thread_local! {
    /// Where the `Saved` of a recorder, which is made from nothing, writes to.
    static LOG: Cell<Option<&'static Log>> = const { Cell::new(None) };
}

struct Noted;

impl Default for Noted {
    fn default() -> Self {
        note(Event::Made);
        Self
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        note(Event::Dropped);
    }
}

fn note(event: Event) {
    if let Some(log) = LOG.get() {
        log.lock().unwrap().push(("saved", event));
    }
}

impl SwitchHook for Recorder {
    type Saved = ();

    fn enter(&self, (): &mut ()) {
        self.log.lock().unwrap().push((self.name, Event::Entered));
    }

    fn leave(&self, (): &mut ()) {
        self.log.lock().unwrap().push((self.name, Event::Left));
    }
}

/// Only has something to be dropped.
struct Keeper;

impl SwitchHook for Keeper {
    type Saved = Noted;

    fn enter(&self, _: &mut Noted) {}

    fn leave(&self, _: &mut Noted) {}
}

#[test]
fn hooks_are_called_around_every_turn_the_first_one_outermost() {
    guarded(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let recorder = |name| Recorder { name, log: log.clone() };
        let builder = Runtime::builder().workers(1).switch_hook(recorder("a")).switch_hook(recorder("b"));
        builder.build().unwrap().run(|| (0..2).for_each(|_| coroutine::yield_now()));
        let turn = [("a", Event::Entered), ("b", Event::Entered), ("b", Event::Left), ("a", Event::Left)];
        assert_eq!(*log.lock().unwrap(), [turn, turn, turn].concat());
    });
}

#[test]
fn what_is_saved_lives_as_long_as_the_coroutine() {
    guarded(|| {
        let log: &'static Log = Box::leak(Box::new(Mutex::new(Vec::new())));
        LOG.set(Some(log));
        let counted = || {
            let log = log.lock().unwrap();
            let count = |event| log.iter().filter(|(_, found)| *found == event).count();
            (count(Event::Made), count(Event::Dropped))
        };
        let runtime = Runtime::builder().workers(1).switch_hook(Keeper).build().unwrap();
        runtime.run(|| {
            assert_eq!(counted(), (1, 0), "the main task's");
            coroutine::spawn_local(|| coroutine::yield_now()).join().unwrap();
            assert_eq!(counted(), (2, 1));
            let panics = coroutine::spawn_local(|| std::panic::resume_unwind(Box::new("expected")));
            assert!(panics.join().is_err());
            assert_eq!(counted(), (3, 2));
            let sleeps = coroutine::spawn_local(|| coroutine::sleep(LONG));
            coroutine::yield_now();
            assert_eq!(counted(), (4, 2));
            sleeps.cancel();
            assert!(sleeps.join().is_err());
            assert_eq!(counted(), (4, 3));
            let unstarted = coroutine::spawn(|| ());
            unstarted.cancel();
            assert!(unstarted.join().is_err());
        });
        let (made, dropped) = counted();
        assert_eq!(made, dropped, "the main task's as well");
        LOG.set(None);
    });
}

/// Does what it is told when a coroutine leaves.
struct OnLeave<F>(F);

impl<F: Fn() + Send + Sync + 'static> SwitchHook for OnLeave<F> {
    type Saved = ();

    fn enter(&self, (): &mut ()) {}

    fn leave(&self, (): &mut ()) {
        (self.0)();
    }
}

fn run_with(on_leave: impl Fn() + Send + Sync + 'static) {
    let runtime = Runtime::builder().workers(1).switch_hook(OnLeave(on_leave)).build().unwrap();
    runtime.run(coroutine::yield_now);
}

#[test]
fn what_need_not_wait_works_in_a_hook() {
    guarded(|| {
        let (sender, receiver) = unbounded();
        let spawned = Arc::new(AtomicUsize::new(0));
        let (mutex, told) = (ropewalk::sync::Mutex::new(0), receiver.clone());
        run_with({
            let spawned = spawned.clone();
            move || {
                *mutex.lock().unwrap() += 1;
                let _ = sender.send(*mutex.lock().unwrap());
                assert!(receiver.try_recv().is_ok());
                sender.send(0).unwrap();
                if spawned.load(SeqCst) == 0 {
                    let spawned = spawned.clone();
                    drop(coroutine::spawn(move || spawned.fetch_add(1, SeqCst)));
                }
            }
        });
        assert!(spawned.load(SeqCst) >= 1);
        assert!(told.try_recv().is_ok());
    });
}

/// Waits of all kinds; a hook that makes one ends the process.
const FORBIDDEN: [(&str, fn()); 6] = [
    ("receiving from an empty channel", || {
        let (_sender, receiver) = unbounded::<()>();
        let _ = receiver.recv();
    }),
    ("sleeping", || thread::sleep(LONG)),
    ("letting others run", coroutine::yield_now),
    ("waiting for the children of a scope", || scope(|_| ())),
    ("reading from a pipe", || {
        let (mut reader, _writer) = ropewalk::io::pipe().unwrap();
        let _ = std::io::Read::read(&mut reader, &mut [0; 8]);
    }),
    ("locking a mutex", || {
        let mutex = ropewalk::sync::Mutex::new(());
        let _held = mutex.lock();
        drop(mutex.lock());
    }),
];

#[test]
fn a_hook_that_waits_ends_the_process_and_says_for_what() {
    if let Some(case) = child::case() {
        let (_, wait) = FORBIDDEN.into_iter().find(|(name, _)| *name == case).unwrap();
        return guarded(|| run_with(wait));
    }
    for (name, _) in FORBIDDEN {
        let outcome = Child::new(test_name!(), name).run();
        outcome.assert_killed_by(Signal::ABORT);
        let said = format!("a switch hook must not wait, but this has to ({name})");
        assert!(outcome.stderr.contains(&said), "{name}: {outcome:#?}");
    }
}

#[test]
fn a_hook_that_panics_ends_the_process() {
    if child::case().is_none() {
        let outcome = Child::new(test_name!(), "").run();
        outcome.assert_killed_by(Signal::ABORT);
        assert!(outcome.stderr.contains("my hook is broken"), "{outcome:#?}");
        assert!(outcome.stderr.contains("ropewalk: a switch hook has panicked"), "{outcome:#?}");
        return;
    }
    guarded(|| run_with(|| panic!("my hook is broken")));
}

/// A value that must not leave its thread stays on it.
#[test]
fn a_value_need_not_be_send() {
    thread_local!(static SHARED: Cell<Option<Rc<u32>>> = const { Cell::new(None) });

    guarded(|| {
        let hook = per_coroutine(&SHARED, || None);
        let runtime = Runtime::builder().workers(2).switch_hook(hook).build().unwrap();
        runtime.run(|| {
            let mine = Rc::new(1);
            SHARED.set(Some(mine.clone()));
            let other = coroutine::spawn(|| SHARED.replace(Some(Rc::new(2))).is_none());
            until(|| other.is_finished());
            assert!(other.join().unwrap());
            assert_eq!(Rc::strong_count(&mine), 2);
            assert_eq!(SHARED.take(), Some(mine));
        });
    });
}
