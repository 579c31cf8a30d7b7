//! To find out that somebody waits, without sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// Where a task says that it is about to wait, and another finds out that it does: the kernel says that the thread
/// sleeps which runs it. So that this tells something, the thread must have nothing else to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spot(Arc<AtomicI32>);

impl Spot {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The task: the next thing that it does is to wait.
    pub(crate) fn mark(&self) {
        self.0.store(rustix::thread::gettid().as_raw_nonzero().get(), SeqCst);
    }

    /// Another thread, or a coroutine of another worker: until the task was here, and its thread sleeps or has ended.
    pub(crate) fn wait_asleep(&self) {
        super::until(|| match self.0.load(SeqCst) {
            0 => false,
            thread => sleeps(thread),
        });
    }

    /// Anybody: whether the task was here.
    pub(crate) fn is_marked(&self) -> bool {
        self.0.load(SeqCst) != 0
    }
}

/// Whether the kernel says that a thread of this process sleeps (proc_pid_stat(5), the third field), or has ended.
fn sleeps(thread: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S')),
        Err(_) => true,
    }
}
