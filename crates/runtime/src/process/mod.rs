//! Tasks as processes: a function of this program, run in a child of its own, with Ropewalk's handle.
//!
//! See the module of the same name in the crate `ropewalk`. Inside:
//!
//! | module | its job |
//! |---|---|
//! | `shepherd` | the parent's side: a coroutine that looks after one child |
//! | `pool` | children that are started ahead of need and kept |
//! | `charge` | the end of a child, and what it means to a task |
//! | `spawner` | the thread that starts children |
//! | `child` | the child's side: from the start of the program to its end |
//! | `call` | a call on its way: which function, its argument, its answer |
//! | `place`, `entry` | which function: by its place in the same program, or by a name |
//! | `program` | the file that a child runs |
//! | `foreign` | a process that runs any program |
//! | `shim` | a child that becomes such a process, and ends with its parent |
//! | `reply`, `report` | what a child answers; what is told of a panic |
//! | `stdio` | where its standard streams go |
//! | `terminal` | what is typed, for children in groups of their own |

mod call;
mod charge;
mod child;
mod entry;
pub mod foreign;
mod place;
mod pool;
mod program;
mod reply;
mod report;
mod shepherd;
pub mod shim;
mod spawner;
pub mod stdio;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ropewalk_ipc::link::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::call::Function;
pub use self::child::init;
use self::child::{Limits, Role, Setup};
pub use self::entry::{Entry, register_entry};
use self::place::Place;
pub use self::pool::{Pool, PoolBuilder};
use self::program::{Program, Running};
use self::shepherd::Order;
use crate::coroutine;
use crate::task::ending;
use crate::task::join::JoinHandle;

pub use self::stdio::Stdio;
pub use self::terminal::forward_terminal_signals;
pub use crate::task::exit::Exit;

/// How long a process has between `SIGTERM` and `SIGKILL`, unless told otherwise.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// Configures a process before it is spawned.
///
/// ```
/// use ropewalk_runtime::process;
///
/// let handle = process::Builder::new().name("adder".into()).spawn(|(a, b)| a + b, (1, 2))?;
/// assert_eq!(handle.join()?, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    program: Option<PathBuf>,
    name: Option<String>,
    daemon: bool,
    limits: Limits,
    environment: Vec<(OsString, Option<OsString>)>,
    clear_environment: bool,
    directory: Option<PathBuf>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    deadline: Option<Duration>,
    kill_deadline: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            program: None,
            name: None,
            daemon: false,
            limits: Limits::default(),
            environment: Vec::new(),
            clear_environment: false,
            directory: None,
            stdin: None,
            stdout: None,
            stderr: None,
            deadline: None,
            kill_deadline: KILL_DEADLINE,
        }
    }
}

impl Builder {
    /// No name, no limits, this process's environment, directory, standard output and error; an empty standard input.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process runs the program at this path, which may be another build or another program, and is built with
    /// Ropewalk as well: for [`spawn_entry`](Self::spawn_entry), and for pools. Unless told otherwise it runs this very
    /// program, even if that has been replaced since.
    ///
    /// The path is not looked for in `PATH`. The program is not run to find out whether it is one of Ropewalk's: its file
    /// says so. Of its `main` nothing runs, not even where that calls [`init`].
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Names the process.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// A daemon is ended when the task that spawned it ends, and the runtime does not wait for it.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// How many bytes of address space it may have (`RLIMIT_AS`). An allocation beyond it fails, which ends a Rust
    /// program with `SIGABRT` and a message on its standard error; nothing else tells it from other aborts. The program itself, its libraries and stacks count, too: a few hundred MiB with a runtime.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// How much CPU time it may use, rounded up to seconds (`RLIMIT_CPU`): then it ends with [`Exit::OutOfCpuTime`]. One
    /// that catches `SIGXCPU` has a second more, and is ended by `SIGKILL`.
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
        self.limits.cpu_seconds = Some(seconds.max(1));
        self
    }

    /// How many descriptors it may have open (`RLIMIT_NOFILE`).
    pub fn open_files(mut self, count: u64) -> Self {
        self.limits.open_files = Some(count);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), Some(value.into())));
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), None));
        self
    }

    /// It has no variables but those that are set from here on.
    pub fn env_clear(mut self) -> Self {
        self.environment.clear();
        self.clear_environment = true;
        self
    }

    /// Its working directory.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Where its standard input comes from: there is none unless told otherwise. Of a terminal that it inherits it cannot
    /// read, being in a process group of its own: that is an error there (`EIO`).
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Where its standard output goes: inherited unless told otherwise.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Where its standard error goes: inherited unless told otherwise.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// How long its function may take, counted from the start of the process: for ever unless told otherwise. When the
    /// time is over the process is sent `SIGTERM`, as if it were cancelled, and ends with [`Exit::DeadlineExceeded`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use ropewalk_runtime::process::{Builder, Exit};
    ///
    /// let hangs = Builder::new()
    ///     .deadline(Duration::from_millis(50))
    ///     .spawn(|()| std::thread::sleep(Duration::from_secs(3600)), ())?;
    /// assert_eq!(hangs.join().unwrap_err().exit(), Some(&Exit::DeadlineExceeded));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// How long it has to end after it was sent `SIGTERM`, because it was cancelled or its deadline has passed, before
    /// `SIGKILL` follows: 5 seconds unless told otherwise.
    pub fn kill_deadline(mut self, deadline: Duration) -> Self {
        self.kill_deadline = deadline;
        self
    }

    /// Runs `f` with `argument` in a process of its own, which runs this very program, but nothing of its `main`.
    ///
    /// `f` is a function, or a closure that captures nothing: what it needs is the argument, which is sent, as the result
    /// is, in serde's way. Descriptors travel in both.
    ///
    /// # Errors
    /// The argument cannot be sent, a standard stream is [`Stdio::piped`], or a [`program`](Self::program) is named, in which
    /// this function's place says nothing ([`InvalidInput`](io::ErrorKind::InvalidInput)); `f` is in a shared library
    /// ([`Unsupported`](io::ErrorKind::Unsupported)); there is no runtime, and the global one cannot start. That the
    /// process cannot be started is found out later, and told by `join`.
    #[track_caller]
    pub fn spawn<F, A, R>(self, f: F, argument: A) -> io::Result<JoinHandle<R>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        if self.program.is_some() {
            let text = "a function is found by its place only in this program: `spawn_entry` finds one of another by its name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let call = Function::At(Place::of(f)?).call_with(&argument)?;
        drop(argument);
        self.start(call)
    }

    /// Runs the function that the [`program`](Self::program) has for `entry`, with `argument`, in a process of its own: a
    /// function of another build, or of another program. Without a program it is this one's.
    ///
    /// ```
    /// use ropewalk_runtime::process::{self, Entry, register_entry};
    ///
    /// static ADD: Entry<(u32, u32), u32> = Entry::new("example/add");
    /// register_entry!(ADD, |(a, b)| a + b);
    ///
    /// assert_eq!(process::Builder::new().spawn_entry(&ADD, (1, 2))?.join()?, 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The argument cannot be sent, or a standard stream is [`Stdio::piped`]
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)); there is no program at the path
    /// ([`NotFound`](io::ErrorKind::NotFound)), or it cannot be read; it was not built with Ropewalk, or with one that
    /// speaks another protocol ([`Unsupported`](io::ErrorKind::Unsupported)); there is no runtime, and the global one cannot
    /// start. That the process cannot be started is told by `join`, as is that the program has no entry of this name, or one of
    /// other types.
    #[track_caller]
    pub fn spawn_entry<A, R>(self, entry: &Entry<A, R>, argument: A) -> io::Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let call = entry.call_with(&argument)?;
        drop(argument);
        self.start(call)
    }

    #[track_caller]
    fn start<R>(mut self, call: Message) -> io::Result<JoinHandle<R>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let program = Running::of(self.program.as_deref())?;
        let setup = self.setup(&program, Role::Call)?;
        let mut task = coroutine::Builder::new().daemon(self.daemon);
        if let Some(name) = &self.name {
            task = task.name(name.clone());
        }
        let Self { deadline, kill_deadline, .. } = self;
        let command = self.command(&program)?;
        let order = Order { program, command, setup, call, deadline, kill_deadline };
        task.spawn(move || ending::note(shepherd::look_after(order))).map(JoinHandle::of_what_it_stands_for)
    }

    /// What the child is told first. Takes the standard input.
    fn setup(&mut self, program: &Program, role: Role) -> io::Result<Setup> {
        let parents = program.identity == Program::own()?.identity;
        let stdin = stdio::input(self.stdin.take())?;
        Ok(Setup { program: program.identity, parents, limits: self.limits, stdin, role })
    }

    fn command(self, program: &Program) -> io::Result<Command> {
        let name = if self.program.is_some() { child::BEFORE_MAIN } else { child::name() };
        let mut command = program.command();
        command.arg0(name).args(&self.name);
        if self.clear_environment {
            command.env_clear();
        }
        for (key, value) in self.environment {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        command.stdout(stdio::output(self.stdout)?).stderr(stdio::output(self.stderr)?);
        Ok(command)
    }
}

/// Runs `f` with `argument` in a process of its own: see [`Builder::spawn`].
///
/// ```
/// use ropewalk_runtime::process;
///
/// fn fib(n: u32) -> u64 {
///     if n < 2 { n.into() } else { fib(n - 1) + fib(n - 2) }
/// }
///
/// let handle = process::spawn(fib, 20)?;
/// assert_eq!(handle.join()?, 6765);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`Builder::spawn`].
#[track_caller]
pub fn spawn<F, A, R>(f: F, argument: A) -> io::Result<JoinHandle<R>>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    Builder::new().spawn(f, argument)
}
