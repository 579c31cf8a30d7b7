//! Settings from the environment: `ROPEWALK_COMPARE_THREAD_STACK` is `--thread-stack` of `compare`, `ROPEWALK_COLOR` is
//! `--color` of all. An empty variable is none.

use std::env;
use std::ffi::OsString;

use clap::{Arg, Command};

use super::kind::Kind;
use super::{Given, Source, is_setting, key, nearest, word};

/// Flags of all commands whose variable has another name than theirs. That of the level is named as the field names such
/// variables.
const OTHER_NAMES: [(&str, &str); 2] = [("log", "ROPEWALK_LOG_FORMAT"), ("log-level", "ROPEWALK_LOG")];

/// The variable of a flag of the subcommand `name`.
pub(super) fn variable(name: &str, arg: &Arg) -> String {
    let flag = key(arg);
    if !arg.is_global_set() {
        return prefix(name) + &in_capitals(flag);
    }
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == flag);
    other.map_or_else(|| format!("ROPEWALK_{}", in_capitals(flag)), |(_, variable)| (*variable).to_owned())
}

/// Whether `variable` is a setting of the subcommand `name`.
pub(crate) fn is_of_command(variable: &str, name: &str) -> bool {
    variable.starts_with(&prefix(name))
}

fn prefix(name: &str) -> String {
    format!("ROPEWALK_{}_", in_capitals(name))
}

fn in_capitals(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// What the environment says of the flags of the subcommand `name`.
///
/// # Errors
/// In words: a switch that is neither on nor off.
pub(super) fn given(name: &str, command: &Command) -> Result<Vec<Given>, String> {
    let mut given = Vec::new();
    for (variable, arg) in flags(name, command) {
        let Some(value) = env::var_os(&variable).filter(|value| !value.is_empty()) else { continue };
        let words = if Kind::of(arg) == Kind::Switch {
            let on = switch(&value).ok_or_else(|| {
                format!("{variable}: {} is neither true nor false", value.to_string_lossy())
            })?;
            Vec::from_iter(on.then(|| OsString::from(format!("--{}", key(arg)))))
        } else {
            vec![word(arg, &value)]
        };
        given.push(Given { id: arg.get_id().to_string(), words, source: Source::Environment(variable) });
    }
    Ok(given)
}

/// Variables that look like settings of the subcommand `name` and are none, in words. They are no errors: others, such as
/// Kubernetes, make variables by their own rules.
pub(super) fn unknown(name: &str, command: &Command) -> Vec<String> {
    let known: Vec<String> = flags(name, command).map(|(variable, _)| variable).collect();
    let all = env::vars_os().filter_map(|(variable, _)| variable.into_string().ok());
    let unknown = all.filter(|variable| is_of_command(variable, name) && !known.contains(variable));
    let tell = |variable: String| {
        let nearest = nearest(&variable, known.iter().map(String::as_str));
        let hint = nearest.map(|nearest| format!("; do you mean {nearest}?")).unwrap_or_default();
        format!("{variable} is no setting of {name}{hint}")
    };
    unknown.map(tell).collect()
}

fn flags<'a>(name: &str, command: &'a Command) -> impl Iterator<Item = (String, &'a Arg)> {
    let settings = command.get_arguments().filter(|arg| is_setting(arg));
    settings.map(move |arg| (variable(name, arg), arg))
}

fn switch(value: &OsString) -> Option<bool> {
    match value.to_str()?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
