//! What waits for others in this process.

use std::sync::Arc;

use ropewalk::sync::{Barrier, Condvar, Latch, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore};

use super::{Prepare, ignore, waiting};

pub(super) const LOCKS: &[(&str, Prepare)] = &[
    ("sync::Mutex::new", || Box::new(|| ignore(Mutex::new(1)))),
    ("sync::Mutex::try_lock", || {
        let mutex = Mutex::new(1);
        Box::new(move || drop(mutex.try_lock()))
    }),
    ("sync::Mutex::clear_poison", || {
        let mutex = Mutex::new(1);
        Box::new(move || mutex.clear_poison())
    }),
    ("sync::Mutex::get_mut", || {
        let mut mutex = Mutex::new(1);
        Box::new(move || *mutex.get_mut().unwrap() = 2)
    }),
    ("sync::Mutex::holder", || {
        let mutex = Mutex::new(1);
        Box::new(move || assert!(mutex.holder().is_none()))
    }),
    ("sync::Mutex::into_inner", || {
        let mutex = Mutex::new(1);
        Box::new(move || drop(mutex.into_inner()))
    }),
    ("sync::Mutex::is_poisoned", || {
        let mutex = Mutex::new(1);
        Box::new(move || assert!(!mutex.is_poisoned()))
    }),
    ("a guard that somebody waits for is dropped", || {
        let mutex: &'static Mutex<i32> = Box::leak(Box::new(Mutex::new(1)));
        let guard = mutex.lock().unwrap();
        let task = waiting(|| drop(mutex.lock()));
        Box::new(move || drop((guard, task)))
    }),
    ("sync::RwLock::new", || Box::new(|| ignore(RwLock::new(1)))),
    ("sync::RwLock::try_read", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.try_read()))
    }),
    ("sync::RwLock::try_write", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.try_write()))
    }),
    ("sync::RwLock::clear_poison", || {
        let lock = RwLock::new(1);
        Box::new(move || lock.clear_poison())
    }),
    ("sync::RwLock::get_mut", || {
        let mut lock = RwLock::new(1);
        Box::new(move || *lock.get_mut().unwrap() = 2)
    }),
    ("sync::RwLock::into_inner", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.into_inner()))
    }),
    ("sync::RwLock::is_poisoned", || {
        let lock = RwLock::new(1);
        Box::new(move || assert!(!lock.is_poisoned()))
    }),
    ("sync::RwLock::readers", || {
        let lock = RwLock::new(1);
        Box::new(move || assert_eq!(lock.readers(), 0))
    }),
    ("sync::RwLock::writer", || {
        let lock = RwLock::new(1);
        Box::new(move || assert!(lock.writer().is_none()))
    }),
    ("sync::RwLockWriteGuard::downgrade", || {
        let lock: &'static RwLock<i32> = Box::leak(Box::new(RwLock::new(1)));
        let guard = lock.write().unwrap();
        let task = waiting(|| drop(lock.read()));
        Box::new(move || drop((ropewalk::sync::RwLockWriteGuard::downgrade(guard), task)))
    }),
    ("sync::Condvar::new", || Box::new(|| ignore(Condvar::new()))),
    ("sync::Condvar::notify_one", || {
        let pair: &'static (Mutex<i32>, Condvar) = Box::leak(Box::default());
        let task = waiting(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        Box::new(move || {
            pair.1.notify_one();
            drop(task);
        })
    }),
    ("sync::Condvar::notify_all", || {
        let pair: &'static (Mutex<i32>, Condvar) = Box::leak(Box::default());
        let task = waiting(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        Box::new(move || {
            pair.1.notify_all();
            drop(task);
        })
    }),
    ("sync::Semaphore::new", || Box::new(|| ignore(Semaphore::new(1)))),
    ("sync::Semaphore::try_acquire", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert!(permits.try_acquire().is_some()))
    }),
    ("sync::Semaphore::try_acquire_many", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert!(permits.try_acquire_many(2).is_none()))
    }),
    ("sync::Semaphore::try_acquire_owned", || {
        let permits = Arc::new(Semaphore::new(1));
        Box::new(move || drop(permits.try_acquire_owned()))
    }),
    ("sync::Semaphore::try_acquire_many_owned", || {
        let permits = Arc::new(Semaphore::new(1));
        Box::new(move || drop(permits.try_acquire_many_owned(1)))
    }),
    ("sync::Semaphore::add_permits", || {
        let permits: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
        let task = waiting(|| drop(permits.acquire()));
        Box::new(move || {
            permits.add_permits(1);
            drop(task);
        })
    }),
    ("sync::Semaphore::available_permits", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert_eq!(permits.available_permits(), 1))
    }),
    ("sync::Barrier::new", || Box::new(|| ignore(Barrier::new(2)))),
    ("sync::Latch::new", || Box::new(|| ignore(Latch::new(2)))),
    ("sync::Latch::count", || {
        let latch = Latch::new(2);
        Box::new(move || assert_eq!(latch.count(), 2))
    }),
    ("sync::Latch::is_open", || {
        let latch = Latch::new(2);
        Box::new(move || assert!(!latch.is_open()))
    }),
    ("sync::Latch::count_down", || {
        let latch: &'static Latch = Box::leak(Box::new(Latch::new(1)));
        let task = waiting(|| latch.wait());
        Box::new(move || {
            latch.count_down();
            drop(task);
        })
    }),
    ("sync::Latch::count_down_by", || {
        let latch = Latch::new(2);
        Box::new(move || latch.count_down_by(2))
    }),
    ("sync::Once::new", || Box::new(|| ignore(Once::new()))),
    ("sync::Once::is_completed", || {
        let once = Once::new();
        Box::new(move || assert!(!once.is_completed()))
    }),
    ("sync::OnceLock::new", || Box::new(|| drop(OnceLock::<i32>::new()))),
    ("sync::OnceLock::get", || {
        let cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.get().is_none()))
    }),
    ("sync::OnceLock::get_mut", || {
        let mut cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.get_mut().is_none()))
    }),
    ("sync::OnceLock::into_inner", || {
        let cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.into_inner().is_none()))
    }),
    ("sync::OnceLock::take", || {
        let mut cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.take().is_none()))
    }),
    ("sync::LazyLock::new", || Box::new(|| drop(LazyLock::new(|| 1)))),
    ("sync::LazyLock::get", || {
        let lazy = LazyLock::new(|| 1);
        Box::new(move || assert!(LazyLock::get(&lazy).is_none()))
    }),
    ("sync::LazyLock::get_mut", || {
        let mut lazy = LazyLock::new(|| 1);
        Box::new(move || assert!(LazyLock::get_mut(&mut lazy).is_none()))
    }),
];
