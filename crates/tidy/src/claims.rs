//! The rows of `docs/seeds.md` and `docs/seeds.zh-CN.md`, and what their last lines point at.
//!
//! A row is a list item whose lines are joined by a backslash:
//!
//! ```text
//! - <a id="000-001"></a>**000-001** the quotation\
//!   *its translation* (not on the Chinese page)\
//!   **verdict**: the remark\
//!   `what` · `shows it` (where something does)
//! ```

/// One claim of a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Number of the text and of the row in it, as `000-001`.
    pub id: String,
    /// The line of the page on which the row begins.
    pub line: usize,
    /// The text's own words.
    pub quotation: String,
    /// The translation; empty on the Chinese page.
    pub translation: String,
    /// One of the words for it.
    pub verdict: String,
    /// Why, and what it is in Ropewalk.
    pub remark: String,
    /// What shows it, as it stands there.
    pub shown_by: Vec<String>,
}

/// The rows of a page, in their order.
///
/// # Errors
/// A row that is not written as it has to be: its line and what is amiss.
pub fn claims(page: &str) -> Result<Vec<Claim>, String> {
    let lines: Vec<&str> = page.lines().collect();
    let mut rows = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        if !lines[index].starts_with("- <a id=") {
            index += 1;
            continue;
        }
        let more = lines[index..].iter().take_while(|line| line.ends_with('\\')).count();
        let end = (index + more + 1).min(lines.len());
        let parts: Vec<&str> =
            lines[index..end].iter().map(|line| line.trim_end_matches('\\').trim()).collect();
        let row =
            claim(index + 1, &parts).ok_or_else(|| format!("line {}: no row: {}", index + 1, parts[0]))?;
        rows.push(row);
        index = end;
    }
    Ok(rows)
}

fn claim(line: usize, parts: &[&str]) -> Option<Claim> {
    let (id, rest) = parts.first()?.strip_prefix("- <a id=\"")?.split_once("\"></a>")?;
    let quotation = rest.strip_prefix(&format!("**{id}** "))?;
    let mut parts = &parts[1..];
    let translated = parts.first()?.strip_prefix('*').filter(|text| !text.starts_with('*'));
    let translation = match translated {
        Some(text) => {
            parts = &parts[1..];
            text.strip_suffix('*')?
        }
        None => "",
    };
    let (verdict, remark) = parts.first()?.strip_prefix("**")?.split_once("**")?;
    let remark = remark.strip_prefix(": ").or_else(|| remark.strip_prefix('：'))?;
    let shown_by = match &parts[1..] {
        [] => Vec::new(),
        [line] => line.split(" · ").map(code_span).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(Claim {
        id: id.to_owned(),
        line,
        quotation: quotation.to_owned(),
        translation: translation.to_owned(),
        verdict: verdict.to_owned(),
        remark: remark.to_owned(),
        shown_by,
    })
}

fn code_span(text: &str) -> Option<String> {
    let inner = text.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.is_empty() && !inner.contains('`')).then(|| inner.to_owned())
}

/// Where the tests are that a row may name by a short word: the word, and the folder or file of the test binary.
const SUITES: [(&str, &str); 6] = [
    ("suite", "crates/ropewalk/tests/suite"),
    ("conformance", "crates/ropewalk/tests/conformance"),
    ("compat", "crates/ropewalk/tests/compat"),
    ("sync", "crates/sync/tests/suite"),
    ("loom", "crates/sync/tests/loom"),
    ("cli", "crates/cli/tests/cli"),
];

/// What a row's last line points at.
#[derive(Debug, PartialEq, Eq)]
pub enum Pointer<'a> {
    /// The arguments of a command `ropewalk ..`.
    Command(Vec<&'a str>),
    /// An example of a package, by `cargo run --example`.
    Example {
        /// The package; without `-p` the command's.
        package: &'a str,
        /// The example.
        name: &'a str,
    },
    /// The benchmarks of a package, by `cargo bench`.
    Benches {
        /// The package.
        package: &'a str,
    },
    /// A test: the files that may hold it, relative to the root, and its function.
    Test {
        /// One of them has it.
        files: Vec<String>,
        /// The function.
        function: &'a str,
    },
    /// A file, relative to the root.
    File(&'a str),
}

impl<'a> Pointer<'a> {
    /// What `text` points at; `None` if it is written in no known form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let after =
            |flag| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1).copied());
        match words.as_slice() {
            ["ropewalk", arguments @ ..] => Some(Self::Command(arguments.to_vec())),
            ["cargo", "run", ..] => Some(Self::Example {
                package: after("-p").unwrap_or("ropewalk-cli"),
                name: after("--example")?,
            }),
            ["cargo", "bench", ..] => Some(Self::Benches { package: after("-p")? }),
            [suite, name] => {
                let (_, place) = SUITES.iter().find(|(word, _)| word == suite)?;
                let (modules, function) = name.rsplit_once("::").unwrap_or(("", name));
                let path = modules.replace("::", "/");
                let files = if path.is_empty() {
                    vec![format!("{place}.rs"), format!("{place}/main.rs")]
                } else {
                    vec![format!("{place}/{path}.rs"), format!("{place}/{path}/mod.rs")]
                };
                Some(Self::Test { files, function })
            }
            [path] if path.contains('/') || path.ends_with(".md") => Some(Self::File(path)),
            _ => None,
        }
    }
}

/// Whether a source has a test function of this name.
#[must_use]
pub fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let start = format!("fn {function}(");
    lines.iter().enumerate().any(|(index, line)| {
        line.starts_with(&start)
            && lines[..index]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#["))
                .any(|line| *line == "#[test]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "## 000 A text\n\n- <a id=\"000-001\"></a>**000-001** 线程\\\n  *A thread*\\\n  \
                        **holds**: See `flat`.\\\n  `ropewalk tour flat` · `README.md`\n\
                        - <a id=\"000-002\"></a>**000-002** 图\\\n  **范围之外**：丢失。\n\nProse.\n";

    #[test]
    fn rows_are_read() {
        let rows = claims(PAGE).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].id.as_str(), rows[0].line, rows[0].quotation.as_str()), ("000-001", 3, "线程"));
        assert_eq!((rows[0].translation.as_str(), rows[0].verdict.as_str()), ("A thread", "holds"));
        assert_eq!(rows[0].shown_by, ["ropewalk tour flat", "README.md"]);
        assert_eq!((rows[1].verdict.as_str(), rows[1].remark.as_str()), ("范围之外", "丢失。"));
        assert_eq!((rows[1].translation.as_str(), rows[1].shown_by.len()), ("", 0));
    }

    #[test]
    fn rows_that_are_not_whole_are_errors() {
        for broken in [
            "- <a id=\"000-001\"></a>**000-002** other number\\\n  **holds**: x",
            "- <a id=\"000-001\"></a>**000-001** no verdict",
            "- <a id=\"000-001\"></a>**000-001** no remark\\\n  **holds**",
            "- <a id=\"000-001\"></a>**000-001** no code\\\n  **holds**: x\\\n  ropewalk tour",
            "- <a id=\"000-001\"></a>**000-001** too many lines\\\n  **holds**: x\\\n  `a`\\\n  `b`",
        ] {
            assert!(claims(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn pointers_are_read() {
        assert_eq!(Pointer::parse("ropewalk tour co"), Some(Pointer::Command(vec!["tour", "co"])));
        let example = Pointer::Example { package: "ropewalk", name: "million" };
        assert_eq!(Pointer::parse("cargo run --release -p ropewalk --example million"), Some(example));
        let test = Pointer::parse("suite net::basics::an_echo").unwrap();
        let files =
            ["crates/ropewalk/tests/suite/net/basics.rs", "crates/ropewalk/tests/suite/net/basics/mod.rs"];
        assert_eq!(test, Pointer::Test { files: files.map(String::from).to_vec(), function: "an_echo" });
        assert_eq!(Pointer::parse("docs/soundness.md"), Some(Pointer::File("docs/soundness.md")));
        for unknown in ["nothing", "unknown suite", "cargo build", "cargo run --release"] {
            assert_eq!(Pointer::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn tests_are_told_from_other_functions() {
        let source = "#[test]\n#[should_panic]\nfn one() {\n}\n\nfn two() {\n}\n";
        assert!(has_test(source, "one"));
        assert!(!has_test(source, "two"), "no test");
        assert!(!has_test(source, "on"), "the beginning of a name");
    }
}
