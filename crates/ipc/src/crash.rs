//! Points at which a process can be made to die: between any two steps that others see.
//!
//! A process that is killed leaves shared memory as it was at that moment, so what is there must make sense after every
//! step. In builds with debug assertions `ROPEWALK_CRASH_AT=7` has a process kill itself (`SIGKILL`) at the seventh point
//! that it comes to; the tests go through all of them. In other builds a point is nothing.

/// A place between two steps, by its name.
#[inline(always)]
pub(crate) fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::point(name);
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use rustix::process::{Signal, getpid, kill_process};

    pub(super) fn point(name: &'static str) {
        static AT: OnceLock<Option<u64>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);

        let at = AT.get_or_init(|| std::env::var("ROPEWALK_CRASH_AT").ok()?.parse().ok());
        if let Some(at) = *at
            && PASSED.fetch_add(1, Relaxed) + 1 == at
        {
            eprintln!("ropewalk: killed at the crash point {name:?}");
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::hint::spin_loop();
            }
        }
    }
}
