//! Foreign programs: what std's tests of `process::Command` ask for, on each plan; and what waits and cancels add.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ropewalk::process::{self, Child, Command, Output, Stdio};
use ropewalk::{Runtime, coroutine, scope, timeout};
use rustix::process::{Pid, test_kill_process};

use crate::support::child::{self, on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{LONG, Spot, guarded, on_every_pair, on_every_plan, until};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Whether there is such a process, be it as a zombie.
fn exists(id: u32) -> bool {
    test_kill_process(Pid::from_raw(id.cast_signed()).unwrap()).is_ok()
}

/// As body of a test, as a task of each plan.
fn in_every_plan(body: fn()) {
    on_every_plan(move |plan| plan.spawn(body).join().unwrap());
}

#[test]
fn the_status_is_the_programs() {
    in_every_plan(|| {
        assert!(shell("true").spawn().unwrap().wait().unwrap().success());
        assert_eq!(shell("exit 3").status().unwrap().code(), Some(3));
        let mut child = shell("false").spawn().unwrap();
        for _ in 0..2 {
            assert_eq!(child.wait().unwrap().code(), Some(1), "it can be asked again");
        }
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(1));
        assert_eq!(shell("kill -TERM $$").status().unwrap().signal(), Some(libc::SIGTERM));
    });
}

#[test]
fn a_program_that_is_killed_says_so() {
    in_every_plan(|| {
        let mut child = shell("read a").stdin(Stdio::piped()).spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.signal(), status.code()), (Some(9), None));
        child.kill().unwrap(); // its number may be another one's by now: nobody is hit
    });
}

#[test]
fn what_cannot_be_started_is_an_error() {
    in_every_plan(|| {
        let kind = |command: &mut Command| command.spawn().map(drop).unwrap_err().kind();
        assert_eq!(kind(&mut Command::new("there-is-no-program-of-this-name")), ErrorKind::NotFound);
        assert_eq!(Command::new("/nor/this/path").output().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(kind(&mut Command::new("/")), ErrorKind::PermissionDenied);
        assert_eq!(kind(shell("true").current_dir("/nowhere/at/all")), ErrorKind::NotFound);
        for command in [
            &mut Command::new("a\0b"),
            shell("true").arg("a\0b"),
            shell("true").args(["a\0b"]),
            shell("true").current_dir("a\0b"),
            shell("true").env("a\0b", "value"),
            shell("true").env("key", "a\0b"),
        ] {
            assert_eq!(kind(command), ErrorKind::InvalidInput, "{command:?}");
        }
    });
}

#[test]
fn output_is_collected_and_input_is_empty() {
    in_every_plan(|| {
        let Output { status, stdout, stderr } = shell("cat; echo hello").output().unwrap();
        assert!(status.success());
        assert_eq!((text(&stdout), text(&stderr)), ("hello\n", ""));
        let Output { status, stdout, stderr } = Command::new("mkdir").arg("./").output().unwrap();
        assert!(status.code().is_some_and(|code| code != 0));
        assert!(stdout.is_empty() && !stderr.is_empty());
        let child = shell("echo hello").stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(text(&child.wait_with_output().unwrap().stdout), "hello\n");
    });
}

#[test]
fn the_streams_of_a_child_are_pipes_where_that_was_asked_for() {
    in_every_plan(|| {
        let mut child = shell("read line; echo $line; echo bad >&2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_ref().unwrap().write_all(b"foobar\n").unwrap();
        let mut line = String::new();
        child.stdout.as_mut().unwrap().read_to_string(&mut line).unwrap();
        assert_eq!(line, "foobar\n");
        let rest = child.wait_with_output().unwrap();
        assert_eq!((text(&rest.stdout), text(&rest.stderr)), ("", "bad\n"));
        let child = shell("true").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
    });
}

#[test]
fn a_wait_closes_the_input_first() {
    in_every_plan(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success(), "cat has seen the end");
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
        assert!(Command::new("cat").stdin(Stdio::piped()).status().unwrap().success());
    });
}

#[test]
fn directory_arguments_and_environment_are_those_that_were_given() {
    in_every_plan(|| {
        let out = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert_eq!(out(shell("pwd").current_dir("/")), "/\n");
        assert_eq!(out(shell("echo $0-$1-$2").args(["zero", "one two"]).arg("")), "zero-one two-\n");
        assert_eq!(
            out(Command::new("/bin/sh").arg0("by-another-name").args(["-c", "echo $0"])),
            "by-another-name\n"
        );
        let show = "echo ${KNOT-unset} ${PATH+path}";
        assert_eq!(out(shell(show).env("KNOT", "reef")), "reef path\n");
        assert_eq!(out(shell(show).env("KNOT", "reef").env_remove("KNOT")), "unset path\n");
        let cleared = out(shell("env").env("GONE", "1").env_clear().envs([("KNOT", "bowline")]));
        assert!(cleared.contains("KNOT=bowline\n") && !cleared.contains("GONE"), "{cleared}");
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        assert_eq!(out(shell("id -u; id -g").uid(user).gid(group)), format!("{user}\n{group}\n"));
    });
}

#[test]
fn a_command_can_be_looked_at_and_started_again() {
    in_every_plan(|| {
        let mut command = Command::new("echo");
        command
            .arg0("not counted")
            .arg("a")
            .args(["b", "c"])
            .env("SET", "1")
            .env_remove("PATH")
            .current_dir("/");
        assert_eq!(command.get_program(), "echo");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(command.get_args().len(), 3);
        let environment: Vec<_> = command.get_envs().collect();
        assert_eq!(environment, [(OsStr::new("PATH"), None), (OsStr::new("SET"), Some(OsStr::new("1")))]);
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
        command.env_clear();
        assert_eq!(command.get_envs().len(), 0);
        let mut std = std::process::Command::new("ls");
        assert_eq!(format!("{:?}", Command::new("ls").arg("-l")), format!("{:?}", std.arg("-l")));
        // With pipes of its own each time, and a file for all times.
        let mut file = tempfile::tempfile().unwrap();
        let mut command = shell("echo out; echo err >&2");
        command.stdout(Stdio::piped()).stderr(file.try_clone().unwrap());
        for _ in 0..2 {
            let output = command.spawn().unwrap().wait_with_output().unwrap();
            assert_eq!(text(&output.stdout), "out\n");
        }
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), "err\nerr\n");
    });
}

#[test]
fn a_command_goes_wherever_it_is_wanted() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    is_send_and_sync(&Command::new(""));
    fn is_send<T: Send>() {}
    is_send::<Child>();
}

#[test]
fn programs_form_a_pipeline() {
    in_every_plan(|| {
        let mut first = Command::new("printf").arg("b\na\nb\n").stdout(Stdio::piped()).spawn().unwrap();
        let mut second =
            Command::new("sort").stdin(first.stdout.take().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
        let third = Command::new("uniq").stdin(second.stdout.take().unwrap()).output().unwrap();
        assert_eq!(text(&third.stdout), "a\nb\n");
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    });
}

/// More than a pipe holds, to both, in an order that a reader of one after the other would not survive.
#[test]
fn both_outputs_are_read_at_once() {
    in_every_plan(|| {
        let block = "i=0; while [ $i -lt 200 ]; do printf %01000d 0 >&2; printf %01000d 0; i=$((i+1)); done";
        let output = shell(block).output().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (200_000, 200_000));
        let block = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2";
        let output = shell(block).output().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 600_000));
    });
}

#[test]
fn programs_run_without_a_runtime_too() {
    guarded(|| {
        let output = std::thread::spawn(|| shell("echo out; echo err >&2").output().unwrap()).join().unwrap();
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n", "err\n"));
    });
}

#[test]
fn who_waits_for_a_program_lets_others_run() {
    guarded(|| {
        Runtime::builder().workers(1).build().unwrap().run(|| {
            let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            scope(|s| {
                let end = s.spawn(|| child.wait().unwrap());
                let read = s.spawn(move || {
                    let mut text = String::new();
                    output.read_to_string(&mut text).map(|_| text)
                });
                // Both of them wait, on the only worker.
                coroutine::yield_now();
                input.write_all(&[b'x'; 200_000]).unwrap();
                drop(input);
                assert_eq!(read.join().unwrap().unwrap().len(), 200_000);
                assert!(end.join().unwrap().success());
            });
        });
    });
}

#[test]
fn many_programs_run_at_once() {
    on_every_pair(|plan| {
        let tasks: Vec<_> = (0..40)
            .map(|n| plan.spawn(move || shell("exit $0").arg(n.to_string()).status().unwrap().code()))
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), Some(n as i32));
        }
    });
}

#[test]
fn a_cancelled_wait_leaves_the_program_and_its_status() {
    on_every_plan(|plan| {
        let (give, taken) = mpsc::channel();
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                struct Back(Option<Child>, mpsc::Sender<Child>);
                impl Drop for Back {
                    fn drop(&mut self) {
                        self.1.send(self.0.take().unwrap()).unwrap();
                    }
                }
                let child = shell("read a; exit 5").stdin(Stdio::piped()).spawn().unwrap();
                let mut child = Back(Some(child), give);
                let input = child.0.as_mut().unwrap().stdin.take();
                spot.mark();
                let _status = child.0.as_mut().unwrap().wait();
                drop(input);
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        // Its input was closed by the unwinding, so it goes on, and ends.
        assert_eq!(taken.recv().unwrap().wait().unwrap().code(), Some(5));
    });
}

#[test]
fn a_program_that_only_a_cancelled_task_waits_for_is_killed_and_reaped() {
    /// A program that says its number, and then runs for ever.
    fn number(reader: &mut impl Read) -> u32 {
        let mut digits = String::new();
        let mut byte = [0];
        while reader.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            digits.push(byte[0].into());
        }
        digits.parse().unwrap()
    }
    on_every_plan(|plan| {
        let endings: [fn(Command); 3] = [
            |mut command| assert!(command.status().unwrap().success()),
            |mut command| drop(command.stdout(Stdio::piped()).output().unwrap()),
            |mut command| drop(command.stdout(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()),
        ];
        for run in endings {
            let (mut reader, writer) = ropewalk::io::pipe().unwrap();
            let mut command = shell("echo $$ >&2; exec cat");
            let (stdin, _held) = ropewalk::io::pipe().unwrap();
            command.stdin(stdin).stderr(writer);
            let task = plan.spawn(move || run(command));
            let id = number(&mut reader);
            assert!(exists(id));
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert!(!exists(id), "neither runs nor is a zombie");
        }
    });
}

#[test]
fn a_timeout_ends_a_program_that_takes_too_long() {
    in_every_plan(|| {
        let (stdin, _held) = ropewalk::io::pipe().unwrap();
        let late = timeout(Duration::from_millis(3), || Command::new("cat").stdin(stdin).output().map(drop));
        assert!(late.is_err());
        assert!(timeout(LONG, || shell("true").status()).unwrap().unwrap().success());
    });
}

#[test]
fn a_program_that_is_dropped_runs_on_and_leaves_no_zombie() {
    if child::case().is_none() {
        return child::Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let (mut reader, writer) = ropewalk::io::pipe().unwrap();
        let (stdin, mut held) = ropewalk::io::pipe().unwrap();
        let child = Command::new("cat").stdin(stdin).stdout(writer).spawn().unwrap();
        let id = child.id();
        drop(child);
        held.write_all(b"still here").unwrap();
        drop(held);
        assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "still here");
        // When it has ended, the next one that is started takes it away.
        until(|| {
            shell("true").status().unwrap();
            !exists(id)
        });
    });
}

/// The children of this process, of whatever thread, zombies included.
fn children() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
    };
    tasks.map(of_thread).collect()
}

#[test]
fn nothing_is_left_behind() {
    on_every_driver_alone(test_name!(), |driver| {
        drop(shell("true").output().unwrap()); // the thread that starts processes has come
        for plan in PLANS {
            let before = descriptors();
            for round in 0..40 {
                let task = plan.spawn(move || {
                    let stdin = if round % 2 == 0 { Stdio::null() } else { Stdio::piped() };
                    shell("cat; echo $0 >&2").stdin(stdin).output().map(drop)
                });
                if round % 4 == 0 {
                    task.cancel();
                }
                let _ = task.join();
                assert!(Command::new("/nowhere").stdout(Stdio::piped()).spawn().is_err());
            }
            assert_settles(descriptors, before, &format!("{driver}, {plan:?}"));
            assert_eq!(children(), "");
        }
    });
}

#[test]
fn a_process_starts_programs_too() {
    guarded(|| {
        let run = |name: String| Command::new("echo").arg(name).output().map(|output| output.stdout).unwrap();
        assert_eq!(
            process::spawn(run, "from the child".into()).unwrap().join().unwrap(),
            b"from the child\n"
        );
    });
}

#[test]
fn a_program_is_in_the_group_that_was_asked_for() {
    in_every_plan(|| {
        let group_of = |child: &Child| {
            let id = Pid::from_raw(child.id().cast_signed());
            rustix::process::getpgid(id).unwrap().as_raw_nonzero().get().cast_unsigned()
        };
        let own = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
        let mut with_us = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert_eq!(group_of(&with_us), own);
        let mut alone = Command::new("cat").stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        assert_eq!(group_of(&alone), alone.id());
        assert!(with_us.wait().unwrap().success() && alone.wait().unwrap().success());
    });
}
