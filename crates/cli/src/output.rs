//! Where results go: lines to standard output as they come, progress to standard error on a terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Whether somebody reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As far as is known.
    There,
    /// The pipe is closed, as by `| head`.
    Gone,
}

/// Writes to standard output.
///
/// # Errors
/// Any but a closed pipe, which is no error: whoever read it has seen enough.
pub(crate) fn print(text: &str) -> io::Result<Reader> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_bytes(bytes: &[u8]) -> io::Result<Reader> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

/// Standard output and a progress bar that do not get into each other's way.
pub(crate) struct Output {
    bar: ProgressBar,
    /// Whoever read standard output has gone, as `| head` does: nothing more is written.
    closed: bool,
}

impl Output {
    /// An output for so many cells.
    pub(crate) fn new(cells: u64) -> Self {
        // Hidden by itself when standard error is no terminal.
        let bar = ProgressBar::new(cells);
        let template = "{bar:24} {pos} of {len} cells, {elapsed} so far: {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, closed: false }
    }

    /// Says what is under way.
    pub(crate) fn progress(&self, what: String) {
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// One more cell is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Takes the progress bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// Any but a closed pipe, which is noted and no error.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.closed = self.bar.suspend(|| print_bytes(text.as_bytes()))? == Reader::Gone;
        Ok(())
    }

    /// Writes one line that stands out where output has colours, and that a terminal gets broken between words.
    pub(crate) fn write_last_line(&mut self, line: &str) -> io::Result<()> {
        let mut text = line.to_owned();
        if io::stdout().is_terminal() {
            let (_, columns) = console::Term::stdout().size();
            text = textwrap::fill(line, usize::from(columns).clamp(40, 110));
        }
        // `console` knows whether there is to be bold at all.
        self.write(&format!("\n{}\n", console::style(text).bold()))
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}
