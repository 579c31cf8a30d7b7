//! Connections as processes: one for each.
//!
//! The process that was started accepts, and starts a process with the connection and a socket to the ledger of its
//! own. What happens to a connection's process ends that connection only. In there, one thread does it all with plain
//! system calls, as in the plan `std`.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::{self, Descriptor};
use ropewalk::{JoinError, JoinHandle, Runtime, coroutine};
use rustix::event::Timespec;
use serde::{Deserialize, Serialize};

use super::accept::accept;
use super::address_space::ProcessStatus;
use super::cannot_listen;
use super::connection;
use super::door::{Door, Notice, wait_for};
use super::drain::Drain;
use super::ledger::{Direct, Ledger, LedgerProcess, Report};
use super::plan::{Coroutines, Plan, STACK_SLOT, StdStream, Stream};
use super::registry::{Entrant, Live, Registered, Registry};
use super::room::Room;
use super::service::{Counts, Service, Terms};
use super::throttle::Throttle;

/// Coroutines that look after a process: this one's and the runtime's two.
const STACKS: usize = 3;

/// How long a process that is cut has for its last steps.
const KILL_DEADLINE: Duration = Duration::from_millis(500);

/// What a connection's process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    stream: Descriptor,
    ledger: Descriptor,
    notice: Descriptor,
    terms: Terms,
}

/// Serves until a signal ends it. `announce` is called when the service listens.
///
/// # Errors
/// It cannot listen, or nothing can be accepted any more.
pub(super) fn serve(
    terms: &Terms,
    ledger: &LedgerProcess,
    address: SocketAddr,
    drain_limit: Duration,
    announce: impl FnOnce(&TcpListener) -> io::Result<()>,
) -> io::Result<()> {
    // One worker: it accepts, and hears of the ends of processes.
    Runtime::builder().workers(1).build()?.run(|| {
        let listener = Arc::new(Coroutines::listen(address).map_err(|error| cannot_listen(address, &error))?);
        let (door, counts) = (Arc::new(Door::default()), Arc::new(Counts::default()));
        let registry = Arc::new(Registry::new(Arc::clone(&counts)));
        let (notice, give_notice) = Notice::new()?;
        let drain = Drain {
            registry: Arc::clone(&registry),
            noun: "connections",
            door: Arc::clone(&door),
            listener: Arc::clone(&listener),
            limit: drain_limit,
        };
        drain.on_signal(move || drop(give_notice))?;
        // Its own errors are told to the ledger, where every process asks for them.
        let reporter = Direct::new(ledger.connect()?);
        announce(&listener)?;
        let mut entrance = Entrance {
            terms,
            ledger,
            registry: &registry,
            notice,
            process: ProcessStatus::open()?,
            room: Room::new(),
            log: Arc::new(Log { counts: Arc::clone(&counts), reporter, reports: Mutex::default() }),
        };
        let log = Arc::clone(&entrance.log);
        accept::<Coroutines>(&door, &listener, || log.refuse(), |stream| entrance.start(stream))
    })
}

/// What it takes to start a connection's process.
struct Entrance<'e> {
    terms: &'e Terms,
    ledger: &'e LedgerProcess,
    registry: &'e Arc<Registry<Charge>>,
    notice: Notice,
    process: ProcessStatus,
    room: Room,
    log: Arc<Log>,
}

/// A connection's process, as the process that accepted it sees it.
struct Charge {
    /// The coroutine that waits for its end. When that is cancelled, so is the process.
    watch: OnceLock<JoinHandle<()>>,
}

impl Entrant for Charge {
    /// The process has the notice, and knows best whether it is idle.
    fn end_idle(&self) {}

    fn cut(&self) {
        if let Some(watch) = self.watch.get() {
            watch.cancel();
        }
    }
}

/// What is told of processes that ended badly.
struct Log {
    counts: Arc<Counts>,
    reporter: Direct,
    reports: Mutex<Throttle>,
}

impl Log {
    /// One line, for the operator.
    fn report(&self, what: std::fmt::Arguments<'_>) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).report(what);
    }

    /// One more connection could not be accepted or started.
    fn refuse(&self) {
        self.counts.refuse();
        // Connections are counted where they are served.
        self.reporter.tell(Report { connections: 0, ..self.counts.report() });
    }
}

impl Entrance<'_> {
    /// Starts a connection's process.
    ///
    /// # Errors
    /// There is no room for it; the client has been told.
    fn start(&mut self, stream: TcpStream) -> Result<(), String> {
        let others = self.registry.len();
        let Some(live) = self.registry.register(Charge { watch: OnceLock::new() }) else {
            return Ok(());
        };
        let refused = |why: String| {
            connection::refuse(&stream);
            Err(why)
        };
        if !self.room.admits(&self.process, others, STACKS * STACK_SLOT) {
            return refused(format!(
                "{others} connections fill the address space; raise --memory (ulimit -v)"
            ));
        }
        let order = match self.order(&stream) {
            Ok(order) => order,
            Err(error) => return refused(format!("{error}; {others} connections are there; {SHORT}")),
        };
        // The stream stays here, too, as long as its client may have to be told that no process could be had.
        let stream = Arc::new(stream);
        let (theirs, log) = (Arc::clone(&stream), Arc::clone(&self.log));
        let live = Arc::new(live);
        let entry = Arc::clone(&live);
        let watch = coroutine::Builder::new()
            .name("connection".into())
            .spawn(move || look_after(order, &theirs, &live, &log));
        match watch {
            Ok(watch) => {
                // Nobody else sets it.
                let _ = entry.entrant().watch.set(watch);
                Ok(())
            }
            Err(error) => {
                connection::refuse(&*stream);
                Err(format!("{error}; {others} connections are there; {SHORT}"))
            }
        }
    }

    fn order(&self, stream: &TcpStream) -> io::Result<Order> {
        Ok(Order {
            stream: stream.as_fd().try_clone_to_owned()?.into(),
            ledger: self.ledger.connect()?.into(),
            notice: self.notice.to_descriptor()?,
            terms: self.terms.clone(),
        })
    }
}

/// What the operator can do when no process can be had.
const SHORT: &str = "raise ulimit -n, ulimit -u, kernel.pid_max or pids.max of the control group";

/// Starts the process and waits for its end, which is that of the connection.
fn look_after(order: Order, stream: &TcpStream, _live: &Registered<Charge>, log: &Log) {
    // A daemon ends with this coroutine, also when that is cancelled.
    let builder = process::Builder::new().name("connection".into()).daemon(true).kill_deadline(KILL_DEADLINE);
    let ended: Result<(), JoinError> = match builder.spawn(run, order) {
        Ok(process) => process.join(),
        Err(error) => return not_started(stream, log, &error),
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.exit().is_none() => not_started(stream, log, &error),
        Err(error) => {
            log.report(format_args!("the process of a connection ended, and with it the connection: {error}"))
        }
    }
}

/// Tells the client, the operator and the ledger that a connection has no process.
fn not_started(stream: &TcpStream, log: &Log, error: &dyn std::fmt::Display) {
    connection::refuse(stream);
    log.refuse();
    log.report(format_args!("a connection is answered 503: {error}; {SHORT}"));
}

/// A connection's process.
fn run(order: Order) {
    order.terms.logging.clone().start();
    let stream = StdTcpStream::from(OwnedFd::from(order.stream));
    // One that cannot be set up is closed, and its client tries again.
    let Ok(stream) = StdStream::blocking(stream) else { return };
    let counts = Arc::new(Counts::default());
    counts.connections.store(1, Relaxed);
    let ledger = Direct::new(order.ledger.into());
    ledger.tell(counts.report());
    let service = Service { ledger, terms: order.terms, counts };
    connection::serve(&service, &Sole { stream, notice: order.notice.into() });
}

/// The connection of a process that has only one.
struct Sole {
    stream: StdStream,
    notice: Notice,
}

impl Live for Sole {
    type Stream = StdStream;

    fn stream(&self) -> &StdStream {
        &self.stream
    }

    fn is_draining(&self) -> bool {
        self.notice.has_come()
    }

    fn read_first(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let limit = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let [readable, draining] = wait_for([self.stream.as_fd(), self.notice.as_fd()], Some(&limit))?;
        if readable {
            return self.stream.read(buffer);
        }
        if draining {
            // Nothing has arrived: the end. The client is told by a closed connection, whose last bytes it has.
            self.stream.shutdown(Shutdown::Read)?;
            return Ok(0);
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
