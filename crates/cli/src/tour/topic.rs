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
#[path = "../../examples/flat.rs"]
mod flat;
#[path = "../../examples/hog.rs"]
mod hog;
#[path = "../../examples/interleave.rs"]
mod interleave;
#[path = "../../examples/producer.rs"]
mod producer;
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
    Slices,
}

/// What a topic is made of.
struct Parts {
    program: fn(),
    source: &'static str,
    en: &'static str,
    zh: &'static str,
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
            Self::Interleave => Parts {
                program: interleave::main,
                source: include_str!("../../examples/interleave.rs"),
                en: include_str!("texts/en/interleave.md"),
                zh: include_str!("texts/zh/interleave.md"),
            },
            Self::Producer => Parts {
                program: producer::main,
                source: include_str!("../../examples/producer.rs"),
                en: include_str!("texts/en/producer.md"),
                zh: include_str!("texts/zh/producer.md"),
            },
            Self::Steps => Parts {
                program: steps::main,
                source: include_str!("../../examples/steps.rs"),
                en: include_str!("texts/en/steps.md"),
                zh: include_str!("texts/zh/steps.md"),
            },
            Self::Co => Parts {
                program: co::main,
                source: include_str!("../../examples/co.rs"),
                en: include_str!("texts/en/co.md"),
                zh: include_str!("texts/zh/co.md"),
            },
            Self::Company => Parts {
                program: company::main,
                source: include_str!("../../examples/company.rs"),
                en: include_str!("texts/en/company.md"),
                zh: include_str!("texts/zh/company.md"),
            },
            Self::Train => Parts {
                program: train::main,
                source: include_str!("../../examples/train.rs"),
                en: include_str!("texts/en/train.md"),
                zh: include_str!("texts/zh/train.md"),
            },
            Self::Blocked => Parts {
                program: blocked::main,
                source: include_str!("../../examples/blocked.rs"),
                en: include_str!("texts/en/blocked.md"),
                zh: include_str!("texts/zh/blocked.md"),
            },
            Self::Hog => Parts {
                program: hog::main,
                source: include_str!("../../examples/hog.rs"),
                en: include_str!("texts/en/hog.md"),
                zh: include_str!("texts/zh/hog.md"),
            },
            Self::Flat => Parts {
                program: flat::main,
                source: include_str!("../../examples/flat.rs"),
                en: include_str!("texts/en/flat.md"),
                zh: include_str!("texts/zh/flat.md"),
            },
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
