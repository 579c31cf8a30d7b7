//! A pool of processes that have been started already, so that a task waits for none to start.
//!
//! See [`Pool`]. Inside:
//!
//! | module | its job |
//! |---|---|
//! | `crew` | who is free, and who waits |
//! | `keeper` | a coroutine for each worker: starts it, restarts it, reaps it |
//! | `worker` | one worker, and how its end is ordered and told |

mod crew;
mod keeper;
mod worker;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_ipc::link::{DESCRIPTORS_MAX, MESSAGE_MAX, Message};
use ropewalk_ipc::message::decode;
use ropewalk_sync::park;
use ropewalk_sync::wait_list::Place;
use ropewalk_sys::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::crew::{Crew, Settings, Ticket};
use self::worker::Worker;
use super::Builder;
use super::call::Function;
use super::charge::exit_of;
use super::entry::Entry;
use super::place;
use super::reply::Reply;
use super::shepherd::is_interruption;
use crate::coroutine;
use crate::task::ending;
use crate::task::exit::Exit;
use crate::task::join::{Ended, JoinError, JoinHandle};
use crate::timeout::timeout;

/// As many tasks may wait for a worker, unless told otherwise.
const QUEUE: usize = 10_000;

/// Configures a [`Pool`].
#[must_use = "a builder does nothing until it builds"]
pub struct PoolBuilder {
    size: Option<usize>,
    settings: Settings,
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder").field("size", &self.size).finish_non_exhaustive()
    }
}

impl PoolBuilder {
    /// How many workers: one for each CPU that this process may use, unless told otherwise. At least one.
    pub fn size(mut self, workers: usize) -> Self {
        self.size = Some(workers.max(1));
        self
    }

    /// How many tasks may wait for a worker, beside those that have one: 10,000 unless told otherwise.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.settings.queue = tasks;
        self
    }

    /// A worker that has run so many tasks is replaced.
    pub fn max_tasks(mut self, tasks: u32) -> Self {
        self.settings.calls = Some(tasks);
        self
    }

    /// A worker that has lived so long is replaced, when it has no task.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.age = Some(age);
        self
    }

    /// A worker that has so many bytes in memory (its resident set) after a task is replaced.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.settings.memory = Some(bytes);
        self
    }

    /// What the workers are like: `configure` is called for each of them before it starts, and its error counts as one that
    /// does not start. Environment, directory, output and limits are the worker's; deadline, kill deadline and CPU time
    /// count for each task anew; a name is the process's, and whether it is a daemon does not matter.
    ///
    /// ```
    /// use ropewalk_runtime::process::{self, Pool};
    ///
    /// let pool = Pool::builder().size(1).process(|| Ok(process::Builder::new().env("COLOUR", "red"))).build()?;
    /// assert_eq!(pool.call(|name: String| std::env::var(name).ok(), "COLOUR".to_owned())?.as_deref(), Some("red"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn process<F>(mut self, configure: F) -> Self
    where
        F: Fn() -> io::Result<Builder> + Send + Sync + 'static,
    {
        self.settings.process = Box::new(configure);
        self
    }

    /// Starts the workers, in the background.
    ///
    /// # Errors
    /// There is no runtime, and the global one cannot start. That a worker cannot be started is told to the tasks that
    /// wait for one.
    pub fn build(self) -> io::Result<Pool> {
        let size = self.size.unwrap_or_else(limits::available_parallelism);
        let (crew, ticket) = Crew::new(self.settings, size);
        for started in 0..size {
            let keepers = crew.clone();
            let keeper = coroutine::spawn_service("pool keeper", move || keeper::keep(&keepers));
            if let Err(error) = keeper {
                (started..size).for_each(|_| crew.keeper_leaves());
                return Err(error);
            }
        }
        Ok(Pool { size, ticket })
    }
}

/// Processes that run one task after the other.
///
/// A task of a pool is what a task of [`spawn`](super::spawn) is - a function of this program, an argument, a result - but
/// no program is started for it: a worker that waits already is sent the call. [`call`](Self::call) runs it while the
/// caller waits, [`spawn`](Self::spawn) gives the handle that all tasks have.
///
/// ```
/// use ropewalk_runtime::process::Pool;
///
/// let pool = Pool::builder().size(2).build()?;
/// let squares: Vec<_> = (1..=10).map(|n: u64| pool.spawn(|n| n * n, n)).collect::<Result<_, _>>()?;
/// let sum: u64 = squares.into_iter().map(|square| square.join().unwrap()).sum();
/// assert_eq!(sum, 385);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What a task leaves behind
/// A worker is not cleaned between tasks: statics and thread-locals, threads, open descriptors, the directory, the
/// environment, signal handlers and leaked memory are what the tasks before have made of them. A task that panics leaves
/// its worker in use (the panic hook is the first one again). [`PoolBuilder::max_tasks`] bounds how much gathers: with 1
/// every task has a process of its own, started ahead.
///
/// Of the descriptors in an argument this process keeps duplicates until the task has ended: it may have to be given to
/// another worker.
///
/// # When a worker ends
/// - In a task: the task's end is the worker's ([`Exit`]), as if the process had been its own, and another worker is started.
/// - Without one: another is started, and no task notices. One that was sent a task and has not taken it counts as this:
///   the kernel tells, and the task is given to another worker.
/// - A cancelled task, or one past its deadline, has its worker terminated, as a process of its own would be. A task that
///   waits for a worker still, and is cancelled, never runs.
/// - When none can be started (no memory, `ulimit -u`, a `process` that asks for what is not there) that is tried again,
///   after pauses of 10 milliseconds up to a second; after the fourth attempt in a row tasks that wait get the error, if
///   no other worker lives.
///
/// # The end of the pool
/// A dropped pool runs the tasks that it was given, and ends its workers then; [`close`](Self::close) waits for that. The
/// workers are kept by the runtime in which the pool was built: when that ends they are terminated, and tasks of other
/// runtimes get errors.
pub struct Pool {
    size: usize,
    ticket: Ticket,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool with a worker for each CPU, and no limits.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// How to build one.
    pub fn builder() -> PoolBuilder {
        let process = Box::new(|| Ok(Builder::new()));
        let settings = Settings { queue: QUEUE, calls: None, age: None, memory: None, process };
        PoolBuilder { size: None, settings }
    }

    /// How many workers it has, those that are being replaced included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Runs `f` with `argument` in a worker, as a task of its own: see [`process::Builder::spawn`](Builder::spawn).
    ///
    /// # Errors
    /// The argument cannot be sent ([`InvalidInput`](io::ErrorKind::InvalidInput)); `f` is in a shared library
    /// ([`Unsupported`](io::ErrorKind::Unsupported)); too many tasks wait already
    /// ([`WouldBlock`](io::ErrorKind::WouldBlock)); there is no runtime, and the global one cannot start. That no worker
    /// can be started is told by `join`.
    #[track_caller]
    pub fn spawn<F, A, R>(&self, f: F, argument: A) -> io::Result<JoinHandle<R>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        park::check_original()?;
        let call = Function::At(place::Place::of(f)?).call_with(&argument)?;
        drop(argument);
        self.start(call)
    }

    /// Runs the function that the workers' program has for `entry`: for a pool whose [`process`](PoolBuilder::process) names
    /// another [`program`](Builder::program), and for this one's own entries.
    ///
    /// ```
    /// use ropewalk_runtime::process::{Builder, Entry, Pool, register_entry};
    ///
    /// static LENGTH: Entry<String, usize> = Entry::new("example/length");
    /// register_entry!(LENGTH, |text| text.len());
    ///
    /// // Usually the path is another program's.
    /// let other = || Ok(Builder::new().program(std::env::current_exe()?));
    /// let pool = Pool::builder().size(1).process(other).build()?;
    /// assert_eq!(pool.spawn_entry(&LENGTH, "rope".to_owned())?.join()?, 4);
    /// assert_eq!(pool.call_entry(&LENGTH, "walks".to_owned())?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn). That the program cannot be started, or has no such entry, is told by `join`.
    #[track_caller]
    pub fn spawn_entry<A, R>(&self, entry: &Entry<A, R>, argument: A) -> io::Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        park::check_original()?;
        let call = entry.call_with(&argument)?;
        drop(argument);
        self.start(call)
    }

    #[track_caller]
    fn start<R: DeserializeOwned + Send + 'static>(&self, call: Message) -> io::Result<JoinHandle<R>> {
        let ticket = self.queue(&call)?;
        coroutine::Builder::new()
            .spawn(move || ending::note(perform(ticket, &call)))
            .map(JoinHandle::of_what_it_stands_for)
    }

    /// Runs `f` with `argument` in a worker, while the caller waits: the quickest way there and back.
    ///
    /// ```
    /// use ropewalk_runtime::process::{Exit, Pool};
    ///
    /// let pool = Pool::builder().size(1).build()?;
    /// assert_eq!(pool.call(|(a, b)| a + b, (1, 2))?, 3);
    /// let crash = pool.call(|()| std::process::exit(3), ());
    /// let error = crash.map(|()| unreachable!("it has exited")).unwrap_err();
    /// assert_eq!(error.exit(), Some(&Exit::Exited(3)));
    /// assert_eq!(pool.call(|(a, b)| a + b, (3, 4))?, 7); // by another worker
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As those of [`spawn`](Self::spawn) and of its `join`.
    ///
    /// # Waits
    /// Until a worker is free, and `f` has returned.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, after the worker that runs `f` has been terminated.
    pub fn call<F, A, R>(&self, f: F, argument: A) -> Result<R, JoinError>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.perform(move || Function::At(place::Place::of(f)?).call_with(&argument))
    }

    /// As [`call`](Self::call), for the function that the workers' program has for `entry`: see
    /// [`spawn_entry`](Self::spawn_entry).
    ///
    /// # Errors
    /// As those of [`spawn_entry`](Self::spawn_entry) and of its `join`.
    ///
    /// # Waits
    /// Until a worker is free, and the function has returned.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, after the worker that runs the function has been terminated.
    pub fn call_entry<A, R>(&self, entry: &Entry<A, R>, argument: A) -> Result<R, JoinError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.perform(move || entry.call_with(&argument))
    }

    /// Does what `call` makes, which takes the argument with it: while the caller waits only the message is left of that.
    fn perform<R: DeserializeOwned>(
        &self,
        call: impl FnOnce() -> io::Result<Message>,
    ) -> Result<R, JoinError> {
        let prepared = park::check_original().and_then(|()| {
            let call = call()?;
            Ok((self.queue(&call)?, call))
        });
        let prepared = prepared.map_err(Ended::NotStarted);
        prepared.and_then(|(ticket, call)| perform(ticket, &call)).map_err(JoinError::of_call)
    }

    /// A place in the queue for a call.
    fn queue(&self, call: &Message) -> io::Result<Ticket> {
        // A worker that is sent half a message is of no use any more: what is too large goes to none.
        if call.bytes.len() > MESSAGE_MAX || call.descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the argument is too large to be sent"));
        }
        self.ticket.crew().queue()
    }

    /// Waits until all tasks that the pool was given have ended, and its workers, too.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the pool goes on as if it had been dropped.
    pub fn close(self) {
        let crew = self.ticket.crew().clone();
        drop(self);
        crew.wait_closed();
    }
}

/// What became of a call that was sent to a worker.
enum Heard {
    Reply(Reply, bool),
    /// The worker has ended without having taken it.
    NotTaken,
    /// The worker has cut its link, or ended.
    Nothing,
}

/// Has a worker do the call.
fn perform<R: DeserializeOwned>(mut ticket: Ticket, call: &Message) -> Result<R, Ended> {
    let mut place = Place::Last;
    let result = loop {
        let worker = ticket.crew().hire(place).map_err(not_run)?;
        ticket.served();
        worker.bring_home();
        if let Some(result) = converse(&ticket, &worker, call) {
            break result;
        }
        // It was this one's turn.
        place = Place::First;
    };
    result.and_then(|message| decode(message).map_err(Ended::NotStarted))
}

/// Has this worker do the call; nothing if it has ended before it took it.
fn converse(ticket: &Ticket, worker: &Arc<Worker>, call: &Message) -> Option<Result<Message, Ended>> {
    let talked = catch_unwind(AssertUnwindSafe(|| match worker.deadline {
        Some(limit) => timeout(limit, || exchange(worker, call)),
        None => Ok(exchange(worker, call)),
    }));
    Some(match talked {
        Ok(Ok(Ok(Heard::Reply(reply, last)))) => {
            ticket.crew().give_back(worker.clone(), last);
            match reply.into_result() {
                Ok(result) => result.map_err(Ended::Exited),
                Err(error) => Err(Ended::NotStarted(error)),
            }
        }
        Ok(Ok(Ok(Heard::NotTaken))) => return None,
        Ok(Ok(Ok(Heard::Nothing))) => Err(Ended::Exited(exit_of(worker.wait_end()))),
        Ok(Ok(Err(error))) => {
            worker.terminate();
            // Where nothing unwinds a cancel and the deadline both come as an error.
            let late = is_interruption(&error) && !park::current(|task, _| task.is_cancelled());
            Err(if late { Ended::Exited(Exit::DeadlineExceeded) } else { not_run(error) })
        }
        Ok(Err(_elapsed)) => {
            worker.terminate();
            Err(Ended::Exited(Exit::DeadlineExceeded))
        }
        Err(payload) => {
            // Cancelled. First caught, then waited, then raised again.
            worker.terminate();
            resume_unwind(payload)
        }
    })
}

/// Why a call has no result: with `panic = "abort"` a cancel comes as an error.
fn not_run(error: io::Error) -> Ended {
    if is_interruption(&error) { Ended::Cancelled } else { Ended::NotStarted(error) }
}

fn exchange(worker: &Worker, call: &Message) -> io::Result<Heard> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};

    let descriptors: Vec<_> = call.descriptors.iter().map(AsFd::as_fd).collect();
    match worker.link.send(&call.bytes, &descriptors) {
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => return Ok(Heard::NotTaken),
        sent => sent?,
    }
    match worker.link.receive(None) {
        Err(error) if error.kind() == ConnectionReset => Ok(Heard::NotTaken),
        Err(error) if error.kind() == UnexpectedEof => Ok(Heard::Nothing),
        received => received?.map_or(Ok(Heard::Nothing), |message| {
            Reply::parse(message).map(|(reply, last)| Heard::Reply(reply, last))
        }),
    }
}
