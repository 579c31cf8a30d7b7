//! Settings: a flag before the environment before the file before the default, for every flag of every command; and what is
//! said of those that make no sense.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Ended, Run};

/// Every command that has settings of its own.
const COMMANDS: [&str; 8] = ["compare", "serve", "load", "slices", "costs", "tour", "doctor", "man"];

/// A directory with a file of settings, and the command in it.
struct Place(TempDir);

impl Place {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file.toml"), text).unwrap();
        Self(directory)
    }

    #[track_caller]
    fn run(&self, arguments: &str, environment: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
        command.current_dir(&self.0).args(arguments.split_whitespace());
        command.envs(environment.iter().copied());
        Run::start(command).end()
    }

    /// The settings as they are printed.
    #[track_caller]
    fn print(&self, arguments: &str, environment: &[(&str, &str)]) -> String {
        self.run(&format!("{arguments} --print-config"), environment).with_code(0).stdout
    }
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|one| one == *line), "`{line}` is missing in\n{text}");
    }
}

#[test]
fn a_flag_comes_before_the_environment_before_the_file_before_the_default() {
    let place =
        Place::new("color = \"never\"\n[compare]\nrounds = 2\nusers = [1, 2]\nseed = 0x10\nquick = true\n");
    let environment = [("ROPEWALK_COMPARE_USERS", "3,4"), ("ROPEWALK_COMPARE_ROUNDS", "3")];
    let printed = place.print("compare --config file.toml --rounds 4", &environment);
    assert_lines(
        &printed,
        &[
            "color = \"never\"  # file, file.toml:1",
            "log = \"text\"  # default",
            "[compare]",
            "rounds = 4  # flag",
            "users = [3, 4]  # environment, ROPEWALK_COMPARE_USERS",
            "seed = 16  # file, file.toml:5",
            "quick = true  # file, file.toml:6",
            "thread-stack = \"4M\"  # default",
        ],
    );
    // A variable that is empty is none, and one that says no is one.
    let environment = [("ROPEWALK_COMPARE_USERS", ""), ("ROPEWALK_COMPARE_QUICK", "no")];
    let printed = place.print("compare --config file.toml", &environment);
    assert_lines(
        &printed,
        &["users = [1, 2]  # file, file.toml:4", "quick = false  # environment, ROPEWALK_COMPARE_QUICK"],
    );
}

#[test]
fn what_is_set_is_what_is_run() {
    let place = Place::new("[slices]\nno-real = true\nwork = [\"3s\", \"1s\"]\njson = \"from-file.json\"\n");
    place.run("slices --config file.toml", &[("ROPEWALK_SLICES_SLICE", "0.5s")]).assert_code(0);
    let json = fs::read(place.0.path().join("from-file.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["real"], serde_json::Value::Null);
    assert_eq!(json["parameters"]["work_ns"], serde_json::json!([3_000_000_000_u64, 1_000_000_000]));
    assert_eq!(json["parameters"]["slice_ns"], 500_000_000);
}

#[test]
fn what_is_printed_can_be_read_again() {
    let place = Place::new("");
    for command in COMMANDS {
        let arguments = if command == "load" { "load 127.0.0.1:1" } else { command };
        let printed = place.print(arguments, &[]);
        assert!(printed.contains("# default") && printed.contains(&format!("[{command}]\n")), "{printed}");
        fs::write(place.0.path().join("again.toml"), &printed).unwrap();
        let again = place.print(&format!("{arguments} --config again.toml"), &[]);
        let values = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split("  #").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(values(&printed), values(&again));
        assert!(!again.contains("# default"), "the file has all of them:\n{again}");
    }
}

#[test]
fn values_that_look_like_something_else_are_printed_so_that_they_stay_what_they_are() {
    let place = Place::new(
        "[compare]\ndir = \"7\"\nthread-stack = 65536\nwarmup = 1\nreport = \"a \\\"b\\\".html\"\n",
    );
    let printed = place.print("compare --config file.toml", &[]);
    assert_lines(
        &printed,
        &[
            "dir = \"7\"  # file, file.toml:2",
            "thread-stack = 65536  # file, file.toml:3",
            "warmup = 1  # file, file.toml:4",
            "report = 'a \"b\".html'  # file, file.toml:5",
        ],
    );
    fs::write(place.0.path().join("file.toml"), printed).unwrap();
    place.run("compare --config file.toml --print-config", &[]).assert_code(0);
}

#[test]
fn nothing_that_is_needed_to_run_is_needed_to_print() {
    let printed = Place::new("").print("serve", &[]);
    assert!(printed.contains("# database is not set: SQLite database"), "{printed}");
}

#[test]
fn what_makes_no_sense_in_a_file_is_named_with_its_line_and_exits_with_2() {
    for (text, said) in [
        ("colour = \"never\"", "file.toml:1: `colour` is no setting; do you mean `color`?"),
        ("[compar]\nrounds = 1", "file.toml:1: `compar` is no setting; do you mean `compare`?"),
        ("\n[compare]\nusres = 1", "file.toml:3: `usres` is no setting of [compare]; do you mean `users`?"),
        ("[compare]\nconfig = \"x\"", "file.toml:2: `config` is no setting of [compare]"),
        ("[compare]\nthread_stack = 1", "do you mean `thread-stack`?"),
        (
            "[compare]\nusers = [1, \"ten\"]",
            "file.toml:2: `users` of [compare] takes a whole number, or a list of such",
        ),
        ("[compare]\nrounds = [1]", "file.toml:2: `rounds` of [compare] takes a whole number"),
        ("[compare]\nquick = 1", "file.toml:2: `quick` of [compare] takes true or false"),
        ("[compare]\nwork = 1", "file.toml:2: `work` of [compare] takes a text"),
        ("[compare]\nseconds = \"1\"", "file.toml:2: `seconds` of [compare] takes a number"),
        (
            "[compare]\nthread-stack = true",
            "file.toml:2: `thread-stack` of [compare] takes a text or a number",
        ),
        ("[compare]\nusers = []", "file.toml:2: `users` of [compare] takes"),
        ("compare = 1", "file.toml:1: `compare` is a table: write [compare]"),
        ("[compare]\nrounds = 0", "file.toml:2: invalid value '0' for '--rounds <N>'"),
        ("[compare]\nwork = \"sleep\"", "file.toml:2: invalid value 'sleep'"),
        ("[compare]\nrounds = 1\nrounds = 2", "file.toml:3: "),
        ("[compare]\nrounds =", "file.toml:2: "),
        // Whatever is to run, all of the file is looked at.
        ("[costs]\nonyl = [\"memory\"]", "file.toml:2: `onyl` is no setting of [costs]; do you mean `only`?"),
    ] {
        let ended = Place::new(text).run("compare --config file.toml", &[]).with_code(2);
        assert!(ended.stderr.contains(said), "{text}\n{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = Place::new("").run("compare --config nowhere.toml", &[]).with_code(2);
    assert!(ended.stderr.contains("--config nowhere.toml: No such file"), "{}", ended.stderr);
}

#[test]
fn what_makes_no_sense_in_the_environment_is_named_with_its_variable() {
    let place = Place::new("");
    for (variable, value, said) in [
        ("ROPEWALK_COMPARE_ROUNDS", "0", "ROPEWALK_COMPARE_ROUNDS: invalid value '0' for '--rounds <N>'"),
        ("ROPEWALK_COMPARE_QUICK", "perhaps", "ROPEWALK_COMPARE_QUICK: perhaps is neither true nor false"),
        ("ROPEWALK_LOG", "loud", "ROPEWALK_LOG: invalid value 'loud'"),
        ("ROPEWALK_COLOR", "red", "ROPEWALK_COLOR: invalid value 'red'"),
    ] {
        let ended = place.run("compare --quick", &[(variable, value)]).with_code(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    // One that is misspelt may be somebody else's: it is told, and no error.
    let ended = place.run("slices --no-real", &[("ROPEWALK_SLICES_WROK", "1s")]).with_code(0);
    let said = "ROPEWALK_SLICES_WROK is no setting of slices; do you mean ROPEWALK_SLICES_WORK?";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn what_was_typed_also_wins_over_what_it_excludes() {
    let place = Place::new("[tour]\nbare = true\n");
    let source = place.run("tour steps --source --config file.toml", &[]).with_code(0).stdout;
    assert!(source.starts_with("//!"), "{source}");
    let bare = place.run("tour steps --config file.toml", &[]).with_code(0).stdout;
    assert!(bare.starts_with("1. A begins to run."), "{bare}");
    // After `--` nothing is a flag, and what is set still is.
    let bare = place.run("tour --config file.toml -- steps", &[]).with_code(0).stdout;
    assert!(bare.starts_with("1. A begins to run."), "{bare}");
}

#[test]
fn what_the_environment_says_of_serve_and_load_does_not_reach_into_a_comparison() {
    let arguments = "compare --quick --plans coroutine --users 2 --payments 20 --dir .";
    let environment = [("ROPEWALK_SERVE_REQUIRE_SIGNATURES", "perhaps"), ("ROPEWALK_LOAD_JSON", "perhaps")];
    // Neither would start if it were told that.
    Place::new("").run(arguments, &environment).assert_code(0).assert_says("coroutine");
}
