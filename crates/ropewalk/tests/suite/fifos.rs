//! FIFOs: who opens one end waits for the other, and can be cancelled; what becomes of those who are left.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ropewalk::fs::{self, Permissions};
use ropewalk::inspect::State;
use ropewalk::io::{PipeReader, PipeWriter};
use ropewalk::{JoinHandle, process, timeout};
use rustix::fs::OFlags;
use rustix::io::FdFlags;
use tempfile::TempDir;

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{guarded, on_every_pair, on_every_plan, until};

const SOON: Duration = Duration::from_millis(3);

fn fifo() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fs::mkfifo(&path, Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

fn until_it_waits<T: Send + 'static>(task: &JoinHandle<T>) {
    until(|| match task.task().state() {
        State::Blocked(wait) => wait.reason.as_str() == "waiting for the other end of a FIFO",
        State::Dead(_) => panic!("it has not waited"),
        _ => false,
    });
}

fn open_either(path: &Path, to_read: bool) -> std::io::Result<()> {
    if to_read { PipeReader::open(path).map(drop) } else { PipeWriter::open(path).map(drop) }
}

#[test]
fn whoever_comes_first_waits_for_the_other() {
    on_every_pair(|plan| {
        let (_folder, path) = fifo();
        let reader = plan.spawn({
            let path = path.clone();
            move || {
                let mut text = String::new();
                PipeReader::open(path).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        until_it_waits(&reader);
        PipeWriter::open(&path).unwrap().write_all(b"the reader first").unwrap();
        assert_eq!(reader.join().unwrap(), "the reader first");

        let writer = plan.spawn({
            let path = path.clone();
            move || PipeWriter::open(path).unwrap().write_all(b"the writer first").unwrap()
        });
        until_it_waits(&writer);
        let mut text = String::new();
        PipeReader::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "the writer first");
        writer.join().unwrap();
    });
}

#[test]
fn one_that_waits_is_cancelled_or_out_of_time_and_leaves_nothing() {
    on_every_driver_alone(test_name!(), |_| {
        let (_folder, path) = fifo();
        let round = || {
            for (plan, to_read) in PLANS.into_iter().flat_map(|plan| [(plan, false), (plan, true)]) {
                let there = path.clone();
                let task = plan.spawn(move || open_either(&there, to_read));
                until_it_waits(&task);
                task.cancel();
                assert!(task.join().unwrap_err().is_cancelled(), "{plan:?}");
                let there = path.clone();
                let timed = plan.spawn(move || timeout(SOON, || open_either(&there, to_read)).is_err());
                assert!(timed.join().unwrap(), "{plan:?}");
                // A deadline that is not reached changes nothing.
                let there = path.clone();
                let timed =
                    plan.spawn(move || timeout(crate::support::LONG, || open_either(&there, to_read)));
                until(|| matches!(timed.task().state(), State::Blocked(_)));
                open_either(&path, !to_read).unwrap();
                timed.join().unwrap().unwrap().unwrap();
            }
        };
        round();
        let before = descriptors();
        round();
        assert_settles(descriptors, before, "nothing was left open");
    });
}

#[test]
fn without_waiting_a_reader_opens_and_a_writer_needs_one() {
    on_every_plan(|plan| {
        let (_folder, path) = fifo();
        let (there, error) = (path.clone(), PipeWriter::try_open(&path).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        let mut reader = PipeReader::try_open(&path).unwrap();
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "nobody has come yet");
        let mut writer = plan.spawn(move || PipeWriter::try_open(there).unwrap()).join().unwrap();
        for end in [reader.as_fd(), writer.as_fd()] {
            assert!(!rustix::fs::fcntl_getfl(end).unwrap().contains(OFlags::NONBLOCK));
            assert!(rustix::io::fcntl_getfd(end).unwrap().contains(FdFlags::CLOEXEC));
        }
        let read = plan.spawn(move || {
            let mut byte = [0];
            reader.read_exact(&mut byte).map(|()| (byte, reader))
        });
        until(|| matches!(read.task().state(), State::Blocked(_)));
        writer.write_all(b"x").unwrap();
        let (byte, mut reader) = read.join().unwrap().unwrap();
        assert_eq!(&byte, b"x");
        drop(writer);
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "the last writer is gone");
    });
}

#[test]
fn after_the_end_it_begins_anew() {
    // Alone: a program that another test starts has what is open here for a moment.
    on_every_driver_alone(test_name!(), |_| {
        for plan in PLANS {
            let (_folder, path) = fifo();
            let mut reader = PipeReader::try_open(&path).unwrap();
            for word in ["one", "two"] {
                let there = path.clone();
                plan.spawn(move || PipeWriter::open(there).unwrap().write_all(word.as_bytes()).unwrap())
                    .join()
                    .unwrap();
                let mut text = String::new();
                reader.read_to_string(&mut text).unwrap();
                assert_eq!(text, word, "the rest, and then the end");
            }
            let mut writer = PipeWriter::open(&path).unwrap();
            drop(reader);
            let write = plan.spawn(move || (writer.write(b"x").unwrap_err().kind(), writer));
            let (kind, mut writer) = write.join().unwrap();
            assert_eq!(kind, ErrorKind::BrokenPipe);
            let mut reader = PipeReader::try_open(&path).unwrap();
            writer.write_all(b"again").unwrap();
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "again");
        }
    });
}

#[test]
fn who_keeps_a_writing_end_never_sees_the_end() {
    on_every_plan(|plan| {
        let (_folder, path) = fifo();
        let reader = PipeReader::try_open(&path).unwrap();
        let kept = PipeWriter::try_open(&path).unwrap();
        PipeWriter::open(&path).unwrap().write_all(b"x").unwrap();
        let task = plan.spawn(move || {
            let mut text = String::new();
            (&reader).read_to_string(&mut text).map(|_| text)
        });
        until(|| matches!(task.task().state(), State::Blocked(_)));
        PipeWriter::open(&path).unwrap().write_all(b"y").unwrap();
        assert!(!task.is_finished());
        drop(kept);
        assert_eq!(task.join().unwrap().unwrap(), "xy");
    });
}

#[test]
fn what_cannot_be_names_the_path() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let (folder, path) = fifo();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o600);
            let expect = |error: std::io::Error, kind, path: &Path| {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            };
            let there = fs::mkfifo(&path, Permissions::from_mode(0o600)).unwrap_err();
            expect(there, ErrorKind::AlreadyExists, &path);
            let nowhere = folder.path().join("no/fifo");
            let error = fs::mkfifo(&nowhere, Permissions::from_mode(0o600)).unwrap_err();
            expect(error, ErrorKind::NotFound, &nowhere);
            expect(PipeReader::open(&nowhere).unwrap_err(), ErrorKind::NotFound, &nowhere);
            expect(PipeWriter::try_open(&nowhere).unwrap_err(), ErrorKind::NotFound, &nowhere);
            let file = folder.path().join("file");
            fs::write(&file, "").unwrap();
            expect(PipeReader::open(&file).unwrap_err(), ErrorKind::InvalidInput, &file);
            expect(PipeReader::try_open(&file).unwrap_err(), ErrorKind::InvalidInput, &file);
            expect(PipeWriter::open(&file).unwrap_err(), ErrorKind::InvalidInput, &file);
            expect(PipeWriter::try_open(&file).unwrap_err(), ErrorKind::InvalidInput, &file);
            let socket = folder.path().join("socket");
            let _listener = ropewalk::net::UnixListener::bind(&socket).unwrap();
            expect(PipeReader::try_open(&socket).unwrap_err(), ErrorKind::InvalidInput, &socket);
            expect(PipeWriter::try_open(&socket).unwrap_err(), ErrorKind::InvalidInput, &socket);
            assert_eq!(PipeReader::open("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(PipeWriter::try_open("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
        })
        .join()
        .unwrap();
    });
}

/// The other side knows the path, or has the end from its parent.
#[test]
fn processes_meet_at_a_path_and_ends_travel() {
    guarded(|| {
        let (_folder, path) = fifo();
        let upper = |(path, mut answer): (PathBuf, PipeWriter)| {
            let mut text = String::new();
            PipeReader::open(path).unwrap().read_to_string(&mut text).unwrap();
            answer.write_all(text.to_uppercase().as_bytes()).unwrap();
        };
        let (_other_folder, other) = fifo();
        let mut answer = PipeReader::try_open(&other).unwrap();
        let child = process::spawn(upper, (path.clone(), PipeWriter::open(&other).unwrap())).unwrap();
        PipeWriter::open(&path).unwrap().write_all(b"rope").unwrap();
        child.join().unwrap();
        let mut text = String::new();
        answer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ROPE");
    });
}

/// More than the pool of `blocking` has threads, and those who end their waits come last.
#[test]
fn as_many_wait_as_there_are() {
    guarded(|| {
        crate::support::runtime(2).run(|| {
            let (_folder, path) = fifo();
            let open = |_| {
                let path = path.clone();
                ropewalk::coroutine::spawn(move || PipeReader::open(path).map(drop))
            };
            let readers: Vec<_> = (0..600).map(open).collect();
            readers.iter().for_each(until_it_waits);
            let writer = PipeWriter::open(&path).unwrap();
            readers.into_iter().for_each(|reader| reader.join().unwrap().unwrap());
            drop(writer);
        });
    });
}
