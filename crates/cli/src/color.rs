//! Colours: `--color`, and what the environment says where that leaves it open.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::{ColorChoice, ValueEnum};

/// When output has colours, and bold letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always, also in a file or a pipe
    Always,
    /// Never
    Never,
}

impl Color {
    /// For clap's messages.
    pub(crate) fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }

    /// Makes it so for all that the command prints.
    pub(crate) fn apply(self) {
        console::set_colors_enabled(self.is_for(io::stdout().is_terminal()));
        console::set_colors_enabled_stderr(self.is_for(io::stderr().is_terminal()));
    }

    fn is_for(self, terminal: bool) -> bool {
        match self {
            Self::Auto => {
                by_environment(terminal, |name| env::var_os(name).filter(|value| !value.is_empty()))
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// As <https://no-color.org> and <https://bixense.com/clicolors> have it; a variable that is empty is none.
fn by_environment(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_off = |name| variable(name).is_some_and(|value| value == "0");
    if variable("NO_COLOR").is_some() {
        false
    } else if variable("CLICOLOR_FORCE").is_some() && !is_off("CLICOLOR_FORCE") {
        true
    } else {
        terminal && !is_off("CLICOLOR") && variable("TERM").is_none_or(|name| name != "dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_where_no_flag_does() {
        for (terminal, set, expected) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (true, &[("CLICOLOR", "0")], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[("TERM", "xterm")], true),
        ] {
            let variable =
                |name: &str| set.iter().find(|(one, _)| *one == name).map(|(_, value)| value.into());
            assert_eq!(by_environment(terminal, variable), expected, "{terminal} {set:?}");
        }
    }
}
