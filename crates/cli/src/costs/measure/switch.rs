//! A switch, with memory touched after it; and the touching alone.

use std::io::{self, Read, Write};
use std::time::Instant;

use ropewalk::net::UnixStream;
use ropewalk::{process, thread};

use super::duel::duel;
use super::touch::WorkingSet;
use super::{median_of_pieces, times_in_a_piece};
use crate::costs::cell::{How, Plan, Switch};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};
use crate::usage::Usage;

pub(super) fn measure(switch: Switch, method: &Method) -> io::Result<Figures> {
    if switch.how == How::KernelYield {
        return kernel_yield(switch.plan, method);
    }
    let before = Usage::of_process()?;
    let start = Instant::now();
    let mut all = 0;
    let lead = |there_and_back: &mut dyn FnMut(u64) -> io::Result<()>| {
        let mut often = |times: u64| {
            all += 2 * times;
            there_and_back(times)
        };
        let times = times_in_a_piece(&mut often)?;
        let switches = 2 * times;
        // What the two tasks touch in turn, touched in turn by one: the same work without a switch.
        let mut sets = [WorkingSet::new(switch.working_set), WorkingSet::new(switch.working_set)];
        median_of_pieces(method.cell_time(), || {
            let start = Instant::now();
            often(times)?;
            let time = start.elapsed();
            if switch.working_set == 0 {
                return Ok([time.as_nanos() as f64 / switches as f64, 0.0]);
            }
            // Once before the clock: what was touched last was the tasks' memory.
            sets.iter_mut().for_each(WorkingSet::touch);
            let start = Instant::now();
            for _ in 0..times {
                sets.iter_mut().for_each(WorkingSet::touch);
            }
            let touching = start.elapsed();
            Ok([time, touching].map(|time| time.as_nanos() as f64 / switches as f64))
        })
    };
    let [time, touching] = duel(switch.plan, switch.how, switch.working_set, Box::new(lead))?;
    let took = start.elapsed().as_nanos() as f64;
    let usage = before.until(Usage::of_process()?);
    Ok(Figures::from([
        (Figure::TimeNs, time),
        (Figure::TouchingNs, touching),
        (Figure::WithoutTouchingNs, time - touching),
        (Figure::KernelSwitches, usage.switches() as f64 / all as f64),
        // One of the two could run at any time, so what was not our CPU time was somebody else's.
        (Figure::OthersPart, (1.0 - usage.cpu_ns as f64 / took).max(0.0)),
    ]))
}

/// How often each of the two yields in a piece.
const YIELDS: u32 = 2_000;

/// The CPU time of two that do nothing but yield to each other, by the number of the kernel's switches. No figure where the
/// kernel did not switch at one yield in two at least: then most of what was measured is something else.
fn kernel_yield(plan: Plan, method: &Method) -> io::Result<Figures> {
    let [time] = median_of_pieces(method.cell_time(), || {
        let (own, others) = yield_to_each_other(plan)?;
        let both = own.and(others);
        let switched = both.switches() >= u64::from(YIELDS);
        Ok([if switched { both.cpu_ns as f64 / both.switches() as f64 } else { f64::NAN }])
    })?;
    Ok(Figures::from([(Figure::TimeNs, time)]).into_iter().filter(|(_, time)| time.is_finite()).collect())
}

fn yield_to_each_other(plan: Plan) -> io::Result<(Usage, Usage)> {
    let (near, far) = UnixStream::pair()?;
    let both = |own: io::Result<Usage>, other: io::Result<Usage>| Ok((own?, other?));
    match plan {
        Plan::Process => {
            let yields = |far| yields(far).map_err(|error: io::Error| error.to_string());
            let other = process::spawn(yields, far)?;
            let own = self::yields(near);
            both(own, other.join().map_err(io::Error::from)?.map_err(io::Error::other))
        }
        Plan::Thread => {
            let other = thread::Builder::new().spawn(move || yields(far))?;
            let own = yields(near);
            both(own, other.join().map_err(io::Error::from)?)
        }
        Plan::Coroutine => Err(io::Error::other("coroutines have a yield of their own")),
    }
}

/// Yields when both are there.
fn yields(mut peer: UnixStream) -> io::Result<Usage> {
    peer.write_all(&[0])?;
    peer.read_exact(&mut [0])?;
    let before = Usage::now()?;
    (0..YIELDS).for_each(|_| std::thread::yield_now());
    Ok(before.until(Usage::now()?))
}
