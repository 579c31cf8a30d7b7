//! What a program does when it ends.

/// Has `f` called when the process exits: by `exit(3)`, or after `main` has returned. Not when it is killed or aborts. It runs
/// on the thread that exits, and must not unwind. `false`: there is no memory for that.
pub fn at_exit(f: extern "C" fn()) -> bool {
    // SAFETY: a function of the program's own is valid for as long as the process lives.
    unsafe { libc::atexit(f) == 0 }
}
