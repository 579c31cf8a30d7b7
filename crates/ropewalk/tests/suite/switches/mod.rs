//! What `docs/waits.md` says never to switch does not: each function is called by a coroutine whose turn is over, so that
//! any chance to let others run would be taken, under a hook that counts switches.
//!
//! `crates/tidy/tests/waits.rs` looks that every function is here which the page says never to switch, of those types and
//! modules that also have some which may.

mod channels;
mod files;
mod locks;
mod packets;
mod processes;
mod queues;
mod rings;
mod shared;
mod shared_topics;
mod sockets;
mod tasks;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::hooks::SwitchHook;
use ropewalk::inspect::State;
use ropewalk::sync::Mutex;
use ropewalk::{JoinHandle, OnFailure, Runtime, coroutine, scope_with};

use crate::support::net::pair;
use crate::support::{LONG, guarded};

/// Counts the turns of the first coroutine.
struct Count {
    turns: Arc<AtomicU64>,
    has_begun: AtomicBool,
}

impl SwitchHook for Count {
    /// Whether it is the first one, once that is known.
    type Saved = Option<bool>;

    fn enter(&self, is_first: &mut Option<bool>) {
        let is_first = *is_first.get_or_insert_with(|| !self.has_begun.swap(true, Relaxed));
        self.turns.fetch_add(u64::from(is_first), Relaxed);
    }

    fn leave(&self, _: &mut Option<bool>) {}
}

/// The turns of the first coroutine of a runtime with one worker.
struct Switches(Arc<AtomicU64>);

impl Switches {
    fn run<T>(f: impl FnOnce(&Self) -> T) -> T {
        let counter = Arc::new(AtomicU64::new(0));
        let hook = Count { turns: counter.clone(), has_begun: AtomicBool::new(false) };
        let runtime = Runtime::builder().workers(1).switch_hook(hook).build().unwrap();
        guarded(|| runtime.run(|| f(&Self(counter))))
    }

    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Does as much as a coroutine may do in a turn: the next thing that may let others run does.
    fn use_up_the_turn(&self) {
        coroutine::yield_now();
        let before = self.count();
        let mut most = 0;
        while self.count() == before {
            coroutine::sleep(Duration::ZERO);
            most += 1;
        }
        // That began a new turn.
        (1..most).for_each(|_| coroutine::sleep(Duration::ZERO));
        assert_eq!(self.count(), before + 1);
    }

    /// How often `f`, and the drop of what it holds, switched.
    fn of(&self, f: impl FnOnce()) -> u64 {
        self.use_up_the_turn();
        let before = self.count();
        f();
        self.count() - before
    }
}

/// Prepares a call, which may wait, and gives the call.
type Prepare = fn() -> Box<dyn FnOnce()>;

/// Instead of `drop`, which is for what is more than a number.
fn ignore<T>(_: T) {}

/// A coroutine of this worker that waits for ever in `wait`.
fn waiting(wait: impl FnOnce() + 'static) -> JoinHandle<()> {
    let task = coroutine::Builder::new().daemon(true).spawn_local(wait).unwrap();
    while !matches!(task.task().state(), State::Blocked(_)) {
        coroutine::yield_now();
    }
    task
}

fn sleeper() -> JoinHandle<()> {
    waiting(|| coroutine::sleep(LONG))
}

fn ended() -> JoinHandle<i32> {
    let task = coroutine::spawn_local(|| 1);
    while !task.is_finished() {
        coroutine::yield_now();
    }
    task
}

#[test]
fn what_is_said_never_to_switch_does_not() {
    Switches::run(|switches| {
        for (name, prepare) in [
            locks::LOCKS,
            shared::SHARED,
            queues::QUEUES,
            rings::RINGS,
            shared_topics::SHARED_TOPICS,
            processes::PROCESSES,
            channels::CHANNELS,
            channels::TOPICS,
            tasks::TASKS,
            files::FILES,
            sockets::SOCKETS,
            sockets::DATAGRAMS,
            packets::PACKETS,
        ]
        .concat()
        {
            let call = prepare();
            assert_eq!(switches.of(call), 0, "{name} has switched");
        }
    });
}

/// A scope's end waits, so what is done in it is looked at in it.
#[test]
fn the_handles_of_a_scope_never_switch() {
    Switches::run(|switches| {
        let calls = scope_with(OnFailure::Isolate, |s| {
            let mut calls = Vec::new();
            calls.push(("spawn", switches.of(|| drop(s.spawn(|| ())))));
            calls.push(("spawn_local", switches.of(|| drop(s.spawn_local(|| ())))));
            let child = s.spawn_local(|| coroutine::sleep(LONG));
            calls.push(("ended", switches.of(|| drop(child.ended()))));
            calls.push(("id", switches.of(|| assert!(child.id().as_u64() > 0))));
            calls.push(("is_finished", switches.of(|| assert!(!child.is_finished()))));
            calls.push(("name", switches.of(|| assert!(child.name().is_none()))));
            calls.push(("task", switches.of(|| drop(child.task()))));
            calls.push(("thread", switches.of(|| drop(child.thread()))));
            calls.push(("cancel", switches.of(|| child.cancel())));
            calls.push(("cancel_all", switches.of(|| s.cancel())));
            calls
        });
        let switched: Vec<_> = calls.iter().filter(|(_, count)| *count > 0).collect();
        assert!(switched.is_empty(), "{switched:?}");
    });
}

/// That the count would notice: what need not wait lets others run, when the turn is over.
#[test]
fn what_may_switch_does_when_its_turn_is_over() {
    Switches::run(|switches| {
        let mutex = Mutex::new(1);
        assert_eq!(switches.of(|| drop(mutex.lock())), 1, "a lock that is free");
        let (sender, receiver) = bounded(1);
        assert_eq!(switches.of(|| sender.send(1).unwrap()), 1, "a send with room");
        assert_eq!(switches.of(|| ignore(receiver.recv())), 1, "a receive of what is there");
        let (mut near, _far) = pair();
        assert_eq!(switches.of(|| near.write_all(b"x").unwrap()), 1, "a write with room");
        assert_eq!(switches.of(coroutine::yield_now), 1);
        assert_eq!(switches.of(|| ropewalk::no_suspend(|| drop(mutex.lock()))), 0, "but in a region");
    });
}
