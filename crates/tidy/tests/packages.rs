//! The packages that are built into Ropewalk: what they are licensed under, and where they come from, by the lists of
//! `deny.toml`. `cargo deny` looks closer, where it is installed; this runs with every test. And ours: what a registry wants to know.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// All packages that are built for this machine.
fn packages() -> Vec<Value> {
    let platform = format!("{ARCH}-unknown-linux-gnu");
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &platform];
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    assert!(packages.len() > 50, "the packages are not found");
    packages
}

/// A list of texts in `deny.toml`.
fn list(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} = [")));
    let line = line.and_then(|line| line.strip_suffix(']')).unwrap_or_else(|| panic!("deny.toml: {name}"));
    line.split(", ").map(|item| item.trim_matches('"').to_owned()).collect()
}

/// Whether an SPDX expression can be satisfied by what is allowed. (`/` is how `OR` was written once.)
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let choices = |part: &str| {
        let part = part.trim_matches(['(', ')']).replace('/', " OR ");
        part.split(" OR ").any(|licence| allowed.iter().any(|one| one == licence))
    };
    expression.split(" AND ").all(choices)
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn licences_are_read() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from);
    for expression in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(expression, &allowed), "{expression}");
    }
    for expression in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR ISC) AND MIT"] {
        assert!(!is_allowed(expression, &allowed), "{expression}");
    }
}

#[test]
fn licences_and_sources_are_those_of_the_lists() {
    let (allowed, registries) = (list("allow"), list("allow-registry"));
    let mut complaints = Vec::new();
    for package in packages() {
        let (name, licence) = (text(&package, "name"), text(&package, "license"));
        if !is_allowed(licence, &allowed) {
            complaints.push(format!("{name}: the licence `{licence}` is not in deny.toml"));
        }
        let Some(source) = package["source"].as_str() else { continue };
        if !registries.iter().any(|registry| source == format!("registry+{registry}")) {
            complaints.push(format!("{name}: comes from {source}"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn ours_say_what_a_registry_wants_to_know() {
    let mut complaints = Vec::new();
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        let name = text(package, "name");
        // `publish = false`: an empty list of registries.
        if package["publish"].as_array().is_some_and(Vec::is_empty) {
            assert_eq!(name, "ropewalk-tidy", "all others are published");
            continue;
        }
        for field in ["description", "license", "repository", "readme"] {
            if text(package, field).is_empty() {
                complaints.push(format!("{name} has no {field}"));
            }
        }
        for field in ["categories", "keywords"] {
            if package[field].as_array().is_none_or(Vec::is_empty) {
                complaints.push(format!("{name} has no {field}"));
            }
        }
    }
    assert_none(&complaints);
}
