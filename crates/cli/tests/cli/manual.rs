//! Completions and manual pages: their readers accept them, and they name what is there.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::ropewalk;

const COMMANDS: [&str; 9] =
    ["compare", "serve", "load", "slices", "costs", "tour", "doctor", "completions", "man"];

/// Gives `text` to a program that must accept it; what it printed, or nothing where it is not installed.
#[track_caller]
fn accepted_by(program: &str, arguments: &[&str], text: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {program}: {error}");
            return None;
        }
    };
    let (mut stdin, text) = (child.stdin.take().unwrap(), text.to_owned());
    // One that does not read to the end says why in its output.
    let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {}\n{said}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn completions(shell: &str) -> String {
    ropewalk(&format!("completions {shell}")).end().with_code(0).stdout
}

#[test]
fn shells_accept_their_completions() {
    for (shell, arguments) in
        [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute", "/dev/stdin"])]
    {
        let script = completions(shell);
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
        accepted_by(shell, arguments, &script);
    }
    for shell in ["elvish", "powershell"] {
        assert!(completions(shell).contains("thread-stack"), "{shell}");
    }
    ropewalk("completions tcsh").end().assert_code(2);
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let script = completions("bash");
    let function = script.lines().find_map(|line| line.strip_suffix("() {")).expect("a function").to_owned();
    for (line, expected) in [
        ("ropewalk com", "compare completions"),
        ("ropewalk compare --thread-s", "--thread-stack"),
        ("ropewalk compare --work m", "mixed"),
        ("ropewalk tour tr", "train"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let ask = format!(
            "{script}\nCOMP_WORDS=({line}); COMP_CWORD={}; {function} ropewalk {last} {before}; echo \"${{COMPREPLY[*]}}\"",
            words.len() - 1
        );
        let Some(answer) = accepted_by("bash", &["--norc", "-s"], &ask) else { return };
        assert_eq!(answer.trim(), expected, "{line}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_command_and_it_renders_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("new/man1");
    ropewalk(&format!("man --dir {}", place.display())).end().with_code(0);
    let mut names: Vec<String> =
        fs::read_dir(&place).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> = COMMANDS.iter().map(|command| format!("ropewalk-{command}.1")).collect();
    expected.insert(0, "ropewalk.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    for name in names {
        let page = fs::read_to_string(place.join(&name)).unwrap();
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "EXIT STATUS"] {
            assert!(
                page.contains(&format!("SH {heading}")) || page.contains(&format!("SH \"{heading}\"")),
                "{name} {heading}"
            );
        }
        let rendered = accepted_by("groff", &["-man", "-Tutf8", "-ww", "-rCHECKSTYLE=0"], &page);
        if let Some(text) = rendered {
            let plain = text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").replace("\u{1b}[22m", "");
            assert!(plain.contains("wrong usage"), "{name}:\n{plain}");
        }
        accepted_by("mandoc", &["-Tlint", "-Wwarning"], &page);
    }
}

#[test]
fn a_page_is_printed_by_its_name() {
    let main = ropewalk("man").end().with_code(0).stdout;
    assert!(main.contains(".TH ropewalk 1") && main.contains("ENVIRONMENT"), "{main}");
    let page = ropewalk("man compare").end().with_code(0).stdout;
    assert!(page.contains(".TH ropewalk-compare 1") && page.contains("thread\\-stack"), "{page}");
    let ended = ropewalk("man compere").end().with_code(2);
    assert!(ended.stderr.contains("there is no command compere"), "{}", ended.stderr);
    ropewalk("man compare --dir x").end().assert_code(2);
}
