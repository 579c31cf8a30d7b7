//! Says which coroutine, or generator, has overflowed its stack, before the process aborts.

use std::cell::Cell;
use std::ops::Range;
use std::panic::Location;

use ropewalk_sys::segv;

/// Who runs on a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runner {
    /// The coroutine with this number.
    Coroutine(u64),
    Generator,
}

/// What the handler has to know of what runs, without following more than one pointer.
pub(crate) struct Running {
    pub(crate) guard: Range<usize>,
    pub(crate) usable: usize,
    pub(crate) runner: Runner,
    /// Points to what lives while it runs.
    pub(crate) name: Option<*const str>,
    pub(crate) made_at: &'static Location<'static>,
}

thread_local! {
    /// What runs on this thread, the innermost. Without a destructor, so a signal handler may read it.
    static RUNNING: Cell<*const Running> = const { Cell::new(std::ptr::null()) };
}

/// Says what runs on this thread from now on, null for nothing of ours; returns what did. It has to live until the next
/// call.
pub(crate) fn replace_running(running: *const Running) -> *const Running {
    RUNNING.replace(running)
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
    // SAFETY: set to what runs, by whoever runs it: a worker or a generator's `resume`. It stands at the top of the stack
    // that is in use, and so lives until it is replaced.
    let Some(running) = (unsafe { running.as_ref() }) else { return };
    if !running.guard.contains(&address) {
        return;
    }
    let (mut id, mut line, mut size) = ([0; 20], [0; 20], [0; 20]);
    // SAFETY: points into the task, or to what the generator owns, that runs.
    let name = running.name.map_or("unnamed", |name| unsafe { &*name });
    let (runner, id, made, builder) = match running.runner {
        Runner::Coroutine(number) => ("coroutine ", decimal(number, &mut id), "spawned", "coroutine"),
        Runner::Generator => ("generator", "", "made", "generator"),
    };
    segv::abort_with(&[
        "\nropewalk: ",
        runner,
        id,
        " (",
        name,
        "), ",
        made,
        " at ",
        running.made_at.file(),
        ":",
        decimal(running.made_at.line().into(), &mut line),
        ", has overflowed its stack of ",
        decimal(running.usable as u64 / 1024, &mut size),
        " KiB\nropewalk: give it more with ",
        builder,
        "::Builder::stack_size, or all of them with ROPEWALK_STACK\n",
    ]);
}
