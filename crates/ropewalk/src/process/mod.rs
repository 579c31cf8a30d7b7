//! Tasks as processes: a function of this program, run in a child with an address space of its own.
//!
//! What a process does to itself - panic, abort, write where it must not, use up its memory - ends that process and
//! reaches its parent as a value: [`JoinError::exit`](crate::JoinError::exit).
//!
//! ```
//! use ropewalk::process::{self, Exit};
//!
//! let sum = process::spawn(|numbers: Vec<u64>| numbers.iter().sum::<u64>(), vec![1, 2, 3])?;
//! assert_eq!(sum.join()?, 6);
//!
//! let crash = process::spawn(|()| std::process::abort(), ())?;
//! let error = crash.join().map(|()| unreachable!("it has aborted")).unwrap_err();
//! assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 6, .. })), "{error}");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What can be run
//! The child runs this very program, from the file that this process was started from, even if that has been replaced
//! since; but nothing of its `main`. Which function to run is sent as its place in the program.
//!
//! | | |
//! |---|---|
//! | a function, or a closure without captures | can be run |
//! | a closure that captures, a function pointer (`fn(A) -> R`) | is refused by the compiler: pass what it needs as the argument, name the function itself |
//! | a function of a shared library (`dlopen`) | [`Builder::spawn`] gives an error, [`Unsupported`](std::io::ErrorKind::Unsupported) |
//! | a function of another program, or of another build of this one | is called by a name: [below](#another-build-another-program) |
//! | argument and result | whatever serde can serialize in postcard's format, else [`InvalidInput`](std::io::ErrorKind::InvalidInput); [`Descriptor`]s, and the streams, listeners and pipe ends of [`net`](crate::net) and [`io`](crate::io), are handed over |
//! | a value that means something in one process only (a pointer, a `ThreadId`, a lock) | has no meaning in the child |
//!
//! ```compile_fail
//! let offset = 1;
//! ropewalk::process::spawn(move |n: i32| n + offset, 1)?; // "cannot capture"
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The function runs on the child's main thread, before `main`, or where `main` calls [`init`]. It has std's panic hook,
//! no arguments, an empty standard input, the parent's environment, directory, output and error unless the [`Builder`]
//! says otherwise, and may use all of Ropewalk: [`run`](crate::run) gives it coroutines on every core, `spawn` children
//! of its own.
//!
//! What it reads and prints goes where the [`Builder`] says, for example through [pipes](crate::io):
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let (stdin, mut input) = ropewalk::io::pipe()?;
//! let shout = |()| std::io::read_to_string(std::io::stdin()).map(|text| text.to_uppercase()).ok();
//! let child = ropewalk::process::Builder::new().stdin(stdin).spawn(shout, ())?;
//! input.write_all(b"rope")?;
//! drop(input);
//! assert_eq!(child.join()?.as_deref(), Some("ROPE"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How it ends
//! A child ends with its parent, whatever ends that. [`JoinHandle::cancel`](crate::JoinHandle::cancel) sends `SIGTERM` to
//! the child's process group, and `SIGKILL` after [`Builder::kill_deadline`]; a scope, a [`timeout`](fn@crate::timeout) and
//! the end of the task that a daemon belongs to do the same. What a child has printed is its own affair: its result
//! counts, and when `join` returns, it has been reaped.
//!
//! | it | `join` gives |
//! |---|---|
//! | returns | the result |
//! | panics | [`Exit::Panicked`], with message and backtrace |
//! | exits (`std::process::exit`), be it with 0 | [`Exit::Exited`] |
//! | aborts, overflows its stack, allocates beyond [`Builder::memory`] | [`Exit::Signaled`], `SIGABRT`; why stands on its standard error |
//! | uses a bad pointer; is killed by somebody, or by the kernel for want of memory | [`Exit::Signaled`], `SIGSEGV`; `SIGKILL` |
//! | has used up [`Builder::cpu_time`] | [`Exit::OutOfCpuTime`] |
//! | takes longer than [`Builder::deadline`] | [`Exit::DeadlineExceeded`] |
//! | cuts its link without an end, or is reaped by somebody else | [`Exit::Lost`] |
//! | is cancelled | [`is_cancelled`](crate::JoinError::is_cancelled), and no exit |
//! | cannot be started, or its argument or result cannot be read | neither: an [`Error`](std::error::Error) with a source |
//!
//! # Started ahead
//! A [`Pool`] keeps processes that have started already: a task of it costs a message there and back, not the start of a
//! program.
//!
//! ```
//! use ropewalk::process::Pool;
//!
//! let pool = Pool::builder().size(4).max_tasks(1000).build()?;
//! let lengths: Vec<_> =
//!     ["rope", "walk"].map(|word| pool.spawn(|word: String| word.len(), word.to_owned())).into_iter().collect::<Result<_, _>>()?;
//! assert!(lengths.into_iter().all(|length| length.join().unwrap() == 4));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Another build, another program
//! A program that goes on while it is being replaced, and has its work done by the new one already; a small program that has a
//! large one's work done in another; tests of a worker that is a program of its own: there the function is not in this
//! program, and has no place. So it has a name, an [`Entry`], which both programs know, best from a crate that both use:
//!
//! ```
//! use ropewalk::process::{self, Builder, Entry};
//!
//! static LENGTH: Entry<String, usize> = Entry::new("example/length");
//!
//! // In the one program, beside its functions:
//! process::register_entry!(LENGTH, |text| text.len());
//!
//! // In the other, where the path is the first one's:
//! # fn main() -> std::io::Result<()> {
//! # let path = std::env::current_exe()?;
//! let length = Builder::new().program(path).spawn_entry(&LENGTH, "rope".to_owned())?;
//! assert_eq!(length.join()?, 4);
//! # Ok(())
//! # }
//! ```
//!
//! All else is as ever: limits, streams, descriptors, the ways to end; [`Pool::spawn_entry`] is for workers of another program.
//!
//! | refused | by | the error says |
//! |---|---|---|
//! | there is no such file; it cannot be read | `spawn_entry`, the kernel's kind | its path |
//! | it is no program, a script, or was not built with Ropewalk (`/bin/true`) | `spawn_entry`, [`Unsupported`](std::io::ErrorKind::Unsupported); it is not run | which of these |
//! | it was built with a Ropewalk that speaks otherwise | `spawn_entry`, [`Unsupported`](std::io::ErrorKind::Unsupported); it is not run | both protocols |
//! | it may not be executed | `join` | noexec, x bits, seccomp |
//! | it has no entry of that name, or several | `join` | which it has |
//! | the entry's argument or result has another type | `join` | where, and what each has there |
//! | a function without a name is sent to a pool of another program's workers | `join` | to use a name |
//!
//! # Other programs
//! [`Command`] starts them, with std's names and std's rules: nobody ends them but who has their [`Child`], and they
//! outlive their parent, unless they are told to [die with it](Command::die_with_parent). Waits for them, and for what they print, let others run.
//!
//! ```
//! use ropewalk::process::{Command, Stdio};
//!
//! let mut words = Command::new("printf").arg("rope walk rope").stdout(Stdio::piped()).spawn()?;
//! let translated = Command::new("tr").args([" ", "\\n"]).stdin(words.stdout.take().unwrap()).output()?;
//! assert_eq!(translated.stdout, b"rope\nwalk\nrope");
//! assert!(words.wait()?.success());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Limits
//! - A process takes two descriptors here (its pidfd and the link), and a coroutine that looks after it.
//! - It is in a process group of its own, so Ctrl-C in a terminal reaches the parent only; when that ends, so does the child.
//!   [`forward_terminal_signals`] has both hear it.
//! - A program that waits for any child with `wait`, or ignores `SIGCHLD`, takes the status of ours away:
//!   [`Exit::Lost`].
//! - A raw `fork(2)` is no substitute: in the copy, which lacks all threads, spawns are errors and waits abort.
//! - `/proc` must be mounted, and a program that runs with more rights than its starter (set-user-ID) takes no orders.

mod child;
mod command;
mod handed_over;

pub use self::child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use self::command::{Command, CommandArgs, CommandEnvs};
pub use ropewalk_ipc::message::Descriptor;
pub use ropewalk_runtime::process::{
    Builder, Entry, Exit, Pool, PoolBuilder, Stdio, forward_terminal_signals, init, register_entry, spawn,
};
pub use std::process::{ExitStatus, Output};
