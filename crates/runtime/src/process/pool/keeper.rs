//! A keeper: the coroutine that has one worker of a pool running, from its start to its end, and then the next.
//!
//! # The life of a worker, in order
//! 1. It is started, and says that it is ready, or why it cannot be; what takes longer than [`START_LIMIT`] is killed.
//!    One that does not start is tried again, after [`PAUSE`], twice as long each time, up to [`PAUSE_MAX`].
//! 2. Its keeper gives it to the crew, and waits for its end or for an order.
//! 3. Retired: its link is shut, so that it ends by itself, and is killed if it has not after [`EXIT_LIMIT`].
//!    Terminated: `SIGTERM`, and `SIGKILL` after its kill deadline; its group, too.
//! 4. It is reaped, the crew strikes it off, and the task that had it, if any, learns how it ended.
//!
//! A keeper is cancelled with the runtime: then its worker is terminated.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_ipc::link::Link;
use ropewalk_sync::clock;
use ropewalk_sync::park;
use ropewalk_sys::process::{Signal, Status};

use super::crew::Crew;
use super::worker::{Order, Worker};
use crate::process::charge::{Charge, EXIT_LIMIT, KILL_LIMIT, exit_of};
use crate::process::child::{PoolRules, Role, Setup};
use crate::process::program::Running;
use crate::process::reply::Reply;
use crate::process::spawner;
use crate::timeout;

/// How long a worker may take to say that it is ready.
const START_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Keeps a worker running until the pool closes.
pub(super) fn keep(crew: &Arc<Crew>) {
    /// Whatever ends the keeper.
    struct Leave<'a>(&'a Crew);

    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            self.0.keeper_leaves();
        }
    }

    let _leave = Leave(crew);
    let mut attempt = 0;
    // Where nothing unwinds (`panic = "abort"`) a cancelled keeper hears of it only here and by errors.
    while !crew.is_closing() && !park::current(|keeper, _| keeper.is_cancelled()) {
        match start(crew) {
            Ok(worker) => {
                attempt = 0;
                crew.joined(&worker);
                tend(crew, &worker);
            }
            Err(error) => {
                attempt += 1;
                tracing::warn!(%error, attempt, "a worker of a process pool does not start");
                crew.not_started(attempt, &error);
                crew.pause(PAUSE_MAX.min(PAUSE * 2_u32.pow(attempt.min(10) - 1)));
            }
        }
    }
}

/// Starts a worker, and waits until it is ready.
fn start(crew: &Crew) -> io::Result<Arc<Worker>> {
    let settings = &crew.settings;
    let mut builder = catch_unwind(AssertUnwindSafe(&settings.process))
        .unwrap_or_else(|_| Err(io::Error::other("what configures the workers has panicked")))?;
    let program = Running::of(builder.program.as_deref())?;
    let setup = builder.setup(&program, Role::Work(PoolRules { memory: settings.memory }))?;
    let (deadline, kill_deadline) = (builder.deadline, builder.kill_deadline);
    let (link, childs) = Link::pair()?;
    let mut command = builder.command(&program)?;
    command.stdin(Stdio::from(childs));
    let charge = Charge::new(spawner::start(command)?);
    drop(program);
    let worker = Arc::new(Worker::new(link, charge, deadline, kill_deadline));
    let greeted = catch_unwind(AssertUnwindSafe(|| greet(&worker.link, setup)));
    if matches!(greeted, Ok(Ok(()))) {
        return Ok(worker);
    }
    // Caught first, then waited for.
    let status = Tending::new(None).terminate(&worker);
    match greeted {
        Err(payload) => resume_unwind(payload),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let how = exit_of(status);
            Err(io::Error::other(format!("it ended before it was ready: it {how}")))
        }
        Ok(greeted) => greeted.map(|()| worker),
    }
}

/// Tells a worker its rules and hears whether it is ready.
fn greet(link: &Link, setup: Setup) -> io::Result<()> {
    let setup = setup.into_message()?;
    let answer = link.send_message(&setup).and_then(|()| link.receive(clock::after(START_LIMIT)));
    let answer = match answer {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = format!("a worker of the pool was not ready after {START_LIMIT:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            None
        }
        answer => answer?,
    };
    match Reply::parse(answer.ok_or(io::ErrorKind::UnexpectedEof)?)?.0 {
        Reply::Ready => Ok(()),
        Reply::Refused(why) => Err(io::Error::other(why)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Waits for the end of a worker, does what is ordered meanwhile, and reaps it.
fn tend(crew: &Crew, worker: &Arc<Worker>) {
    let mut tending = Tending::new(worker.lives_until(crew.settings.age));
    let waited = catch_unwind(AssertUnwindSafe(|| tending.wait(worker, Some(crew))));
    let status = if matches!(waited, Ok(true)) { tending.reap(worker) } else { tending.terminate(worker) };
    crew.left(worker);
    // Somebody else may hold its end of the link open, such as a process that it forked.
    worker.link.shut_receiving();
    worker.tell_end(status);
    if let Err(payload) = waited {
        resume_unwind(payload);
    }
}

/// How far the end of a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Kept,
    Retiring,
    Terminating,
    Killed,
}

struct Tending {
    stage: Stage,
    /// When the next stage begins.
    deadline: Option<Instant>,
}

impl Tending {
    /// Of a worker that may live until then.
    fn new(deadline: Option<Instant>) -> Self {
        Self { stage: Stage::Kept, deadline }
    }

    /// Waits until the worker has ended, be it that it has to be killed: `false` if it has not. A worker of `crew` that is
    /// too old is retired when it has nothing to do.
    fn wait(&mut self, worker: &Arc<Worker>, crew: Option<&Crew>) -> bool {
        loop {
            let stage = self.stage;
            let news = || match worker.ordered() {
                Order::Retire if stage == Stage::Kept => Some(Stage::Retiring),
                Order::Terminate if stage < Stage::Terminating => Some(Stage::Terminating),
                _ => None,
            };
            let next = match worker.charge.wait_ended(self.deadline, news) {
                Ok(None) => return true,
                Ok(Some(next)) => next,
                Err(late) if late.kind() != io::ErrorKind::WouldBlock => return false,
                Err(_late) => match stage {
                    Stage::Kept => {
                        self.deadline = None;
                        if crew.is_some_and(|crew| crew.take_idle(worker)) {
                            worker.order(Order::Retire);
                        }
                        continue;
                    }
                    Stage::Retiring | Stage::Terminating => Stage::Killed,
                    // The kernel is stuck: nobody can do more.
                    Stage::Killed => return false,
                },
            };
            self.enter(next, worker);
        }
    }

    fn enter(&mut self, stage: Stage, worker: &Worker) {
        self.stage = stage;
        let limit = match stage {
            Stage::Kept => return,
            Stage::Retiring => {
                worker.link.shut();
                EXIT_LIMIT
            }
            Stage::Terminating => {
                signal(worker, Signal::TERM);
                worker.kill_deadline
            }
            Stage::Killed => {
                signal(worker, Signal::KILL);
                KILL_LIMIT
            }
        };
        self.deadline = clock::after(limit);
    }

    /// Kills a worker, now that its keeper is cancelled or nobody wants it, and reaps it.
    fn terminate(&mut self, worker: &Arc<Worker>) -> Option<Status> {
        worker.order(Order::Terminate);
        timeout::shield(worker.kill_deadline + KILL_LIMIT + EXIT_LIMIT, || self.wait(worker, None));
        self.reap(worker)
    }

    /// Takes note of the end. Gives the status of one that ended in good order.
    fn reap(&self, worker: &Worker) -> Option<Status> {
        if self.stage >= Stage::Terminating {
            // The group has its number as long as its leader is not reaped.
            signal(worker, Signal::KILL);
        }
        worker.charge.reap().filter(|_| self.stage < Stage::Killed)
    }
}

/// Signals a worker's group.
fn signal(worker: &Worker, signal: Signal) {
    // It fails only where the process has become another user's: then nothing can be done.
    let _ = worker.charge.child.signal_group(signal);
}
