//! What was measured, beside what the texts say.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::wrap;

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

/// The verdicts as text, without the last sentence.
pub(crate) fn to_text(verdicts: &[Verdict]) -> String {
    let mut text = String::from("\nWhat the texts say - what this machine says\n");
    for verdict in verdicts {
        text += &wrap(&format!("\"{}\"", verdict.claim), "");
        text += &wrap(&format!("  {}: {}", verdict.finding, verdict.text), "    ");
    }
    text
}
