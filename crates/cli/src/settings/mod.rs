//! Settings: a flag, else a variable of the environment, else the file that `--config` names, else the default.
//!
//! What the environment and the file say is put on the command line, behind what was typed and only where nothing was
//! typed, so that clap reads and checks all of it alike. It works for every flag of every subcommand; none is named here.
//!
//! ```text
//!   what was typed ──> which flags are left open ─┬─ environment ─┐
//!                                                 └─ file ────────┴──> more arguments ──> clap ──> matches, sources
//! ```

mod environment;
mod file;
mod kind;
mod print;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, ValueEnum as _};

pub(crate) use self::environment::is_of_command;
use self::file::File;
use crate::color::Color;

/// Flags that no file and no variable can set: they say what to do this time.
const NEVER_SET: [&str; 5] = ["config", "print_config", "parent", "help", "version"];

/// What a command line, the environment and a file come to.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What clap has read.
    pub(crate) matches: ArgMatches,
    /// The command, with its subcommands.
    command: Command,
    /// Where each flag that was not typed comes from, by its id; what is missing is a default.
    sources: BTreeMap<String, Source>,
    /// What is odd and no error, in words.
    pub(crate) warnings: Vec<String>,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// It was typed.
    Flag,
    /// A variable of the environment.
    Environment(String),
    /// A line of the file.
    File { path: PathBuf, line: usize },
    /// Nobody has said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => write!(formatter, "flag"),
            Self::Environment(name) => write!(formatter, "environment, {name}"),
            Self::File { path, line } => write!(formatter, "file, {}:{line}", path.display()),
            Self::Default => write!(formatter, "default"),
        }
    }
}

/// What the environment or the file says of a flag.
struct Given {
    id: String,
    /// As it is typed: `--users=10`, once for each value.
    words: Vec<OsString>,
    source: Source,
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Clap's word: wrong usage, or help that was asked for.
    Clap(clap::Error),
    /// In words, for exit code 2.
    Message(String),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl Settings {
    /// Reads `arguments`, the environment, and the file.
    ///
    /// # Errors
    /// Help was asked for, or something cannot be understood.
    pub(crate) fn read(command: Command, arguments: Vec<OsString>) -> Result<Self, Failure> {
        let mut command = command.color(color(&arguments).choice());
        command.build();
        let typed = command.clone().ignore_errors(true).try_get_matches_from(&arguments)?;
        let Some((name, of_subcommand)) = typed.subcommand() else {
            // It says what is missing or wrong.
            let matches = command.clone().try_get_matches_from(&arguments)?;
            return Ok(Self { matches, command, sources: BTreeMap::new(), warnings: Vec::new() });
        };
        let subcommand = command.find_subcommand(name).cloned().unwrap_or_default();
        let file = typed.get_one::<PathBuf>("config").map(|path| File::read(path, &command)).transpose()?;
        let mut given = environment::given(name, &subcommand)?;
        given.extend(file.map(|file| file.given(name)).unwrap_or_default());
        let given = keep_open(given, of_subcommand, &subcommand);
        if typed.get_flag("print_config") {
            // What is printed is not run, so nothing has to be there.
            command = command.mut_subcommand(name, |one| one.mut_args(|arg| arg.required(false)));
        }
        let matches = command
            .clone()
            .try_get_matches_from(with(arguments, &given))
            .map_err(|error| attribute(error, &given, &subcommand))?;
        let sources = given.into_iter().map(|given| (given.id, given.source)).collect();
        Ok(Self { matches, command, sources, warnings: environment::unknown(name, &subcommand) })
    }

    /// The settings as TOML, if they are to be printed.
    ///
    /// # Errors
    /// One that is no text, which TOML must be.
    pub(crate) fn to_print(&self) -> Result<Option<String>, String> {
        if !self.matches.get_flag("print_config") {
            return Ok(None);
        }
        print::to_toml(self).map(Some)
    }

    fn source(&self, id: &str, matches: &ArgMatches) -> Source {
        match self.sources.get(id) {
            Some(source) => source.clone(),
            None if matches.value_source(id) == Some(ValueSource::CommandLine) => Source::Flag,
            None => Source::Default,
        }
    }
}

/// What `--color` says, found by hand: clap prints help while it still reads.
fn color(arguments: &[OsString]) -> Color {
    let mut found = std::env::var("ROPEWALK_COLOR").ok();
    let typed = arguments.iter().take_while(|argument| *argument != "--");
    let mut typed = typed.filter_map(|argument| argument.to_str());
    while let Some(argument) = typed.next() {
        if argument == "--color" {
            found = typed.next().map(str::to_owned);
        } else if let Some(value) = argument.strip_prefix("--color=") {
            found = Some(value.to_owned());
        }
    }
    found.and_then(|value| Color::from_str(&value, false).ok()).unwrap_or(Color::Auto)
}

/// Whether a file and the environment can set it.
fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some() && !NEVER_SET.contains(&arg.get_id().as_str())
}

/// The key of a setting in the file.
fn key(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

/// `--name=value`.
fn word(arg: &Arg, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{}=", key(arg)));
    word.push(value);
    word
}

/// Those of flags that are still open: not typed, nor said by one before them, and excluded by none of these either.
fn keep_open(given: Vec<Given>, typed: &ArgMatches, command: &Command) -> Vec<Given> {
    let was_typed = |arg: &Arg| typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut there: Vec<&Arg> = command.get_arguments().filter(|arg| was_typed(arg)).collect();
    let mut closed: Vec<&str> = there.iter().map(|arg| arg.get_id().as_str()).collect();
    let mut kept = Vec::new();
    for given in given {
        let Some(arg) = command.get_arguments().find(|arg| arg.get_id().as_str() == given.id) else {
            continue;
        };
        let excludes = |one: &Arg, other: &Arg| {
            command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
        };
        let is_excluded = there.iter().any(|one| excludes(one, arg) || excludes(arg, one));
        if closed.contains(&arg.get_id().as_str()) || is_excluded {
            continue;
        }
        closed.push(arg.get_id().as_str());
        // A switch that is off excludes nothing.
        if !given.words.is_empty() {
            there.push(arg);
        }
        kept.push(given);
    }
    kept
}

/// The arguments with those that the environment and the file give, before what is no flag whatever it looks like.
fn with(mut arguments: Vec<OsString>, given: &[Given]) -> Vec<OsString> {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.splice(end..end, given.iter().flat_map(|given| given.words.iter().cloned()));
    arguments
}

/// Says whose value is wrong, if it was not typed.
fn attribute(error: clap::Error, given: &[Given], command: &Command) -> Failure {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return error.into() };
    let of_arg = |given: &&Given| {
        command.get_arguments().any(|arg| arg.get_id().as_str() == given.id && arg.to_string() == *wrong)
    };
    let Some(given) = given.iter().find(of_arg) else { return error.into() };
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
    match &given.source {
        Source::File { path, line } => format!("{}:{line}: {text}", path.display()).into(),
        Source::Environment(name) => format!("{name}: {text}").into(),
        Source::Flag | Source::Default => error.into(),
    }
}

/// Of `names` the one that is most like `unknown`, if any is.
fn nearest<'a>(unknown: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(unknown, name), name));
    // The bound that clap has for its own suggestions.
    let best = alike.filter(|(score, _)| *score > 0.7).max_by(|one, other| one.0.total_cmp(&other.0));
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_is_alike() {
        assert_eq!(nearest("usres", ["rounds", "users", "seed"]), Some("users"));
        assert_eq!(nearest("thread_stack", ["thread-stack", "seed"]), Some("thread-stack"));
        assert_eq!(nearest("zzz", ["rounds", "users"]), None);
    }

    #[test]
    fn the_colour_is_found_before_clap_reads() {
        let of = |line: &str| color(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("ropewalk --color never compare --help"), Color::Never);
        assert_eq!(of("ropewalk compare --help --color=always"), Color::Always);
        assert_eq!(of("ropewalk compare --color=never --color auto"), Color::Auto);
        assert_eq!(of("ropewalk tour -- --color=always"), Color::Auto);
        assert_eq!(of("ropewalk --color nonsense"), Color::Auto);
    }
}
