//! Read-write locks.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use ropewalk_sync::rwlock::{RwLock, RwLockWriteGuard};

use crate::support::{Task, explore, model};

/// A cell of which loom sees that a write meets no read.
struct Tracked(UnsafeCell<usize>);

// SAFETY: loom's threads take turns on one; whether the lock orders what they do is what the models are about.
unsafe impl Sync for Tracked {}

type Lock = RwLock<Tracked>;

fn tracked() -> Arc<Lock> {
    Arc::new(RwLock::new(Tracked(UnsafeCell::new(0))))
}

fn increment(lock: &Lock) {
    let guard = lock.write().unwrap();
    // SAFETY: the lock is held for writing.
    guard.0.with_mut(|count| unsafe { *count += 1 });
}

fn read(lock: &Lock) -> usize {
    let guard = lock.read().unwrap();
    // SAFETY: the lock is held for reading.
    guard.0.with(|count| unsafe { *count })
}

/// What is there in the end; the lock is free, and nobody is thought to wait.
fn count(lock: &Lock) -> usize {
    assert!(lock.try_write().is_ok());
    let one = lock.try_read().unwrap();
    let two = lock.try_read().unwrap();
    assert_eq!(lock.readers(), 2);
    drop(one);
    // SAFETY: the lock is held for reading.
    two.0.with(|count| unsafe { *count })
}

#[test]
fn with_a_writer_that_barges() {
    model(|| {
        let lock = tracked();
        let other = lock.clone();
        let writer = thread::spawn(move || increment(&other));
        (0..3).for_each(|_| increment(&lock));
        writer.join().unwrap();
        assert_eq!(count(&lock), 4);
    });
}

#[test]
fn with_a_reader_beside_a_writer() {
    model(|| {
        let lock = tracked();
        let other = lock.clone();
        let reader = thread::spawn(move || [read(&other), read(&other)]);
        increment(&lock);
        increment(&lock);
        let [first, second] = reader.join().unwrap();
        assert!(first <= second && second <= 2);
        assert_eq!(count(&lock), 2);
    });
}

/// The writer has to wait for both readers, or they for it, or one of each.
#[test]
fn with_two_readers_and_a_writer() {
    // Like the mutex with a task that tries, it would take too long with three forced switches.
    explore(2, || {
        let lock = tracked();
        let readers = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || read(&lock))
        });
        increment(&lock);
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
        assert_eq!(count(&lock), 1);
    });
}

#[test]
fn with_two_writers_and_a_reader() {
    explore(2, || {
        let lock = tracked();
        let writers = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || increment(&lock))
        });
        assert!(read(&lock) <= 2);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(count(&lock), 2);
    });
}

/// A writer waits for a reader, readers wait behind it, and it is cancelled: they are let in.
#[test]
fn with_a_writer_that_is_cancelled() {
    model(|| {
        let lock = tracked();
        let guard = lock.read().unwrap();
        let (writer, reader) = (lock.clone(), lock.clone());
        let writer = Task::spawn(move || increment(&writer));
        let reader = thread::spawn(move || read(&reader));
        writer.cancel();
        let counted = usize::from(writer.join().is_some());
        // SAFETY: the lock is held for reading.
        assert_eq!(guard.0.with(|count| unsafe { *count }), 0);
        assert_eq!(counted, 0, "it is held for reading all the time");
        assert_eq!(reader.join().unwrap(), 0);
        drop(guard);
        assert_eq!(count(&lock), 0);
    });
}

/// A waiter is cancelled while it is woken, or handed the lock, or on its way: whoever is behind it gets its turn.
#[test]
fn with_a_waiter_that_is_cancelled() {
    for reads in [true, false] {
        model(move || {
            let lock = tracked();
            let guard = lock.write().unwrap();
            let (first, second) = (lock.clone(), lock.clone());
            let first = Task::spawn(move || match reads {
                true => assert!(read(&first) <= 1),
                false => increment(&first),
            });
            let second = thread::spawn(move || increment(&second));
            drop(guard);
            first.cancel();
            let first = first.join().is_some();
            second.join().unwrap();
            assert_eq!(count(&lock), 1 + usize::from(first && !reads));
        });
    }
}

#[test]
fn with_tasks_that_try() {
    explore(2, || {
        let lock = tracked();
        let other = lock.clone();
        let writer = thread::spawn(move || increment(&other));
        let other = lock.clone();
        let tries = thread::spawn(move || {
            let seen = other.try_read().ok().map(|guard| {
                // SAFETY: the lock is held for reading.
                guard.0.with(|count| unsafe { *count })
            });
            let written = other.try_write().ok().map(|guard| {
                // SAFETY: the lock is held for writing.
                guard.0.with_mut(|count| unsafe { *count += 1 });
            });
            (seen, usize::from(written.is_some()))
        });
        increment(&lock);
        writer.join().unwrap();
        let (seen, written) = tries.join().unwrap();
        assert!(seen.is_none_or(|seen| seen <= 2));
        assert_eq!(count(&lock), 2 + written);
    });
}

/// A writer becomes a reader: no writer comes in between, and a reader that waits is let in.
#[test]
fn with_a_writer_that_downgrades() {
    model(|| {
        let lock = tracked();
        let guard = lock.write().unwrap();
        let (reader, writer) = (lock.clone(), lock.clone());
        let reader = thread::spawn(move || read(&reader));
        let writer = thread::spawn(move || increment(&writer));
        // SAFETY: the lock is held for writing.
        guard.0.with_mut(|count| unsafe { *count = 10 });
        let guard = RwLockWriteGuard::downgrade(guard);
        // SAFETY: the lock is held for reading.
        assert_eq!(guard.0.with(|count| unsafe { *count }), 10);
        drop(guard);
        assert!(reader.join().unwrap() >= 10);
        writer.join().unwrap();
        assert_eq!(count(&lock), 11);
    });
}
