//! The lock of a mutex, without what it protects.
//!
//! # States of the word
//! | bits | meaning |
//! |---|---|
//! | none | free, nobody waits |
//! | `LOCKED` | held, nobody waits |
//! | `LOCKED + QUEUED` | held, somebody may wait |
//! | `QUEUED` | free, and who was woken for it has not come yet; others may still wait |
//!
//! # Invariants
//! 1. Only who holds the lock clears `LOCKED`. Anybody may set it who finds it clear.
//! 2. `QUEUED` changes under the lock of the wait list only; if somebody is on the list it is set. (It may stay set when
//!    the last waiter leaves because of an interruption: the next unlock then finds the list empty and clears it.)
//! 3. If the lock is free and somebody is on the list, then somebody who was woken is on the way (`on_the_way`), and he
//!    will look at the word under the lock of the list.
//!
//! # Protocol
//! Unlocking wakes the first waiter, but leaves the lock free for whoever comes first: a running task need not wait for
//! a sleeping one to get up. At most one is on the way at a time. If he comes too late he queues before all others and
//! asks for a *hand-over*: the next unlock gives him the lock without freeing it. So nobody loses twice.
//!
//! No wake-up is lost: who is on the way tries for the lock before anything can interrupt him, and if he does not get it,
//! then somebody else holds it, whose unlock comes to the list because of `QUEUED` (2).
//!
//! # Memory ordering
//! What was done under the lock is visible to the next holder: unlock releases and lock acquires the word (SYNC:
//! mutex.word), or, handed over, the node of the wait list does both (SYNC: wait_list.notified).

use Ordering::{Acquire, Relaxed, Release};

use crate::holder::{Holder, Note};
use crate::park::{Interrupt, Wait, WaitReason};
use crate::primitive::{AtomicU32, Ordering, const_unless_loom};
use crate::wait_list::{Place, WaitList};

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;

/// How often a task looks again before it queues: most locks are held for less than it takes to sleep and be woken.
const SPINS: u32 = 100;

/// What a waiter brings, and what it is told.
#[derive(Clone, Copy)]
struct Waiting {
    holder: Holder,
    /// Before: it asks for a hand-over. Afterwards: it holds the lock.
    handed: bool,
}

#[derive(Default)]
struct Queue {
    /// Somebody has been woken, without a hand-over, and has not come yet.
    on_the_way: bool,
}

/// A lock, and who holds it.
pub(super) struct RawMutex {
    word: AtomicU32,
    holder: Note,
    waiters: WaitList<Queue, Waiting>,
}

impl RawMutex {
    #[cfg(not(loom))]
    pub(super) const TASK_OFFSET: usize = std::mem::offset_of!(Self, holder) + Note::TASK_OFFSET;

    const_unless_loom! {
        /// Free.
        pub(super) fn new() -> Self {
            Self {
                word: AtomicU32::new(0),
                holder: Note::new(),
                waiters: WaitList::new(Queue { on_the_way: false }),
            }
        }
    }

    /// Takes the lock; waits for it if it has to. `object` is what the waiter is shown to wait for. In the error is the
    /// interruption, not yet delivered.
    #[inline]
    pub(super) fn lock<T: ?Sized>(&self, object: &T) -> Result<(), Interrupt> {
        let caller = Holder::caller();
        // SYNC: mutex.word
        if self.word.compare_exchange(0, LOCKED, Acquire, Relaxed).is_err() && !self.spin(caller) {
            self.lock_contended(caller, Wait::new(WaitReason::MutexLock).object(object))?;
        }
        self.holder.write(caller);
        Ok(())
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        let mut word = 0;
        // SYNC: mutex.word
        while let Err(now) = self.word.compare_exchange(word, word | LOCKED, Acquire, Relaxed) {
            if now & LOCKED != 0 {
                return false;
            }
            word = now;
        }
        self.holder.write(Holder::caller());
        true
    }

    /// Gives the lock back. Only for who holds it.
    #[inline]
    pub(super) fn unlock(&self) {
        self.holder.release();
        // SYNC: mutex.word
        if self.word.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            self.unlock_contended();
        }
    }

    /// Who holds it, if anybody. A snapshot.
    pub(super) fn holder(&self) -> Option<Holder> {
        let locked = self.word.load(Relaxed) & LOCKED != 0;
        locked.then(|| self.holder.read())
    }

    /// Looks for a while whether the lock becomes free.
    fn spin(&self, caller: Holder) -> bool {
        let mut spins = if cfg!(loom) { 0 } else { SPINS };
        while spins > 0 {
            spins -= 1;
            match self.word.load(Relaxed) {
                // SYNC: mutex.word
                0 if self.word.compare_exchange(0, LOCKED, Acquire, Relaxed).is_ok() => return true,
                0 => {}
                // It cannot become free while its holder's worker looks at it.
                LOCKED if !self.holder.is_neighbour_of(caller) => std::hint::spin_loop(),
                // Others wait already.
                _ => return false,
            }
        }
        false
    }

    #[cold]
    fn lock_contended(&self, caller: Holder, wait: Wait) -> Result<(), Interrupt> {
        let mut handed = false;
        let mut queue = self.waiters.lock();
        loop {
            if self.lock_or_announce() {
                return Ok(());
            }
            let wait = wait.holder(Some(self.holder.home())).comes_back(handed);
            let place = if handed { Place::First } else { Place::Last };
            match self.waiters.wait_with(queue, &wait, Waiting { holder: caller, handed }, place) {
                Ok(Waiting { handed: true, .. }) => return Ok(()),
                Ok(Waiting { handed: false, .. }) => {
                    queue = self.waiters.lock();
                    queue.on_the_way = false;
                    handed = true;
                }
                Err(left) => return Err(left.interrupt),
            }
        }
    }

    /// Under the lock of the list: takes the lock if it is free, else sets `QUEUED`.
    fn lock_or_announce(&self) -> bool {
        let mut word = self.word.load(Relaxed);
        loop {
            let is_free = word & LOCKED == 0;
            let next = if is_free { word | LOCKED } else { word | QUEUED };
            // SYNC: mutex.word
            match self.word.compare_exchange(word, next, Acquire, Relaxed) {
                Ok(_) => return is_free,
                Err(now) => word = now,
            }
        }
    }

    #[cold]
    fn unlock_contended(&self) {
        let mut queue = self.waiters.lock();
        let is_last = queue.waiters() <= 1;
        let rest = if is_last { 0 } else { QUEUED };
        // The word is held and changes under this lock only (1, 2), so it may be stored.
        let woken = match queue.first_slot() {
            None => {
                self.word.store(0, Release); // SYNC: mutex.word
                None
            }
            Some(Waiting { holder, handed: true }) => {
                // Before it is told: from then on the lock is its own.
                self.holder.write(holder);
                self.word.store(LOCKED | rest, Relaxed);
                queue.notify_first(Waiting { holder, handed: true })
            }
            Some(_) if queue.on_the_way => {
                self.word.store(QUEUED, Release); // SYNC: mutex.word
                None
            }
            Some(Waiting { holder, .. }) => {
                queue.on_the_way = true;
                let woken = queue.notify_first(Waiting { holder, handed: false });
                self.word.store(rest, Release); // SYNC: mutex.word
                woken
            }
        };
        drop(queue);
        if let Some(unparker) = woken {
            unparker.unpark();
        }
    }
}
