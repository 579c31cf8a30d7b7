//! The word that a wake-up is left in.
//!
//! # States
//! | state | meaning |
//! |---|---|
//! | `EMPTY` | the owner runs, nobody has called |
//! | `NOTIFIED` | somebody has called since the owner last looked |
//! | `SUSPENDED` | the owner sleeps where its plan puts it: a coroutine off its worker, a thread in a system call |
//! | `BLOCKED` | the owner's thread sleeps in a futex on this very word |
//!
//! Only the owner leaves `EMPTY` for a sleeping state, and only the owner goes back to `EMPTY`; everybody may make it
//! `NOTIFIED`, and who turns a sleeping state into `NOTIFIED` has to wake the owner, once.
//!
//! # Memory ordering
//! The promise: what a caller did before [`notify`](WakeWord::notify) is visible to the owner after the wait that took
//! the notification. So `notify` releases (SYNC: word.notify) and every way in which the owner takes a notification
//! acquires (SYNC: word.take). The other direction is promised by nothing here: what is waited for has a lock of its own.

use Ordering::{Acquire, Relaxed, Release};

use crate::primitive::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
/// As the assembly of interruptible system calls has it.
const SUSPENDED: u32 = ropewalk_sys::interruptible::SUSPENDED;
const BLOCKED: u32 = 3;

/// How the owner of a [`WakeWord`] is about to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// As its plan does.
    Suspended,
    /// Its thread, in a futex on the word.
    Blocked,
}

/// What the caller of [`WakeWord::notify`] owes the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing: it runs, or somebody else wakes it.
    Nothing,
    /// To wake it as its plan does.
    Resume,
    /// To wake its thread from the futex.
    WakeThread,
}

/// One pending wake-up, or none, and whether the owner sleeps.
#[derive(Debug)]
pub struct WakeWord(AtomicU32);

impl WakeWord {
    /// Awake, and nobody has called.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU32::new(EMPTY))
    }

    /// The word itself, to sleep on in a futex while it holds [`blocked`](Self::BLOCKED_VALUE).
    #[must_use]
    pub fn as_atomic(&self) -> &AtomicU32 {
        &self.0
    }

    /// What the word holds while its owner's thread sleeps on it.
    pub const BLOCKED_VALUE: u32 = BLOCKED;

    /// Owner: takes a notification if there is one.
    pub fn take(&self) -> bool {
        // Most looks find nothing, so look before the exchange.
        if self.0.load(Relaxed) != NOTIFIED {
            return false;
        }
        // SYNC: word.take
        self.0.swap(EMPTY, Acquire) == NOTIFIED
    }

    /// Owner: says that it goes to sleep. `false` means that a notification was there: it is taken, do not sleep.
    pub fn fall_asleep(&self, how: Sleep) -> bool {
        let asleep = match how {
            Sleep::Suspended => SUSPENDED,
            Sleep::Blocked => BLOCKED,
        };
        // SYNC: word.take (in the failing case)
        if self.0.compare_exchange(EMPTY, asleep, Relaxed, Acquire).is_ok() {
            return true;
        }
        // An exchange, not a store: a second caller may have come since. SYNC: word.take
        self.0.swap(EMPTY, Acquire);
        false
    }

    /// Owner: says that it is awake again, for whatever reason. `true` if it was called.
    pub fn wake_up(&self) -> bool {
        // SYNC: word.take
        self.0.swap(EMPTY, Acquire) == NOTIFIED
    }

    /// Owner: whether it was called while it sleeps in a futex.
    pub fn is_notified(&self) -> bool {
        self.0.load(Relaxed) == NOTIFIED
    }

    /// Anybody: whether the owner sleeps, and nobody has called it.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.0.load(Relaxed), SUSPENDED | BLOCKED)
    }

    /// Anybody: leaves a wake-up, and tells what else is owed to the owner.
    #[must_use]
    pub fn notify(&self) -> Owed {
        // SYNC: word.notify
        match self.0.swap(NOTIFIED, Release) {
            SUSPENDED => Owed::Resume,
            BLOCKED => Owed::WakeThread,
            _ => Owed::Nothing,
        }
    }
}

impl Default for WakeWord {
    fn default() -> Self {
        Self::new()
    }
}
