//! `std::thread::park` for tasks: one permit each, which anybody may give and only the task takes.
//!
//! The permit is a flag of its own and not the word that every wait sleeps on: a wait on something else takes that
//! notification as a call to look again, and a permit must outlive it.

use std::time::Instant;

use super::{Unparker, Wait, WaitReason, park, spend, with_current};

impl Unparker {
    /// Gives the task its permit, unless it has it, and ends its wait for it. Never waits itself.
    pub fn give_permit(&self) {
        self.waiter().leave_permit();
        self.clone().unpark();
    }
}

/// Waits until the calling task has its permit, and takes it; until `deadline` at most.
///
/// # Waits
/// Until then.
///
/// # Cancellation
/// Unwinds a cancelled task; a permit that is there is taken first.
#[track_caller]
pub fn take_permit(deadline: Option<Instant>) {
    // Two that give each other permits, both there already, must not hog their worker.
    spend();
    let wait = Wait::new(WaitReason::Park).until(deadline);
    while !with_current(|current| current.waiter().take_permit()) {
        if let Err(interrupt) = park(&wait) {
            if !with_current(|current| current.waiter().take_permit()) {
                let _ = interrupt.deliver();
            }
            return;
        }
    }
}
