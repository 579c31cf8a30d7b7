//! `ropewalk doctor` from the outside: it looks, tries, and tells; what each fact means is tested beside the checks.

use std::fs;

use serde_json::Value;

use crate::support::ropewalk;

#[test]
fn it_tells_what_is_here_and_mends_what_is_limited() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("doctor.json");
    let ended = ropewalk(&format!("doctor --json {}", json.display())).end();
    ended.assert_code(0);
    let document: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(document["schema"], 1);
    let checks = document["checks"].as_array().unwrap();
    let state = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone();
    assert_eq!(state("processes"), "ok", "one was tried");
    assert_eq!(state("inspection"), "ok", "a stack was read");
    for check in checks {
        let (name, found) = (check["name"].as_str().unwrap(), check["found"].as_str().unwrap());
        let line = ended.stdout.lines().find(|line| line.contains(name) && line.contains(found));
        assert!(line.is_some(), "{check}\n{}", ended.stdout);
        let fine = check["state"] == "ok";
        assert_eq!(check["meaning"] == "", fine, "{check}");
        for mend in check["mends"].as_array().unwrap() {
            ended.assert_says(&format!("  mend: {}", mend.as_str().unwrap()));
        }
    }
    assert!(ended.last_line().starts_with("In short: "));
}

#[test]
fn a_file_that_cannot_be_written_is_wrong_usage() {
    ropewalk("doctor --json /nowhere/at/all.json").end().assert_code(2);
}
