//! What a child can say of its own panic: the message, and where it was.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A panic, to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Panic {
    pub(super) message: String,
    pub(super) backtrace: String,
}

thread_local! {
    /// The backtrace of this thread's last panic.
    static BACKTRACE: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

type Hook = dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync;

/// Calls `f`, of whose panics the backtrace is kept. The hook that was there when this was first called - std's prints the
/// message - is called, too: a hook that an earlier `f` has left is gone.
pub(super) fn watch_panics<R>(f: impl FnOnce() -> R) -> R {
    static USUAL: OnceLock<Box<Hook>> = OnceLock::new();
    let usual = USUAL.get_or_init(panic::take_hook);
    panic::set_hook(Box::new(move |info| {
        BACKTRACE.set(Some(Backtrace::force_capture()));
        usual(info);
    }));
    BACKTRACE.set(None);
    f()
}

/// The panic that had this payload, and was this thread's last one.
pub(super) fn take(payload: &(dyn Any + Send)) -> Panic {
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Panic {
        message: message.unwrap_or("a payload that is no text").to_owned(),
        backtrace: BACKTRACE.take().map(|backtrace| backtrace.to_string()).unwrap_or_default(),
    }
}
