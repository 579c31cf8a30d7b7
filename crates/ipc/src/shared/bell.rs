//! A bell in one word: who finds that he has to wait for a state to change listens, looks once more, and sleeps until it
//! rings. (An eventcount, as Dmitry Vyukov describes it.)
//!
//! Bit 0: somebody listens. The rest counts how often it has rung, so a word that was waited for does not come back.
//!
//! # Why no ring is missed
//! A listener sets the bit and then looks at the state; who changes the state does so and then looks at the bit. Both do it
//! with `SeqCst` (SYNC: bell): in the one order of all these operations, either the listener's look comes after the change,
//! or the change comes before it in vain and the ringer's look comes after the bit was set. Release and acquire do not
//! order a store before a later load of another word, which is what both sides need.
//!
//! A ringer that dies after its change, or between the two steps of ringing, owes a ring; who tidies up rings them all.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use ropewalk_sync::park::{self, Interrupt, Wait};

use crate::crash;

const LISTENED: u32 = 1;
const STEP: u32 = 2;

/// Wakes all who sleep on the word.
pub(super) fn wake_all(word: &AtomicU32) {
    park::wake_word(word, i32::MAX as u32);
}

/// That somebody listens, from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening(u32);

pub(super) fn listen(word: &AtomicU32) -> Listening {
    // SYNC: bell
    let listening = Listening(word.fetch_or(LISTENED, SeqCst) | LISTENED);
    crash::point("bell: listened to");
    listening
}

/// Waits until the bell has rung since.
///
/// # Errors
/// The interruption, not yet delivered. A ring is for all, so none is lost with this one.
///
/// # Waits
/// Until then, or for no reason a shorter time.
pub(super) fn wait(word: &AtomicU32, listening: Listening, wait: &Wait) -> Result<(), Interrupt> {
    park::wait_word(word, listening.0, wait)
}

/// Wakes all who listen. The state was changed before, with `SeqCst`.
#[inline]
pub(super) fn ring(word: &AtomicU32) {
    crash::point("bell: about to ring");
    // SYNC: bell
    let value = word.load(SeqCst);
    if value & LISTENED != 0 {
        ring_for_those_who_listen(word, value);
    }
}

#[cold]
fn ring_for_those_who_listen(word: &AtomicU32, mut value: u32) {
    while value & LISTENED != 0 {
        let rung = value.wrapping_add(STEP) & !LISTENED;
        match word.compare_exchange_weak(value, rung, SeqCst, SeqCst) {
            Ok(_) => {
                crash::point("bell: rung, nobody woken");
                return wake_all(word);
            }
            Err(now) => value = now,
        }
    }
}

/// Waits until `look` finds what is wanted.
///
/// # Errors
/// The interruption, not yet delivered, if it is not there at that moment either.
///
/// # Waits
/// Until it is there.
pub(super) fn wait_for<R>(
    word: &AtomicU32,
    how: &Wait,
    mut look: impl FnMut() -> Result<Option<R>, Interrupt>,
) -> Result<R, Interrupt> {
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        let listening = listen(word);
        if let Some(found) = look()? {
            return Ok(found);
        }
        if let Err(interrupt) = wait(word, listening, how) {
            return match look() {
                Ok(Some(found)) => Ok(found),
                _ => Err(interrupt),
            };
        }
    }
}

/// Wakes all, whether anybody is known to listen or not: when a process has died.
pub(super) fn recover(word: &AtomicU32) {
    word.fetch_add(STEP, Relaxed);
    wake_all(word);
}
