//! Messages to a worker that may sleep: how it is woken exactly when it must be.
//!
//! A worker looks into its mailbox between two coroutines and sleeps in its driver when it has nothing to do. Who posts
//! must wake it if it sleeps, and should not make a system call if it does not.
//!
//! # Protocol
//! Post: **P1** put the message in, under the lock. **P2** let go, then read `state`; if it is `ASLEEP`, swap it to
//! `AWAKE`; who got `ASLEEP` owes the worker a wake-up (one system call), nobody else does.
//!
//! Sleep: **W1** set `state` to `ASLEEP`. **W2** look into the mailbox, under the lock; if there is a message, set
//! `AWAKE` and do not sleep. **W3** sleep until woken. **W4** set `AWAKE`.
//!
//! # Why no message is slept over
//! P1 and W2 are critical sections of one lock, so one comes first. If W2 comes first, W1 happens before P1 and so
//! before P2, which reads `ASLEEP` (or what another poster, who then owes the wake-up, made of it). If P1 comes first,
//! W2 sees the message. The wake-up is not lost either: it is a counter in the kernel, and W3 returns if it was
//! raised at any time since the last sleep. The lock gives all the ordering there is to give, so `state` is relaxed.
//!
//! # Work that lies elsewhere
//! What an idle worker could steal is in no mailbox. [`Mailbox::fall_asleep`] therefore takes a second look, `anything_else`,
//! after a fence; who publishes work for all puts it where thieves look, then fences ([`publish_fence`]), then reads
//! who sleeps ([`Mailbox::is_asleep`]). Of the two fences one comes first (SYNC: mailbox.publish): either the sleeper
//! sees the work, or the publisher sees the sleeper.

use Ordering::{Relaxed, SeqCst};

use crate::primitive::{AtomicBool, AtomicU32, Mutex, Ordering, fence, lock};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The publisher's fence: between putting work where thieves look, and looking for one that sleeps.
pub fn publish_fence() {
    // SYNC: mailbox.publish
    fence(SeqCst);
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a worker that sleeps has to be woken"]
pub enum Posted<M> {
    /// The worker finds it.
    Delivered,
    /// The worker finds it when the caller has woken it.
    Asleep,
    /// The worker has ended: here it is again.
    Closed(M),
}

/// What was posted to one worker.
#[derive(Debug)]
pub struct Mailbox<M> {
    /// `None` once the worker has ended.
    messages: Mutex<Option<Vec<M>>>,
    /// Whether there may be messages: so that to look is one load.
    mail: AtomicBool,
    state: AtomicU32,
}

impl<M> Mailbox<M> {
    /// Empty; its worker is awake.
    #[must_use]
    pub fn new() -> Self {
        Self {
            messages: Mutex::new(Some(Vec::new())),
            mail: AtomicBool::new(false),
            state: AtomicU32::new(AWAKE),
        }
    }

    /// Anybody: posts a message.
    pub fn post(&self, message: M) -> Posted<M> {
        let mut messages = lock(&self.messages); // P1
        match &mut *messages {
            Some(messages) => messages.push(message),
            None => return Posted::Closed(message),
        }
        self.mail.store(true, Relaxed);
        drop(messages);
        if self.rouse() { Posted::Asleep } else { Posted::Delivered } // P2
    }

    /// Anybody: `true` if the worker sleeps and the caller is the one who owes it the wake-up.
    #[must_use = "a worker that sleeps has to be woken"]
    pub fn rouse(&self) -> bool {
        self.is_asleep() && self.state.swap(AWAKE, Relaxed) == ASLEEP
    }

    /// Anybody: whether the worker sleeps, or is about to.
    pub fn is_asleep(&self) -> bool {
        self.state.load(Relaxed) == ASLEEP
    }

    /// Owner: whether it is worth to [collect](Self::collect).
    pub fn has_mail(&self) -> bool {
        self.mail.load(Relaxed)
    }

    /// Owner: exchanges the messages for an empty vector.
    pub fn collect(&self, into: &mut Vec<M>) {
        let mut messages = lock(&self.messages);
        self.mail.store(false, Relaxed);
        if let Some(messages) = &mut *messages {
            std::mem::swap(messages, into);
        }
    }

    /// Anybody: calls `look` with what was posted and not yet collected, under the lock.
    pub fn look(&self, look: impl FnOnce(&[M])) {
        if let Some(messages) = &*lock(&self.messages) {
            look(messages);
        }
    }

    /// Owner: says that it goes to sleep. `false` if there is something to do: then it must not.
    pub fn fall_asleep(&self, anything_else: impl FnOnce() -> bool) -> bool {
        // W1. An exchange, so that the posters' exchanges come before it or after it.
        self.state.swap(ASLEEP, Relaxed);
        let mail = lock(&self.messages).as_ref().is_some_and(|messages| !messages.is_empty()); // W2
        // SYNC: mailbox.publish
        fence(SeqCst);
        if mail || anything_else() {
            self.wake_up();
            return false;
        }
        true
    }

    /// Owner: takes no messages any more. Gives those that nobody will read.
    pub fn close(&self) -> Vec<M> {
        lock(&self.messages).take().unwrap_or_default()
    }

    /// Owner: says that it is awake.
    pub fn wake_up(&self) {
        self.state.store(AWAKE, Relaxed); // W4
    }
}

impl<M> Default for Mailbox<M> {
    fn default() -> Self {
        Self::new()
    }
}
