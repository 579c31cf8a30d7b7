//! The plans under which the service is run.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the server carries out its connections; the words are those of `ropewalk serve --plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    /// A coroutine per connection
    Coroutine,
    /// An OS thread per connection, through Ropewalk
    Thread,
    /// An OS thread per connection with plain std::thread and std::net, the control
    Std,
}

impl Plan {
    /// The word on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coroutine => "coroutine",
            Self::Thread => "thread",
            Self::Std => "std",
        }
    }

    /// What its tasks are called in a sentence, in the plural.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Coroutine => "coroutines",
            Self::Thread => "threads",
            Self::Std => "std threads",
        }
    }

    /// Whether each connection has an OS thread of its own.
    pub(crate) fn is_threads(self) -> bool {
        matches!(self, Self::Thread | Self::Std)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
