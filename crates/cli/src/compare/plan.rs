//! The plans under which the service is run.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the server carries out its connections; the words are those of `ropewalk serve --plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    /// A process per connection
    Process,
    /// An OS thread per connection, through Ropewalk
    Thread,
    /// A coroutine per connection
    Coroutine,
    /// A process per CPU, with a coroutine per connection in each
    #[value(name = "process+coroutine")]
    #[serde(rename = "process+coroutine")]
    ProcessCoroutine,
    /// An OS thread per connection with plain std::thread and std::net, the control
    Std,
}

impl Plan {
    /// The word on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Coroutine => "coroutine",
            Self::ProcessCoroutine => "process+coroutine",
            Self::Std => "std",
        }
    }

    /// The name where there is room for nine letters.
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Self::ProcessCoroutine => "proc+coro",
            plan => plan.name(),
        }
    }

    /// What its tasks are called in a sentence, in the plural.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Process => "processes",
            Self::Thread => "threads",
            Self::Coroutine => "coroutines",
            Self::ProcessCoroutine => "coroutines in several processes",
            Self::Std => "std threads",
        }
    }

    /// Whether each connection has an OS thread of its own, all in one process.
    pub(crate) fn is_threads(self) -> bool {
        matches!(self, Self::Thread | Self::Std)
    }

    /// The class of its colour in the report.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::ProcessCoroutine => "process-coroutine",
            plan => plan.name(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
