//! Tasks that wait for each other: `inspect::deadlocks`, and what a dump says of them.
//!
//! Each test looks at its own tasks only, because others run beside it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::inspect::{self, Deadlock, Dump, State, WaitReason};
use ropewalk::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, RwLock, Semaphore};
use ropewalk::{JoinHandle, OnFailure, TaskId, blocking, coroutine, scope, thread, timeout};

use super::support::child::{Child, case, test_name};
use super::support::{LONG, PLANS, Plan, guarded, on_every_plan, runtime, until};

/// After which a wait is begun anew.
const SHORT: Duration = Duration::from_millis(100);

/// The deadlock that this task is in, once there is one, from a dump that says the same as `deadlocks`.
fn deadlock_of(id: TaskId) -> (Deadlock, Dump) {
    let mut found = None;
    until(|| {
        found = inspect::deadlocks().into_iter().find(|deadlock| deadlock.tasks().contains(&id));
        found.is_some()
    });
    let found = found.expect("looked for until it was there");
    let dump = inspect::dump();
    // Who is behind it may have come meanwhile.
    let dumped = dump.deadlocks().iter().find(|deadlock| deadlock.tasks().contains(&id));
    let dumped = dumped.expect("a deadlock does not pass by itself");
    assert_eq!((dumped.tasks(), dumped.has_deadline()), (found.tasks(), found.has_deadline()));
    (found, dump)
}

/// A text without the ends of its lines, which depend on how long the numbers are.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tasks of a deadlock are these, in this order, whichever comes first.
fn assert_circle(deadlock: &Deadlock, tasks: &[TaskId]) {
    let mut circle = tasks.to_vec();
    let lowest = tasks.iter().enumerate().min_by_key(|(_, id)| **id).unwrap().0;
    circle.rotate_left(lowest);
    assert_eq!(deadlock.tasks(), circle);
}

/// Ends a deadlock. Of its tasks one is cancelled at least; others may come to their end.
fn cancel_all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) {
    let tasks: Vec<_> = tasks.into_iter().collect();
    tasks.iter().for_each(JoinHandle::cancel);
    let ends: Vec<_> = tasks.into_iter().map(JoinHandle::join).collect();
    assert!(ends.iter().any(|end| end.as_ref().is_err_and(|error| error.is_cancelled())));
}

#[test]
fn a_circle_of_locks_is_found_across_plans_with_names_places_and_stacks() {
    guarded(|| {
        runtime(2).run(|| {
            let forks: Arc<[Mutex<()>; 3]> = Arc::default();
            let all_have_one = Arc::new(Barrier::new(3));
            let names = ["Aristotle", "Bacon", "Confucius"];
            let table: Vec<_> = (0..3)
                .map(|place| {
                    let (forks, all_have_one) = (forks.clone(), all_have_one.clone());
                    PLANS[place % 2].spawn_named(names[place], move || {
                        let _left = forks[place].lock();
                        all_have_one.wait();
                        drop(forks[(place + 1) % 3].lock());
                    })
                })
                .collect();
            let ids: Vec<TaskId> = table.iter().map(JoinHandle::id).collect();
            let (deadlock, dump) = deadlock_of(ids[0]);
            assert_circle(&deadlock, &ids);
            assert!(deadlock.behind().is_empty() && !deadlock.has_deadline());
            for (place, id) in ids.iter().enumerate() {
                let task = dump.task(*id).unwrap();
                let State::Blocked(blocked) = task.state() else { panic!("{dump}") };
                assert_eq!(blocked.on, Some(ids[(place + 1) % 3]));
                assert!(task.stack().is_some() && task.spawned_at().is_some(), "{dump}");
            }
            let text = dump.to_string();
            let block =
                words(text.split("Deadlock: 3 tasks wait for each other\n").nth(1).expect("it stands there"));
            for (place, name) in names.iter().enumerate() {
                let (next, next_name) = (ids[(place + 1) % 3], names[(place + 1) % 3]);
                let line =
                    format!("{} ({name}) is locking a mutex, held by {next} ({next_name})", ids[place]);
                assert!(block.contains(&line), "{line}\n{text}");
            }
            assert!(text.lines().all(|line| line.chars().count() <= 80), "80 columns:\n{text}");
            // One gets up, and his forks go to his neighbours.
            table[1].cancel();
            let ends: Vec<_> = table.into_iter().map(JoinHandle::join).collect();
            assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 2);
        });
    });
}

#[test]
fn a_task_that_locks_twice_waits_for_itself() {
    on_every_plan(|plan| {
        let mutex = Arc::new(Mutex::new(()));
        let task = plan.spawn(move || {
            let _first = mutex.lock();
            drop(mutex.lock());
        });
        let (deadlock, _) = deadlock_of(task.id());
        assert_circle(&deadlock, &[task.id()]);
        let text = words(&deadlock.to_string());
        assert!(text.contains("Deadlock: a task waits for itself"), "{text}");
        assert!(text.contains(&format!("{} is locking a mutex, held by itself", task.id())), "{text}");
        cancel_all([task]);
    });
}

#[test]
fn who_joins_a_task_while_it_holds_what_that_needs_is_in_a_deadlock() {
    on_every_plan(|plan| {
        for other in PLANS {
            let lock = Arc::new(RwLock::new(()));
            let joiner = plan.spawn_named("joiner", move || {
                let _guard = lock.write();
                let lock = lock.clone();
                let _ = other.spawn_named("writer", move || drop(lock.write())).join();
            });
            let (deadlock, dump) = deadlock_of(joiner.id());
            let [first, second] = deadlock.tasks() else { panic!("{dump}") };
            assert_eq!(*first, joiner.id());
            let text = words(&deadlock.to_string());
            let joins = format!("{first} (joiner) is waiting for a task to end: {second} (writer)");
            let writes = format!(
                "{second} (writer) is locking a read-write lock for writing, held by {first} (joiner)"
            );
            assert!(text.contains(&joins) && text.contains(&writes), "{text}");
            cancel_all([joiner]);
        }
    });
}

#[test]
fn a_scope_that_holds_what_its_children_need_is_in_a_deadlock_with_one_and_the_others_are_behind() {
    on_every_plan(|plan| {
        let task = plan.spawn(move || {
            let mutex = Mutex::new(());
            let _guard = mutex.lock();
            plan.scope_with(OnFailure::Isolate, |s| {
                for _ in 0..3 {
                    s.spawn(|| drop(mutex.lock()));
                }
                s.spawn(|| coroutine::sleep(LONG));
            });
        });
        let mut found = None;
        until(|| {
            // Whom of the children it is in a circle with may change until all wait.
            found = inspect::deadlocks().into_iter().find(|deadlock| deadlock.tasks().contains(&task.id()));
            found.as_ref().is_some_and(|deadlock| deadlock.behind().len() == 2)
        });
        let deadlock = found.expect("looked for until it was there");
        assert_eq!((deadlock.tasks().len(), deadlock.tasks()[0]), (2, task.id()));
        let text = words(&deadlock.to_string());
        let one = deadlock.tasks()[1];
        let line = format!("{} is waiting for the children of a scope, of which {one} is one", task.id());
        assert!(text.contains(&line) && text.contains(" behind "), "{text}");
        cancel_all([task]);
    });
}

#[test]
fn tasks_that_join_each_other_are_in_a_deadlock() {
    on_every_plan(|plan| {
        let (to_first, handle) = bounded::<JoinHandle<()>>(1);
        let first = plan.spawn(move || drop(handle.recv().unwrap().join()));
        let task = first.task();
        let second = plan.spawn(move || drop(first.join()));
        let ids = [task.id(), second.id()];
        let waits_behind = plan.spawn({
            let (first, second) = (task.clone(), second.task());
            move || {
                until(|| [&first, &second].iter().all(|task| matches!(task.state(), State::Blocked(_))));
            }
        });
        to_first.send(second).unwrap();
        let (deadlock, _) = deadlock_of(ids[0]);
        assert_circle(&deadlock, &ids);
        waits_behind.join().unwrap();
        task.cancel();
    });
}

#[test]
fn an_initialization_that_needs_a_lock_of_who_needs_it_is_in_a_deadlock() {
    on_every_plan(|plan| {
        let cell = Arc::new(OnceLock::new());
        let mutex = Arc::new(Mutex::new(()));
        let both = Arc::new(Barrier::new(2));
        let maker = plan.spawn_named("maker", {
            let (cell, mutex, both) = (cell.clone(), mutex.clone(), both.clone());
            move || {
                cell.get_or_init(|| {
                    both.wait();
                    drop(mutex.lock());
                });
            }
        });
        let user = plan.spawn_named("user", move || {
            let _guard = mutex.lock();
            both.wait();
            cell.get_or_init(|| ());
        });
        let ids = [maker.id(), user.id()];
        let (deadlock, _) = deadlock_of(ids[0]);
        assert_circle(&deadlock, &ids);
        let text = words(&deadlock.to_string());
        let line = format!("{} (user) is waiting for an initialization, made by {} (maker)", ids[1], ids[0]);
        assert!(text.contains(&line), "{text}");
        cancel_all([maker, user]);
    });
}

#[test]
fn a_blocking_call_that_needs_a_lock_of_its_caller_is_in_a_deadlock() {
    guarded(|| {
        runtime(1).run(|| {
            let mutex = Mutex::new(());
            let seen = Arc::new(AtomicBool::new(false));
            let caller = coroutine::spawn({
                let seen = seen.clone();
                move || {
                    let _guard = mutex.lock();
                    // The call cannot be cancelled, so it has deadlines of its own.
                    blocking(
                        || while !seen.load(SeqCst) && timeout(SHORT, || drop(mutex.lock())).is_err() {},
                    );
                }
            });
            let mut found = None;
            until(|| {
                let dump = inspect::dump();
                let deadlock =
                    dump.deadlocks().iter().find(|deadlock| deadlock.tasks().contains(&caller.id()));
                found = deadlock.cloned().map(|deadlock| (deadlock, dump));
                found.is_some()
            });
            let (deadlock, dump) = found.expect("looked for until it was there");
            let [first, second] = deadlock.tasks() else { panic!("{dump}") };
            assert!(deadlock.has_deadline());
            let thread = if *first == caller.id() { second } else { first };
            let State::Blocked(call) = dump.task(caller.id()).unwrap().state() else { panic!("{dump}") };
            assert_eq!((call.reason, call.on), (WaitReason::Blocking, Some(*thread)));
            let text = words(&deadlock.to_string());
            assert!(text.contains("Deadlock (a deadline ends it): 2 tasks wait for each other"), "{text}");
            seen.store(true, SeqCst);
            caller.join().unwrap();
        });
    });
}

#[test]
fn a_runtime_that_waits_for_a_task_which_needs_what_its_first_coroutine_kept_is_in_a_deadlock() {
    guarded(|| {
        let mutex = Arc::new(Mutex::new(()));
        let (tell, told) = bounded(1);
        let observer = thread::spawn(move || {
            let task: ropewalk::Task = told.recv().unwrap();
            let (deadlock, _) = deadlock_of(task.id());
            let text = words(&deadlock.to_string());
            assert!(text.contains("is waiting for the tasks of the runtime, of which"), "{text}");
            task.cancel();
        });
        runtime(1).run(|| {
            std::mem::forget(mutex.lock());
            let needs_it = mutex.clone();
            tell.send(coroutine::spawn(move || drop(needs_it.lock())).task()).unwrap();
        });
        observer.join().unwrap();
    });
}

#[test]
fn threads_of_std_are_found_too_even_if_they_had_never_waited() {
    guarded(|| {
        let (locks, both) = (<[Mutex<()>; 2]>::default(), std::sync::Barrier::new(2));
        let seen = AtomicBool::new(false);
        std::thread::scope(|s| {
            for (own, name) in ["std-one", "std-two"].into_iter().enumerate() {
                let (locks, both, seen) = (&locks, &both, &seen);
                let body = move || {
                    let _first = locks[own].lock();
                    both.wait();
                    while !seen.load(SeqCst) && timeout(SHORT, || drop(locks[1 - own].lock())).is_err() {}
                };
                std::thread::Builder::new().name(name.into()).spawn_scoped(s, body).unwrap();
            }
            until(|| {
                let deadlocks = inspect::deadlocks();
                let texts: Vec<String> =
                    deadlocks.iter().map(|deadlock| words(&deadlock.to_string())).collect();
                texts.iter().any(|text| text.contains("(std-one)") && text.contains("(std-two)"))
            });
            seen.store(true, SeqCst);
        });
    });
}

/// Philosophers who take the lower fork first.
fn dine(forks: &[Mutex<()>; 3], place: usize) {
    let next = (place + 1) % forks.len();
    let _one = forks[place.min(next)].lock();
    coroutine::yield_now();
    let _two = forks[place.max(next)].lock();
}

/// What tasks do that are never in a deadlock: locks in an order, read-write locks, turns, messages to and fro, permits,
/// scopes, joins, calls that block.
fn orderly(plan: Plan) {
    let forks = <[Mutex<()>; 3]>::default();
    let (shared, turn, changed, seats) = (RwLock::new(0), Mutex::new(0), Condvar::new(), Semaphore::new(1));
    let (to, from) = bounded(0);
    let (back, from_other) = unbounded();
    plan.scope(|s| {
        let (forks, shared, turn, changed, seats) = (&forks, &shared, &turn, &changed, &seats);
        for place in 0..3 {
            s.spawn(move || (0..TURNS).for_each(|_| dine(forks, place)));
            s.spawn(move || {
                for _ in 0..TURNS {
                    drop(turn.lock());
                    drop(shared.read());
                    *shared.write().unwrap() += 1;
                    blocking(|| drop(forks[place].lock()));
                    drop(seats.acquire());
                }
            });
        }
        for own in 0..2 {
            s.spawn(move || {
                for _ in 0..TURNS {
                    let mut turn = changed.wait_while(turn.lock().unwrap(), |turn| *turn != own).unwrap();
                    *turn = 1 - own;
                    changed.notify_all();
                }
            });
        }
        s.spawn(move || from.iter().for_each(|n: usize| back.send(n).unwrap()));
        s.spawn(move || {
            for n in 0..TURNS {
                to.send(n).unwrap();
                assert_eq!(from_other.recv(), Ok(n));
                coroutine::spawn(coroutine::yield_now).join().unwrap();
                scope(|s| drop(s.spawn(coroutine::yield_now)));
            }
        });
    });
    assert_eq!(shared.into_inner().unwrap(), 3 * TURNS);
}

/// How often each does it.
const TURNS: usize = 50;

#[test]
fn whoever_looks_while_locks_and_messages_go_to_and_fro_sees_no_deadlock_and_no_standstill() {
    guarded(|| {
        if case().is_none() {
            // Alone, because other tests make deadlocks.
            return Child::new(test_name!(), "orderly").run().assert_success();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|s| {
            let stop = &stop;
            s.spawn(move || {
                while !stop.load(SeqCst) {
                    assert_eq!(inspect::deadlocks(), []);
                }
            });
            s.spawn(move || {
                while !stop.load(SeqCst) {
                    let dump = inspect::dump();
                    assert_eq!(dump.deadlocks(), []);
                    // In the end the test waits for those who look.
                    assert!(stop.load(SeqCst) || dump.standstill().is_none(), "{:?}", dump.standstill());
                }
            });
            for round in 0..8 {
                runtime(1 + round / 4).run(move || {
                    PLANS[round % 2].spawn(move || orderly(PLANS[round / 2 % 2])).join().unwrap()
                });
            }
            stop.store(true, SeqCst);
        });
    });
}

#[test]
fn what_waits_for_nothing_but_each_other_is_a_standstill_and_a_deadline_or_input_is_none() {
    guarded(|| {
        if case().is_none() {
            return Child::new(test_name!(), "standstill").run().assert_success();
        }
        runtime(2).run(|| {
            let (sender, receiver) = bounded::<()>(1);
            let to_thread = receiver.clone();
            let waiting =
                [coroutine::spawn(move || receiver.recv()), thread::spawn(move || to_thread.recv())];
            let joiner = coroutine::spawn(move || waiting.map(|task| task.join().unwrap()));
            let own = coroutine::current().id();
            until(|| inspect::dump().standstill().is_some());
            let dump = inspect::dump();
            let Some(standstill) = dump.standstill() else { panic!("it has passed by itself\n{dump}") };
            assert_eq!((standstill.waiting(), standstill.looker()), (3, Some(own)));
            assert!(dump.deadlocks().is_empty());
            // libtest has a thread, and the child's watchdog is one.
            assert!(standstill.strangers().iter().all(|name| !name.starts_with("ropewalk")), "{standstill}");
            assert!(!standstill.strangers().is_empty(), "{standstill}");
            let text = standstill.to_string();
            let begin = "Standstill: 3 tasks wait, and none for time, input or another process\n";
            assert!(
                text.starts_with(begin) && text.contains(&format!("but task {own}, which looks")),
                "{text}"
            );
            let (reader, writer) = ropewalk::io::pipe().unwrap();
            let others = [
                coroutine::spawn(|| coroutine::sleep(LONG)),
                thread::spawn(|| {
                    let _ = timeout(LONG, coroutine::park);
                }),
                coroutine::spawn(move || drop(std::io::Read::read(&mut &reader, &mut [0]))),
            ];
            for other in others {
                let task = other.task();
                until(|| matches!(task.state(), State::Blocked(_)));
                assert_eq!(inspect::dump().standstill(), None);
                other.cancel();
                let _ = other.join();
            }
            drop((writer, sender));
            assert!(joiner.join().unwrap().iter().all(Result::is_err), "nobody has sent anything");
        });
    });
}
