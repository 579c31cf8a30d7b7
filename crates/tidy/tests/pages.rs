//! Runs the checks of the pages over the tree. (That the commands exist is asked of the command itself, in
//! `crates/cli/tests/cli/pages.rs`.)

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ropewalk_tidy::claims::{Claim, Pointer, claims, has_test};
use ropewalk_tidy::shape::{Shape, code_spans};

const ENGLISH: &str = "docs/seeds.md";
const CHINESE: &str = "docs/seeds.zh-CN.md";
const EXAMPLES: &str = "docs/examples.md";

/// Each verdict, in both languages.
const VERDICTS: [(&str, &str); 5] = [
    ("holds", "成立"),
    ("in part", "部分成立"),
    ("wrong", "不成立"),
    ("not yet", "尚未"),
    ("outside", "范围之外"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rows(path: &str) -> Vec<Claim> {
    let rows = claims(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(rows.len() > 200, "{path}: the rows are not found");
    rows
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_rows_are_numbered_without_a_gap() {
    for path in [ENGLISH, CHINESE] {
        let mut complaints = Vec::new();
        let mut last = (String::new(), 0);
        for row in rows(path) {
            let (text, number) = row.id.split_once('-').expect("text and row");
            let expected = if text == last.0 { last.1 + 1 } else { 1 };
            if number != format!("{expected:03}") || text < last.0.as_str() {
                complaints.push(format!("{path}:{}: {} does not come next", row.line, row.id));
            }
            last = (text.to_owned(), number.parse().unwrap_or(expected));
        }
        assert_none(&complaints);
    }
}

#[test]
fn both_languages_say_the_same_of_the_same_sentences() {
    let (english, chinese) = (rows(ENGLISH), rows(CHINESE));
    let ids = |rows: &[Claim]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&english), ids(&chinese), "the same rows in the same order");
    let mut complaints = Vec::new();
    for (english, chinese) in english.iter().zip(&chinese) {
        let id = &english.id;
        if english.quotation != chinese.quotation {
            complaints.push(format!("{id}: the quotations differ"));
        }
        if english.translation.is_empty() || !chinese.translation.is_empty() {
            complaints.push(format!("{id}: the English page has a translation, the Chinese has none"));
        }
        if !VERDICTS.contains(&(&english.verdict, &chinese.verdict)) {
            complaints.push(format!("{id}: the verdicts: '{}' and '{}'", english.verdict, chinese.verdict));
        }
        if english.shown_by != chinese.shown_by {
            complaints
                .push(format!("{id}: what shows it: {:?} and {:?}", english.shown_by, chinese.shown_by));
        }
        let spans = |row: &Claim| code_spans(&row.remark).into_iter().collect::<BTreeSet<_>>();
        if spans(english) != spans(chinese) {
            complaints.push(format!("{id}: the code: {:?} and {:?}", spans(english), spans(chinese)));
        }
    }
    assert_none(&complaints);
}

/// Whether what a row points at is there.
fn is_there(pointer: &Pointer<'_>) -> bool {
    let folder = |package: &str| format!("crates/{}", package.trim_start_matches("ropewalk-"));
    match pointer {
        Pointer::Command(_) => true, // asked of the command itself
        Pointer::Example { package, name } => {
            root().join(folder(package)).join(format!("examples/{name}.rs")).is_file()
        }
        Pointer::Benches { package } => root().join(folder(package)).join("benches").is_dir(),
        Pointer::Test { files, function } => files
            .iter()
            .filter_map(|file| fs::read_to_string(root().join(file)).ok())
            .any(|source| has_test(&source, function)),
        Pointer::File(path) => root().join(path).exists(),
    }
}

#[test]
fn what_the_rows_point_at_is_there() {
    let mut complaints = Vec::new();
    for row in rows(ENGLISH) {
        for text in &row.shown_by {
            match Pointer::parse(text) {
                None => complaints.push(format!("{}: `{text}` is written in no known form", row.id)),
                Some(pointer) if !is_there(&pointer) => {
                    complaints.push(format!("{}: `{text}` is not there", row.id));
                }
                Some(_) => {}
            }
        }
        if row.verdict == "holds" && row.shown_by.is_empty() {
            complaints.push(format!("{}: holds, and nothing shows it", row.id));
        }
    }
    assert_none(&complaints);
}

/// What a page names in the form of a test, `module::a_function_of_three_words`, `loom a_function` or `compat a_function`, and is none.
fn tests_not_there(path: &str) -> Vec<String> {
    let spans = Shape::of(&read(path)).spans;
    let missing = spans.iter().filter(|span| {
        let text = match span.split_once(' ') {
            Some(("loom" | "compat", _)) => span.to_string(),
            _ if is_test_name(span) => format!("suite {span}"),
            _ => return false,
        };
        !Pointer::parse(&text).is_some_and(|pointer| is_there(&pointer))
    });
    missing.map(|span| format!("{path}: `{span}` is no test")).collect()
}

/// Names of the library have fewer words.
fn is_test_name(span: &str) -> bool {
    let (modules, function) = span.rsplit_once("::").unwrap_or_default();
    let is_path = span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c));
    is_path && !modules.is_empty() && function.matches('_').count() >= 2
}

#[test]
fn the_tests_that_prove_the_pages_are_there() {
    let pages = ["docs/soundness.md", "docs/memory-model.md", "docs/ipc.md"];
    let named = pages.iter().flat_map(|page| Shape::of(&read(page)).spans).filter(|span| is_test_name(span));
    assert!(named.count() > 20, "the names are not found");
    assert_none(&pages.map(tests_not_there).concat());
}

/// The links of a page that lead into the page itself or to a file, and lead nowhere.
fn broken_links(path: &str) -> Vec<String> {
    let page = read(path);
    let folder = root().join(path).parent().expect("a page has a folder").to_owned();
    let leads_nowhere = |target: &str| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let there = if file.is_empty() {
            page.clone()
        } else {
            match fs::read_to_string(folder.join(file)) {
                Ok(text) => text,
                Err(_) => return !folder.join(file).exists(),
            }
        };
        !anchor.is_empty() && !there.contains(&format!("<a id=\"{anchor}\"></a>"))
    };
    let links = Shape::of(&page).links;
    let inside = links.iter().filter(|target| !target.contains("://"));
    inside.filter(|target| leads_nowhere(target)).map(|target| format!("{path}: link to {target}")).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = [
        ENGLISH,
        CHINESE,
        "README.md",
        "README.zh-CN.md",
        "ARCHITECTURE.md",
        "docs/soundness.md",
        "docs/memory-model.md",
        "docs/ipc.md",
        "docs/first-steps.md",
        "docs/coming-from-std.md",
        "docs/coming-from-tokio.md",
        "docs/coming-from-go.md",
        "docs/coming-from-python.md",
        "docs/troubleshooting.md",
        EXAMPLES,
    ];
    assert_none(&pages.map(broken_links).concat());
}

/// The names of the examples in the tables of a page that say what each shows.
fn rows_of_examples(path: &str) -> Vec<String> {
    let (mut rows, mut is_index) = (Vec::new(), false);
    for line in read(path).lines() {
        is_index = line.starts_with('|') && (is_index || line.ends_with("| what it shows |"));
        let name = line.strip_prefix("| `").and_then(|rest| rest.split_once("` |"));
        rows.extend(name.filter(|_| is_index).map(|(name, _)| name.to_owned()));
    }
    rows
}

/// The examples in a folder: files, and folders by their own names.
fn examples_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let paths = entries.flatten().map(|entry| entry.path());
    let mut names = Vec::new();
    for path in paths {
        // A folder without a `main.rs` holds examples of its own, which its manifest names.
        if path.is_dir() && !path.join("main.rs").is_file() {
            let folder = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            names.extend(examples_in(&folder));
        } else if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names
}

#[test]
fn every_example_is_in_the_index_and_every_row_is_an_example() {
    let mut complaints = Vec::new();
    for (page, folders) in [
        (EXAMPLES, &["crates/ropewalk/examples", "crates/cli/examples"][..]),
        ("guests/README.md", &["guests/examples"]),
    ] {
        let rows = rows_of_examples(page);
        let there: Vec<String> = folders.iter().flat_map(|folder| examples_in(folder)).collect();
        assert!(there.len() > 3, "{folders:?}: the examples are not found");
        let missing = there.iter().filter(|name| !rows.contains(name));
        complaints.extend(missing.map(|name| format!("{page}: the example {name} is missing")));
        let invented = rows.iter().filter(|name| !there.contains(name));
        complaints.extend(invented.map(|name| format!("{page}: there is no example {name}")));
    }
    assert_none(&complaints);
}

#[test]
fn the_chinese_readme_is_the_english_one_in_chinese() {
    let mut english = Shape::of(&read("README.md"));
    let mut chinese = Shape::of(&read("README.zh-CN.md"));
    assert!(english.links.remove("README.zh-CN.md"), "README.md leads to README.zh-CN.md");
    assert!(chinese.links.remove("README.md"), "README.zh-CN.md leads to README.md");
    assert!(english.links.remove(ENGLISH), "README.md leads to {ENGLISH}");
    assert!(chinese.links.remove(CHINESE), "README.zh-CN.md leads to {CHINESE}");
    assert_none(&english.differences(&chinese));
}

#[test]
fn the_frames_of_both_pages_are_the_same() {
    let mut english = Shape::of(&read(ENGLISH));
    let mut chinese = Shape::of(&read(CHINESE));
    assert!(english.links.remove("seeds.zh-CN.md"), "{ENGLISH} leads to {CHINESE}");
    assert!(chinese.links.remove("seeds.md"), "{CHINESE} leads to {ENGLISH}");
    // The rows are compared one by one, with their ids.
    english.spans.clear();
    chinese.spans.clear();
    assert_none(&english.differences(&chinese));
}

#[test]
fn the_first_program_is_the_example() {
    let page = read("docs/first-steps.md");
    let program = page.split_once("```rust,no_run\n").and_then(|(_, rest)| rest.split_once("```\n"));
    assert_eq!(program.expect("the page shows a program").0, read("crates/ropewalk/examples/calculator.rs"));
}
