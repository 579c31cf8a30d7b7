//! One cell in a process of its own: its threads, its memory and its CPU are nobody else's, and if it dies, only its
//! figure is missing.

use std::time::{Duration, Instant};

use ropewalk::JoinHandle;
use ropewalk::process;
use serde::{Deserialize, Serialize};

use crate::costs::cell::Cell;
use crate::costs::measure::{Refused, measure};
use crate::costs::method::Method;
use crate::costs::result::{Figures, Outcome};
use crate::interrupt::Interrupt;
use crate::logging::Logging;

/// How often Ctrl-C is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A cell takes a second at most on a machine that is free.
const LIMIT: Duration = Duration::from_secs(60);
/// It has nothing to put in order before it ends.
const KILL_DEADLINE: Duration = Duration::from_millis(100);

/// What a child gives.
type Answer = Result<Figures, Failure>;

/// Why there are no figures.
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    /// This machine has not got it, or does not allow it.
    Refused(String),
    /// It failed.
    Broken(String),
}

/// Measures a cell; `None` after Ctrl-C.
pub(crate) fn run(cell: Cell, method: &Method, interrupt: &Interrupt) -> Option<Outcome> {
    let builder = process::Builder::new().name("costs".into()).kill_deadline(KILL_DEADLINE);
    match builder.spawn(in_child, (cell, method.clone(), Logging::current())) {
        Ok(child) => wait(child, interrupt),
        Err(error) => Some(Outcome::Broken(error.to_string())),
    }
}

fn in_child((cell, method, logging): (Cell, Method, Logging)) -> Answer {
    logging.start();
    measure(cell, &method).map_err(|error| {
        Refused::of(&error).map_or_else(|| Failure::Broken(error.to_string()), Failure::Refused)
    })
}

fn wait(mut child: JoinHandle<Answer>, interrupt: &Interrupt) -> Option<Outcome> {
    let deadline = Instant::now() + LIMIT;
    loop {
        child = match child.join_timeout(LOOK_AGAIN) {
            Ok(Ok(Ok(figures))) => return Some(Outcome::Measured(figures)),
            Ok(Ok(Err(Failure::Refused(reason)))) => return Some(Outcome::Impossible(reason)),
            Ok(Ok(Err(Failure::Broken(reason)))) => return Some(Outcome::Broken(reason)),
            Ok(Err(error)) => return Some(Outcome::Broken(error.to_string())),
            Err(child) => child,
        };
        if interrupt.is_set() || Instant::now() >= deadline {
            child.cancel();
            // However it ends: it has ended then.
            let _ = child.join();
            let late = || Outcome::Broken(format!("it was not done after {} s", LIMIT.as_secs()));
            return (!interrupt.is_set()).then(late);
        }
    }
}
