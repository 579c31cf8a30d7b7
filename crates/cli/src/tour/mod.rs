//! `ropewalk tour`: the programs and stories of the textbooks, one screen each: what you see, why, what to try.
//!
//! The program of a topic is a file of `examples/`, included here, so what the tour runs is what a reader reads. Its
//! texts are data: `texts/LANGUAGE/TOPIC.md`.

mod frame;
mod language;
mod topic;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
use signal_hook::consts::SIGPIPE;

use crate::exit_code::ExitCode;
use crate::tour::language::Language;
use crate::tour::topic::Topic;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk tour                     the topics
  ropewalk tour train               one of them
  ropewalk tour train --lang zh     in Chinese
  ropewalk tour train --source      its program, to read and to change

Exit codes:
  0    shown
  1    the program panicked
  2    wrong usage";

/// See what the textbooks tell about processes, threads and coroutines: a program a topic, a screen each
///
/// Without a topic: the list of them. With one: its program runs, with the text around it that says what you see, why,
/// and what to try. Takes seconds, needs no root, writes to standard output only.
#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// What to see
    #[arg(value_enum)]
    topic: Option<Topic>,
    /// The language of the text [default: what LC_ALL, LC_MESSAGES or LANG says, else en]
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// Only the program's own output
    #[arg(long, requires = "topic")]
    bare: bool,
    /// The program's source instead of a run
    #[arg(long, requires = "topic", conflicts_with = "bare")]
    source: bool,
}

/// Lists the topics, or shows one.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    // The programs print as any program does. Where nobody reads (`| head`), end as other commands do: by SIGPIPE.
    signal_hook::flag::register_conditional_default(SIGPIPE, Arc::new(AtomicBool::new(true)))?;
    let language = args.lang.unwrap_or_else(Language::of_environment);
    let Some(topic) = args.topic else {
        return Ok(print(&list(language))?);
    };
    if args.source {
        return Ok(print(topic.source())?);
    }
    if args.bare {
        return Ok(show(topic));
    }
    let frame = topic.frame(language);
    print(&frame.above())?;
    match show(topic) {
        ExitCode::Success => Ok(print(&frame.below())?),
        failure => Ok(failure),
    }
}

/// Runs the program. If it panics, the panic has told why.
fn show(topic: Topic) -> ExitCode {
    match panic::catch_unwind(|| topic.run()) {
        Ok(()) => ExitCode::Success,
        Err(_) => ExitCode::Failure,
    }
}

fn list(language: Language) -> String {
    let mut text = String::new();
    for topic in Topic::value_variants() {
        let _ = writeln!(text, "  {:<11} {}", topic.name(), topic.frame(language).title);
    }
    text + match language {
        Language::En => include_str!("texts/en/list.md"),
        Language::Zh => include_str!("texts/zh/list.md"),
    }
}

fn print(text: &str) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::Success)
}
