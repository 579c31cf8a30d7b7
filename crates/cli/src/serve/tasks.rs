//! Connections as tasks of one process: coroutines or threads.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::accept::accept;
use super::address_space::ProcessStatus;
use super::connection;
use super::door::Door;
use super::ledger::{Ledger, ReplySlot, Shared};
use super::plan::{Plan, Stream};
use super::registry::{Live, Registered, Registry};
use super::room::Room;
use super::service::{Counts, Service, Terms};

/// Whether this process is one of several, which tell the ledger what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// It is the only one that serves connections.
    Alone,
    /// There are others.
    OneOfSeveral,
}

/// Serves until the door is closed and all connections have ended. `open` listens, once all is ready, and sees to it that
/// the door will be closed.
///
/// # Errors
/// The plan cannot run, or `open` says so, or nothing can be accepted any more.
pub(super) fn serve<P: Plan>(
    plan: P,
    terms: Terms,
    ledger: OwnedFd,
    company: Company,
    door: Door,
    open: impl FnOnce(&Arc<Door>, &Arc<Registry<P::Stream>>) -> io::Result<Arc<P::Listener>> + Send + 'static,
) -> io::Result<()> {
    let plan = Arc::new(plan);
    let runner = Arc::clone(&plan);
    runner.run(move || {
        let (door, counts) = (Arc::new(door), Arc::new(Counts::default()));
        let registry = Arc::new(Registry::new(Arc::clone(&counts)));
        let reported = Arc::clone(&counts);
        let reporter = (company == Company::OneOfSeveral).then(|| Box::new(move || reported.report()) as _);
        let ledger = plan.connect(ledger, reporter)?;
        let service = Arc::new(Service { ledger: Arc::clone(&ledger), terms, counts: Arc::clone(&counts) });
        let listener = open(&door, &registry)?;
        let mut entrance = Entrance {
            plan: &*plan,
            service: &service,
            registry: &registry,
            company,
            process: ProcessStatus::open()?,
            room: Room::new(),
        };
        let accepted = accept::<P>(&door, &listener, || counts.refuse(), |stream| entrance.start(stream));
        if accepted.is_ok() {
            ropewalk::blocking(|| registry.wait_until_empty(Duration::MAX));
        }
        // So that the task that receives ends, for which the runtime would wait.
        ledger.close();
        accepted
    })
}

/// What it takes to start a connection's task.
struct Entrance<'e, P: Plan> {
    plan: &'e P,
    service: &'e Arc<Service<Arc<Shared<P::Slot>>>>,
    registry: &'e Arc<Registry<P::Stream>>,
    company: Company,
    process: ProcessStatus,
    room: Room,
}

impl<P: Plan> Entrance<'_, P> {
    /// Starts a connection's task.
    ///
    /// # Errors
    /// There is no room for it; the client has been told.
    fn start(&mut self, stream: P::Stream) -> Result<(), String> {
        let others = self.registry.len();
        let Some(live) = self.registry.register(stream) else {
            return Ok(());
        };
        let newcomer =
            Newcomer { service: Arc::clone(self.service), company: self.company, live: Some(live) };
        if !self.room.admits(&self.process, others, self.plan.reservation()) {
            return Err(format!("{others} connections fill the address space; raise --memory (ulimit -v)"));
        }
        self.plan.spawn(move || newcomer.serve()).map_err(|error| {
            format!(
                "{error}; {others} connections are there; raise ulimit -u, --memory or the sysctls \
                 kernel.threads-max and vm.max_map_count, or lower --thread-stack"
            )
        })
    }
}

/// A connection on its way to its task. If it does not arrive the client is told.
struct Newcomer<S: Stream, R: ReplySlot> {
    service: Arc<Service<Arc<Shared<R>>>>,
    company: Company,
    /// Nothing once it has arrived.
    live: Option<Registered<S>>,
}

impl<S: Stream, R: ReplySlot> Newcomer<S, R> {
    /// Serves the connection, in its task.
    fn serve(mut self) {
        let Some(live) = self.live.take() else { return };
        connection::serve(&*self.service, &live);
        drop(live);
        if self.company == Company::OneOfSeveral {
            // Nothing more may be asked of the ledger for a long time, and then this would not be known.
            self.service.ledger.tell(self.service.counts.report());
        }
    }
}

impl<S: Stream, R: ReplySlot> Drop for Newcomer<S, R> {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            connection::refuse(live.stream());
        }
    }
}
