//! Foreign programs that end with their parent, and are else what they are without that.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;

use ropewalk::process::{self, Command, Descriptor, Exit, Stdio};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::child::{self, Child, on_every_driver_alone, test_name};
use crate::support::process::{assert_settles, descriptors};
use crate::support::{guarded, on_every_plan};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).die_with_parent(true);
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// In a process of its own: starts a program that sleeps for ever and has the descriptor, says its number, and waits.
fn start_sleeper((descriptor, mortal): (Descriptor, bool)) {
    let own = OwnedFd::from(descriptor);
    let mut sleeper = Command::new("/bin/sh");
    sleeper.args(["-c", "echo $$; exec sleep 3600"]).die_with_parent(mortal).stdout(own);
    // With a runtime, and in a group of its own, so that nothing else takes it along.
    let mut child = sleeper.process_group(0).spawn().unwrap();
    child.wait().unwrap();
}

/// Kills the parent of a sleeper; gives the sleeper, and what is at its end when the sleeper is gone.
fn orphan(mortal: bool) -> (Pid, File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (own_id, id) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let body = |(id, descriptor, mortal): (Descriptor, Descriptor, bool)| {
        rustix::io::write(&id, &std::process::id().to_ne_bytes()).unwrap();
        drop(id);
        start_sleeper((descriptor, mortal));
    };
    let parent = process::spawn(body, (id.into(), write.into(), mortal)).unwrap();
    let mut number = [0; 4];
    File::from(own_id).read_exact(&mut number).unwrap();
    let mut file = File::from(read);
    let mut line = String::new();
    while !line.ends_with('\n') {
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        line.push(byte[0].into());
    }
    kill_process(Pid::from_raw(i32::from_ne_bytes(number)).unwrap(), Signal::KILL).unwrap();
    let error = parent.join().unwrap_err();
    assert_eq!(error.exit(), Some(&Exit::Signaled { signal: 9, core_dumped: false }));
    (Pid::from_raw(line.trim().parse().unwrap()).unwrap(), file)
}

#[test]
fn it_ends_when_its_parent_is_killed() {
    guarded(|| {
        let (_, mut file) = orphan(true);
        assert_eq!(file.read(&mut [0]).unwrap(), 0, "the sleeper is gone");
    });
}

#[test]
fn without_it_a_program_outlives_its_parent() {
    guarded(|| {
        let (sleeper, mut file) = orphan(false);
        kill_process(sleeper, Signal::KILL).expect("it is still there");
        assert_eq!(file.read(&mut [0]).unwrap(), 0, "and nobody else had its output");
    });
}

#[test]
fn streams_status_and_surroundings_are_the_commands() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            assert_eq!(said(&mut shell("cat; echo hello")), "hello\n", "its input is empty");
            assert_eq!(shell("exit 3").status().unwrap().code(), Some(3));
            assert_eq!(shell("kill -KILL $$").status().unwrap().signal(), Some(9));

            let mut echo = shell("read line; echo $line; echo bad >&2");
            let mut child =
                echo.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"through pipes\n").unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"through pipes\n"[..], &b"bad\n"[..]));

            let mut bare = shell("echo $0 $A; pwd; /usr/bin/env");
            bare.arg("name").env_clear().env("A", "b").current_dir("/usr");
            let text = said(&mut bare);
            assert!(text.starts_with("name b\n/usr\n") && text.contains("A=b"), "{text}");
            assert!(!text.contains("HOME"), "{text}");

            let mut named = Command::new("sh");
            named.arg0("another").args(["-c", "cat /proc/$$/cmdline"]).die_with_parent(true);
            assert!(said(&mut named).starts_with("another\0"), "and it is found in PATH");
        })
        .join()
        .unwrap();
    });
}

#[test]
fn it_may_be_another_users() {
    const SOMEBODY: u32 = 61_875;
    guarded(|| {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: only root may start another user's programs");
        }
        let mut id = Command::new("/usr/bin/id");
        id.arg("-u").uid(SOMEBODY).gid(SOMEBODY).die_with_parent(true);
        assert_eq!(said(&mut id), format!("{SOMEBODY}\n"));
    });
}

#[test]
fn an_error_of_the_start_is_the_kernels() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let kind =
                |command: &mut Command| command.die_with_parent(true).spawn().map(drop).unwrap_err().kind();
            assert_eq!(kind(&mut Command::new("there-is-no-program-of-this-name")), ErrorKind::NotFound);
            assert_eq!(kind(&mut Command::new("/nor/this/path")), ErrorKind::NotFound);
            assert_eq!(kind(&mut Command::new("/")), ErrorKind::PermissionDenied);
            assert_eq!(kind(shell("true").current_dir("/nowhere/at/all")), ErrorKind::NotFound);
            for command in
                [&mut Command::new("a\0b"), shell("true").arg("a\0b"), shell("true").env("k", "a\0b")]
            {
                assert_eq!(kind(command), ErrorKind::InvalidInput, "{command:?}");
            }
        })
        .join()
        .unwrap();
    });
}

#[test]
fn it_begins_with_the_signals_and_descriptors_that_a_program_usually_has() {
    if child::case().is_none() {
        // Alone: what other tests have open, and do not keep to themselves, programs inherit.
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        let look =
            "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd | wc -l; kill -PIPE $$; echo on";
        let look =
            |mortal| Command::new("/bin/sh").args(["-c", look]).die_with_parent(mortal).output().unwrap();
        let (mortal, usual) = (look(true), look(false));
        assert_eq!(String::from_utf8_lossy(&mortal.stdout), String::from_utf8_lossy(&usual.stdout));
        assert_eq!(mortal.status.signal(), Some(libc::SIGPIPE));
    });
}

#[test]
fn nothing_is_left_behind_whether_it_runs_or_not() {
    on_every_driver_alone(test_name!(), |_| {
        let start = || {
            assert!(shell("true").status().unwrap().success());
            Command::new("/nor/this/path").die_with_parent(true).spawn().unwrap_err();
        };
        start();
        let before = descriptors();
        for _ in 0..20 {
            start();
        }
        assert_settles(descriptors, before, "descriptors");
        assert_settles(crate::support::process::children, 0, "children");
    });
}
