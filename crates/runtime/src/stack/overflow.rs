//! Says which coroutine has overflowed its stack, before the process aborts.

use std::cell::Cell;
use std::panic::Location;

use ropewalk_sys::segv;

/// What the handler has to know of the coroutine that runs, without following more than one pointer.
pub(crate) struct Running {
    pub(crate) guard: std::ops::Range<usize>,
    pub(crate) usable: usize,
    pub(crate) id: u64,
    /// Points into the task, which lives while it runs.
    pub(crate) name: Option<*const str>,
    pub(crate) spawned_at: &'static Location<'static>,
}

thread_local! {
    /// The coroutine that runs on this thread. Without a destructor, so a signal handler may read it.
    static RUNNING: Cell<*const Running> = const { Cell::new(std::ptr::null()) };
}

/// Says which coroutine runs on this thread from now on; null for none.
pub(crate) fn set_running(running: *const Running) {
    RUNNING.set(running);
}

/// Prepares the process; each worker needs an alternate stack besides.
pub(crate) fn install() {
    segv::install(report);
}

/// Decimal digits without allocation.
fn decimal(mut value: u64, buffer: &mut [u8; 20]) -> &str {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return std::str::from_utf8(&buffer[start..]).unwrap_or("?");
        }
    }
}

fn report(address: usize) {
    let running = RUNNING.get();
    // SAFETY: set by the worker of this thread to the coroutine that it runs, whose frame lives while it runs.
    let Some(running) = (unsafe { running.as_ref() }) else { return };
    if !running.guard.contains(&address) {
        return;
    }
    let (mut id, mut line, mut size) = ([0; 20], [0; 20], [0; 20]);
    // SAFETY: points into the task that runs.
    let name = running.name.map_or("unnamed", |name| unsafe { &*name });
    segv::abort_with(&[
        "\nropewalk: coroutine ",
        decimal(running.id, &mut id),
        " (",
        name,
        "), spawned at ",
        running.spawned_at.file(),
        ":",
        decimal(running.spawned_at.line().into(), &mut line),
        ", has overflowed its stack of ",
        decimal(running.usable as u64 / 1024, &mut size),
        " KiB\nropewalk: give it more with coroutine::Builder::stack_size, or all of them with ROPEWALK_STACK\n",
    ]);
}
