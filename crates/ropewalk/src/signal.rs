//! Signals as values: a stream of them that any task can wait for, alone or in a `select!`; and signals to one thread.
//!
//! Without this module nothing changes: a signal does to the process what it does to any, `SIGTERM` and Ctrl-C end it
//! where it stands. A program that is to tidy up first makes a [`Signals`], and acts on what comes:
//!
//! ```no_run
//! use ropewalk::signal::{Signal, Signals};
//! use ropewalk::{CancelToken, coroutine};
//!
//! fn main() -> std::io::Result<()> {
//!     let signals = Signals::new([Signal::TERM, Signal::INT])?;
//!     ropewalk::run(|| {
//!         let service = CancelToken::new();
//!         let ends = service.clone();
//!         // A daemon: `run` does not wait for it.
//!         coroutine::Builder::new().daemon(true).spawn(move || {
//!             for signal in signals {
//!                 ends.cancel_with(signal.to_string());
//!             }
//!         })?;
//!         let _ = service.run(|| coroutine::park()); // serves
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A signal to the whole process is taken by one thread of it, whichever; it comes to every [`Signals`] that was made for it.
//! [`ThreadSignals`] and [`Task::send_signal`](crate::Task::send_signal) are for signals to one thread alone. What is typed at
//! a terminal, and children: [`process::forward_terminal_signals`](crate::process::forward_terminal_signals).

pub use ropewalk_runtime::signal::{Signal, Signals, ThreadSignals, ctrl_c};
