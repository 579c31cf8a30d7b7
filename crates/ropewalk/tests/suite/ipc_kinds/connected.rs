//! Where two ends know of each other, the one that is left hears of the other's death: pipes, FIFOs, connected sockets.

use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use ropewalk::inspect::State;
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::net::{TcpStream, UnixStream};

use super::{Victim, hold};
use crate::support::net::pair;
use crate::support::{on_every_plan, until};

/// Longer than any buffer.
const LONG: usize = 16 << 20;

fn fifo() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    ropewalk::fs::mkfifo(&path, ropewalk::fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

#[test]
fn a_pipe_whose_writer_is_killed_has_the_rest_and_ends() {
    on_every_plan(|plan| {
        let (mut reader, writer) = pipe().unwrap();
        let write = |(mut writer, ready): (PipeWriter, PipeWriter)| {
            writer.write_all(b"last words").unwrap();
            hold(ready)
        };
        let victim = Victim::start(write, writer);
        let read = plan.spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        until(|| matches!(read.task().state(), State::Blocked(_)));
        victim.kill();
        assert_eq!(read.join().unwrap().unwrap(), "last words");
    });
}

#[test]
fn a_pipe_whose_reader_is_killed_is_broken() {
    on_every_plan(|plan| {
        let (reader, mut writer) = pipe().unwrap();
        let victim = Victim::start(|(_reader, ready): (PipeReader, PipeWriter)| hold(ready), reader);
        let write = plan.spawn(move || writer.write_all(&vec![0; LONG]).unwrap_err().kind());
        until(|| matches!(write.task().state(), State::Blocked(_)));
        victim.kill();
        assert_eq!(write.join().unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_fifo_whose_writer_is_killed_has_the_rest_ends_and_begins_anew() {
    on_every_plan(|plan| {
        let (_folder, path) = fifo();
        let write = |(path, ready): (PathBuf, PipeWriter)| {
            let mut writer = PipeWriter::open(path).unwrap();
            writer.write_all(b"last words").unwrap();
            hold(ready)
        };
        let victim = Victim::start(write, path.clone());
        let there = path.clone();
        let read = plan.spawn(move || {
            let mut reader = PipeReader::open(there).unwrap();
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| (text, reader))
        });
        victim.kill();
        let (text, mut reader) = read.join().unwrap().unwrap();
        assert_eq!(text, "last words");
        PipeWriter::open(&path).unwrap().write_all(b"the next one").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the next one");
    });
}

#[test]
fn a_fifo_whose_reader_is_killed_is_broken_until_the_next_one() {
    on_every_plan(|plan| {
        let (_folder, path) = fifo();
        let read = |(path, ready): (PathBuf, PipeWriter)| {
            let _reader = PipeReader::open(path).unwrap();
            hold(ready)
        };
        let victim = Victim::start(read, path.clone());
        let mut writer = PipeWriter::open(&path).unwrap();
        let write = plan.spawn(move || (writer.write_all(&vec![0; LONG]).unwrap_err().kind(), writer));
        until(|| matches!(write.task().state(), State::Blocked(_)));
        victim.kill();
        let (kind, mut writer) = write.join().unwrap();
        assert_eq!(kind, ErrorKind::BrokenPipe);
        // What nobody has read is lost with the last reader's end only if no writer is left; this one is.
        let mut reader = PipeReader::try_open(&path).unwrap();
        assert!(reader.read(&mut vec![0; LONG]).unwrap() > 0);
        writer.write_all(b"x").unwrap();
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 1);
    });
}

/// Who waits in an open, and is killed there, is as if it had never come.
#[test]
fn a_fifo_whose_opener_is_killed_waits_on() {
    on_every_plan(|plan| {
        let (_folder, path) = fifo();
        let open = |(path, ready): (PathBuf, PipeWriter)| {
            let opening = ropewalk::thread::spawn(|| PipeReader::open(path).map(drop));
            until(|| matches!(opening.task().state(), State::Blocked(_)));
            hold(ready)
        };
        Victim::start(open, path.clone()).kill();
        assert_eq!(PipeWriter::try_open(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        let there = path.clone();
        let reader = plan.spawn(move || PipeReader::open(there).unwrap().read(&mut [0; 1]));
        PipeWriter::open(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 1);
    });
}

macro_rules! streams {
    ($($module:ident: $type:ty, $pair:expr;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn one_whose_peer_is_killed_has_the_rest_and_ends() {
                on_every_plan(|plan| {
                    let (mut near, far) = $pair;
                    let write = |(mut far, ready): ($type, PipeWriter)| {
                        far.write_all(b"last words").unwrap();
                        hold(ready)
                    };
                    let victim = Victim::start(write, far);
                    let read = plan.spawn(move || {
                        let mut text = String::new();
                        near.read_to_string(&mut text).map(|_| (text, near))
                    });
                    until(|| matches!(read.task().state(), State::Blocked(_)));
                    victim.kill();
                    let (text, mut near) = read.join().unwrap().unwrap();
                    assert_eq!(text, "last words");
                    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                    assert!(kinds.contains(&near.write_all(&vec![0; LONG]).unwrap_err().kind()));
                });
            }

            #[test]
            fn one_whose_peer_is_killed_before_it_has_read_all_is_reset() {
                on_every_plan(|plan| {
                    let (mut near, far) = $pair;
                    near.write_all(b"unread").unwrap();
                    let victim =
                        Victim::start(|(_far, ready): ($type, PipeWriter)| hold(ready), far);
                    let read = plan.spawn(move || near.read(&mut [0; 1]).unwrap_err().kind());
                    until(|| matches!(read.task().state(), State::Blocked(_)));
                    victim.kill();
                    assert_eq!(read.join().unwrap(), ErrorKind::ConnectionReset);
                });
            }
        }
    )*};
}
streams! {
    tcp: TcpStream, pair();
    unix: UnixStream, UnixStream::pair().unwrap();
}
