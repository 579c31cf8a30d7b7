//! What every spawn does, whatever the plan: the new task's parent and runtime.

use std::any::Any;
use std::sync::Arc;

use ropewalk_sync::park::Park;

use crate::task::current::{current_owner, with_current_header};
use crate::task::{Birth, Owner};

/// The runtime of the task that calls, or on whose behalf the caller works, for who knows its type.
pub(crate) fn current_runtime() -> Option<Arc<dyn Any + Send + Sync>> {
    current_owner()?.runtime()
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
