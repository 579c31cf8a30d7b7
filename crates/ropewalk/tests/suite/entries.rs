//! Functions that are called by their names, in this program and in another: a copy of this one, which is not the same file
//! and so not the same program.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ropewalk::process::{self, Builder, Descriptor, Entry, Exit, Pool, register_entry};
use ropewalk::{JoinHandle, coroutine};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::support::{guarded, on_every_plan};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    words: Vec<String>,
    times: u8,
}

static REPEAT: Entry<Order, (PathBuf, String)> = Entry::new("suite/repeat");
static SAY: Entry<(Descriptor, String), Descriptor> = Entry::new("suite/say");
static END: Entry<i32, ()> = Entry::new("suite/end");
static NEST: Entry<u32, u32> = Entry::new("suite/nest");
static ONE: Entry<(), ()> = Entry::new("suite/twice");
static TWO: Entry<(), ()> = Entry::new("suite/twice");

register_entry!(REPEAT, repeat);
register_entry!(SAY, |(descriptor, text)| {
    rustix::io::write(&descriptor, text.as_bytes()).unwrap();
    descriptor
});
register_entry!(END, |code| match code {
    0 => panic!("expected"),
    code => std::process::exit(code),
});
register_entry!(NEST, |n| ropewalk::run(|| {
    let task = coroutine::spawn(move || process::spawn(|n: u32| n + 1, n).unwrap().join().unwrap());
    task.join().unwrap()
}));
register_entry!(ONE, |()| ());
register_entry!(TWO, |()| ());

fn repeat(Order { words, times }: Order) -> (PathBuf, String) {
    let line = words.join(" ");
    (std::env::current_exe().unwrap(), vec![line; times.into()].join(", "))
}

fn order() -> Order {
    Order { words: vec!["rope".into(), "walk".into()], times: 2 }
}

/// A copy of this program, at a path of its own.
fn other_program() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("another");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    (directory, copy)
}

/// Why a process did not run.
#[track_caller]
fn refusal<T: std::fmt::Debug>(spawned: io::Result<JoinHandle<T>>) -> (ErrorKind, String) {
    match spawned.map(JoinHandle::join) {
        Ok(Ok(value)) => panic!("it ran: {value:?}"),
        Ok(Err(error)) => {
            assert!(error.exit().is_none() && !error.is_cancelled(), "{error}");
            (ErrorKind::Other, error.to_string())
        }
        Err(error) => (error.kind(), error.to_string()),
    }
}

#[test]
fn an_entry_of_this_program_is_called_by_its_name() {
    on_every_plan(|_| {
        let (path, text) = Builder::new().spawn_entry(&REPEAT, order()).unwrap().join().unwrap();
        assert_eq!((path, text.as_str()), (std::env::current_exe().unwrap(), "rope walk, rope walk"));
    });
}

#[test]
fn an_entry_of_another_program_is_all_that_a_function_is() {
    guarded(|| {
        let (_directory, copy) = other_program();
        let other = || Builder::new().program(&copy);
        let (path, text) = other().spawn_entry(&REPEAT, order()).unwrap().join().unwrap();
        assert_eq!((path.as_path(), text.as_str()), (copy.as_path(), "rope walk, rope walk"));

        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let say = other().spawn_entry(&SAY, (write.into(), "through a pipe".to_owned()));
        drop(OwnedFd::from(say.unwrap().join().unwrap()));
        let mut text = String::new();
        fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through a pipe");

        let quiet = || other().stderr(process::Stdio::null());
        let error = quiet().spawn_entry(&END, 3).unwrap().join().unwrap_err();
        assert_eq!(error.exit(), Some(&Exit::Exited(3)));
        let error = quiet().spawn_entry(&END, 0).unwrap().join().unwrap_err();
        assert!(
            matches!(error.exit(), Some(Exit::Panicked { message, .. }) if message == "expected"),
            "{error}"
        );

        let nested = other().spawn_entry(&NEST, 1).unwrap().join().unwrap();
        assert_eq!(nested, 2, "it has processes of its own program, and coroutines");
    });
}

#[test]
fn a_pool_may_be_of_another_program() {
    guarded(|| {
        let (_directory, copy) = other_program();
        let path = copy.clone();
        let pool =
            Pool::builder().size(2).process(move || Ok(Builder::new().program(&path))).build().unwrap();
        for _ in 0..3 {
            let (path, text) = pool.call_entry(&REPEAT, order()).unwrap();
            assert_eq!((path.as_path(), text.as_str()), (copy.as_path(), "rope walk, rope walk"));
        }
        let error = pool.spawn_entry(&END, 3).unwrap().join().unwrap_err();
        assert_eq!(error.exit(), Some(&Exit::Exited(3)), "and the worker is replaced");
        let (_, text) = refusal(pool.spawn(|n: u32| n + 1, 1));
        assert!(text.contains("another program") && text.contains("call_entry"), "{text}");
        assert_eq!(pool.call_entry(&NEST, 1).unwrap(), 2);
        pool.close();
    });
}

#[test]
fn a_name_that_a_program_does_not_have_is_told_with_those_that_it_has() {
    static UNKNOWN: Entry<u8, u8> = Entry::new("suite/unknown");
    guarded(|| {
        let (_, text) = refusal(Builder::new().spawn_entry(&UNKNOWN, 1));
        assert!(text.contains("has no entry `suite/unknown`; it has `suite/end`, `suite/nest`"), "{text}");
        let (_, text) = refusal(Builder::new().spawn_entry(&ONE, ()));
        assert!(text.contains("several entries `suite/twice`"), "{text}");
    });
}

#[test]
fn an_entry_of_other_types_is_refused_and_the_error_says_where() {
    /// As an older or a newer build may have it.
    #[derive(Debug, Serialize, Deserialize)]
    struct Newer {
        words: Vec<u32>,
        times: u8,
    }
    static ARGUMENT: Entry<Newer, (PathBuf, String)> = Entry::new("suite/repeat");
    static RESULT: Entry<Order, (PathBuf, Option<String>)> = Entry::new("suite/repeat");
    guarded(|| {
        let newer = Newer { words: vec![1], times: 1 };
        let (_, text) = refusal(Builder::new().spawn_entry(&ARGUMENT, newer));
        assert!(text.contains("the caller has u32 in `argument.words[]`, it has text"), "{text}");
        let (_, text) = refusal(Builder::new().spawn_entry(&RESULT, order()));
        assert!(text.contains("the caller has one or none in `result.1`, it has text"), "{text}");
    });
}

#[test]
fn what_is_no_program_of_ropewalks_is_refused_without_being_run() {
    guarded(|| {
        let directory = tempfile::tempdir().unwrap();
        let try_it = |path: &Path| refusal(Builder::new().program(path).spawn_entry(&REPEAT, order()));

        let (kind, text) = try_it(Path::new("/bin/true"));
        assert!(kind == ErrorKind::Unsupported && text.contains("was not built with Ropewalk"), "{text}");
        assert!(text.contains("/bin/true") && text.contains("process::Command"), "{text}");

        let (script, trace) = (directory.path().join("script"), directory.path().join("trace"));
        fs::write(&script, format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let (kind, text) = try_it(&script);
        assert!(kind == ErrorKind::Unsupported && text.contains("script"), "{text}");
        assert!(!trace.exists(), "it has not run");

        let (kind, text) = try_it(&directory.path().join("nothing"));
        assert!(kind == ErrorKind::NotFound && text.contains("nothing"), "{text}");
        let (kind, text) = try_it(directory.path());
        assert!(kind == ErrorKind::Unsupported && text.contains("no file"), "{text}");
    });
}

#[test]
fn a_program_that_speaks_another_protocol_is_refused_and_so_is_one_that_may_not_be_executed() {
    guarded(|| {
        let (_directory, copy) = other_program();
        fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
        let try_it = || refusal(Builder::new().program(&copy).spawn_entry(&REPEAT, order()));
        let (_, text) = try_it();
        assert!(text.contains("x bits"), "{text}");

        let mut bytes = fs::read(&copy).unwrap();
        // The note in the file: the sizes of name and contents, its kind, its name; then the protocol.
        let head = [9_u32, 4, 1].map(u32::to_ne_bytes).concat();
        let note = [&head[..], b"Ropewalk\0\0\0\0"].concat();
        let found = bytes.windows(note.len()).position(|part| part == note).unwrap() + note.len();
        bytes[found..found + 4].copy_from_slice(&77_u32.to_ne_bytes());
        fs::write(&copy, bytes).unwrap();
        let (kind, text) = try_it();
        assert!(kind == ErrorKind::Unsupported && text.contains("protocol 77"), "{text}");
    });
}

#[test]
fn a_function_without_a_name_is_not_looked_for_in_another_program() {
    guarded(|| {
        let (kind, text) = refusal(Builder::new().program("/bin/true").spawn(|n: u32| n, 1));
        assert!(kind == ErrorKind::InvalidInput && text.contains("spawn_entry"), "{text}");
    });
}
