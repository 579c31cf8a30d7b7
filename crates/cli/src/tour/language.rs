//! The languages of the frames.

use std::env;

/// A language that the tour speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// Chinese, with the sentence that the topic is about
    Zh,
}

impl Language {
    /// What the user's locale asks for: the first of these variables that is set decides, as in POSIX (section 8.2).
    pub(crate) fn of_environment() -> Self {
        Self::of_locale(["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| env::var(name).unwrap_or_default()))
    }

    fn of_locale(variables: [String; 3]) -> Self {
        match variables.iter().find(|value| !value.is_empty()) {
            Some(locale) if locale.starts_with("zh") => Self::Zh,
            _ => Self::En,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{self, En, Zh};

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (variables, expected) in [
            (["", "", ""], En),
            (["", "", "zh_CN.UTF-8"], Zh),
            (["", "zh_TW", "en_US.UTF-8"], Zh),
            (["C", "zh_CN", "zh_CN"], En),
            (["zh", "C", "de_AT"], Zh),
        ] {
            assert_eq!(Language::of_locale(variables.map(String::from)), expected, "{variables:?}");
        }
    }
}
