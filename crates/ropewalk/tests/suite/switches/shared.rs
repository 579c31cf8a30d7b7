//! Locks and words in memory that processes share.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use ropewalk::ipc::{self, Segment};

use super::{Prepare, ignore, waiting};

/// Where there is somebody who could be let run, a coroutine of this worker waits for just this.
pub(super) const SHARED: &[(&str, Prepare)] = &[
    ("ipc::Segment::new", || Box::new(|| ignore(Segment::<AtomicU32>::new(1)))),
    ("ipc::Segment::notify_one", || {
        let words: &'static Segment<AtomicU32> = Box::leak(Box::new(Segment::new(1).unwrap()));
        let task = waiting(|| ignore(words.wait(0, 0)));
        Box::new(move || {
            words[0].store(1, Relaxed);
            words.notify_one(0);
            ignore(task);
        })
    }),
    ("ipc::Segment::notify_all", || {
        let words: &'static Segment<AtomicU32> = Box::leak(Box::new(Segment::new(1).unwrap()));
        let task = waiting(|| ignore(words.wait(0, 0)));
        Box::new(move || {
            words[0].store(1, Relaxed);
            words.notify_all(0);
            ignore(task);
        })
    }),
    ("ipc::Region::new", || Box::new(|| ignore(ipc::Region::new(0)))),
    ("ipc::Region::processes", || {
        let region = ipc::Region::new(0).unwrap();
        Box::new(move || assert_eq!(region.processes(), [std::process::id()]))
    }),
    ("ipc::Region::publish", || {
        let region = ipc::Region::new(0).unwrap();
        let name = format!("switches-{}", std::process::id());
        Box::new(move || drop(region.publish(&name, ipc::Access::User).unwrap()))
    }),
    ("ipc::Mutex::new", || Box::new(|| ignore(ipc::Mutex::new(1).unwrap()))),
    ("ipc::Mutex::region", || {
        let it = ipc::Mutex::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::RwLock::new", || Box::new(|| ignore(ipc::RwLock::new(1).unwrap()))),
    ("ipc::RwLock::region", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Condvar::new", || Box::new(|| ignore(ipc::Condvar::new().unwrap()))),
    ("ipc::Condvar::region", || {
        let it = ipc::Condvar::new().unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Semaphore::new", || Box::new(|| ignore(ipc::Semaphore::new(1).unwrap()))),
    ("ipc::Semaphore::region", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Barrier::new", || Box::new(|| ignore(ipc::Barrier::new(2).unwrap()))),
    ("ipc::Barrier::region", || {
        let it = ipc::Barrier::new(2).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Event::new", || Box::new(|| ignore(ipc::Event::new(ipc::Reset::Manual).unwrap()))),
    ("ipc::Event::region", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Latch::new", || Box::new(|| ignore(ipc::Latch::new(1).unwrap()))),
    ("ipc::Latch::region", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Mutex::try_lock", || {
        let it = ipc::Mutex::new(1).unwrap();
        Box::new(move || drop(it.try_lock()))
    }),
    ("ipc::RwLock::try_read", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || drop(it.try_read()))
    }),
    ("ipc::RwLock::try_write", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || drop(it.try_write()))
    }),
    ("ipc::Condvar::notify_one", || {
        let it = ipc::Condvar::new().unwrap();
        let theirs = it.clone();
        let task = waiting(move || {
            let mutex = ipc::Mutex::new(1).unwrap();
            let guard = mutex.lock().unwrap();
            ignore(theirs.wait(guard));
        });
        Box::new(move || {
            it.notify_one();
            ignore(task);
        })
    }),
    ("ipc::Condvar::notify_all", || {
        let it = ipc::Condvar::new().unwrap();
        let theirs = it.clone();
        let task = waiting(move || {
            let mutex = ipc::Mutex::new(1).unwrap();
            let guard = mutex.lock().unwrap();
            ignore(theirs.wait(guard));
        });
        Box::new(move || {
            it.notify_all();
            ignore(task);
        })
    }),
    ("ipc::Semaphore::try_acquire", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || drop(it.try_acquire()))
    }),
    ("ipc::Semaphore::available_permits", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || assert_eq!(it.available_permits(), 1))
    }),
    ("ipc::Semaphore::add_permits", || {
        let it = ipc::Semaphore::new(1).unwrap();
        let theirs = it.clone();
        let task = waiting(move || drop(theirs.acquire_many(2)));
        Box::new(move || {
            it.add_permits(1);
            ignore(task);
        })
    }),
    ("ipc::Barrier::is_broken", || {
        let it = ipc::Barrier::new(2).unwrap();
        Box::new(move || assert!(!it.is_broken()))
    }),
    ("ipc::Event::set", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        let theirs = it.clone();
        let task = waiting(move || theirs.wait());
        Box::new(move || {
            it.set();
            ignore(task);
        })
    }),
    ("ipc::Event::reset", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || it.reset())
    }),
    ("ipc::Event::is_set", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || assert!(!it.is_set()))
    }),
    ("ipc::Latch::count_down", || {
        let it = ipc::Latch::new(1).unwrap();
        let theirs = it.clone();
        let task = waiting(move || theirs.wait());
        Box::new(move || {
            it.count_down();
            ignore(task);
        })
    }),
    ("ipc::Latch::count", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || assert_eq!(it.count(), 1))
    }),
    ("ipc::Latch::is_open", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || assert!(!it.is_open()))
    }),
];
