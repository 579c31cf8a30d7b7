//! Checks of Ropewalk's own sources and pages, as a library of pure functions over texts; `tests/` runs them over the tree.

pub mod claims;
pub mod shape;
pub mod waits;

use std::collections::{BTreeMap, BTreeSet};

/// What `layers.txt` says.
#[derive(Debug, Default)]
pub struct Layers {
    /// What each crate may import.
    pub crates: BTreeMap<String, BTreeSet<String>>,
    /// The module ranks of each source folder, from the top.
    pub modules: BTreeMap<String, Vec<Vec<String>>>,
    /// Arrows that are allowed beyond the ranks: folder, from, to.
    pub except: BTreeSet<(String, String, String)>,
    /// Where unsafe code may stand.
    pub allows_unsafe: Vec<String>,
}

impl Layers {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut layers = Self::default();
        let mut folder: Option<String> = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (&folder, words.as_slice()) {
                (Some(_), ["end"]) => folder = None,
                (Some(folder), names) => {
                    let rank = names.iter().map(ToString::to_string).collect();
                    layers.modules.entry(folder.clone()).or_default().push(rank);
                }
                (None, ["modules", name]) => folder = Some((*name).to_string()),
                (None, ["crate", name, "->", imports @ ..]) => {
                    let imports = imports.iter().map(ToString::to_string).collect();
                    layers.crates.insert((*name).to_string(), imports);
                }
                (None, ["except", folder, from, "->", to]) => {
                    layers.except.insert(((*folder).to_string(), (*from).to_string(), (*to).to_string()));
                }
                (None, ["unsafe", place]) => layers.allows_unsafe.push((*place).to_string()),
                _ => return Err(format!("layers.txt: cannot read '{line}'")),
            }
        }
        Ok(layers)
    }

    /// The arrow from module `from` to module `to` of `folder`, if it points up or sideways.
    #[must_use]
    pub fn bad_arrow(&self, folder: &str, from: &str, to: &str) -> Option<String> {
        if from == to || self.except.contains(&(folder.into(), from.into(), to.into())) {
            return None;
        }
        let ranks = self.modules.get(folder)?;
        let rank = |module: &str| ranks.iter().position(|rank| rank.iter().any(|name| name == module));
        match (rank(from), rank(to)) {
            (Some(from_rank), Some(to_rank)) if from_rank < to_rank => None,
            (Some(_), Some(_)) => {
                Some(format!("{folder}: module {from} imports {to}, which is not below it"))
            }
            (None, _) => Some(format!("{folder}: module {from} stands nowhere in layers.txt")),
            (_, None) => None,
        }
    }
}

/// The lines of `source` without comments, strings left as they are.
fn code_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(|(_, line)| {
        let line = line.trim_start();
        !line.starts_with("//")
    })
}

/// The top-level modules of its own crate that a source names, through `crate::`.
#[must_use]
pub fn imported_modules(source: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (_, line) in code_lines(source) {
        for rest in line.split("crate::").skip(1) {
            if let Some(list) = rest.strip_prefix('{') {
                let names = list.split(['}', ';']).next().unwrap_or_default().split(',');
                modules.extend(names.map(|name| leading_word(name.trim()).to_string()));
            } else {
                modules.insert(leading_word(rest).to_string());
            }
        }
    }
    modules.remove("");
    modules
}

fn leading_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// Whether a source has unsafe code: blocks, functions or implementations.
#[must_use]
pub fn has_unsafe(source: &str) -> bool {
    code_lines(source).any(|(_, line)| {
        let line = line.split("//").next().unwrap_or_default();
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"]
            .iter()
            .any(|u| line.contains(u))
    })
}

/// The functions of a formatted source that have more than `most` lines, signature included: line and length.
#[must_use]
pub fn long_functions(source: &str, most: usize) -> Vec<(usize, usize)> {
    let mut long = Vec::new();
    let lines: Vec<&str> = source.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let words: Vec<&str> = trimmed.split_whitespace().take(6).collect();
        let is_function = words.iter().position(|word| *word == "fn").is_some_and(|place| {
            words[..place].iter().all(|word| {
                ["pub", "const", "unsafe", "extern", "\"C\"", "async"].contains(word)
                    || word.starts_with("pub(")
            })
        });
        if !is_function {
            continue;
        }
        // rustfmt closes a function with a brace at its own indent.
        let end = lines[index..].iter().position(|line| {
            line.len() == indent + 1 && line.ends_with('}')
                || line.trim_end().ends_with(';') && line.len() - line.trim_start().len() == indent
        });
        if let Some(length) = end.filter(|length| length + 1 > most) {
            long.push((index + 1, length + 1));
        }
    }
    long
}

/// The number of lines before the tests of a file.
#[must_use]
pub fn length_without_tests(source: &str) -> usize {
    let tests = source.lines().position(|line| line.trim() == "#[cfg(test)]");
    tests.unwrap_or_else(|| source.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: &str =
        "crate a -> b\nmodules src\n top\n low other\nend\nexcept src other -> top\nunsafe src/low.rs\n";

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_bad() {
        let layers = Layers::parse(LAYERS).unwrap();
        assert_eq!(layers.bad_arrow("src", "top", "low"), None);
        assert!(layers.bad_arrow("src", "low", "top").is_some());
        assert!(layers.bad_arrow("src", "low", "other").is_some());
        assert_eq!(layers.bad_arrow("src", "other", "top"), None, "excepted");
        assert!(layers.bad_arrow("src", "new", "low").is_some(), "a module nobody placed");
    }

    #[test]
    fn imports_are_found_in_code_and_not_in_comments() {
        let source = "use crate::park::Wait;\nuse crate::{clock, task::Header};\n// crate::up\nlet x = crate::stack::f();";
        let expected = ["clock", "park", "stack", "task"].map(String::from);
        assert_eq!(imported_modules(source), BTreeSet::from(expected));
    }

    #[test]
    fn unsafe_code_is_found_and_the_word_alone_is_not() {
        assert!(has_unsafe("let x = unsafe { *p };"));
        assert!(!has_unsafe("#![forbid(unsafe_code)]\n// unsafe { }"));
    }

    #[test]
    fn long_functions_are_found() {
        let body = "    x();\n".repeat(5);
        let source = format!("pub(crate) fn long() {{\n{body}}}\n\nfn short() {{\n    x();\n}}\n");
        assert_eq!(long_functions(&source, 6), [(1, 7)]);
        assert_eq!(long_functions(&source, 7), []);
    }
}
