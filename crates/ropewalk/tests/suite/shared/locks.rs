//! What they promise while nobody dies.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use ropewalk::inspect::{State, WaitReason};
use ropewalk::ipc::{
    Barrier, Condvar, Event, Latch, Mutex, MutexGuard, Region, Reset, RwLock, Segment, Semaphore,
};
use ropewalk::{JoinHandle, process, timeout};
use serde::{Deserialize, Serialize};

use crate::support::{LONG, Plan, guarded, on_every_pair, on_every_plan, until};

use super::is_alone;

fn until_blocked<T>(task: &JoinHandle<T>) -> WaitReason {
    until(|| matches!(task.task().state(), State::Blocked(_)));
    match task.task().state() {
        State::Blocked(blocked) => blocked.reason,
        other => panic!("it has gone on: {other:?}"),
    }
}

/// `body` in this process by each plan and in two others by each plan, all at once.
fn everywhere<A>(argument: &A, body: fn(A))
where
    A: Clone + Send + 'static,
{
    let here = [Plan::Coroutine, Plan::Thread].map(|plan| {
        let argument = argument.clone();
        plan.spawn(move || body(argument))
    });
    here.into_iter().for_each(|task| task.join().unwrap());
}

const ROUNDS: u64 = 300;

fn count_up(mutex: Mutex<[u64; 2]>) {
    for _ in 0..ROUNDS {
        let mut value = mutex.lock().unwrap();
        assert_eq!(value[0], value[1]);
        value[0] += 1;
        value[1] += 1;
    }
}

#[test]
fn a_mutex_keeps_the_tasks_of_all_processes_out() {
    on_every_plan(|_| {
        let mutex = Mutex::new([0; 2]).unwrap();
        let others = [0; 2].map(|_| {
            process::spawn(|mutex: Mutex<[u64; 2]>| everywhere(&mutex, count_up), mutex.clone()).unwrap()
        });
        everywhere(&mutex, count_up);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(*mutex.lock().unwrap(), [6 * ROUNDS; 2]);
        assert!(is_alone(mutex.region()));
    });
}

fn read_and_write(lock: RwLock<[u64; 3]>) {
    for round in 0..ROUNDS {
        if round % 3 == 0 {
            let mut value = lock.write().unwrap();
            value.iter_mut().for_each(|word| *word += 1);
        } else {
            let value = lock.read().unwrap();
            assert!(value.iter().all(|word| *word == value[0]));
        }
    }
}

#[test]
fn a_lock_for_readers_and_writers_does() {
    on_every_plan(|_| {
        let lock = RwLock::new([0; 3]).unwrap();
        let others = [0; 2].map(|_| {
            process::spawn(|lock: RwLock<[u64; 3]>| everywhere(&lock, read_and_write), lock.clone()).unwrap()
        });
        everywhere(&lock, read_and_write);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(*lock.read().unwrap(), [6 * ROUNDS / 3; 3]);
        // Readers at the same time, and a writer that has to wait for both.
        let (one, other) = (lock.read().unwrap(), lock.read().unwrap());
        assert!(lock.try_write().is_err() && lock.try_read().is_ok());
        drop((one, other));
        let writer = lock.try_write().unwrap();
        assert!(lock.try_read().is_err() && lock.try_write().is_err());
        drop(writer);
        assert!(lock.try_read().is_ok());
    });
}

#[test]
fn a_writer_waits_for_readers_and_readers_for_a_writer() {
    on_every_pair(|plan| {
        let lock = RwLock::new(1_u32).unwrap();
        let reader = lock.read().unwrap();
        let theirs = lock.clone();
        let writer = plan.spawn(move || *theirs.write().unwrap() = 2);
        assert_eq!(until_blocked(&writer), WaitReason::SharedWrite);
        let theirs = lock.clone();
        let second = plan.spawn(move || *theirs.read().unwrap());
        assert_eq!(until_blocked(&second), WaitReason::SharedRead);
        drop(reader);
        writer.join().unwrap();
        assert_eq!(second.join().unwrap(), 2);
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    /// What is in it, and how much was put in and taken out.
    state: Mutex<[u64; 3]>,
    changed: Condvar,
}

fn produce(line: &Line) {
    for _ in 0..ROUNDS {
        let mut state = line.state.lock().unwrap();
        while state[0] == 2 {
            state = line.changed.wait(state).unwrap();
        }
        state[0] += 1;
        state[1] += 1;
        drop(state);
        line.changed.notify_all();
    }
}

fn consume(line: &Line) {
    for _ in 0..ROUNDS {
        let mut state = line.state.lock().unwrap();
        while state[0] == 0 {
            state = line.changed.wait(state).unwrap();
        }
        state[0] -= 1;
        state[2] += 1;
        drop(state);
        line.changed.notify_all();
    }
}

#[test]
fn a_condition_is_heard_of_in_every_process() {
    on_every_plan(|plan| {
        let region = Region::new(4096).unwrap();
        let state = Mutex::new_in(&region, [0; 3]).unwrap();
        let line = Line { state, changed: Condvar::new_in(&region).unwrap() };
        let there = process::spawn(|line: Line| produce(&line), line.clone()).unwrap();
        let (one, other) = (line.clone(), line.clone());
        let here = [plan.spawn(move || consume(&one)), plan.spawn(move || consume(&other))];
        produce(&line);
        there.join().unwrap();
        here.into_iter().for_each(|task| task.join().unwrap());
        assert_eq!(*line.state.lock().unwrap(), [0, 2 * ROUNDS, 2 * ROUNDS]);
        let guard = line.state.lock().unwrap();
        let (guard, timed_out) = line.changed.wait_timeout(guard, Duration::from_millis(1)).unwrap();
        assert!(timed_out);
        assert!(line.state.try_lock().is_err(), "the lock was taken again");
        drop(guard);
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct Room {
    seats: Semaphore,
    inside: Segment<AtomicU32>,
}

fn visit(room: Room) {
    for round in 0..ROUNDS as u32 {
        let count = round % 3 + 1;
        let permit = room.seats.acquire_many(count);
        let inside = room.inside[0].fetch_add(count, Acquire) + count;
        assert!(inside <= 3, "{inside} are inside");
        room.inside[0].fetch_sub(count, Release);
        drop(permit);
    }
}

#[test]
fn a_semaphore_lets_so_many_in() {
    on_every_plan(|_| {
        let room = Room { seats: Semaphore::new(3).unwrap(), inside: Segment::new(1).unwrap() };
        let other = process::spawn(|room: Room| everywhere(&room, visit), room.clone()).unwrap();
        everywhere(&room, visit);
        other.join().unwrap();
        assert_eq!(room.seats.available_permits(), 3);
        let all = room.seats.acquire_many(3);
        assert!(room.seats.try_acquire().is_none());
        assert!(room.seats.acquire_timeout(Duration::from_millis(1)).is_none());
        drop(all);
        room.seats.try_acquire().unwrap().forget();
        assert_eq!(room.seats.available_permits(), 2);
        room.seats.add_permits(1);
        assert_eq!(room.seats.acquire_timeout(LONG).unwrap().count(), 1);
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct March {
    barrier: Barrier,
    /// How often somebody was the last to come, and where each of three is.
    steps: Segment<AtomicU64>,
}

fn march(march: &March, who: usize) {
    for round in 1..=ROUNDS {
        march.steps[who].store(round, Relaxed);
        if march.barrier.wait().unwrap() {
            march.steps[0].fetch_add(1, Relaxed);
        }
        // Nobody is behind; who is ahead has one step at most.
        let others = march.steps[1..].iter().map(|step| step.load(Relaxed));
        assert!(others.into_iter().all(|step| step == round || step == round + 1));
        march.barrier.wait().unwrap();
    }
}

#[test]
fn a_barrier_has_all_wait_for_all() {
    on_every_plan(|plan| {
        let all = March { barrier: Barrier::new(3).unwrap(), steps: Segment::new(4).unwrap() };
        let there = process::spawn(|all: March| march(&all, 1), all.clone()).unwrap();
        let theirs = all.clone();
        let here = plan.spawn(move || march(&theirs, 2));
        march(&all, 3);
        there.join().unwrap();
        here.join().unwrap();
        assert_eq!(all.steps[0].load(Relaxed), ROUNDS, "each round has one leader");
        assert!(!all.barrier.is_broken(), "a process that has gone is no process that has died");
    });
}

#[test]
fn who_is_cancelled_at_a_barrier_has_not_come() {
    on_every_pair(|plan| {
        let barrier = Barrier::new(2).unwrap();
        let theirs = barrier.clone();
        let first = plan.spawn(move || theirs.wait());
        assert_eq!(until_blocked(&first), WaitReason::SharedBarrier);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        let [one, other] = [0; 2].map(|_| {
            let barrier = barrier.clone();
            plan.spawn(move || barrier.wait().unwrap())
        });
        assert!(one.join().unwrap() != other.join().unwrap());
    });
}

#[test]
fn an_event_ends_one_wait_or_all() {
    on_every_pair(|plan| {
        let (stays, once) = (Event::new(Reset::Manual).unwrap(), Event::new(Reset::Auto).unwrap());
        for event in [&stays, &once] {
            let waiters = [0; 2].map(|_| {
                let event = event.clone();
                plan.spawn(move || event.wait())
            });
            for waiter in &waiters {
                assert_eq!(until_blocked(waiter), WaitReason::SharedEvent);
            }
            process::spawn(|event: Event| event.set(), event.clone()).unwrap().join().unwrap();
            if std::ptr::eq(event, &once) {
                until(|| waiters.iter().filter(|waiter| waiter.is_finished()).count() == 1);
                assert!(!once.is_set());
                once.set();
            }
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        }
        assert!(stays.is_set() && stays.wait_timeout(Duration::ZERO));
        stays.reset();
        assert!(!stays.wait_timeout(Duration::from_millis(1)));
    });
}

#[test]
fn a_latch_opens_when_all_have_counted() {
    on_every_pair(|plan| {
        let latch = Latch::new(3).unwrap();
        let theirs = latch.clone();
        let waiter = plan.spawn(move || theirs.wait());
        assert_eq!(until_blocked(&waiter), WaitReason::SharedLatch);
        latch.count_down();
        let count = |latch: Latch| latch.count_down();
        process::spawn(count, latch.clone()).unwrap().join().unwrap();
        assert!(!latch.is_open() && !latch.wait_timeout(Duration::from_millis(1)));
        assert_eq!(latch.count(), 1);
        latch.count_down();
        latch.count_down();
        waiter.join().unwrap();
        assert!(latch.is_open());
    });
}

#[test]
fn what_unwinds_has_changed_nothing_and_what_was_committed_stays() {
    on_every_pair(|plan| {
        let mutex = Mutex::new(1_u32).unwrap();
        let theirs = mutex.clone();
        let panics = plan.spawn(move || {
            let mut guard = theirs.lock().unwrap();
            *guard = 2;
            MutexGuard::commit(&mut guard);
            *guard = 3;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(panics.join().unwrap_err().is_panic());
        assert_eq!(*mutex.lock().unwrap(), 2);
        let theirs = mutex.clone();
        let never = Event::new(Reset::Manual).unwrap();
        let is_cancelled = plan.spawn(move || {
            let mut guard = theirs.lock().unwrap();
            *guard = 4;
            never.wait();
        });
        until_blocked(&is_cancelled);
        is_cancelled.cancel();
        assert!(is_cancelled.join().unwrap_err().is_cancelled());
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn who_leaves_a_lock_s_queue_takes_no_call_along() {
    on_every_plan(|plan| {
        let mutex = Mutex::new(0_u32).unwrap();
        for _ in 0..100 {
            let guard = mutex.lock().unwrap();
            let waiters: Vec<_> = (0..6)
                .map(|_| {
                    let mutex = mutex.clone();
                    plan.spawn(move || *mutex.lock().unwrap() += 1)
                })
                .collect();
            until_blocked(&waiters[5]);
            drop(guard);
            waiters.iter().step_by(2).for_each(|waiter| waiter.cancel());
            let done = waiters.into_iter().map(|waiter| waiter.join().is_ok()).filter(|ok| *ok);
            assert!(done.count() >= 3);
        }
    });
}

#[test]
fn a_timeout_ends_the_wait_for_each() {
    on_every_pair(|plan| {
        let millisecond = Duration::from_millis(1);
        let task = plan.spawn(move || {
            let mutex = Mutex::new(0_u32).unwrap();
            let guard = mutex.lock().unwrap();
            assert!(timeout(millisecond, || drop(mutex.lock())).is_err());
            drop(guard);
            let lock = RwLock::new(0_u32).unwrap();
            let reader = lock.read().unwrap();
            assert!(timeout(millisecond, || drop(lock.write())).is_err());
            // The writer that has gone keeps no reader out.
            drop((lock.read().unwrap(), reader));
            let writer = lock.write().unwrap();
            assert!(timeout(millisecond, || drop(lock.read())).is_err());
            drop(writer);
            assert!(lock.try_write().is_ok());
            let semaphore = Semaphore::new(0).unwrap();
            assert!(timeout(millisecond, || drop(semaphore.acquire())).is_err());
            assert!(timeout(millisecond, || Barrier::new(2).unwrap().wait()).is_err());
            assert!(timeout(millisecond, || Latch::new(2).unwrap().wait()).is_err());
        });
        task.join().unwrap();
    });
}

#[test]
fn a_region_that_is_full_says_so() {
    guarded(|| {
        let region = Region::new(256).unwrap();
        let _first = Mutex::new_in(&region, [0_u8; 7]).unwrap();
        let _event = Event::new_in(&region, Reset::Auto).unwrap();
        let error = Semaphore::new_in(&region, 1).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        // What is small still fits.
        Event::new_in(&region, Reset::Auto).unwrap();
    });
}
