//! Files and directories.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use ropewalk::fs::{DirBuilder, DirEntry, File, OpenOptions, Permissions};
use ropewalk::io::{PipeReader, PipeWriter};
use ropewalk::time::{MissedTickBehavior, interval, interval_at};

use super::{Prepare, ignore};
use crate::support::LONG;

/// A file that is open.
fn file() -> File {
    File::from(tempfile::tempfile().unwrap())
}

/// An entry of a directory.
fn entry() -> DirEntry {
    ropewalk::fs::read_dir("/proc/self").unwrap().next().unwrap().unwrap()
}

/// A FIFO, and the folder that it goes with.
fn fifo() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    ropewalk::fs::mkfifo(&path, Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

pub(super) const FILES: &[(&str, Prepare)] = &[
    ("fs::File::options", || Box::new(|| ignore(File::options()))),
    ("fs::File::try_clone", || {
        let file = file();
        Box::new(move || drop(file.try_clone().unwrap()))
    }),
    ("fs::File::try_lock", || {
        let file = file();
        Box::new(move || file.try_lock().unwrap())
    }),
    ("fs::File::try_lock_shared", || {
        let file = file();
        Box::new(move || file.try_lock_shared().unwrap())
    }),
    ("fs::File::unlock", || {
        let file = file();
        Box::new(move || file.unlock().unwrap())
    }),
    ("fs::OpenOptions::new", || Box::new(|| ignore(OpenOptions::new()))),
    ("fs::OpenOptions::read", || Box::new(|| ignore(OpenOptions::new().read(true).clone()))),
    ("fs::OpenOptions::write", || Box::new(|| ignore(OpenOptions::new().write(true).clone()))),
    ("fs::OpenOptions::append", || Box::new(|| ignore(OpenOptions::new().append(true).clone()))),
    ("fs::OpenOptions::truncate", || Box::new(|| ignore(OpenOptions::new().truncate(true).clone()))),
    ("fs::OpenOptions::create", || Box::new(|| ignore(OpenOptions::new().create(true).clone()))),
    ("fs::OpenOptions::create_new", || Box::new(|| ignore(OpenOptions::new().create_new(true).clone()))),
    ("fs::DirBuilder::new", || Box::new(|| ignore(DirBuilder::new()))),
    ("fs::DirBuilder::recursive", || Box::new(|| ignore(format!("{:?}", DirBuilder::new().recursive(true))))),
    ("fs::DirEntry::file_name", || {
        let entry = entry();
        Box::new(move || drop(entry.file_name()))
    }),
    ("fs::DirEntry::path", || {
        let entry = entry();
        Box::new(move || drop(entry.path()))
    }),
    ("io::pipe", || Box::new(|| drop(ropewalk::io::pipe().unwrap()))),
    ("io::stderr", || Box::new(|| ignore(ropewalk::io::stderr()))),
    ("io::stdin", || Box::new(|| ignore(ropewalk::io::stdin()))),
    ("io::stdout", || Box::new(|| ignore(ropewalk::io::stdout()))),
    ("io::PipeReader::try_clone", || {
        let (reader, _) = ropewalk::io::pipe().unwrap();
        Box::new(move || drop(reader.try_clone().unwrap()))
    }),
    ("io::PipeReader::try_open", || {
        let (folder, path) = fifo();
        Box::new(move || {
            drop(PipeReader::try_open(path).unwrap());
            drop(folder);
        })
    }),
    ("io::PipeWriter::try_clone", || {
        let (_, writer) = ropewalk::io::pipe().unwrap();
        Box::new(move || drop(writer.try_clone().unwrap()))
    }),
    ("io::PipeWriter::try_open", || {
        let (folder, path) = fifo();
        let reader = PipeReader::try_open(&path).unwrap();
        Box::new(move || {
            drop(PipeWriter::try_open(path).unwrap());
            drop((folder, reader));
        })
    }),
    ("io::Stdin::is_terminal", || Box::new(|| ignore(ropewalk::io::stdin().is_terminal()))),
    ("io::Stdout::is_terminal", || Box::new(|| ignore(ropewalk::io::stdout().is_terminal()))),
    ("io::Stderr::is_terminal", || Box::new(|| ignore(ropewalk::io::stderr().is_terminal()))),
    ("a lock of standard error is dropped", || {
        let lock = ropewalk::io::stderr().lock();
        Box::new(move || drop(lock))
    }),
    ("time::interval", || Box::new(|| drop(interval(LONG)))),
    ("time::interval_at", || Box::new(|| drop(interval_at(Instant::now(), LONG)))),
    ("time::now", || Box::new(|| ignore(ropewalk::time::now()))),
    ("time::Interval::missed_tick_behavior", || {
        let ticks = interval(LONG);
        Box::new(move || ignore(ticks.missed_tick_behavior()))
    }),
    ("time::Interval::set_missed_tick_behavior", || {
        let mut ticks = interval(LONG);
        Box::new(move || ticks.set_missed_tick_behavior(MissedTickBehavior::Skip))
    }),
    ("time::Interval::period", || {
        let ticks = interval(LONG);
        Box::new(move || ignore(ticks.period()))
    }),
    ("time::Interval::reset", || {
        let mut ticks = interval(LONG);
        Box::new(move || ticks.reset())
    }),
    ("time::Interval::reset_at", || {
        let mut ticks = interval(LONG);
        Box::new(move || ticks.reset_at(Instant::now()))
    }),
    ("time::Interval::reset_immediately", || {
        let mut ticks = interval(LONG);
        Box::new(move || ticks.reset_immediately())
    }),
    ("a file is dropped", || {
        let file = file();
        Box::new(move || drop(file))
    }),
];
