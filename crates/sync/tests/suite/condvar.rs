//! Condition variables: what only the sleeping itself tells. The rest is in `crates/ropewalk/tests/conformance`.

use std::sync::Arc;

use ropewalk_sync::condvar::Condvar;
use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::WaitReason::CondvarWait;

use crate::support::{Task, watched};

#[test]
fn wait_while_sleeps_again_after_a_notification_that_changes_nothing() {
    watched(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let other = pair.clone();
        let task = Task::waiting(CondvarWait, move || {
            *other.1.wait_while(other.0.lock().unwrap(), |items| *items == 0).unwrap()
        });
        task.until_asleep(1);
        pair.1.notify_one();
        task.until_asleep(2);
        *pair.0.lock().unwrap() = 1;
        pair.1.notify_one();
        assert_eq!(task.value(), 1);
    });
}
