//! The topics: each is a program and a text in each language. The programs are examples of their own, except that of
//! `slices`, which is a command.

use clap::ValueEnum;

use crate::slices;
use crate::tour::frame::Frame;
use crate::tour::language::Language;

#[path = "../../examples/blocked.rs"]
mod blocked;
#[path = "../../examples/co.rs"]
mod co;
#[path = "../../examples/company.rs"]
mod company;
#[path = "../../examples/crash.rs"]
mod crash;
#[path = "../../examples/flat.rs"]
mod flat;
#[path = "../../examples/hog.rs"]
mod hog;
#[path = "../../examples/interleave.rs"]
mod interleave;
#[path = "../../examples/producer.rs"]
mod producer;
#[path = "../../examples/resources.rs"]
mod resources;
#[path = "../../examples/steps.rs"]
mod steps;
#[path = "../../examples/train.rs"]
mod train;

/// A topic of the tour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    Interleave,
    Producer,
    Steps,
    Co,
    Company,
    Train,
    Blocked,
    Hog,
    Flat,
    Crash,
    Resources,
    Slices,
}

/// What a topic is made of.
struct Parts {
    program: fn(),
    source: &'static str,
    en: &'static str,
    zh: &'static str,
}

/// The parts of a topic whose program is the example of its name.
macro_rules! example {
    ($name:ident) => {
        Parts {
            program: $name::main,
            source: include_str!(concat!("../../examples/", stringify!($name), ".rs")),
            en: include_str!(concat!("texts/en/", stringify!($name), ".md")),
            zh: include_str!(concat!("texts/zh/", stringify!($name), ".md")),
        }
    };
}

impl Topic {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// Runs its program, which prints to standard output.
    pub(crate) fn run(self) {
        (self.parts().program)();
    }

    /// The source of its program.
    pub(crate) fn source(self) -> &'static str {
        self.parts().source
    }

    /// Its text.
    pub(crate) fn frame(self, language: Language) -> Frame {
        let Parts { en, zh, .. } = self.parts();
        let text = match language {
            Language::En => en,
            Language::Zh => zh,
        };
        Frame::parse(text).expect("a test reads all texts")
    }

    fn parts(self) -> Parts {
        match self {
            Self::Interleave => example!(interleave),
            Self::Producer => example!(producer),
            Self::Steps => example!(steps),
            Self::Co => example!(co),
            Self::Company => example!(company),
            Self::Train => example!(train),
            Self::Blocked => example!(blocked),
            Self::Hog => example!(hog),
            Self::Flat => example!(flat),
            Self::Crash => example!(crash),
            Self::Resources => example!(resources),
            Self::Slices => Parts {
                program: slices::textbook,
                source: include_str!("../slices/simulate.rs"),
                en: include_str!("texts/en/slices.md"),
                zh: include_str!("texts/zh/slices.md"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts' own headings; the parts are told apart by their order.
    const HEADINGS: [(Language, [&str; 3]); 2] = [
        (Language::En, ["What you see", "Why", "Try this"]),
        (Language::Zh, ["你会看到", "为什么", "试一试"]),
    ];

    #[test]
    fn every_text_has_its_parts_and_every_topic_both_languages() {
        for topic in Topic::value_variants() {
            for (language, headings) in HEADINGS {
                let frame = topic.frame(language);
                let shown = frame.above() + &frame.below();
                let shown: Vec<&str> = shown.lines().filter(|line| headings.contains(line)).collect();
                assert_eq!(shown, headings, "{topic:?} {language:?}");
                let starts_with_a_quote = frame.above().starts_with("> ");
                assert_eq!(starts_with_a_quote, language == Language::Zh, "{topic:?} {language:?}");
            }
        }
    }
}
