//! Tasks, time and futures.

use std::cell::Cell;
use std::time::Instant;

use ropewalk::future::{co, sleep, sleep_until, spawn_future};
use ropewalk::generator::Generator;
use ropewalk::inspect::State;
use ropewalk::{CancelToken, Runtime, coroutine, thread};

use super::{Prepare, ended, ignore, sleeper, waiting};
use crate::support::LONG;

pub(super) const TASKS: &[(&str, Prepare)] = &[
    ("no_suspend", || Box::new(|| ropewalk::no_suspend(|| ()))),
    ("task_local", || {
        ropewalk::task_local!(static VALUE: Cell<i32> = Cell::new(1));
        Box::new(|| VALUE.set(2))
    }),
    ("coroutine::current", || Box::new(|| drop(coroutine::current()))),
    ("coroutine::panicking", || Box::new(|| assert!(!coroutine::panicking()))),
    ("coroutine::spawn", || Box::new(|| drop(coroutine::spawn(|| ())))),
    ("coroutine::spawn_local", || Box::new(|| drop(coroutine::spawn_local(|| ())))),
    ("time::now", || Box::new(|| assert!(ropewalk::time::now() <= Instant::now()))),
    ("thread::current", || Box::new(|| drop(thread::current()))),
    ("thread::panicking", || Box::new(|| assert!(!thread::panicking()))),
    ("thread::spawn", || Box::new(|| drop(thread::spawn(|| ())))),
    ("thread::affinity", || Box::new(|| drop(thread::affinity()))),
    ("thread::priority", || Box::new(|| drop(thread::priority()))),
    ("thread::set_affinity", || {
        let all = thread::affinity();
        Box::new(move || drop(all.map(|all| thread::set_affinity(&all))))
    }),
    ("thread::set_priority", || {
        let own = thread::priority();
        Box::new(move || drop(own.map(thread::set_priority)))
    }),
    ("future::co", || {
        let step = || std::future::ready(Ok::<_, std::fmt::Error>(1));
        let steps = Generator::new(move |yielder| yielder.yield_(step()).is_some());
        Box::new(move || drop(co(steps)))
    }),
    ("future::sleep", || Box::new(|| ignore(sleep(LONG)))),
    ("future::sleep_until", || Box::new(|| ignore(sleep_until(Instant::now())))),
    ("future::spawn_future", || Box::new(|| drop(spawn_future(async {})))),
    ("JoinHandle::cancel", || {
        let task = sleeper();
        Box::new(move || task.cancel())
    }),
    ("JoinHandle::ended", || {
        let task = sleeper();
        Box::new(move || drop(task.ended()))
    }),
    ("JoinHandle::id", || {
        let task = sleeper();
        Box::new(move || assert!(task.id().as_u64() > 0))
    }),
    ("JoinHandle::is_finished", || {
        let task = sleeper();
        Box::new(move || assert!(!task.is_finished()))
    }),
    ("JoinHandle::name", || {
        let task = sleeper();
        Box::new(move || assert!(task.name().is_none()))
    }),
    ("JoinHandle::spawned_at", || {
        let task = coroutine::spawn_local(|| ());
        Box::new(move || assert_eq!(task.spawned_at().file(), file!()))
    }),
    ("JoinHandle::task", || {
        let task = sleeper();
        Box::new(move || drop(task.task()))
    }),
    ("JoinHandle::thread", || {
        let task = sleeper();
        Box::new(move || drop(task.thread()))
    }),
    ("a handle is dropped, of one that waits and of one that has ended", || {
        let tasks = (sleeper(), ended());
        Box::new(move || drop(tasks))
    }),
    ("Task::cancel", || {
        let task = sleeper().task();
        Box::new(move || task.cancel())
    }),
    ("Task::id", || Box::new(|| assert!(coroutine::current().id().as_u64() > 0))),
    ("Task::is_cancelled", || Box::new(|| assert!(!coroutine::current().is_cancelled()))),
    ("Task::is_coroutine", || Box::new(|| assert!(coroutine::current().is_coroutine()))),
    ("Task::name", || Box::new(|| assert_eq!(coroutine::current().name(), Some("main")))),
    ("Task::parent", || Box::new(|| ignore(coroutine::current().parent()))),
    ("Task::send_signal", || {
        let coroutine = sleeper().task();
        // There is no thread to send it to.
        Box::new(move || assert!(coroutine.send_signal(ropewalk::signal::Signal::USR1).is_err()))
    }),
    ("Task::spawned_at", || Box::new(|| ignore(coroutine::current().spawned_at()))),
    ("Task::state", || Box::new(|| assert_eq!(coroutine::current().state(), State::Running))),
    ("Task::unpark", || {
        let task = waiting(coroutine::park).task();
        Box::new(move || task.unpark())
    }),
    ("Runtime::builder", || Box::new(|| drop(Runtime::builder()))),
    ("Runtime::driver", || {
        Box::new(|| {
            let runtime = Runtime::builder().workers(1).build().unwrap();
            ignore(runtime.driver().reason().map(str::len));
        })
    }),
    ("CancelToken::new", || Box::new(|| drop(CancelToken::new()))),
    ("CancelToken::child", || Box::new(|| drop(CancelToken::new().child()))),
    ("CancelToken::is_cancelled", || Box::new(|| assert!(!CancelToken::new().is_cancelled()))),
    ("CancelToken::cause", || Box::new(|| assert!(CancelToken::new().cause().is_none()))),
    ("CancelToken::cancelled", || Box::new(|| assert!(CancelToken::new().cancelled().is_empty()))),
    ("CancelToken::drop_guard", || Box::new(|| drop(CancelToken::new().drop_guard()))),
    ("CancelToken::attach", || {
        let task = sleeper();
        Box::new(move || CancelToken::new().attach(&task))
    }),
    ("CancelToken::cancel", || {
        let token = CancelToken::new();
        let waits = token.clone();
        let task = waiting(move || waits.wait());
        Box::new(move || {
            token.cancel();
            drop(task);
        })
    }),
    ("CancelToken::cancel_with", || Box::new(|| CancelToken::new().cancel_with("because"))),
    ("generator::Generator::new", || Box::new(|| drop(Generator::<(), (), ()>::new(|_| ())))),
    ("generator::Generator::is_finished", || {
        Box::new(|| assert!(!Generator::<(), (), ()>::new(|_| ()).is_finished()))
    }),
    ("generator::Generator::name", || {
        Box::new(|| assert!(Generator::<(), (), ()>::new(|_| ()).name().is_none()))
    }),
];
