//! What every spawn does, whatever the plan: the new task's parent and runtime.

use std::any::Any;
use std::sync::Arc;

use ropewalk_sync::park::{self, Park};

use crate::task::{Birth, Header, Owner};

/// Calls `f` with the task that calls, if somebody spawned it.
pub(crate) fn with_current_header<R>(f: impl FnOnce(Option<&Header>) -> R) -> R {
    park::current(|_, task| f(task.and_then(|task| task.downcast_ref())))
}

/// The runtime of the task that calls, for who knows its type.
pub(crate) fn current_runtime() -> Option<Arc<dyn Any + Send + Sync>> {
    with_current_header(|header| header.and_then(Header::owner).cloned())?.runtime()
}

/// What a task of `runtime` is born with. A `counted` one is waited for.
pub(crate) fn birth(name: Option<Arc<str>>, runtime: Arc<dyn Owner>, counted: bool) -> Birth {
    if counted {
        runtime.began();
    }
    Birth { name, owner: Some(runtime), slot: 0, counted }
}

/// Makes the calling task responsible for a daemon child: it is cancelled when the caller ends.
pub(crate) fn adopt_daemon(child: &Arc<dyn Park>) {
    with_current_header(|header| {
        if let Some(header) = header {
            header.adopt_daemon(Arc::downgrade(child));
        }
    });
}
