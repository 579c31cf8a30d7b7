//! Two tasks that exchange messages: there and back, and one way as fast as it goes.
//!
//! ```text
//!  leader ──orders, over a pair of sockets──> follower
//!    └────────── messages, the other way too ──┘
//! ```
//!
//! An order says what the follower is to do with how many messages. It says when it is ready, before the clock starts, and
//! what CPU time it took, when it is done. So a message has no header, and a mechanism that carries no bytes is measured
//! by the same code.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ropewalk::net::UnixStream;
use ropewalk::{JoinHandle, Runtime, coroutine, process, thread};
use rustix::time::{ClockId, clock_gettime};

use self::end::{End, ends, open};
use self::link::Link;
use self::orders::{Follower, Leader};
use super::{fill, median_of_pieces};
use crate::costs::cell::{Cell, Exchange, Plan};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};

mod end;
mod link;
mod orders;
mod packets;
mod shared;
mod within;

/// A piece of messages one way ends when the follower says that it is done, which is no message: next to nothing in this time.
const STREAM_PIECE: Duration = Duration::from_millis(2);
/// So long a worker may take to take a coroutine.
const STEALING: Duration = Duration::from_secs(10);

/// Makes this task's end of the mechanism, in the task that is to use it.
type Opener = Box<dyn FnOnce() -> io::Result<Box<dyn Link>> + Send>;

pub(super) fn measure(exchange: Exchange, method: &Method) -> io::Result<Figures> {
    let (near, far) = UnixStream::pair()?;
    let [here, there] = match Cell::Ipc(exchange).cpus(&method.cpus) {
        [here, there, ..] => [Some(*here), Some(*there)],
        _ => [None, None],
    };
    let lead = |end: Opener, followers_time: bool| {
        let leader = Leader { link: end()?, orders: near, followers_time };
        lead(leader, exchange, method, [here, there])
    };
    match exchange.plan {
        Plan::Process => {
            let (end, other) = ends(exchange.mechanism, exchange.bytes)?;
            let other = process::spawn(follow_in_child, (other, exchange.bytes, far))?;
            let bytes = exchange.bytes;
            let led = lead(Box::new(move || open(end, bytes)), true);
            both(led, other, |answer| answer.map_err(io::Error::other))
        }
        Plan::Thread => {
            let (end, other) = openers(exchange)?;
            let other = thread::Builder::new().spawn(move || follow(other()?, far))?;
            both(lead(end, false), other, |answer| answer)
        }
        Plan::Coroutine => {
            let workers = if here.is_some() { 2 } else { 1 };
            Runtime::builder().workers(workers).build()?.run(|| {
                let (end, other) = openers(exchange)?;
                let other = if workers == 1 {
                    coroutine::Builder::new().spawn(move || follow(other()?, far))?
                } else {
                    on_the_other_worker(move || follow(other()?, far))?
                };
                both(lead(end, false), other, |answer| answer)
            })
        }
    }
}

/// What the leader has found; if it has failed, the follower is not waited for any longer than it takes to cancel it.
fn both<T>(
    led: io::Result<Figures>,
    other: JoinHandle<T>,
    answer: impl FnOnce(T) -> io::Result<()>,
) -> io::Result<Figures> {
    if led.is_err() {
        other.cancel();
        // Why the leader has failed is what matters.
        let _ = other.join();
        return led;
    }
    answer(other.join().map_err(io::Error::from)?)?;
    led
}

/// Two ends within this process.
fn openers(exchange: Exchange) -> io::Result<(Opener, Opener)> {
    let bytes = exchange.bytes;
    if let Some((end, other)) = within::links(exchange.mechanism, bytes) {
        return Ok((Box::new(|| Ok(end as Box<dyn Link>)), Box::new(|| Ok(other as Box<dyn Link>))));
    }
    let (end, other) = ends(exchange.mechanism, bytes)?;
    Ok((Box::new(move || open(end, bytes)), Box::new(move || open(other, bytes))))
}

/// Starts a coroutine, and keeps this worker to itself until the other one has taken it.
fn on_the_other_worker(
    follow: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let started = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&started);
    let other = coroutine::Builder::new().spawn(move || {
        started.store(true, SeqCst);
        follow()
    })?;
    let deadline = Instant::now() + STEALING;
    while !seen.load(SeqCst) {
        if Instant::now() > deadline {
            return Err(io::Error::other("the other worker did not take the coroutine"));
        }
        std::thread::yield_now();
    }
    Ok(other)
}

fn follow_in_child((end, bytes, orders): (End, u32, UnixStream)) -> Result<(), String> {
    open(end, bytes).and_then(|link| follow(link, orders)).map_err(|error| error.to_string())
}

fn follow(link: Box<dyn Link>, orders: UnixStream) -> io::Result<()> {
    Follower { link, orders }.follow()
}

/// Leads through the measurements, with the two tasks on CPUs of their own if there are two.
fn lead(
    mut leader: Leader,
    exchange: Exchange,
    method: &Method,
    cpus: [Option<usize>; 2],
) -> io::Result<Figures> {
    // Some messages before each has a CPU of its own: so that who asks then how many there are, to spin or not, hears of two.
    leader.there_and_back(2)?;
    if let [Some(here), Some(there)] = cpus {
        leader.pin_follower(there)?;
        crate::usage::pin(&[here])?;
    }
    let mut figures = Figures::new();
    let time = method.exchange_time();
    let times = fill(super::PIECE, |times| Ok(leader.there_and_back(times)?.time))?;
    let [round_trip, cpu] = median_of_pieces(time, || Ok(leader.there_and_back(times)?.each(times)))?;
    figures.extend([(Figure::RoundTripNs, round_trip), (Figure::RoundTripCpuNs, cpu)]);
    if exchange.mechanism.carries_bytes() {
        let times = fill(STREAM_PIECE, |times| Ok(leader.one_way(times)?.time))?;
        let [message, cpu] = median_of_pieces(time, || Ok(leader.one_way(times)?.each(times)))?;
        figures.extend([
            (Figure::MessageNs, message),
            (Figure::MessageCpuNs, cpu),
            (Figure::BytesPerSecond, f64::from(exchange.bytes) * 1e9 / message),
        ]);
    }
    leader.end()?;
    Ok(figures)
}

/// What some messages took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    time: Duration,
    /// Of both tasks.
    cpu_ns: u64,
}

impl Taken {
    /// Nanoseconds of time and CPU time for each message.
    fn each(self, times: u64) -> [f64; 2] {
        [self.time.as_nanos() as f64, self.cpu_ns as f64].map(|all| all / times as f64)
    }
}

/// The CPU time of this process, with that of all its threads.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
