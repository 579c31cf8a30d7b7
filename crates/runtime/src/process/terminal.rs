//! What is typed at a terminal, for children in groups of their own.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ropewalk_sys::process::{Child, Group, Signal};
use ropewalk_sys::terminal::{Arrival, Arrivals, Disposition, disposition};

/// The groups of the children that have not been reaped: until then a group's number is its own.
static GROUPS: Mutex<Vec<Group>> = Mutex::new(Vec::new());

fn groups() -> MutexGuard<'static, Vec<Group>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child's group, as long as it hears what is typed. To be dropped before the child is reaped.
#[derive(Debug)]
pub(super) struct Listener(Group);

impl Listener {
    pub(super) fn new(child: &Child) -> Self {
        groups().push(child.group());
        Self(child.group())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut groups = groups();
        if let Some(place) = groups.iter().position(|group| *group == self.0) {
            groups.swap_remove(place);
        }
    }
}

/// Passes on to the children of [`spawn`](super::spawn) what is typed at the terminal: Ctrl-C (`SIGINT`), Ctrl-\
/// (`SIGQUIT`) and Ctrl-Z (`SIGTSTP`), and the terminal's end (`SIGHUP`). For the rest of the process's life; a second call
/// changes nothing.
///
/// The children are in process groups of their own, so the terminal reaches only their parent. Where that dies of the
/// signal, so do they. A parent that handles the signal and goes on usually [cancels](crate::JoinHandle::cancel) them in its
/// own time; this is for programs whose children are to hear the same as their parent, at once, and once: a signal that
/// a process has sent (`kill`) is not passed on, and programs that `Command` starts have it from the terminal itself.
/// When a parent that was stopped goes on (`fg`), its children go on.
///
/// Call it after the program has installed its own handlers: then they are called as before. Of the four signals those that
/// are ignored at the time of the call stay ignored, and those without a handler still do to this process what they did.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     ropewalk_runtime::process::forward_terminal_signals()?;
///     ropewalk_runtime::run(|| { /* press Ctrl-Z: the children stop, too */ });
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The kernel gives no descriptor or no thread for it.
pub fn forward_terminal_signals() -> io::Result<()> {
    static FORWARDS: Mutex<bool> = Mutex::new(false);
    let mut forwards = FORWARDS.lock().unwrap_or_else(PoisonError::into_inner);
    if *forwards {
        return Ok(());
    }
    let (mut signals, mut deadly) = (vec![Signal::CONT], Vec::new());
    for signal in [Signal::INT, Signal::QUIT, Signal::TSTP, Signal::HUP] {
        match disposition(signal) {
            Disposition::Default => {
                deadly.push(signal);
                signals.push(signal);
            }
            Disposition::Handle => signals.push(signal),
            Disposition::Ignore => {}
        }
    }
    let arrivals = Arrivals::of(&signals)?;
    std::thread::Builder::new().name("ropewalk-terminal".into()).spawn(move || {
        let mut stopped = false;
        while let Ok(arrival) = arrivals.next() {
            pass_on(arrival, &mut stopped);
            if deadly.contains(&arrival.signal) {
                let _ = signal_hook::low_level::emulate_default_handler(arrival.signal.as_raw());
            }
        }
    })?;
    *forwards = true;
    Ok(())
}

/// Tells all groups. A shell that lets a job go on tells only the job's own group, so then it is passed on, too.
fn pass_on(Arrival { signal, from_kernel }: Arrival, stopped: &mut bool) {
    let goes_on = signal == Signal::CONT && std::mem::take(stopped);
    if from_kernel || goes_on {
        *stopped |= signal == Signal::TSTP;
        for group in &*groups() {
            // One that has become another user's does not hear this process any more.
            let _ = group.signal(signal);
        }
    }
}
