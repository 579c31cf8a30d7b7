//! A few processes, with coroutines in each: all accept on one listener.
//!
//! The process that was started listens and looks after the others; it serves nobody itself. One that ends badly takes its
//! connections with it, is reported, and another one takes its place.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ropewalk::channel::bounded;
use ropewalk::net::TcpListener;
use ropewalk::process::{self, Descriptor};
use ropewalk::{JoinHandle, Runtime, coroutine};
use serde::{Deserialize, Serialize};

use super::cannot_listen;
use super::door::{Door, Notice};
use super::drain::{CUT_LIMIT, Drain};
use super::ledger::LedgerProcess;
use super::plan::{Coroutines, Plan};
use super::registry::{Entrant, Registry};
use super::service::{Counts, Terms};
use super::tasks::{self, Company};

/// So many that end badly in so short a time will do so again: then the service ends. (OTP calls it the intensity.)
const RESTARTS: usize = 5;
const PERIOD: Duration = Duration::from_secs(30);

/// How many processes there are, and what each does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    /// Processes.
    pub(super) processes: usize,
    /// Worker threads in each.
    pub(super) workers: NonZeroUsize,
    /// How long each may take to drain.
    pub(super) drain_limit: Duration,
}

impl Crew {
    /// One process for each CPU and one worker in each, unless told otherwise.
    pub(super) fn new(
        processes: Option<NonZeroUsize>,
        workers: Option<NonZeroUsize>,
        drain_limit: Duration,
    ) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let processes = processes.map_or(cpus, NonZeroUsize::get);
        let share = NonZeroUsize::new(cpus / processes).unwrap_or(NonZeroUsize::MIN);
        Self { processes, workers: workers.unwrap_or(share), drain_limit }
    }
}

/// What such a process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    listener: TcpListener,
    ledger: Descriptor,
    notice: Descriptor,
    workers: NonZeroUsize,
    drain_limit: Duration,
    terms: Terms,
}

/// A process, as the one that started it sees it.
#[derive(Default)]
struct Charge {
    /// The coroutine that waits for its end. When that is cancelled, so is the process.
    watch: OnceLock<JoinHandle<()>>,
}

impl Entrant for Charge {
    /// It has the notice, and drains its own connections.
    fn end_idle(&self) {}

    fn cut(&self) {
        if let Some(watch) = self.watch.get() {
            watch.cancel();
        }
    }
}

/// Serves until a signal ends it. `announce` is called when the service listens.
///
/// # Errors
/// It cannot listen, or the processes end one after the other.
pub(super) fn serve(
    terms: &Terms,
    ledger: &Arc<LedgerProcess>,
    address: SocketAddr,
    crew: Crew,
    announce: impl FnOnce(&TcpListener) -> io::Result<()>,
) -> io::Result<()> {
    Runtime::builder().workers(1).build()?.run(|| {
        let listener = Arc::new(Coroutines::listen(address).map_err(|error| cannot_listen(address, &error))?);
        let door = Arc::new(Door::default());
        let registry = Arc::new(Registry::new(Arc::new(Counts::default())));
        let (notice, give_notice) = Notice::new()?;
        let drain = Drain {
            registry: Arc::clone(&registry),
            noun: "processes",
            door: Arc::clone(&door),
            listener: Arc::clone(&listener),
            // They keep to the limit by themselves.
            limit: crew.drain_limit + 2 * CUT_LIMIT,
        };
        drain.on_signal(move || drop(give_notice))?;
        announce(&listener)?;
        let post =
            Arc::new(Post { terms: terms.clone(), ledger: Arc::clone(ledger), listener, notice, door, crew });
        let (sender, ended) = bounded(crew.processes);
        for _ in 0..crew.processes {
            // None is registered when the drain has begun already.
            let Some(live) = registry.register(Charge::default()).map(Arc::new) else { break };
            let (post, sender, entry) = (Arc::clone(&post), sender.clone(), Arc::clone(&live));
            let watch = coroutine::Builder::new().name("worker".into()).spawn(move || {
                // Never full: as many places as senders.
                let _ = sender.try_send(post.keep_filled());
                drop(live);
            })?;
            // Nobody else sets it.
            let _ = entry.entrant().watch.set(watch);
        }
        drop(sender);
        let outcome = ended.into_iter().collect::<io::Result<()>>();
        if outcome.is_err() {
            registry.cut();
        }
        outcome
    })
}

/// What all places of the crew have in common.
struct Post {
    terms: Terms,
    ledger: Arc<LedgerProcess>,
    listener: Arc<TcpListener>,
    notice: Notice,
    door: Arc<Door>,
    crew: Crew,
}

impl Post {
    /// Starts a process, and another one whenever it ends badly, until a drain begins.
    ///
    /// # Errors
    /// None can be started, or one after the other ends badly.
    fn keep_filled(&self) -> io::Result<()> {
        let mut ends: VecDeque<Instant> = VecDeque::new();
        loop {
            // A daemon ends with this coroutine, also when that is cancelled.
            let builder = process::Builder::new().name("worker".into()).daemon(true);
            let why = match builder.spawn(run, self.order()?)?.join() {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(error) => error.to_string(),
            };
            if self.door.is_closed() {
                return Ok(());
            }
            ends.push_back(Instant::now());
            ends.retain(|end| end.elapsed() < PERIOD);
            if ends.len() > RESTARTS {
                let text = format!("the processes that serve connections end one after the other: {why}");
                return Err(io::Error::other(text));
            }
            tracing::warn!(
                "a process ended, and with it its connections: {why}; another one takes its place"
            );
        }
    }

    fn order(&self) -> io::Result<Order> {
        Ok(Order {
            listener: self.listener.try_clone()?,
            ledger: self.ledger.connect()?.into(),
            notice: self.notice.to_descriptor()?,
            workers: self.crew.workers,
            drain_limit: self.crew.drain_limit,
            terms: self.terms.clone(),
        })
    }
}

/// A process of the crew: the plan `coroutine` on a listener that it was given.
fn run(order: Order) -> Result<(), String> {
    order.terms.logging.clone().start();
    let Order { listener, ledger, notice, workers, drain_limit, terms } = order;
    let end = |error: io::Error| error.to_string();
    let begun = Notice::from(notice.as_fd().try_clone_to_owned().map(Descriptor::from).map_err(end)?);
    let open = move |door: &Arc<Door>, registry: &Arc<Registry<_>>| {
        let listener = Arc::new(listener);
        let drain = Drain {
            registry: Arc::clone(registry),
            noun: "connections",
            door: Arc::clone(door),
            listener: Arc::clone(&listener),
            limit: drain_limit,
        };
        drain.on_notice(begun)?;
        Ok(listener)
    };
    let plan = Coroutines { workers: Some(workers) };
    let door = Door::shared(notice.into());
    tasks::serve(plan, terms, ledger.into(), Company::OneOfSeveral, door, open).map_err(end)
}
