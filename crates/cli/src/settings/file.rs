//! Settings from a file: TOML, with a table for each subcommand; what holds for all stands before the first table.
//!
//! ```toml
//! color = "never"
//!
//! [compare]
//! users = [10, 100]
//! thread-stack = "4M"
//! ```
//!
//! All of it is checked, whatever subcommand is to run: the names, and the kinds of the values. The values themselves are
//! left to clap.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::kind::{Kind, is_list};
use super::{Given, Source, is_setting, key, nearest, word};

/// What a file says.
pub(super) struct File {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// A line that says something.
struct Entry {
    /// The subcommand in whose table it stands; none for all.
    table: Option<String>,
    id: String,
    words: Vec<OsString>,
    line: usize,
}

impl File {
    /// Reads the file for `command`.
    ///
    /// # Errors
    /// In words, with file and line: it cannot be read, is no TOML, or says something that nobody understands.
    pub(super) fn read(path: &Path, command: &Command) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("--config {}: {error}", path.display()))?;
        let entries = Reader { path, text: &text }.entries(command)?;
        Ok(Self { path: path.to_owned(), entries })
    }

    /// What it says of the flags of the subcommand `name`.
    pub(super) fn given(self, name: &str) -> Vec<Given> {
        let entries = self.entries.into_iter();
        let of_it = entries.filter(|entry| entry.table.as_deref().is_none_or(|table| table == name));
        let given = of_it.map(|entry| Given {
            id: entry.id,
            words: entry.words,
            source: Source::File { path: self.path.clone(), line: entry.line },
        });
        given.collect()
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn entries(&self, command: &Command) -> Result<Vec<Entry>, String> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.line(span.start));
            format!("{}:{line}: {}", self.path.display(), error.message())
        })?;
        let of_all: Vec<&Arg> =
            command.get_arguments().filter(|arg| is_setting(arg) && arg.is_global_set()).collect();
        let tables: Vec<&Command> = command.get_subcommands().filter(|one| has_settings(one)).collect();
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            let Some(subcommand) = tables.iter().find(|one| one.get_name() == key.get_ref()) else {
                let names = tables.iter().map(|one| one.get_name());
                entries.push(self.entry(None, &of_all, key, value, names)?);
                continue;
            };
            let DeValue::Table(inner) = value.get_ref() else {
                let name = subcommand.get_name();
                return Err(self.wrong(key, format_args!("`{name}` is a table: write [{name}]")));
            };
            let args: Vec<&Arg> =
                subcommand.get_arguments().filter(|arg| is_setting(arg) && !arg.is_global_set()).collect();
            for (key, value) in inner {
                entries.push(self.entry(Some(subcommand.get_name()), &args, key, value, [])?);
            }
        }
        Ok(entries)
    }

    /// One key and its value; `tables` are names that could be meant, too.
    fn entry<'a>(
        &self,
        table: Option<&str>,
        args: &[&'a Arg],
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        tables: impl IntoIterator<Item = &'a str>,
    ) -> Result<Entry, String> {
        let place = table.map(|table| format!(" of [{table}]")).unwrap_or_default();
        let Some(arg) = args.iter().find(|arg| key(arg) == name.get_ref()) else {
            let names = args.iter().map(|arg| key(arg)).chain(tables);
            let hint = nearest(name.get_ref(), names).map(|name| format!("; do you mean `{name}`?"));
            let hint = hint.unwrap_or_default();
            return Err(self.wrong(name, format_args!("`{}` is no setting{place}{hint}", name.get_ref())));
        };
        let words = words(arg, value.get_ref()).ok_or_else(|| {
            let list = if is_list(arg) { ", or a list of such" } else { "" };
            let kind = Kind::of(arg).name();
            self.wrong(value, format_args!("`{}`{place} takes {kind}{list}", name.get_ref()))
        })?;
        let line = self.line(name.span().start);
        Ok(Entry { table: table.map(str::to_owned), id: arg.get_id().to_string(), words, line })
    }

    fn wrong<T>(&self, place: &Spanned<T>, what: std::fmt::Arguments<'_>) -> String {
        format!("{}:{}: {what}", self.path.display(), self.line(place.span().start))
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }
}

/// Whether there can be a table for it.
fn has_settings(command: &Command) -> bool {
    command.get_arguments().any(|arg| is_setting(arg) && !arg.is_global_set())
}

/// The flag as it would be typed; `None` if it takes no such value.
fn words(arg: &Arg, value: &DeValue<'_>) -> Option<Vec<OsString>> {
    match value {
        DeValue::Boolean(on) if Kind::of(arg) == Kind::Switch => {
            Some(Vec::from_iter(on.then(|| OsString::from(format!("--{}", key(arg))))))
        }
        DeValue::Array(list) if is_list(arg) && !list.is_empty() => {
            list.iter().map(|element| one_word(arg, element.get_ref())).collect()
        }
        value => Some(vec![one_word(arg, value)?]),
    }
}

fn one_word(arg: &Arg, value: &DeValue<'_>) -> Option<OsString> {
    let kind = Kind::of(arg);
    let text = match value {
        DeValue::String(text) if matches!(kind, Kind::Text | Kind::Quantity) => text.to_string(),
        DeValue::Integer(number) if matches!(kind, Kind::Integer | Kind::Number | Kind::Quantity) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()
        }
        DeValue::Float(number) if matches!(kind, Kind::Number | Kind::Quantity) => number.as_str().to_owned(),
        _ => return None,
    };
    Some(word(arg, text.as_ref()))
}
