//! The latest of a value that changes: a configuration, a state. Who looks sees what is there now, and can wait for the next.
//!
//! tokio's names (`tokio::sync::watch`). A value that nobody has looked at before the next one came is never seen. Values
//! are shared, not locked: a [`Ref`] is the value as it was when it was taken, keeps nobody waiting, and may be held over a
//! wait.
//!
//! # Memory
//! What a task did before it sent a value is visible to whoever looks at that value, or a later one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::channel::{RecvError, SendError};
use crate::park::{self, Interrupted, Wait, WaitReason};
use crate::wait_list::{Locked, WaitList};

struct State<T> {
    value: Arc<T>,
    /// How often it was sent.
    version: u64,
    senders: usize,
    receivers: usize,
}

struct Shared<T> {
    /// Receivers wait in one line for the next value, senders in the other for the end of the receivers.
    list: WaitList<State<T>, (), 2>,
}

const RECEIVERS: usize = 0;
const SENDERS: usize = 1;

impl<T> Shared<T> {
    fn tell<'a>(&'a self, line: usize, guard: Locked<'a, State<T>, (), 2>) {
        drop(self.list.notify_line(line, crate::wait_list::Outcome::Served, guard));
    }

    /// Waits in this line. `false`: the task was cancelled and cannot unwind.
    #[track_caller]
    fn wait(&self, line: usize, guard: Locked<'_, State<T>, (), 2>) -> bool {
        let wait = Wait::new(WaitReason::WatchChange).object(self).fallible();
        match self.list.wait_in(line, guard, &wait, (), || {}) {
            Ok(()) => true,
            Err(left) => {
                drop(left.guard);
                left.interrupt.deliver() != Interrupted::Cancelled
            }
        }
    }
}

/// A value, and both sides of it.
///
/// # Examples
/// ```
/// use ropewalk_sync::watch;
///
/// let (sender, mut receiver) = watch::channel("starting");
/// let watcher = std::thread::spawn(move || {
///     while *receiver.borrow_and_update() != "ready" {
///         receiver.changed().unwrap();
///     }
/// });
/// sender.send("ready").unwrap();
/// watcher.join().unwrap();
/// ```
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = State { value: Arc::new(value), version: 0, senders: 1, receivers: 1 };
    let shared = Arc::new(Shared { list: WaitList::new(state) });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

/// Sends values.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Looks at the latest value, and knows which one it has seen.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A value as it was when it was looked at.
pub struct Ref<T> {
    value: Arc<T>,
    changed: bool,
}

impl<T> Ref<T> {
    /// Whether the receiver had not seen it before.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Sender<T> {
    /// Puts `value` in the place of the one that is there, and tells the receivers. Never waits.
    ///
    /// # Errors
    /// The value, if there is no receiver; the old one stays. [`send_replace`](Self::send_replace) does not mind.
    ///
    /// # Examples
    /// See [`channel`].
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// As [`send`](Self::send), with or without receivers: gives the old value.
    ///
    /// # Examples
    /// ```
    /// let (sender, _) = ropewalk_sync::watch::channel(1);
    /// assert_eq!(*sender.send_replace(2), 1);
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send_replace(&self, value: T) -> Ref<T> {
        let value = Arc::new(value);
        let mut guard = self.shared.list.lock();
        let value = std::mem::replace(&mut guard.value, value);
        guard.version += 1;
        self.shared.tell(RECEIVERS, guard);
        Ref { value, changed: false }
    }

    /// The value that is there.
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        Ref { value: self.shared.list.lock().value.clone(), changed: false }
    }

    /// A receiver that has seen the value that is there.
    ///
    /// # Examples
    /// ```
    /// let (sender, _) = ropewalk_sync::watch::channel(1);
    /// assert!(sender.send(2).is_err());
    /// let receiver = sender.subscribe();
    /// assert_eq!((*receiver.borrow(), sender.receiver_count()), (1, 1));
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let mut guard = self.shared.list.lock();
        guard.receivers += 1;
        Receiver { shared: self.shared.clone(), seen: guard.version }
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared.list.lock().receivers
    }

    /// Whether there is no receiver.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Waits
    /// Until then; not at all while the task unwinds.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    #[track_caller]
    pub fn closed(&self) {
        loop {
            let guard = self.shared.list.lock();
            if guard.receivers == 0 || !self.shared.wait(SENDERS, guard) {
                return;
            }
        }
    }
}

impl<T> Receiver<T> {
    /// The value that is there. It counts as seen or not, as before.
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        let guard = self.shared.list.lock();
        Ref { value: guard.value.clone(), changed: guard.version != self.seen }
    }

    /// The value that is there, which is seen now.
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let guard = self.shared.list.lock();
        let changed = guard.version != self.seen;
        self.seen = guard.version;
        Ref { value: guard.value.clone(), changed }
    }

    /// Whether there is a value that it has not seen.
    ///
    /// # Errors
    /// If all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let guard = self.shared.list.lock();
        if guard.senders == 0 { Err(RecvError) } else { Ok(guard.version != self.seen) }
    }

    /// Waits for a value that it has not seen, which is seen then: [`borrow`](Self::borrow) gives it, or a later one.
    ///
    /// # Errors
    /// If all senders are gone, and it has seen the last value.
    ///
    /// # Waits
    /// Until there is one.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; what was not seen is not seen.
    ///
    /// # Examples
    /// See [`channel`].
    #[track_caller]
    pub fn changed(&mut self) -> Result<(), RecvError> {
        park::spend();
        loop {
            let guard = self.shared.list.lock();
            if guard.version != self.seen {
                self.seen = guard.version;
                return Ok(());
            }
            if guard.senders == 0 || !self.shared.wait(RECEIVERS, guard) {
                return Err(RecvError);
            }
        }
    }

    /// Waits until `condition` holds for the value that is there, be it seen or not. The value is seen then.
    ///
    /// # Errors
    /// If all senders are gone, and it does not hold for the last value.
    ///
    /// # Panics
    /// If `condition` does.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// let (sender, mut receiver) = ropewalk_sync::watch::channel(0);
    /// std::thread::spawn(move || (1..=5).for_each(|n| sender.send(n).unwrap()));
    /// assert!(*receiver.wait_for(|n| *n >= 3).unwrap() >= 3);
    /// ```
    #[track_caller]
    pub fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<Ref<T>, RecvError> {
        loop {
            let value = self.borrow_and_update();
            if condition(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed()?;
        }
    }

    /// Whether both look at the same value.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.list.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

/// The clone has seen what the original has.
impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.list.lock().receivers += 1;
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut guard = self.shared.list.lock();
        guard.senders -= 1;
        if guard.senders == 0 {
            self.shared.tell(RECEIVERS, guard);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut guard = self.shared.list.lock();
        guard.receivers -= 1;
        if guard.receivers == 0 {
            self.shared.tell(SENDERS, guard);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
