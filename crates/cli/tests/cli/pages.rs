//! The commands that the pages name are there: each is asked with `--help` at its end. The arguments before it are read
//! and checked all the same, so an unknown command, flag or value fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use ropewalk_tidy::claims::{Pointer, claims};
use ropewalk_tidy::shape::{Shape, code_spans};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn ask(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    command.args(arguments).arg("--help").output().expect("the command starts")
}

/// Asks for each command once.
#[track_caller]
fn assert_understood<'a>(commands: impl Iterator<Item = (String, Vec<&'a str>)>) {
    let mut asked = BTreeSet::new();
    let mut complaints = Vec::new();
    for (place, arguments) in commands {
        if asked.insert(arguments.clone()) {
            let output = ask(&arguments);
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr);
                complaints.push(format!("{place}: ropewalk {}: {why}", arguments.join(" ")));
            }
        }
    }
    assert!(!asked.is_empty(), "no commands are found");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_check_sees_what_is_unknown() {
    for unknown in ["nonsense", "compare --nonsense", "compare --work nonsense", "compare nonsense"] {
        let arguments: Vec<&str> = unknown.split_whitespace().collect();
        assert!(!ask(&arguments).status.success(), "{unknown}");
    }
}

#[test]
fn what_the_rows_of_the_seeds_name_is_understood() {
    // The Chinese page names the same: the tests of `crates/tidy` hold them together.
    let page = read("docs/seeds.md");
    let rows = claims(&page).expect("rows");
    let commands = rows.iter().flat_map(|row| {
        row.shown_by.iter().filter_map(|text| match Pointer::parse(text)? {
            Pointer::Command(arguments) => Some((row.id.clone(), arguments)),
            _ => None,
        })
    });
    assert_understood(commands);
}

/// Asks for the commands in the blocks and in the text of a page.
#[track_caller]
fn assert_page_is_understood(path: &str, page: &str) {
    let blocks = Shape::of(page).code;
    let shell = blocks.iter().filter(|block| block.starts_with("```sh"));
    let in_blocks = shell.flat_map(|block| block.lines()).filter_map(|line| {
        let line = line.split(['#', '>']).next().unwrap_or_default();
        line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("ropewalk "))
    });
    let prose: String = page.split("```").step_by(2).collect();
    let spans = code_spans(&prose);
    let in_text = spans.iter().filter_map(|span| {
        span.strip_prefix("cargo run --release -- ").or_else(|| span.strip_prefix("ropewalk "))
    });
    let commands = in_blocks.chain(in_text).map(|text| (path.to_owned(), text.split_whitespace().collect()));
    assert_understood(commands);
}

#[test]
fn what_the_readme_names_is_understood() {
    let page = read("README.md");
    // What is not there yet has a name too.
    let (before, after) = page.split_once("\n## Not yet\n").expect("a section for what is not there yet");
    let after = after.find("\n## ").map_or("", |start| &after[start..]);
    assert_page_is_understood("README.md", &format!("{before}{after}"));
}

#[test]
fn what_the_guides_name_is_understood() {
    for path in ["docs/troubleshooting.md", "docs/examples.md"] {
        assert_page_is_understood(path, &read(path));
    }
}
