//! One rule for the end, whatever the plan: `run` waits for every task that is no daemon, cancels those that are, and leaves
//! nobody behind; a plain `main` waits for nobody, as in std. (How daemons end with their parents: `lifetime`.)

use std::io::{Read, Write};

use ropewalk::channel::{Sender, unbounded};
use ropewalk::inspect::{Death, State};
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::{JoinHandle, Task, coroutine, future, process, scope, thread};

use crate::support::child::{Child, case, test_name};
use crate::support::{LONG, guarded, runtime, until};

/// Lets go of a task, and keeps an eye on it.
fn let_go<T>(handle: JoinHandle<T>) -> Task {
    let task = handle.task();
    drop(handle);
    task
}

/// In a process: waits for a byte, and says that it has got it.
fn answer((mut orders, mut news): (PipeReader, PipeWriter)) {
    orders.read_exact(&mut [0]).unwrap();
    news.write_all(b"!").unwrap();
}

#[test]
fn run_waits_for_a_task_of_every_plan() {
    guarded(|| {
        let ((orders, mut order), (mut news, tell)) = (pipe().unwrap(), pipe().unwrap());
        let (release, gate) = unbounded::<()>();
        let tasks = runtime(2).run(move || {
            let pool = thread::Pool::builder().size(1).build().unwrap();
            let wait = {
                let gate = gate.clone();
                move || gate.recv().is_err()
            };
            let tasks = vec![
                let_go(coroutine::spawn(wait.clone())),
                let_go(coroutine::spawn_local(wait.clone())),
                let_go(thread::spawn(wait.clone())),
                let_go(pool.spawn(wait.clone()).unwrap()),
                let_go(coroutine::Builder::new().create(wait.clone()).unwrap().start().unwrap()),
                let_go(thread::Builder::new().create(wait).unwrap().start().unwrap()),
                let_go(future::spawn_future(async {
                    coroutine::spawn(|| ()).await.unwrap();
                })),
                let_go(process::spawn(answer, (orders, tell)).unwrap()),
            ];
            // One that ends last lets the others go, when the body has ended long ago.
            drop(thread::spawn(move || {
                coroutine::yield_now();
                order.write_all(b"?").unwrap();
                drop(release);
            }));
            drop(gate);
            tasks
        });
        for (number, task) in tasks.iter().enumerate() {
            assert_eq!(task.state(), State::Dead(Death::Returned), "number {number}");
        }
        news.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn run_cancels_daemons_of_every_plan_and_does_not_wait_for_threads() {
    guarded(|| {
        let ((orders, order), (mut news, tell)) = (pipe().unwrap(), pipe().unwrap());
        let tasks = runtime(2).run(move || {
            let (started, begun) = unbounded();
            let wait = |started: Sender<()>| {
                move || {
                    started.send(()).unwrap();
                    coroutine::sleep(LONG);
                }
            };
            let tasks = vec![
                let_go(coroutine::Builder::new().daemon(true).spawn(wait(started.clone())).unwrap()),
                let_go(thread::Builder::new().daemon(true).spawn(wait(started)).unwrap()),
                let_go(process::Builder::new().daemon(true).spawn(answer, (orders, tell)).unwrap()),
            ];
            (0..2).for_each(|_| begun.recv().unwrap());
            tasks
        });
        for (number, task) in tasks.iter().enumerate() {
            until(|| matches!(task.state(), State::Dead(_)));
            assert_eq!(task.state(), State::Dead(Death::Cancelled), "number {number}");
        }
        let mut rest = Vec::new();
        news.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "the process has ended without an answer");
        drop(order);
    });
}

#[test]
fn a_child_of_a_scope_is_waited_for_by_the_scope_whatever_it_was_to_be() {
    guarded(|| {
        let tasks = runtime(1).run(|| {
            let (release, gate) = unbounded::<()>();
            scope(|s| {
                let wait = || gate.recv().is_err();
                let a = coroutine::Builder::new().daemon(true).spawn_scoped(s, wait).unwrap().task();
                let b = thread::Builder::new().daemon(true).spawn_scoped(s, wait).unwrap().task();
                drop(release);
                [a, b]
            })
        });
        assert!(tasks.iter().all(|task| task.state() == State::Dead(Death::Returned)));
    });
}

/// The end of the test is the end of `main` here: what hangs on is ended with the process.
#[test]
fn a_plain_main_waits_for_nobody() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let (started, begun) = unbounded();
        for _ in 0..2 {
            let (one, other) = (started.clone(), started.clone());
            drop(coroutine::spawn(move || {
                one.send(()).unwrap();
                coroutine::sleep(LONG);
            }));
            drop(thread::spawn(move || {
                other.send(()).unwrap();
                coroutine::sleep(LONG);
            }));
        }
        (0..4).for_each(|_| begun.recv().unwrap());
    });
}
