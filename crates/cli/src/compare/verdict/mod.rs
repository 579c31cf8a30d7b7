//! What the texts say, and what this machine says.
//!
//! The texts are the introductions to processes, threads and coroutines from which Ropewalk started. Each sentence of
//! theirs that this comparison can test is one [`Verdict`], a pure function of the rows. A verdict never says more
//! than the rows do: where a row is missing or a single round proves nothing, it says that.

mod claims;
mod evidence;
mod in_short;

pub(crate) use in_short::in_short;

use crate::compare::result::{Method, Row};
use crate::compare::verdict::evidence::Evidence;
use crate::verdict::Verdict;

/// All verdicts that these rows allow.
pub(crate) fn verdicts(method: &Method, rows: &[Row]) -> Vec<Verdict> {
    let evidence = Evidence::new(method, rows);
    claims::all(&evidence)
}

#[cfg(test)]
mod tests;
