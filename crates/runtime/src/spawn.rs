//! What every spawn does, whatever the plan: the new task's parent and runtime.

use std::sync::{Arc, Weak};

use ropewalk_sync::park::{self, Park};

use crate::task::{Birth, Header, Owner};

/// Calls `f` with the task that calls, if somebody spawned it.
pub(crate) fn with_current_header<R>(f: impl FnOnce(Option<&Header>) -> R) -> R {
    park::current(|_, task| f(task.and_then(|task| task.downcast_ref())))
}

/// The runtime of the task that calls.
pub(crate) fn current_runtime() -> Option<Arc<dyn Owner>> {
    with_current_header(|header| header.and_then(Header::runtime).cloned())
}

/// What a child of the calling task is born with. A task that is no daemon is counted by its runtime, which waits for it.
pub(crate) fn birth(name: Option<Arc<str>>, daemon: bool) -> Birth {
    let runtime = current_runtime();
    if let Some(runtime) = runtime.as_ref().filter(|_| !daemon) {
        runtime.began();
    }
    Birth { name, scope: None, counted: runtime.is_some() && !daemon, runtime }
}

/// Makes the calling task responsible for a daemon child.
pub(crate) fn introduce(child: &Arc<dyn Park>, daemon: bool) {
    if daemon {
        with_current_header(|header| {
            if let Some(header) = header {
                header.adopt_daemon(Arc::downgrade(child) as Weak<dyn Park>);
            }
        });
    }
}
