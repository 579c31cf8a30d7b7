//! Measuring one cell, in the process that was started for it.
//!
//! A figure is the median over many short pieces: what another program or an interrupt does to one piece does not show.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::costs::cell::Cell;
use crate::costs::method::Method;
use crate::costs::result::Figures;
use crate::statistics::median;
use crate::usage;

mod counter;
mod creation;
mod duel;
mod exchange;
mod memory;
mod switch;
mod touch;
mod worst;

pub(super) use creation::FOREIGN_PROGRAM;

/// A piece takes at least so long: a look at the clock is next to nothing then, and most pieces are over before the kernel
/// gives the CPU to another program.
const PIECE: Duration = Duration::from_micros(200);
/// So many pieces at least, however long they take.
const PIECES_MIN: usize = 5;

/// What this machine has not got, or does not allow: no failure.
#[derive(Debug)]
pub(super) struct Refused(String);

impl Refused {
    /// Whatever the error is.
    fn because(error: io::Error) -> io::Error {
        io::Error::other(Self(error.to_string()))
    }

    /// Whatever the error is, with what was asked for.
    fn with(what: &'static str) -> impl Fn(io::Error) -> io::Error {
        move |error| io::Error::other(Self(format!("{what}: {error}")))
    }

    /// If the error is that a message is too long.
    fn too_long(error: io::Error) -> io::Error {
        if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) { Self::because(error) } else { error }
    }

    /// What an error says, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<String> {
        error.get_ref()?.downcast_ref().map(Self::to_string)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Refused {}

/// Measures a cell. The process is pinned to the cell's CPUs, with all that it starts.
///
/// # Errors
/// What the system or a task says.
pub(super) fn measure(cell: Cell, method: &Method) -> io::Result<Figures> {
    usage::pin(cell.cpus(&method.cpus))?;
    match cell {
        Cell::Creation(creation) => creation::measure(creation, method),
        Cell::Switch(switch) => switch::measure(switch, method),
        Cell::Worst(worst) => worst::measure(worst, method),
        Cell::Memory(memory) => memory::measure(memory, method),
        Cell::Counter(counter) => counter::measure(counter, method),
        Cell::Ipc(exchange) => exchange::measure(exchange, method),
    }
}

/// How often something has to be done to fill a piece. It has been done by then, so what happens only once is over.
fn times_in_a_piece(mut often: impl FnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    fill(PIECE, |times| {
        let start = Instant::now();
        often(times)?;
        Ok(start.elapsed())
    })
}

/// How often something has to be done to take so long; it says itself how long it took.
fn fill(piece: Duration, mut often: impl FnMut(u64) -> io::Result<Duration>) -> io::Result<u64> {
    let mut times = 1;
    loop {
        let took = often(times)?;
        if took >= piece {
            return Ok(times);
        }
        // Not by more than ten: the first ones may have been slow for once.
        let factor = piece.as_secs_f64() / took.as_secs_f64().max(1e-9);
        times = (times as f64 * factor.clamp(1.1, 10.0)).ceil() as u64;
    }
}

/// Pieces until the time is over: the median of what each gives.
fn median_of_pieces<const N: usize>(
    time: Duration,
    mut piece: impl FnMut() -> io::Result<[f64; N]>,
) -> io::Result<[f64; N]> {
    let end = Instant::now() + time;
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    while Instant::now() < end || values.first().is_some_and(|values| values.len() < PIECES_MIN) {
        for (values, value) in values.iter_mut().zip(piece()?) {
            values.push(value);
        }
    }
    Ok(values.map(|values| median(values).unwrap_or(f64::NAN)))
}
