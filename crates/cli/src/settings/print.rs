//! Settings as TOML, each with where it comes from: what is printed can be read again as `--config`.

use std::fmt::Write as _;

use clap::{Arg, ArgMatches};
use toml_writer::TomlStringBuilder;

use super::kind::{Kind, is_list};
use super::{Settings, Source, is_setting, key};

/// The settings of the subcommand that was typed.
///
/// # Errors
/// In words: a value is no text.
pub(super) fn to_toml(settings: &Settings) -> Result<String, String> {
    let mut text = "# Where each setting comes from: flag > environment > file > default.\n".to_owned();
    let Some((name, matches)) = settings.matches.subcommand() else { return Ok(text) };
    let Some(command) = settings.command.find_subcommand(name) else { return Ok(text) };
    let of_all = |arg: &&Arg| is_setting(arg) && arg.is_global_set();
    let of_it = |arg: &&Arg| is_setting(arg) && !arg.is_global_set();
    for arg in command.get_arguments().filter(of_all) {
        text += &line(settings, arg, matches)?;
    }
    if command.get_arguments().any(|arg| of_it(&arg)) {
        let _ = write!(text, "\n[{name}]\n");
    }
    for arg in command.get_arguments().filter(of_it) {
        text += &line(settings, arg, matches)?;
    }
    Ok(text)
}

fn line(settings: &Settings, arg: &Arg, matches: &ArgMatches) -> Result<String, String> {
    let id = arg.get_id().as_str();
    let source = settings.source(id, matches);
    let values: Vec<_> = matches.get_raw(id).into_iter().flatten().collect();
    let value = if Kind::of(arg) == Kind::Switch {
        matches.get_flag(id).to_string()
    } else if source == Source::Default && values.is_empty() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        return Ok(format!("# {} is not set: {}\n", key(arg), help.replace('\n', " ")));
    } else {
        let texts = values.iter().map(|value| value.to_str().map(|text| self::value(arg, text)));
        let texts: Option<Vec<String>> = texts.collect();
        let texts =
            texts.ok_or_else(|| format!("--{}: TOML has no word for a value that is not UTF-8", key(arg)))?;
        if is_list(arg) { format!("[{}]", texts.join(", ")) } else { texts.concat() }
    };
    Ok(format!("{} = {value}  # {source}\n", key(arg)))
}

/// A value as TOML writes it.
fn value(arg: &Arg, text: &str) -> String {
    // Only what reads back as the same text, and what TOML, too, takes for a number.
    let integer = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    let float = text.parse::<f64>().is_ok_and(|number| number.is_finite() && format!("{number:?}") == text);
    match Kind::of(arg) {
        Kind::Switch | Kind::Integer => return text.to_owned(),
        Kind::Number | Kind::Quantity if integer || float => return text.to_owned(),
        Kind::Number => {
            if let Ok(number) = text.parse::<f64>() {
                return format!("{number:?}");
            }
        }
        Kind::Quantity | Kind::Text => {}
    }
    toml_string(text)
}

fn toml_string(text: &str) -> String {
    let mut out = String::new();
    let _ = toml_writer::TomlWrite::value(&mut out, TomlStringBuilder::new(text).as_default());
    out
}
