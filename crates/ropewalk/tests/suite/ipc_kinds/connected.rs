//! Where two ends know of each other, the one that is left hears of the other's death: pipes, FIFOs, connected sockets.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use ropewalk::inspect::State;
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::net::{TcpStream, UnixSeqpacket, UnixStream};

use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// A stream of bytes both ways.
trait Stream: Read + Write + Serialize + DeserializeOwned + Send + 'static {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

fn one_whose_peer_is_killed_has_the_rest_and_ends<S: Stream>(pair: fn() -> (S, S)) {
    on_every_plan(move |plan| {
        let (mut near, far) = pair();
        let write = |(mut far, ready): (S, PipeWriter)| {
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

fn one_whose_peer_is_killed_before_it_has_read_all_is_reset<S: Stream>(pair: fn() -> (S, S)) {
    on_every_plan(move |plan| {
        let (mut near, far) = pair();
        near.write_all(b"unread").unwrap();
        let victim = Victim::start(|(_far, ready): (S, PipeWriter)| hold(ready), far);
        let read = plan.spawn(move || near.read(&mut [0; 1]).unwrap_err().kind());
        until(|| matches!(read.task().state(), State::Blocked(_)));
        victim.kill();
        assert_eq!(read.join().unwrap(), ErrorKind::ConnectionReset);
    });
}

fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

#[test]
fn a_unix_stream_whose_peer_is_killed_has_the_rest_and_ends() {
    one_whose_peer_is_killed_has_the_rest_and_ends(unix_pair);
}

#[test]
fn a_unix_stream_whose_peer_is_killed_before_it_has_read_all_is_reset() {
    one_whose_peer_is_killed_before_it_has_read_all_is_reset(unix_pair);
}

#[test]
fn a_tcp_stream_whose_peer_is_killed_has_the_rest_and_ends() {
    one_whose_peer_is_killed_has_the_rest_and_ends(pair);
}

#[test]
fn a_tcp_stream_whose_peer_is_killed_before_it_has_read_all_is_reset() {
    one_whose_peer_is_killed_before_it_has_read_all_is_reset(pair);
}

#[test]
fn packets_of_one_who_is_killed_come_and_then_the_end_or_a_reset() {
    on_every_plan(|plan| {
        for unread in [false, true] {
            let (near, far) = UnixSeqpacket::pair().unwrap();
            if unread {
                near.send(b"unread").unwrap();
            }
            let talk = |(far, ready): (UnixSeqpacket, PipeWriter)| {
                far.send(b"last words").unwrap();
                hold(ready)
            };
            let victim = Victim::start(talk, far);
            let task = plan.spawn(move || {
                let mut packet = [0; 16];
                let next = || near.recv(&mut packet).map_err(|error| error.kind());
                let heard: Vec<_> =
                    std::iter::repeat_with(next).take_while(|heard| *heard != Ok(0)).collect();
                (heard, near)
            });
            until(|| matches!(task.task().state(), State::Blocked(_)));
            victim.kill();
            let (mut heard, near) = task.join().unwrap();
            // Who waits when it happens has taken the packet before; who comes later hears of the reset first.
            heard.sort_by_key(Result::is_err);
            let expected = [Ok(10), Err(ErrorKind::ConnectionReset)];
            assert_eq!(heard, expected[..1 + usize::from(unread)]);
            assert_eq!(near.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    });
}

/// What is on its way belongs to nobody's process: the descriptors of one who is killed arrive.
#[test]
fn descriptors_of_one_who_is_killed_arrive() {
    on_every_plan(|plan| {
        let (near, far) = UnixStream::pair().unwrap();
        let pass = |(far, ready): (UnixStream, PipeWriter)| {
            let (reader, mut writer) = pipe().unwrap();
            writer.write_all(b"left in the pipe").unwrap();
            far.send_with_descriptors(b"x", &[reader.as_fd()]).unwrap();
            hold(ready)
        };
        Victim::start(pass, far).kill();
        let task = plan.spawn(move || {
            let mut came = Vec::new();
            assert_eq!(near.recv_with_descriptors(&mut [0; 8], &mut came).unwrap(), 1);
            let mut text = String::new();
            PipeReader::from(came.remove(0)).read_to_string(&mut text).map(|_| text)
        });
        assert_eq!(task.join().unwrap().unwrap(), "left in the pipe");
    });
}
