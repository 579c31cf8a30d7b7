//! Signals as values, which come in an order and can be waited for.
//!
//! See the module of the same name in the crate `ropewalk`.
//!
//! # How they come
//! signal-hook's handler notes a signal, and one thread of the process, `ropewalk-signals`, passes it on to every
//! [`Signals`] that asked for it. That thread starts with the first of them.
//!
//! # None is lost, and no queue grows
//! The kernel keeps one of each kind at most that has not been taken, and so does a [`Signals`]: its channel has room for
//! one of each that it asked for. A signal that comes while one of its kind is still there is left out; whoever takes that
//! one takes it after the second has come.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ropewalk_sync::channel::{self, Receiver, RecvError, Sender};
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use ropewalk_sys::signals as sys;
use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::{Handle, Signals as Arrivals};
use signal_hook::low_level::signal_name;

use crate::task::Header;
use crate::task::current::Task;

/// A signal (signal(7)), by its number.
///
/// ```
/// use ropewalk_runtime::signal::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::from_raw(15), Some(Signal::TERM));
/// assert_eq!(Signal::from_raw(0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

impl Signal {
    /// The terminal has gone; for many services: read the settings again.
    pub const HUP: Self = Self(signal_hook::consts::SIGHUP);
    /// Ctrl-C.
    pub const INT: Self = Self(signal_hook::consts::SIGINT);
    /// Ctrl-\\.
    pub const QUIT: Self = Self(signal_hook::consts::SIGQUIT);
    /// Free to use.
    pub const USR1: Self = Self(signal_hook::consts::SIGUSR1);
    /// Free to use.
    pub const USR2: Self = Self(signal_hook::consts::SIGUSR2);
    /// A write that nobody can read any more.
    pub const PIPE: Self = Self(signal_hook::consts::SIGPIPE);
    /// alarm(2).
    pub const ALRM: Self = Self(signal_hook::consts::SIGALRM);
    /// A request to end: what service managers, and `kill`, send.
    pub const TERM: Self = Self(signal_hook::consts::SIGTERM);
    /// A child has ended, or stopped.
    pub const CHLD: Self = Self(signal_hook::consts::SIGCHLD);
    /// To go on, after a stop.
    pub const CONT: Self = Self(signal_hook::consts::SIGCONT);
    /// Ctrl-Z.
    pub const TSTP: Self = Self(signal_hook::consts::SIGTSTP);
    /// The terminal has another size.
    pub const WINCH: Self = Self(signal_hook::consts::SIGWINCH);

    /// The one with this number; `None` if the kernel knows none.
    #[must_use]
    pub fn from_raw(number: i32) -> Option<Self> {
        sys::is_known(number).then_some(Self(number))
    }

    /// A real-time signal, counted from `SIGRTMIN`, 0; `None` beyond `SIGRTMAX`.
    #[must_use]
    pub fn real_time(number: u8) -> Option<Self> {
        let (first, last) = sys::real_time();
        Some(first + i32::from(number)).filter(|signal| *signal <= last).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// Refuses what no program can wait for, and what is not the program's.
fn check(signals: &[Signal]) -> io::Result<()> {
    let refuse = |signal: Signal, why: &str| {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} cannot be waited for: {why}")))
    };
    for signal in signals {
        if FORBIDDEN.contains(&signal.0) || signal.0 == signal_hook::consts::SIGBUS {
            return refuse(*signal, "it ends or stops the process, or tells of a fault of the very thread");
        }
        if signal.0 == signal_hook::consts::SIGURG {
            return refuse(*signal, "with it Ropewalk wakes threads");
        }
    }
    Ok(())
}

/// What the thread passes signals on to.
struct Station {
    handle: Handle,
    streams: Vec<Stream>,
    next: u64,
}

/// The sending side of a [`Signals`].
struct Stream {
    number: u64,
    wanted: Vec<Signal>,
    sender: Sender<Signal>,
    /// What was sent last: those at the end, as many as are still in the channel, have not been taken.
    sent: VecDeque<Signal>,
}

impl Stream {
    fn tell(&mut self, signal: Signal) {
        if !self.wanted.contains(&signal) {
            return;
        }
        let waiting = self.sender.len();
        while self.sent.len() > waiting {
            self.sent.pop_front();
        }
        if !self.sent.contains(&signal) {
            self.sent.push_back(signal);
            // There is room for one of each.
            let _ = self.sender.try_send(signal);
        }
    }
}

static STATION: Mutex<Option<Station>> = Mutex::new(None);

fn station() -> MutexGuard<'static, Option<Station>> {
    STATION.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Station {
    fn start() -> io::Result<Self> {
        let mut arrivals = Arrivals::new(std::iter::empty::<i32>())?;
        let handle = arrivals.handle();
        std::thread::Builder::new().name("ropewalk-signals".into()).spawn(move || {
            for number in arrivals.forever() {
                if let Some(station) = &mut *station() {
                    station.streams.iter_mut().for_each(|stream| stream.tell(Signal(number)));
                }
            }
        })?;
        Ok(Self { handle, streams: Vec::new(), next: 0 })
    }
}

/// The signals that come to this process, of the kinds that it was made for, from when it is made.
///
/// What the kernel would have done at such a signal - to end the process, mostly - does not happen any more, for the rest
/// of the process's life, also when the value has gone. Handlers that were there before are called as ever. Several of them
/// get each signal all; a signal that comes again before it was taken comes once, as in the kernel.
///
/// ```
/// use ropewalk_runtime::coroutine;
/// use ropewalk_runtime::signal::{Signal, Signals};
/// use ropewalk_sync::channel::{select, unbounded};
///
/// let signals = Signals::new([Signal::TERM, Signal::HUP])?;
/// let (sender, orders) = unbounded::<u32>();
/// let server = coroutine::spawn(move || {
///     loop {
///         select! {
///             recv(orders) -> order => println!("{order:?}"),
///             recv(signals.receiver()) -> signal => match signal {
///                 Ok(Signal::HUP) => println!("reads its settings again"),
///                 signal => break signal, // tidies up, and ends
///             },
///         }
///     }
/// });
/// signal_hook::low_level::raise(Signal::HUP.as_raw())?;
/// signal_hook::low_level::raise(Signal::TERM.as_raw())?;
/// assert_eq!(server.join()?, Ok(Signal::TERM));
/// # drop(sender);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Signals {
    number: u64,
    receiver: Receiver<Signal>,
}

impl Signals {
    /// Of these kinds.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for `SIGKILL` and `SIGSTOP`, for those that tell of a fault (`SIGSEGV`,
    /// `SIGBUS`, `SIGFPE`, `SIGILL`), and for `SIGURG`, which Ropewalk uses; the kernel gives no descriptor or no thread.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        park::check_original()?;
        let wanted: Vec<_> = signals.into_iter().collect();
        check(&wanted)?;
        let (sender, receiver) = channel::bounded(wanted.len().max(1));
        let mut place = station();
        if place.is_none() {
            *place = Some(Station::start()?);
        }
        let station = place.as_mut().expect("it was started just now");
        station.next += 1;
        let number = station.next;
        // Before the handlers: what they note is passed on.
        station.streams.push(Stream { number, wanted: wanted.clone(), sender, sent: VecDeque::new() });
        let handle = station.handle.clone();
        drop(place);
        let signals = Self { number, receiver };
        wanted.into_iter().try_for_each(|signal| handle.add_signal(signal.0))?;
        Ok(signals)
    }

    /// For [`select!`](macro@ropewalk_sync::channel::select): a channel of the signals. Of its clones, each signal goes to
    /// one. It is disconnected when the `Signals` has gone.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Signal> {
        &self.receiver
    }

    /// The next one.
    ///
    /// ```
    /// use ropewalk_runtime::signal::{Signal, Signals};
    ///
    /// let signals = Signals::new([Signal::USR1])?;
    /// signal_hook::low_level::raise(Signal::USR1.as_raw())?;
    /// assert_eq!(signals.recv(), Ok(Signal::USR1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Only for a cancelled task that cannot unwind.
    ///
    /// # Waits
    /// Until it comes.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no signal with it.
    #[track_caller]
    pub fn recv(&self) -> Result<Signal, RecvError> {
        self.receiver.recv()
    }
}

impl Iterator for Signals {
    type Item = Signal;

    /// As [`recv`](Self::recv): it does not end, but for a cancelled task that cannot unwind.
    ///
    /// # Waits
    /// Until the next one comes.
    fn next(&mut self) -> Option<Signal> {
        self.recv().ok()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut place = station();
        let streams = place.as_mut().map(|station| &mut station.streams);
        let stream = streams.and_then(|streams| {
            let place = streams.iter().position(|stream| stream.number == self.number)?;
            Some(streams.swap_remove(place))
        });
        drop((place, stream));
    }
}

/// Waits for a Ctrl-C (`SIGINT`). From the first call on a Ctrl-C does not end the process any more; one that comes between
/// two calls is not waited for. Who must miss none makes a [`Signals`].
///
/// ```no_run
/// use ropewalk_runtime::{run, signal};
///
/// run(|| {
///     println!("press Ctrl-C");
///     signal::ctrl_c()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`Signals::new`]; one that wraps a cancellation, for a task that cannot unwind.
///
/// # Waits
/// Until it comes.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn ctrl_c() -> io::Result<()> {
    Signals::new([Signal::INT])?.recv().map(drop).map_err(|_| park::Cancelled.into())
}

/// Signals to the calling thread alone, sent by [`Task::send_signal`] (or pthread_kill(3)): the way in which threads wake
/// each other by signals. They interrupt nothing: they are blocked, and taken when the thread asks. (Threads that this one
/// starts meanwhile inherit what it blocks.)
///
/// ```
/// use ropewalk_runtime::signal::{Signal, ThreadSignals};
/// use ropewalk_runtime::thread;
/// use ropewalk_sync::channel::bounded;
///
/// let (tell, told) = bounded(1);
/// let sleeper = thread::spawn(move || {
///     let signals = ThreadSignals::new([Signal::USR1])?; // first this ..
///     tell.send(()).unwrap(); // .. then it may be signalled
///     signals.recv()
/// });
/// told.recv().unwrap();
/// sleeper.task().send_signal(Signal::USR1)?;
/// assert_eq!(sleeper.join()??, Signal::USR1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ThreadSignals {
    signals: sys::ThreadSignals,
    source: Source,
    /// The mask is the thread's.
    _thread: PhantomData<*const ()>,
}

impl ThreadSignals {
    /// Of these kinds. When it goes, those that came and were not taken are forgotten, and the thread's mask is what it was.
    ///
    /// # Errors
    /// As [`Signals::new`]; [`Unsupported`](io::ErrorKind::Unsupported) in a coroutine, which shares its thread.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        if park::is_coroutine() {
            let text = "a coroutine shares its thread: signals to that are not for it";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let wanted: Vec<_> = signals.into_iter().collect();
        check(&wanted)?;
        let numbers: Vec<_> = wanted.into_iter().map(Signal::as_raw).collect();
        let signals = sys::ThreadSignals::of(&numbers)?;
        Ok(Self { signals, source: Source::default(), _thread: PhantomData })
    }

    /// The next one; the one with the lowest number, if several have come.
    ///
    /// # Errors
    /// One that wraps a cancellation, for a task that cannot unwind.
    ///
    /// # Waits
    /// Until it comes.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no signal with it.
    pub fn recv(&self) -> io::Result<Signal> {
        self.take(&Wait::new(WaitReason::Signal).fallible())
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if none came in time; otherwise as `recv`.
    ///
    /// # Waits
    /// Until it comes, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `recv`.
    pub fn recv_timeout(&self, timeout: Duration) -> io::Result<Signal> {
        let wait = Wait::new(WaitReason::Signal).fallible().until(clock::after(timeout));
        self.take(&wait).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }

    fn take(&self, wait: &Wait) -> io::Result<Signal> {
        self.source.attempt(self.signals.as_fd(), Interest::Read, wait, || self.signals.take()).map(Signal)
    }
}

impl Task {
    /// Sends a signal to the thread that runs this task, and to no other. What the thread does then is what the process does
    /// at such a signal - it **ends**, of most -, unless the thread has made a [`ThreadSignals`] before. See there for an
    /// example.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) for a task that has not started or has ended;
    /// [`Unsupported`](io::ErrorKind::Unsupported) for a coroutine, which shares its thread.
    pub fn send_signal(&self, signal: Signal) -> io::Result<()> {
        if self.is_coroutine() {
            let text = "a coroutine shares its thread: a signal to that would be for all of them";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let ended = self.header().is_some_and(Header::is_done);
        let number = Some(self.id().as_u64()).filter(|_| !ended);
        let sent = number.and_then(|id| park::with_alive(id, |thread| sys::send(thread, signal.0)));
        sent.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::NotFound, "the thread does not run")))
    }
}
