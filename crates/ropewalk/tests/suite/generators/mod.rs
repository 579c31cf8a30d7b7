//! Generators: functions on stacks of their own, resumed by whoever likes.

mod basics;
mod ending;
mod locals;
mod stacks;
mod throwing;
mod waiting;

use std::cell::RefCell;
use std::rc::Rc;

/// What was said, by anybody on this thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

/// Says something when it is dropped.
#[derive(Debug)]
pub(crate) struct SaysOnDrop(Log, &'static str);

impl Log {
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    pub(crate) fn on_drop(&self, text: &'static str) -> SaysOnDrop {
        SaysOnDrop(self.clone(), text)
    }

    /// What was said since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Drop for SaysOnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

/// The text of a panic.
#[track_caller]
pub(crate) fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).expect("a panic with a message")
}

/// For a result that a test does not look at.
pub(crate) fn ignore<T>(_: T) {}
