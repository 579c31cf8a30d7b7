//! What a process tells about its tasks: `inspect::dump`.

use std::hint::black_box;
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ropewalk::channel::{Receiver, bounded};
use ropewalk::inspect::{self, Blocked, Dump, Plan as PlanInfo, State, TaskInfo, WaitReason, WorkerInfo};
use ropewalk::sync::{Arc, Mutex, OnceLock, RwLock};
use ropewalk::{Runtime, Schedule, TaskId, coroutine, scope, thread};

use super::support::child::{Child, case, test_name};
use super::support::{PLANS, Plan, guarded, on_every_plan, runtime, until};

fn info(dump: &Dump, id: TaskId) -> &TaskInfo {
    dump.task(id).unwrap_or_else(|| panic!("task {id} is not listed:\n{dump}"))
}

/// The worker of a coroutine: other tests have theirs.
fn worker_of(dump: &Dump, id: TaskId) -> &WorkerInfo {
    let number = info(dump, id).worker().expect("it has started");
    dump.workers().iter().find(|worker| worker.number == number).expect("it is listed")
}

fn blocked(task: &TaskInfo) -> Option<Blocked> {
    match task.state() {
        State::Blocked(blocked) => Some(blocked),
        _ => None,
    }
}

/// The first dump in which this task waits, and has a stack. A dump may find it on the way there, or moving.
fn dump_blocked(id: TaskId) -> Dump {
    let mut found = None;
    until(|| {
        let dump = inspect::dump();
        let is_there = dump.task(id).is_some_and(|task| blocked(task).is_some() && task.stack().is_some());
        found = is_there.then_some(dump);
        is_there
    });
    found.expect("looked for until it was there")
}

/// A coroutine holds up its worker until somebody else has seen enough, or has failed.
#[derive(Clone, Default)]
pub(crate) struct HoldUp(Arc<AtomicBool>);

impl HoldUp {
    pub(crate) fn hold(&self) {
        while !self.0.load(SeqCst) {
            std::hint::spin_loop();
        }
    }

    /// The next one is to be held, too.
    pub(crate) fn again(&self) {
        self.0.store(false, SeqCst);
    }
}

/// Ends the hold-up when it is dropped.
pub(crate) struct Release(pub(crate) HoldUp);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.0.store(true, SeqCst);
    }
}

/// The functions of a task's stack, innermost first.
fn functions(task: &TaskInfo) -> Vec<String> {
    let frames = task.stack().expect("it has a stack").frames();
    frames.into_iter().map(|frame| frame.function).collect()
}

#[inline(never)]
fn innermost(receiver: &Receiver<()>) {
    let _ = receiver.recv();
    black_box(receiver);
}

#[inline(never)]
fn in_between(receiver: &Receiver<()>) {
    innermost(receiver);
    black_box(receiver);
}

/// Whether `functions` begins with those two, whatever the module's path.
fn begins_with_both(functions: &[String]) -> bool {
    functions.len() >= 2
        && functions[0].ends_with("inspect::innermost")
        && functions[1].ends_with("inspect::in_between")
}

#[test]
fn every_state_appears() {
    guarded(|| {
        let (to_thread, from_main) = bounded(1);
        let hold_up = HoldUp::default();
        let release = Release(hold_up.clone());
        runtime(1).run(move || {
            let observer = thread::spawn(move || {
                let (running, ready, waiting): (TaskId, TaskId, TaskId) = from_main.recv().unwrap();
                // Posted to a worker that is busy: it has not even taken it in.
                let new = coroutine::spawn(|| ());
                let dump = inspect::dump();
                let states = [new.id(), ready, running].map(|id| info(&dump, id).state());
                assert_eq!(states, [State::New, State::Ready, State::Running], "{dump}");
                let waiting = blocked(info(&dump, waiting)).map(|blocked| blocked.reason);
                assert_eq!(waiting, Some(WaitReason::ChannelReceive), "{dump}");
                let own = info(&dump, thread::current().id());
                assert_eq!((own.state(), own.plan()), (State::Running, PlanInfo::Thread), "{dump}");
                assert_eq!(worker_of(&dump, running).running, Some(running), "{dump}");
                let ended = coroutine::spawn(|| ());
                drop(release);
                let id = ended.id();
                ended.join().unwrap();
                assert!(inspect::dump().task(id).is_none(), "it has ended");
            });
            let (_sender, receiver) = bounded::<()>(1);
            let waiting = coroutine::spawn_local(move || receiver.recv());
            coroutine::yield_now();
            let ready = coroutine::spawn_local(|| ());
            to_thread.send((coroutine::current().id(), ready.id(), waiting.id())).unwrap();
            hold_up.hold();
            observer.join().unwrap();
            waiting.cancel();
        });
    });
}

#[test]
fn coroutines_that_have_not_started_are_listed_by_who_spawns_them() {
    guarded(|| {
        runtime(2).run(|| {
            let (sender, receiver) = bounded::<()>(1);
            // In a scope, which cancels them if something is not as it should be.
            scope(|s| {
                let spawned: Vec<_> = (0..100).map(|_| s.spawn(|| receiver.recv())).collect();
                let mut dump = inspect::dump();
                // A worker of a busy machine may not answer in time; then the dump says that there are more.
                until(|| {
                    let complete = dump.workers().iter().all(|worker| worker.answered);
                    if !complete {
                        dump = inspect::dump();
                    }
                    complete
                });
                for handle in &spawned {
                    let task = info(&dump, handle.id());
                    assert_eq!(task.parent(), Some(coroutine::current().id()));
                    assert!(task.spawned_at().is_some_and(|place| place.file() == file!()));
                }
                drop(sender);
            });
        });
    });
}

#[test]
fn a_task_that_waits_shows_its_own_functions_and_nothing_of_ours() {
    on_every_plan(|_| {
        for plan in PLANS {
            let (_sender, receiver) = bounded::<()>(1);
            let task = plan.spawn_named("deep", move || in_between(&receiver));
            let dump = dump_blocked(task.id());
            let task_info = info(&dump, task.id());
            let functions = functions(task_info);
            assert!(begins_with_both(&functions), "as a {plan:?}: {functions:?}\n{dump}");
            let body = functions.last().unwrap();
            assert!(body.contains("inspect::a_task_that_waits_shows"), "as a {plan:?}: {functions:?}");
            assert_eq!(task_info.name(), Some("deep"));
            let is_coroutine = task_info.plan() == PlanInfo::Coroutine;
            assert_eq!(is_coroutine, plan == Plan::Coroutine);
            assert_eq!(task_info.worker().is_some(), is_coroutine);
            task.cancel();
        }
    });
}

#[test]
fn who_dumps_sees_itself_run() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            let dump = inspect::dump();
            let own = info(&dump, coroutine::current().id());
            assert_eq!(own.state(), State::Running);
            let functions = functions(own);
            assert!(functions[0].contains("inspect::who_dumps_sees_itself_run"), "{functions:?}");
        });
        task.join().unwrap();
    });
}

#[test]
fn a_lock_that_is_waited_for_shows_its_holder() {
    on_every_plan(|plan| {
        let mutex = Mutex::new(());
        let guard = mutex.lock().unwrap();
        plan.scope(|s| {
            let waiter = s.spawn(|| drop(mutex.lock()));
            let dump = dump_blocked(waiter.id());
            let blocked = blocked(info(&dump, waiter.id())).unwrap();
            assert_eq!(blocked.reason, WaitReason::MutexLock);
            assert_eq!(blocked.object, Some((&raw const mutex).addr()));
            let own = coroutine::current().id();
            assert_eq!(blocked.on, Some(own), "{dump}");
            let text = dump.to_string();
            assert!(text.contains(&format!("held by {own}")), "{text}");
            drop(guard);
        });
    });
}

#[test]
fn who_writes_and_who_initializes_is_shown_as_well() {
    on_every_plan(|plan| {
        let (lock, cell) = (RwLock::new(()), OnceLock::new());
        let own = coroutine::current().id();
        let guard = lock.write().unwrap();
        plan.scope(|s| {
            let reader = s.spawn(|| drop(lock.read()));
            let writer = s.spawn(|| drop(lock.write()));
            let waits = [(reader, WaitReason::RwLockRead), (writer, WaitReason::RwLockWrite)];
            for (waiter, reason) in &waits {
                let blocked = blocked(info(&dump_blocked(waiter.id()), waiter.id())).unwrap();
                assert_eq!((blocked.reason, blocked.on), (*reason, Some(own)));
                assert_eq!(blocked.object, Some((&raw const lock).addr()));
            }
            cell.get_or_init(|| {
                let other = s.spawn(|| assert!(cell.get_or_init(|| unreachable!("it is being made")) == &()));
                let blocked = blocked(info(&dump_blocked(other.id()), other.id())).unwrap();
                assert_eq!((blocked.reason, blocked.on), (WaitReason::OnceWait, Some(own)));
            });
            drop(guard);
            // Readers are only counted.
            for (waiter, _) in waits {
                waiter.join().unwrap();
            }
            let guard = lock.read().unwrap();
            let writer = s.spawn(|| drop(lock.write()));
            let blocked = blocked(info(&dump_blocked(writer.id()), writer.id())).unwrap();
            assert_eq!((blocked.reason, blocked.on), (WaitReason::RwLockWrite, None));
            drop(guard);
        });
    });
}

#[test]
fn a_join_shows_the_task_that_is_waited_for() {
    on_every_plan(|plan| {
        let (sender, receiver) = bounded::<()>(1);
        let slow = plan.spawn_named("slow", move || receiver.recv());
        let slow_id = slow.id();
        // A thread that the kernel has not started is in no list.
        dump_blocked(slow_id);
        let joiner = plan.spawn(move || slow.join());
        let mut dump = dump_blocked(joiner.id());
        let mut wait = blocked(info(&dump, joiner.id())).unwrap();
        // On a busy machine a worker may be too late with its answer, and then a task is not in the list.
        until(|| {
            if wait.on.is_none() {
                dump = dump_blocked(joiner.id());
                wait = blocked(info(&dump, joiner.id())).unwrap();
            }
            wait.on.is_some()
        });
        assert_eq!((wait.reason, wait.on), (WaitReason::Join, Some(slow_id)), "{dump}");
        assert!(wait.since <= dump.taken_at());
        let text = dump.to_string();
        assert!(text.contains(&format!("{slow_id} (slow)")), "{text}");
        drop(sender);
        assert!(joiner.join().unwrap().unwrap().is_err(), "the channel is closed");
    });
}

#[test]
fn tasks_that_are_alike_are_one_entry_with_a_count() {
    guarded(|| {
        if case().is_none() {
            // Alone, because the tasks of other tests would be in the list.
            return Child::new(test_name!(), "crowd").run().assert_success();
        }
        runtime(1).run(|| {
            let (sender, receiver) = bounded::<()>(1);
            scope(|s| {
                let crowd: Vec<_> = (0..100).map(|_| s.spawn(|| innermost(&receiver))).collect();
                let other = s.spawn(|| in_between(&receiver));
                let waits = |dump: &Dump| dump.tasks().iter().filter(|task| blocked(task).is_some()).count();
                until(|| waits(&inspect::dump()) == 101);
                let text = inspect::dump().to_string();
                let entries = text.lines().filter(|line| line.contains("Blocked for")).collect::<Vec<_>>();
                assert!(entries[0].starts_with("100 coroutines Blocked for"), "{text}");
                assert!(entries[0].ends_with(": receiving from an empty channel"), "{text}");
                assert!(text.matches("1 coroutine Blocked for").count() == 1, "{text}");
                let (first, last) = (crowd[0].id(), crowd[99].id());
                assert!(text.contains(&format!("{first}-{last}")), "{text}");
                assert!(text.lines().all(|line| line.chars().count() <= 80), "80 columns:\n{text}");
                drop((sender, other));
            });
        });
    });
}

#[test]
fn a_worker_that_is_held_up_keeps_no_secrets_but_what_has_not_started() {
    guarded(|| {
        let (to_thread, from_main) = bounded(1);
        let hold_up = HoldUp::default();
        let release = Release(hold_up.clone());
        runtime(1).run(move || {
            let observer = thread::spawn(move || {
                let (hog, waiting): (TaskId, TaskId) = from_main.recv().unwrap();
                let dump = inspect::dump();
                assert!(begins_with_both(&functions(info(&dump, waiting))), "{dump}");
                assert_eq!(info(&dump, hog).state(), State::Running);
                until(|| {
                    let dump = inspect::dump();
                    let task = info(&dump, hog);
                    // The path before it is not in every build's debug information.
                    task.stack().is_some() && functions(task).iter().any(|name| name.ends_with("hold"))
                });
                let worker = worker_of(&dump, hog);
                assert_eq!((worker.running, worker.unlisted), (Some(hog), 3), "{dump}");
                let text = dump.to_string();
                let number = worker.number;
                assert!(
                    text.contains(&format!("Worker {number} does not answer: it runs task {hog}")),
                    "{text}"
                );
                drop(release);
            });
            let (_sender, receiver) = bounded::<()>(1);
            let waiting = coroutine::spawn_local(move || in_between(&receiver));
            coroutine::yield_now();
            let unstarted: Vec<_> = (0..3).map(|_| coroutine::spawn(|| ())).collect();
            to_thread.send((coroutine::current().id(), waiting.id())).unwrap();
            hold_up.hold();
            observer.join().unwrap();
            unstarted.into_iter().for_each(|handle| handle.join().unwrap());
            waiting.cancel();
        });
    });
}

#[test]
fn dumps_go_on_while_tasks_come_and_go() {
    guarded(|| {
        runtime(2).run(|| {
            let stop = AtomicBool::new(false);
            thread::scope(|s| {
                let stop = &stop;
                let dumpers: Vec<_> = (0..4)
                    .map(|_| {
                        s.spawn(move || {
                            let mut most = 0;
                            while !stop.load(SeqCst) {
                                most = most.max(inspect::dump().tasks().len());
                            }
                            most
                        })
                    })
                    .collect();
                for _ in 0..100 {
                    scope(|s| {
                        for _ in 0..100 {
                            s.spawn(|| {
                                coroutine::yield_now();
                                coroutine::spawn(coroutine::yield_now).join().unwrap();
                            });
                        }
                    });
                    thread::spawn(thread::yield_now).join().unwrap();
                }
                stop.store(true, SeqCst);
                for dumper in dumpers {
                    assert!(
                        dumper.join().unwrap() >= 5,
                        "the first coroutine and the dumpers are always there"
                    );
                }
            });
        });
    });
}

#[test]
fn coroutines_dump_too_while_others_come_and_go() {
    guarded(|| {
        runtime(2).run(|| {
            scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| (0..20).for_each(|_| assert!(inspect::dump().tasks().len() >= 2)));
                }
                for _ in 0..1000 {
                    s.spawn(|| coroutine::spawn(coroutine::yield_now).join().unwrap());
                    coroutine::yield_now();
                }
            });
        });
    });
}

#[test]
fn sigquit_prints_the_tasks_and_the_process_goes_on() {
    if case().is_some() {
        inspect::dump_on_sigquit().unwrap();
        inspect::dump_on_sigquit().unwrap();
        return runtime(1).run(|| {
            let (_sender, receiver) = bounded::<()>(1);
            let waiting = coroutine::spawn_local(move || in_between(&receiver));
            coroutine::yield_now();
            let (reader, writer) = std::io::pipe().unwrap();
            rustix::stdio::dup2_stderr(&writer).unwrap();
            let mut lines = std::io::BufReader::new(reader).lines().map(Result::unwrap);
            for _ in 0..2 {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::QUIT).unwrap();
                let mut found =
                    ["Ropewalk:", "1 coroutine Running", "1 coroutine Blocked for", "inspect::innermost"];
                // This coroutine holds up its worker meanwhile: who prints does not need it.
                for expected in &mut found {
                    assert!(lines.any(|line| line.contains(*expected)), "{expected}");
                }
            }
            waiting.cancel();
        });
    }
    guarded(|| {
        Child::new(test_name!(), "dump").run().assert_success();
    });
}

#[test]
fn a_region_without_switches_can_dump_but_not_wait_for_answers() {
    guarded(|| {
        runtime(1).run(|| {
            let unstarted = coroutine::spawn(|| ());
            let own = coroutine::current().id();
            let dump = ropewalk::no_suspend(inspect::dump);
            assert_eq!(worker_of(&dump, own).unlisted, 1, "{dump}");
            let dump = inspect::dump();
            assert_eq!(worker_of(&dump, own).unlisted, 0, "{dump}");
            unstarted.join().unwrap();
        });
    });
}

#[test]
fn what_a_seeded_schedule_has_not_drawn_is_new() {
    guarded(|| {
        let seeded = Runtime::builder().workers(1).schedule(Schedule::Seeded(7)).build().unwrap();
        seeded.run(|| {
            let spawned: Vec<_> = (0..10).map(|_| coroutine::spawn(coroutine::yield_now)).collect();
            let dump = inspect::dump();
            let is_listed = |handle: &ropewalk::JoinHandle<()>| dump.task(handle.id()).is_some();
            assert!(spawned.iter().all(|handle| handle.is_finished() || is_listed(handle)), "{dump}");
            spawned.into_iter().for_each(|handle| handle.join().unwrap());
        });
    });
}
