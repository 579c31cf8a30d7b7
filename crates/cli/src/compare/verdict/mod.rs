//! What the texts say, and what this machine says.
//!
//! The texts are the introductions to processes, threads and coroutines from which Ropewalk started. Each sentence of
//! theirs that this comparison can test is one [`Verdict`], a pure function of the rows. A verdict never says more
//! than the rows do: where a row is missing or a single round proves nothing, it says that.

mod claims;
mod evidence;
mod in_short;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use in_short::in_short;

use crate::compare::result::{Method, Row};
use crate::compare::verdict::evidence::Evidence;

/// A sentence of the texts beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// What the texts say, in English.
    pub(crate) claim: String,
    /// Whether it holds here.
    pub(crate) finding: Finding,
    /// What this machine says.
    pub(crate) text: String,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// As it stands.
    Holds,
    /// Partly, or with a qualification.
    InPart,
    /// Not on this machine.
    NotHere,
    /// The rows do not say.
    NotMeasured,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Holds => "holds",
            Self::InPart => "in part",
            Self::NotHere => "not here",
            Self::NotMeasured => "not measured",
        })
    }
}

/// All verdicts that these rows allow.
pub(crate) fn verdicts(method: &Method, rows: &[Row]) -> Vec<Verdict> {
    let evidence = Evidence::new(method, rows);
    claims::all(&evidence)
}

#[cfg(test)]
mod tests;
