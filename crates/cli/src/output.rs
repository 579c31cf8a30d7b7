//! Where results go: lines to standard output as they come, progress to standard error on a terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

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
        let written = self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Writes one line that a terminal shows in bold and breaks between words; a file gets it as it is.
    pub(crate) fn write_last_line(&mut self, line: &str) -> io::Result<()> {
        if !io::stdout().is_terminal() {
            return self.write(&format!("\n{line}\n"));
        }
        let (_, columns) = console::Term::stdout().size();
        let text = textwrap::fill(line, usize::from(columns).clamp(40, 110));
        // `console` leaves colours and the like out when NO_COLOR is set.
        self.write(&format!("\n{}\n", console::style(text).bold()))
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}
