//! What a task does, asked from anywhere; and tasks that are created before they start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc;

use ropewalk::channel::bounded;
use ropewalk::inspect::{Death, State, WaitReason};
use ropewalk::process;
use ropewalk::sync::Mutex;
use ropewalk::{Task, coroutine, scope, thread};

use crate::support::{LONG, Plan, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

fn reason(task: &Task) -> Option<WaitReason> {
    match task.state() {
        State::Blocked(blocked) => Some(blocked.reason),
        _ => None,
    }
}

fn create<T: Send + 'static>(plan: Plan, f: impl FnOnce() -> T + Send + 'static) -> ropewalk::Unstarted<T> {
    match plan {
        Plan::Coroutine => coroutine::Builder::new().name("late".into()).create(f),
        Plan::Thread => thread::Builder::new().name("late".into()).create(f),
    }
    .unwrap()
}

#[test]
fn a_created_task_is_new_until_it_is_started() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        let value = tracker.value();
        let unstarted = create(plan, move || {
            drop(value);
            7
        });
        let task = unstarted.task();
        assert_eq!((task.state(), task.name()), (State::New, Some("late")));
        coroutine::yield_now();
        assert_eq!((task.state(), tracker.drops()), (State::New, 0));
        let handle = unstarted.start().unwrap();
        assert_eq!(handle.id(), task.id());
        assert_eq!(handle.join().unwrap(), 7);
        assert_eq!((task.state(), tracker.drops()), (State::Dead(Death::Returned), 1));
    });
}

#[test]
fn a_created_task_that_is_dropped_never_starts_and_nobody_waits_for_it() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        let value = tracker.value();
        let unstarted = create(plan, move || drop(value));
        let task = unstarted.task();
        drop(unstarted);
        assert_eq!((task.state(), tracker.drops()), (State::Dead(Death::Cancelled), 1));
    });
    // A runtime ends although one that was never started lives on, and the handle serves afterwards.
    guarded(|| {
        let (coroutine, thread) =
            runtime(2).run(|| (create(Plan::Coroutine, || 1), create(Plan::Thread, || 2)));
        let error = coroutine.start().unwrap().join().unwrap_err();
        assert!(error.to_string().contains("the runtime has ended"), "{error}");
        assert_eq!(thread.start().unwrap().join().unwrap(), 2);
    });
}

#[test]
fn a_created_task_that_was_cancelled_ends_when_it_is_started() {
    on_every_pair(|plan| {
        let unstarted = create(plan, || unreachable!("it was cancelled before it started"));
        let task = unstarted.task();
        task.cancel();
        assert_eq!(task.state(), State::New);
        let error = unstarted.start().unwrap().join().map(|(): ()| ()).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(task.state(), State::Dead(Death::Cancelled));
    });
}

#[test]
fn started_later_from_another_task_it_keeps_its_parent() {
    on_every_pair(|plan| {
        let here = coroutine::current().id();
        let unstarted = create(plan, || coroutine::current().parent());
        let parent = plan.spawn(move || unstarted.start().unwrap().join().unwrap()).join().unwrap();
        assert_eq!(parent, Some(here));
    });
}

#[test]
fn a_task_says_what_it_waits_for_and_since_when() {
    on_every_pair(|plan| {
        let before = std::time::Instant::now();
        let lock = Arc::new(Mutex::new(()));
        let guard = lock.lock().unwrap();
        let (_open, gate) = bounded::<()>(0);
        let waiters = [
            (WaitReason::Park, plan.spawn(coroutine::park)),
            (WaitReason::Sleep, plan.spawn(|| coroutine::sleep(LONG))),
            (WaitReason::ChannelReceive, plan.spawn(move || assert!(gate.recv().is_err()))),
            (WaitReason::MutexLock, {
                let lock = lock.clone();
                plan.spawn(move || drop(lock.lock()))
            }),
        ];
        for (expected, handle) in &waiters {
            let task = handle.task();
            until(|| reason(&task) == Some(*expected));
            let State::Blocked(blocked) = task.state() else { panic!("it waits: {:?}", task.state()) };
            // Exact to some ten milliseconds only.
            assert!(blocked.since + std::time::Duration::from_millis(100) >= before, "{expected}");
            if *expected == WaitReason::MutexLock {
                assert_eq!(blocked.on, Some(coroutine::current().id()), "the holder");
            }
            task.cancel();
        }
        for (reason, handle) in waiters {
            let task = handle.task();
            assert!(handle.join().unwrap_err().is_cancelled(), "{reason}");
            assert_eq!(task.state(), State::Dead(Death::Cancelled));
        }
        drop(guard); // before that the lock would have won
    });
}

#[test]
fn a_task_that_runs_is_running_and_one_behind_it_is_new_or_ready() {
    on_every_plan(|plan| {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let handle = plan.spawn({
            let stop = stop.clone();
            move || {
                tell.send(coroutine::current().state()).unwrap();
                while !stop.load(SeqCst) {
                    std::hint::spin_loop();
                }
            }
        });
        assert_eq!(told.recv().unwrap(), State::Running);
        assert_eq!(handle.task().state(), State::Running);
        stop.store(true, SeqCst);
        handle.join().unwrap();
    });
    guarded(|| {
        runtime(1).run(|| {
            let other = coroutine::spawn_local(coroutine::yield_now);
            assert_eq!(other.task().state(), State::Ready);
            let fresh = coroutine::spawn(|| ());
            assert_eq!(fresh.task().state(), State::New);
            coroutine::hand_over(&other).unwrap();
            assert_eq!(other.task().state(), State::Ready, "it has yielded");
            other.join().unwrap();
        });
    });
}

#[test]
fn how_a_task_ended_can_be_asked_afterwards() {
    on_every_pair(|plan| {
        let panicked = plan.spawn(|| std::panic::resume_unwind(Box::new(7)));
        let task = panicked.task();
        assert!(panicked.join().map(|(): ()| ()).unwrap_err().is_panic());
        assert_eq!(task.state(), State::Dead(Death::Panicked));
        // Without anybody who joins.
        let detached = plan.spawn(|| ()).task();
        until(|| detached.state() == State::Dead(Death::Returned));
    });
}

#[test]
fn parents_and_children_know_each_other() {
    on_every_pair(|plan| {
        let (tell, told) = bounded(1);
        let parent = plan.spawn(move || {
            let children = [plan.spawn(coroutine::park), plan.spawn(coroutine::park)];
            tell.send(children.each_ref().map(|child| child.task())).unwrap();
            children.into_iter().for_each(|child| child.join().unwrap());
        });
        let children = told.recv().unwrap();
        assert_eq!(children.each_ref().map(Task::parent), [Some(parent.id()); 2]);
        let mut found = Vec::new();
        // A child that has not started is found, too; a worker that is busy may keep it back for a moment.
        until(|| {
            found = parent.task().children();
            found.len() == 2
        });
        let ids = |tasks: &[Task]| tasks.iter().map(Task::id).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(&children));
        assert_eq!(parent.task().parent(), Some(coroutine::current().id()));
        found.iter().for_each(Task::unpark);
        let parent_task = parent.task();
        parent.join().unwrap();
        assert!(parent_task.children().is_empty());
    });
}

#[test]
fn what_was_done_before_an_unpark_is_seen_after_the_park() {
    on_every_pair(|plan| {
        let flags = [const { AtomicBool::new(false) }; 2].map(Arc::new);
        let waiter = plan.spawn({
            let flags = flags.clone();
            move || {
                while !flags.iter().all(|flag| flag.load(Relaxed)) {
                    coroutine::park();
                }
            }
        });
        let givers = flags.map(|flag| {
            let waiter = waiter.task();
            plan.spawn(move || {
                flag.store(true, Relaxed);
                waiter.unpark();
            })
        });
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        waiter.join().unwrap();
    });
}

#[test]
fn a_thread_of_somebody_else_is_a_task_until_it_ends() {
    guarded(|| {
        let (tell, told) = mpsc::channel();
        let stranger = std::thread::spawn(move || {
            tell.send(thread::current()).unwrap();
            thread::park();
        });
        let task = told.recv().unwrap();
        until(|| reason(&task) == Some(WaitReason::Park));
        assert_eq!((task.parent(), task.spawned_at()), (None, None));
        task.unpark();
        stranger.join().unwrap();
        until(|| task.state() == State::Dead(Death::Unknown));
    });
}

#[test]
fn a_scoped_child_can_be_asked_after_its_scope() {
    on_every_pair(|plan| {
        let word = String::from("rope");
        let task = plan.scope(|s| {
            let child = s.spawn(|| word.len());
            let task = child.task();
            assert_eq!(child.join().unwrap(), 4);
            task
        });
        drop(word);
        assert_eq!(task.state(), State::Dead(Death::Returned));
        task.unpark();
        task.cancel();
    });
}

/// The kernel is asked: it sleeps, it was stopped, it goes on, it is gone.
#[test]
fn a_process_is_what_the_kernel_says() {
    on_every_plan(|_| {
        let child = process::spawn(
            |()| {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
                    .unwrap();
            },
            (),
        )
        .unwrap();
        let task = child.task();
        until(|| task.state() == State::Stopped);
        child.cancel();
        let error = child.join().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(task.state(), State::Dead(Death::Cancelled));

        let sleeper = process::spawn(|()| std::thread::sleep(LONG), ()).unwrap();
        let task = sleeper.task();
        until(|| reason(&task) == Some(WaitReason::Kernel));
        sleeper.cancel();
        assert!(sleeper.join().unwrap_err().is_cancelled());

        let gone = process::spawn(|()| std::process::exit(3), ()).unwrap();
        let task = gone.task();
        assert!(gone.join().map(|(): ()| ()).unwrap_err().exit().is_some());
        assert_eq!(task.state(), State::Dead(Death::Exited));
    });
}

#[test]
fn a_scope_can_mix_plans_and_local_children() {
    on_every_pair(|plan| {
        let name = plan.scope(|s| {
            let coroutine = coroutine::Builder::new().name("c".into()).spawn_scoped(s, || {
                (coroutine::current().is_coroutine(), coroutine::current().name().map(str::to_owned))
            });
            let thread = thread::Builder::new().name("t".into()).spawn_scoped(s, || {
                (coroutine::current().is_coroutine(), coroutine::current().name().map(str::to_owned))
            });
            (coroutine.unwrap().join().unwrap(), thread.unwrap().join().unwrap())
        });
        assert_eq!(name, ((true, Some("c".into())), (false, Some("t".into()))));
    });
    guarded(|| {
        runtime(2).run(|| {
            let log = std::cell::RefCell::new(Vec::new());
            scope(|s| {
                for n in 0..3 {
                    let log = &log;
                    s.spawn_local(move || {
                        coroutine::yield_now();
                        log.borrow_mut().push(n);
                    });
                }
            });
            assert_eq!(*log.borrow(), [0, 1, 2]);
        });
        assert!(
            std::panic::catch_unwind(|| thread::scope(|s| drop(s.spawn_local(|| ())))).is_err(),
            "a thread has no worker"
        );
    });
}
