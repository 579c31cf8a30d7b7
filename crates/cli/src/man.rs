//! `ropewalk man`: manual pages, made from the flags themselves and from what stands below `--help`.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::exit_code::ExitCode;
use crate::{files, output};

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk man | man -l -                     read the page of the command itself
  ropewalk man compare | man -l -             read that of a subcommand
  ropewalk man --dir ~/.local/share/man/man1  write all pages where man(1) finds them

Exit codes:
  0    printed, or written
  1    something cannot be written
  2    wrong usage, or no such command";

/// Print the manual page of this command or of a subcommand, or write all of them to a directory
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// The subcommand whose page to print
    #[arg(value_name = "COMMAND")]
    page: Option<String>,
    /// Write all pages into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    dir: Option<PathBuf>,
}

/// Prints a page of `command`, or writes all.
///
/// # Errors
/// Something cannot be written.
pub(crate) fn run(args: &Args, command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(directory) = &args.dir {
        fs::create_dir_all(directory).map_err(|error| format!("--dir {}: {error}", directory.display()))?;
        for one in std::iter::once(command).chain(command.get_subcommands()) {
            let page = Page::new(one);
            files::save(&directory.join(page.file_name()), &page.to_bytes()?)?;
        }
        return Ok(ExitCode::Success);
    }
    let wanted = match &args.page {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(subcommand) => subcommand,
            None => {
                crate::logging::complain("ropewalk man", &format!("there is no command {name}"));
                return Ok(ExitCode::Usage);
            }
        },
    };
    output::print_bytes(&Page::new(wanted).to_bytes()?)?;
    Ok(ExitCode::Success)
}

struct Page<'a> {
    command: &'a Command,
    man: Man,
}

impl<'a> Page<'a> {
    fn new(command: &'a Command) -> Self {
        let version = format!("ropewalk {}", env!("CARGO_PKG_VERSION"));
        Self { command, man: Man::new(command.clone()).source(version).manual("Ropewalk") }
    }

    fn file_name(&self) -> String {
        self.man.get_filename()
    }

    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let (man, mut page) = (&self.man, Vec::new());
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if self.command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        if let Some(notes) = self.command.get_after_long_help() {
            write_notes(&notes.to_string(), &mut page)?;
        }
        Ok(page)
    }
}

/// The paragraphs below `--help`: the first line of each is a heading, the others stand as they are.
fn write_notes(notes: &str, page: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    for paragraph in notes.split("\n\n") {
        let (heading, lines) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let heading = match heading.trim_end_matches(':') {
            // As man-pages(7) has it.
            "Exit codes" => "EXIT STATUS".to_owned(),
            other => other.to_uppercase(),
        };
        roff.control("SH", [heading.as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(page)
}
