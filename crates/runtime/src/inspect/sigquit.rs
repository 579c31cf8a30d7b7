//! The list of tasks at the press of a key.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;

/// Has the process write a [`dump`](super::dump) to standard error whenever it is sent `SIGQUIT` (Ctrl-\ in a terminal,
/// `kill -QUIT`), and go on, as the Java virtual machine does, instead of dying with a core dump. For the rest of the
/// process's life; a second call changes nothing. A thread of its own does it, so it works too where all workers are held
/// up.
///
/// This is the only thing in the library that writes anywhere, and it does so only if it is called.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     ropewalk_runtime::inspect::dump_on_sigquit()?;
///     ropewalk_runtime::run(|| { /* press Ctrl-\ whenever it hangs */ });
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The kernel gives no descriptor or no thread for it.
pub fn dump_on_sigquit() -> io::Result<()> {
    static WATCHES: Mutex<bool> = Mutex::new(false);
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    if *watches {
        return Ok(());
    }
    let mut signals = Signals::new([SIGQUIT])?;
    std::thread::Builder::new().name("ropewalk-sigquit".into()).spawn(move || {
        for _ in signals.forever() {
            // In one piece, so that other output does not end up inside; where nobody reads it there is nothing to do.
            let text = format!("\n{}", super::dump());
            let _ = io::stderr().write_all(text.as_bytes());
        }
    })?;
    *watches = true;
    Ok(())
}
