//! Not to outlive the process that started this one, also when that is killed.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Lets the kernel kill this process when its parent, which must be `parent`, ends.
///
/// # Errors
/// When `parent` is not the parent (any more), or the kernel refuses.
pub(crate) fn end_with(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Asked afterwards: a parent that ended before the kernel was told would never be noticed.
    let present = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if present == parent {
        Ok(())
    } else {
        Err(io::Error::other(format!("--parent {parent}: the parent of this process is {present}")))
    }
}
