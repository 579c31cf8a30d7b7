//! What goes where: results to standard output, the log to standard error as text or JSON, colours, closed pipes, help.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Ended, Run, ropewalk};

const COMMANDS: [&str; 9] =
    ["compare", "serve", "load", "slices", "costs", "tour", "doctor", "completions", "man"];

#[track_caller]
fn with_environment(arguments: &str, environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    command.args(arguments.split_whitespace()).envs(environment.iter().copied());
    Run::start(command).end()
}

/// Each line of standard error, which must be JSON.
#[track_caller]
fn events(ended: &Ended) -> Vec<Value> {
    let lines = ended.stderr.lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A runtime that finds io_uring forbidden says so in its log.
fn without_uring(arguments: &str) -> Option<Ended> {
    let probed = ropewalk("doctor --log-level info").end();
    probed.stderr.contains("io_uring does not work here").then(|| ropewalk(arguments).end())
}

#[test]
fn the_log_is_text_or_json_and_goes_to_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let arguments =
        format!("load 127.0.0.1:1 --users 1 --work cpu --journal {}/j", directory.path().display());
    let text = ropewalk(&arguments).end();
    text.assert_code(1);
    assert!(
        text.stderr.contains("INFO ropewalk::load: start the server with --signatures "),
        "{}",
        text.stderr
    );
    assert!(text.stderr.contains("\nropewalk: cannot connect to 127.0.0.1:1"), "{}", text.stderr);
    let json = ropewalk(&format!("{arguments} --log json")).end();
    json.assert_code(1);
    let events = events(&json);
    let levels: Vec<_> = events.iter().map(|event| event["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["INFO", "ERROR"]);
    assert!(events[1]["message"].as_str().unwrap().starts_with("cannot connect to 127.0.0.1:1"));
    assert!(events.iter().all(|event| event["timestamp"].is_string() && event["target"].is_string()));
    assert_eq!((text.stdout, json.stdout), (String::new(), String::new()));
    let quiet = ropewalk(&format!("{arguments} --log json --log-level off")).end();
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(1), ""));
}

#[test]
fn the_environment_chooses_level_and_format_too() {
    let environment = [("ROPEWALK_LOG_FORMAT", "json"), ("ROPEWALK_LOG", "error")];
    let ended = with_environment("load 127.0.0.1:1 --users 1 --work cpu", &environment).with_code(1);
    assert_eq!(events(&ended).len(), 1);
}

#[test]
fn what_the_runtime_says_is_in_the_log() {
    // A size that is none is told when the first stack is made.
    let environment = [("ROPEWALK_STACK", "nonsense")];
    let ended = with_environment("tour steps --bare --log json --log-level warn", &environment).with_code(0);
    let told = |event: &Value| event["target"] == "ropewalk_runtime::stack" && event["level"] == "WARN";
    assert!(events(&ended).iter().any(told), "{}", ended.stderr);
    // The tour is quiet unless it is asked.
    let ended = with_environment("tour steps --bare", &environment).with_code(0);
    assert_eq!(ended.stderr, "");
    match without_uring("doctor --log-level warn,ropewalk_runtime=info") {
        Some(ended) => assert!(ended.stderr.contains("INFO ropewalk_runtime::driver"), "{}", ended.stderr),
        None => println!("io_uring works here: nobody says that it does not"),
    }
}

#[test]
fn processes_log_as_the_command_that_starts_them() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("books.db");
    let arguments = format!(
        "serve --plan process+coroutine --processes 1 --listen 127.0.0.1:0 --log json --database {}",
        database.display()
    );
    let mut server = ropewalk(&arguments);
    let line = server.wait_for("listening on ");
    let mut client = TcpStream::connect(line.strip_prefix("listening on ").unwrap()).unwrap();
    client.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 8]).unwrap();
    // It has a connection now, which ends only after it has said that it drains.
    server.signal(rustix::process::Signal::TERM);
    let ended = server.end();
    ended.assert_code(0);
    for what in ["draining 1 processes", "draining 1 connections"] {
        let says = |event: &Value| event["message"].as_str().unwrap().starts_with(what);
        assert!(events(&ended).iter().any(says), "{what}: {}", ended.stderr);
    }
}

#[test]
fn colours_are_there_when_they_are_wanted() {
    let coloured = |text: &str| text.contains('\u{1b}');
    for (arguments, environment, expected) in [
        ("tour steps", [("NO_COLOR", "")], false),
        ("tour steps --color always", [("NO_COLOR", "")], true),
        ("tour steps --color always", [("NO_COLOR", "1")], true),
        ("tour steps --color never", [("CLICOLOR_FORCE", "1")], false),
        ("tour steps", [("ROPEWALK_COLOR", "always")], true),
        ("--color always --help", [("NO_COLOR", "")], true),
        ("--help --color=always", [("NO_COLOR", "")], true),
        ("--help", [("NO_COLOR", "")], false),
    ] {
        let ended = with_environment(arguments, &environment).with_code(0);
        assert_eq!(coloured(&ended.stdout), expected, "{arguments} {environment:?}: {}", ended.stdout);
    }
    let warns = |color| {
        let arguments = format!("slices --no-real --color {color}");
        with_environment(&arguments, &[("ROPEWALK_SLICES_NONE", "1")]).stderr
    };
    assert!(coloured(&warns("always")) && !coloured(&warns("auto")));
}

/// On a terminal, which `script` makes; nothing where there is no `script`.
fn on_a_terminal(arguments: &str, environment: &[(&str, &str)]) -> Option<String> {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} {arguments}", env!("CARGO_BIN_EXE_ropewalk")), "/dev/null"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            println!("skipped: script: {error}");
            None
        }
    }
}

#[test]
fn a_terminal_has_colours_unless_no_color_is_set() {
    let Some(plain) = on_a_terminal("tour steps", &[("NO_COLOR", "1")]) else { return };
    assert!(plain.contains("1. A begins") && !plain.contains("\u{1b}["), "{plain}");
    for environment in [&[][..], &[("NO_COLOR", "")]] {
        let coloured = on_a_terminal("tour steps", environment).unwrap();
        assert!(coloured.contains("\u{1b}[1m"), "{environment:?}: {coloured}");
    }
    let never = on_a_terminal("tour steps --color never", &[]).unwrap();
    assert!(!never.contains("\u{1b}["), "{never}");
}

#[test]
fn where_nobody_reads_it_ends_quietly() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        "doctor",
        "slices --no-real",
        "completions bash",
        "man compare",
        "compare --print-config",
        "costs --quick --only memory",
        "--help",
        "compare --help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
        command.args(arguments.split_whitespace()).current_dir(&directory);
        let ended = Run::start_writing_to(command, writer.into()).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments}");
    }
}

#[test]
fn help_is_short_or_long_and_the_long_one_has_examples_and_exit_codes() {
    for command in COMMANDS {
        let short = ropewalk(&format!("{command} -h")).end().with_code(0).stdout;
        let long = ropewalk(&format!("{command} --help")).end().with_code(0).stdout;
        assert!(short.lines().count() < long.lines().count(), "{command}");
        assert!(
            long.contains(&format!("\nExamples:\n  ropewalk {command}")) || command == "completions",
            "{long}"
        );
        assert!(long.contains("\nExit codes:\n  0    ") && long.contains("\n  2    wrong usage"), "{long}");
        for line in short.lines().chain(long.lines()) {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
    let long = ropewalk("--help").end().with_code(0).stdout;
    for words in ["Settings:", "ROPEWALK_COMPARE_THREAD_STACK", "NO_COLOR", "Exit codes:", "130"] {
        assert!(long.contains(words), "{words}: {long}");
    }
}

#[test]
fn the_examples_of_help_are_understood() {
    let mut asked = 0;
    for command in COMMANDS {
        let long = ropewalk(&format!("{command} --help")).end().with_code(0).stdout;
        let (_, examples) = long.split_once("\nExamples:\n").expect(command);
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            // Without what a shell does with the output, and without the remark after it.
            let Some((before, rest)) = line.trim().split_once("ropewalk ") else { continue };
            let rest = rest.split(['>', '|', ')']).next().unwrap_or_default();
            let arguments = rest.split("  ").next().unwrap_or_default();
            ropewalk(&format!("{arguments} --help")).end().assert_code(0);
            assert!(["", "source <("].contains(&before) || before.contains('='), "{line}");
            asked += 1;
        }
    }
    assert!(asked > 25, "the examples are not found: {asked}");
}
