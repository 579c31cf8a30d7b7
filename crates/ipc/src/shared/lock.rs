//! A lock in one word, whose owner may die.
//!
//! # States
//! | bits | meaning |
//! |---|---|
//! | 0-29 | the [`Owner`]; zero: free |
//! | 30, `DIED` | an owner has died in it, and nobody has said since that all is well |
//! | 31, `WAITERS` | somebody may sleep on the word |
//!
//! It is Drepper's third mutex ("Futexes Are Tricky", 2011) with an owner in it. Who has slept takes it with `WAITERS`, since
//! others may sleep on. The owner is a process: tasks of one process exclude each other as well, since who finds the word
//! taken waits, and whichever of them has it gives it back.
//!
//! Not fair: who comes may overtake who was woken. It is given back and taken without a system call while nobody waits.
//!
//! # Memory ordering
//! What was done under the lock is visible to who takes it afterwards (SYNC: shared.lock), also to who takes it from one that
//! has died: it had been freed by whoever tidied up, who saw the dead one's pulse.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use ropewalk_sync::park::{self, Interrupt, Wait};

use super::bell::wake_all;
use super::table::{OWNER, Owner};
use crate::crash;

const DIED: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;

/// That the lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// An owner has died in it.
    pub(super) owner_died: bool,
}

/// Takes the lock if it is free; it is taken with these bits besides.
fn try_with(word: &AtomicU32, owner: Owner, besides: u32) -> Option<Taken> {
    let mut value = word.load(Relaxed);
    while value & OWNER == 0 {
        // SYNC: shared.lock
        match word.compare_exchange_weak(value, value | owner.bits() | besides, Acquire, Relaxed) {
            Ok(_) => {
                crash::point("lock: taken");
                return Some(Taken { owner_died: value & DIED != 0 });
            }
            Err(now) => value = now,
        }
    }
    None
}

pub(super) fn try_lock(word: &AtomicU32, owner: Owner) -> Option<Taken> {
    try_with(word, owner, 0)
}

/// Takes the lock.
///
/// # Errors
/// The interruption, not yet delivered.
///
/// # Waits
/// Until it is free.
pub(super) fn lock(word: &AtomicU32, owner: Owner, wait: &Wait) -> Result<Taken, Interrupt> {
    let mut besides = 0;
    loop {
        if let Some(taken) = try_with(word, owner, besides) {
            return Ok(taken);
        }
        let value = word.load(Relaxed);
        if value & OWNER == 0 {
            continue;
        }
        let waited_for = value | WAITERS;
        if value != waited_for && word.compare_exchange(value, waited_for, Relaxed, Relaxed).is_err() {
            continue;
        }
        crash::point("lock: about to wait");
        let waited = park::wait_word(word, waited_for, wait);
        besides = WAITERS;
        if let Err(interrupt) = waited {
            // The result wins.
            if let Some(taken) = try_with(word, owner, WAITERS) {
                return Ok(taken);
            }
            // It may have been woken, and whoever has the lock now may not know that others wait.
            park::wake_word(word, 1);
            return Err(interrupt);
        }
    }
}

/// Gives the lock back; `all_is_well`: an owner's death in it is forgotten. Wakes one who waits.
pub(super) fn unlock(word: &AtomicU32, all_is_well: bool) {
    if give_back(word, all_is_well) {
        park::wake_word(word, 1);
    }
}

/// As [`unlock`], and wakes all who wait: for a word on which several can get what they wait for at once.
pub(super) fn unlock_for_all(word: &AtomicU32, all_is_well: bool) {
    if give_back(word, all_is_well) {
        wake_all(word);
    }
}

/// Whether somebody may wait.
fn give_back(word: &AtomicU32, all_is_well: bool) -> bool {
    crash::point("lock: about to be given back");
    let kept = if all_is_well { 0 } else { DIED };
    // SYNC: shared.lock
    let before = word.fetch_and(kept, Release);
    crash::point("lock: given back");
    before & WAITERS != 0
}

/// Waits while somebody has the lock, without taking it.
///
/// # Errors
/// The interruption, not yet delivered.
///
/// # Waits
/// Until it was free, or for no reason a shorter time. Whoever gives it back has to wake all.
pub(super) fn wait_while_taken(word: &AtomicU32, wait: &Wait) -> Result<(), Interrupt> {
    let value = word.load(Relaxed);
    let waited_for = value | WAITERS;
    if value & OWNER == 0 {
        return Ok(());
    }
    if value != waited_for && word.compare_exchange(value, waited_for, Relaxed, Relaxed).is_err() {
        return Ok(());
    }
    crash::point("lock: about to wait");
    park::wait_word(word, waited_for, wait)
}

/// Frees the lock if `dead` has it, and wakes all who wait.
pub(super) fn recover(word: &AtomicU32, dead: Owner) {
    let mut value = word.load(SeqCst);
    // Until nobody comes in between who begins to wait.
    while Owner::of(value) == Some(dead) {
        match word.compare_exchange(value, DIED, SeqCst, SeqCst) {
            Ok(_) => break,
            Err(now) => value = now,
        }
    }
    crash::point("lock: freed for a dead one");
    wake_all(word);
}

/// How the lock is, if nobody has it; with `SeqCst`, for who has said before that he is there.
pub(super) fn look(word: &AtomicU32) -> Option<Taken> {
    // SYNC: rwlock.drain, shared.lock
    let value = word.load(SeqCst);
    (value & OWNER == 0).then_some(Taken { owner_died: value & DIED != 0 })
}
