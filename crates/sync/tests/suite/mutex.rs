//! Mutexes: what only the sleeping itself tells. The rest is in `crates/ropewalk/tests/conformance`.

use std::sync::Arc;

use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::WaitReason::MutexLock;

use crate::support::{Task, watched};

/// Whether it was too late, and had the lock after the next unlock all the same.
fn handed_over_after_one_defeat() -> bool {
    let mutex = Arc::new(Mutex::new(false));
    let guard = mutex.lock().unwrap();
    let other = mutex.clone();
    let task = Task::waiting(MutexLock, move || *other.lock().unwrap() = true);
    task.until_asleep(1);
    drop(guard);
    let barged = mutex.try_lock();
    let was_late = barged.as_ref().is_ok_and(|served| !**served);
    if was_late {
        task.until_asleep(2);
        drop(barged);
        let next = mutex.try_lock();
        assert!(next.is_err() || *next.unwrap(), "the lock was free for others though one had lost already");
    } else {
        drop(barged);
    }
    task.value();
    was_late
}

#[test]
fn who_came_too_late_once_is_handed_the_lock() {
    watched(|| while !handed_over_after_one_defeat() {});
}
