//! What a child can say of its own panic: the message, and where it was.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic;

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

/// Calls `f`, of whose panics the backtrace is kept. The hook that is there - std's prints the message - is called, too.
pub(super) fn watch_panics<R>(f: impl FnOnce() -> R) -> R {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        BACKTRACE.set(Some(Backtrace::force_capture()));
        usual(info);
    }));
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
