//! Runs the checks over the tree.

use std::fs;
use std::path::{Path, PathBuf};

use ropewalk_tidy::{Layers, has_unsafe, imported_modules, length_without_tests, long_functions};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

fn layers() -> Layers {
    let text = fs::read_to_string(root().join("layers.txt")).expect("layers.txt is there");
    Layers::parse(&text).expect("layers.txt can be read")
}

/// Every Rust source below the crates, relative to the root, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the tree").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root.join("crates"), &mut found);
    let relative =
        |path: &Path| path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).expect("a source"))).collect()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn crates_import_only_what_is_below_them() {
    let layers = layers();
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("the crates").flatten() {
        let Ok(manifest) = fs::read_to_string(entry.path().join("Cargo.toml")) else { continue };
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let name = name.expect("a manifest has a name");
        let Some(allowed) = layers.crates.get(name) else {
            complaints.push(format!("crate {name} stands nowhere in layers.txt"));
            continue;
        };
        // Tests may reach further down than the code.
        let dependencies = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
        for line in dependencies.unwrap_or_default().lines() {
            let dependency = line.split([' ', '.', '=']).next().unwrap_or_default();
            if dependency.starts_with("ropewalk") && !allowed.contains(dependency) {
                complaints.push(format!("crate {name} imports {dependency}, which is not below it"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn modules_import_only_what_is_below_them() {
    let layers = layers();
    let mut complaints = Vec::new();
    for (path, source) in sources() {
        for folder in layers.modules.keys() {
            let Some(inside) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let module = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            if ["lib", "main"].contains(&module) {
                continue;
            }
            let arrows = imported_modules(&source);
            complaints.extend(arrows.iter().filter_map(|to| layers.bad_arrow(folder, module, to)));
        }
    }
    assert_none(&complaints);
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    let layers = layers();
    let offends = |path: &str, source: &str| {
        path.contains("/src/")
            && has_unsafe(source)
            && !layers.allows_unsafe.iter().any(|place| path.starts_with(place))
    };
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|(path, source)| !path.starts_with("crates/tidy") && offends(path, source))
        .map(|(path, _)| format!("{path}: unsafe code, which layers.txt does not allow there"))
        .collect();
    assert_none(&complaints);
}

#[test]
fn files_and_functions_are_short() {
    let mut complaints = Vec::new();
    for (path, source) in sources() {
        let length = length_without_tests(&source);
        if path.contains("/src/") && length > FILE_LINES_MAX {
            complaints.push(format!("{path}: {length} lines; {FILE_LINES_MAX} at most without tests"));
        }
        for (line, length) in long_functions(&source, FUNCTION_LINES_MAX) {
            complaints
                .push(format!("{path}:{line}: a function of {length} lines; {FUNCTION_LINES_MAX} at most"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_file_is_a_module_and_says_what_it_is() {
    let mut complaints = Vec::new();
    for (path, source) in sources() {
        if !source.starts_with("//!") && !source.starts_with("#!") && !source.starts_with("/*!") {
            complaints.push(format!("{path}: does not begin by saying what it is (//!)"));
        }
        let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| path.ends_with(root));
        if is_root || !path.contains("/src/") {
            continue;
        }
        let path = Path::new(&path);
        let folder = root().join(path.parent().expect("a file has a folder"));
        let name = path.file_stem().expect("a file has a name").to_string_lossy();
        let declared = ["mod.rs", "lib.rs", "main.rs"].iter().any(|parent| {
            let text = fs::read_to_string(folder.join(parent)).unwrap_or_default();
            text.lines().any(|line| line.trim_end().ends_with(&format!("mod {name};")))
        });
        let declared_by_sibling = fs::read_dir(&folder).expect("its folder").flatten().any(|sibling| {
            let text = fs::read_to_string(sibling.path()).unwrap_or_default();
            text.lines().any(|line| line.trim() == format!("mod {name};"))
        });
        if !declared && !declared_by_sibling {
            complaints.push(format!("{}: no module declares it", path.display()));
        }
    }
    assert_none(&complaints);
}
