//! The text around a topic's program: what you see before it, why and what to try after it.
//!
//! The texts are files, one for each topic and language, already broken into lines:
//!
//! ```text
//! # one line that names the topic
//!
//! > the sentence of the text that the topic is about (Chinese only)
//!
//! ## What you see
//! ..
//! ## Why
//! ..
//! ## Try this
//! ..
//! ```

use std::fmt::Write as _;

/// As wide as the texts are.
const WIDTH: usize = 78;

/// A text, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// One line that names the topic.
    pub(crate) title: &'static str,
    quote: &'static str,
    sections: [Section; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    heading: &'static str,
    body: &'static str,
}

impl Frame {
    /// Takes a text apart, unless something is missing.
    pub(crate) fn parse(text: &'static str) -> Option<Self> {
        let mut parts = text.split("\n## ");
        let (title, quote) = parts.next()?.strip_prefix("# ")?.split_once('\n')?;
        let mut section = || {
            let (heading, body) = parts.next()?.split_once('\n')?;
            Some(Section { heading, body: body.trim_end() })
        };
        let sections = [section()?, section()?, section()?];
        parts.next().is_none().then_some(Self { title, quote: quote.trim(), sections })
    }

    /// What stands above the program's output.
    pub(crate) fn above(&self) -> String {
        let mut text = String::new();
        if !self.quote.is_empty() {
            text = format!("{}\n\n", self.quote);
        }
        self.sections[0].write(&mut text);
        let _ = writeln!(text, "{}", console::style("-".repeat(WIDTH)).dim());
        text
    }

    /// What stands below it.
    pub(crate) fn below(&self) -> String {
        let mut text = format!("{}\n", console::style("-".repeat(WIDTH)).dim());
        self.sections[1].write(&mut text);
        self.sections[2].write(&mut text);
        text
    }
}

impl Section {
    fn write(&self, text: &mut String) {
        // `console` leaves the bold out when standard output is no terminal, or NO_COLOR is set.
        let _ = writeln!(text, "{}\n{}", console::style(self.heading).bold(), self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let frame =
            Frame::parse("# title\n\n> quote\n> more\n\n## A\na\n\n## B\nb\nb\n\n## C\n  c\n").unwrap();
        assert_eq!((frame.title, frame.quote), ("title", "> quote\n> more"));
        assert_eq!(frame.sections.map(|section| section.heading), ["A", "B", "C"]);
        assert_eq!(frame.sections.map(|section| section.body), ["a", "b\nb", "  c"]);
        assert!(frame.above().starts_with("> quote\n> more\n\nA\na\n-"));
        assert!(frame.below().ends_with("-\nB\nb\nb\nC\n  c\n"));
    }

    #[test]
    fn a_text_that_misses_a_part_is_refused() {
        for text in [
            "",
            "title\n\n## A\na\n## B\nb\n## C\nc\n",
            "# t\n\n## A\na\n## B\nb\n",
            "# t\n\n## A\n\n## B\n\n## C\n\n## D\nd\n",
        ] {
            assert_eq!(Frame::parse(text), None, "{text}");
        }
    }
}
