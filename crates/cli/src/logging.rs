//! What the command tells while it works: on standard error, a line for each event, as text or as JSON. Results go to
//! standard output.
//!
//! The events are those of `tracing`: the command's own, and the runtime's (which driver was taken, workers that are held
//! up, and so on).

use std::fmt;
use std::io::{self, Write as _};
use std::panic;
use std::str::FromStr;
use std::sync::OnceLock;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For machines: a JSON object on each line
    Json,
}

/// Which events are written: directives as those of `RUST_LOG`, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level(String);

impl Level {
    /// Warnings and errors of everybody, and what the command itself tells.
    pub(crate) const DEFAULT: &str = "warn,ropewalk::=info";

    fn targets(&self) -> Targets {
        // Whoever made it has looked.
        self.0.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::WARN))
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        for directive in text.split(',').map(str::trim) {
            // `Targets` takes a word for the name of a target: a level that is misspelt would silence everything.
            let level = directive.split_once('=').map_or(directive, |(_, level)| level);
            if level.is_empty() || level.parse::<LevelFilter>().is_err() {
                return Err(format!(
                    "`{directive}` is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL, as in \
                     warn,ropewalk_runtime=debug"
                ));
            }
        }
        text.parse::<Targets>().map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How this process logs, and the processes that it starts to run functions of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Logging {
    pub(crate) format: Format,
    pub(crate) level: Level,
    /// Whether standard error shows colours.
    pub(crate) colors: bool,
}

static CURRENT: OnceLock<Logging> = OnceLock::new();

impl Logging {
    /// How this process logs; as by default before anybody has said.
    pub(crate) fn current() -> Self {
        let default =
            || Self { format: Format::Text, level: Level(Level::DEFAULT.to_owned()), colors: false };
        CURRENT.get().cloned().unwrap_or_else(default)
    }

    /// Begins to write events. The first call in a process decides.
    pub(crate) fn start(self) {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(self.colors)
            // Where nobody reads standard error any more, the work goes on.
            .log_internal_errors(false);
        let registry = tracing_subscriber::registry().with(self.level.targets());
        let started = match self.format {
            Format::Text => registry.with(layer).try_init(),
            Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        };
        if started.is_ok() && CURRENT.set(self).is_ok() && is_json() {
            panic::set_hook(Box::new(|info| {
                let location = info.location().map(ToString::to_string).unwrap_or_default();
                let text = info.payload().downcast_ref::<&str>().copied();
                let owned = info.payload().downcast_ref::<String>().map(String::as_str);
                let message = text.or(owned).unwrap_or("no message");
                tracing::error!(location, panicked = true, "{message}");
            }));
        }
    }
}

fn is_json() -> bool {
    CURRENT.get().is_some_and(|logging| logging.format == Format::Json)
}

/// Says why `command` does not do, or has not done, what it was asked for.
pub(crate) fn complain(command: &str, why: &dyn fmt::Display) {
    if is_json() {
        tracing::error!(command, "{why}");
    } else {
        // Where nobody reads it, the exit code tells.
        let _ = writeln!(io::stderr(), "{command}: {why}");
    }
}

/// What an event says, if `line` is one that was written as JSON.
pub(crate) fn message_of(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(event.get("message")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use tracing::Level as Severity;

    use super::*;

    #[test]
    fn directives_are_understood_and_misspelt_levels_are_not() {
        for text in ["off", "info", "warn,ropewalk::=info", "WARN, ropewalk_runtime=trace", Level::DEFAULT] {
            assert_eq!(text.parse::<Level>().map(|level| level.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "verbose", "warn,", "warn,ropewalk=loud", "ropewalk="] {
            assert!(text.parse::<Level>().unwrap_err().contains("TARGET=LEVEL"), "{text}");
        }
    }

    #[test]
    fn by_default_the_command_tells_more_than_its_libraries() {
        let targets = Level(Level::DEFAULT.to_owned()).targets();
        for (target, level, expected) in [
            ("ropewalk::serve", Severity::INFO, true),
            ("ropewalk::serve", Severity::DEBUG, false),
            ("ropewalk_runtime::driver", Severity::INFO, false),
            ("ropewalk_runtime::monitor", Severity::WARN, true),
        ] {
            assert_eq!(targets.would_enable(target, &level), expected, "{target} {level}");
        }
    }

    #[test]
    fn the_message_of_an_event_is_found() {
        assert_eq!(message_of(r#"{"level":"ERROR","message":"no room"}"#).as_deref(), Some("no room"));
        assert_eq!(message_of("thread panicked"), None);
        assert_eq!(message_of("7"), None);
    }
}
