//! The cases of files, written against `fs` and `io`, whichever those are.

use std::io::{BufRead, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::{TempDir, tempdir};

use super::imports::{fs, io};
use crate::as_std::mounts::mounted;
use crate::as_std::{Case, said};

/// Puts together what several operations said.
fn and<const N: usize>(parts: [String; N]) -> String {
    parts.join(", then ")
}

/// As `said`, of what cannot be compared when it is there.
fn went<T>(outcome: io::Result<T>) -> String {
    said(outcome.map(drop))
}

/// A folder with a file.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "three strands").unwrap();
    (folder, path)
}

fn open(path: &PathBuf) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// With a limit of the process's set to this.
fn limited<T>(resource: Resource, limit: u64, f: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(limit), ..before }).unwrap();
    let result = f();
    setrlimit(resource, before).unwrap();
    result
}

pub(crate) const CASES: &[Case] = &[
    ("open what is not there", || went(fs::File::open("/nowhere/at/all"))),
    ("open a path through a file", || {
        let (_folder, path) = folder();
        went(fs::File::open(path.join("below")))
    }),
    ("open a directory for writing", || went(fs::File::create("/tmp"))),
    ("open an empty path", || went(fs::File::open(""))),
    ("open a path with a zero in it", || went(fs::File::open("a\0b"))),
    ("open a name that is too long", || went(fs::File::open("x".repeat(300)))),
    ("open a path that is too long", || went(fs::File::open("x/".repeat(3000)))),
    ("open a loop of links", || {
        let folder = tempdir().unwrap();
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        went(fs::File::open(folder.path().join("loop")))
    }),
    ("open a link that must not be followed", || {
        let (folder, path) = folder();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        went(fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(link))
    }),
    ("open what must not be read", || went(fs::File::open("/etc/shadow"))),
    ("open what must not be written", || went(fs::OpenOptions::new().write(true).open("/etc/passwd"))),
    ("make a file where nobody may", || went(fs::File::create("/etc/ropewalk"))),
    ("make a new file that is there", || went(fs::File::create_new(folder().0.path()))),
    ("open for nothing", || format!("{:?}", fs::OpenOptions::new().open("/tmp").unwrap_err().kind())),
    ("append and truncate", || {
        let (_folder, path) = folder();
        let outcome = fs::OpenOptions::new().append(true).truncate(true).open(path);
        format!("{:?}", outcome.unwrap_err().kind())
    }),
    ("create for reading", || {
        let (_folder, path) = folder();
        let outcome = fs::OpenOptions::new().read(true).create(true).open(path);
        format!("{:?}", outcome.unwrap_err().kind())
    }),
    ("open with no descriptor left", || limited(Resource::Nofile, 3, || went(fs::File::open("/dev/null")))),
    ("clone with no descriptor left", || {
        let (_folder, path) = folder();
        let file = open(&path);
        limited(Resource::Nofile, 3, || went(file.try_clone()))
    }),
    ("read a directory as a file", || said(fs::File::open("/tmp").unwrap().read(&mut [0; 10]))),
    ("read a directory to its end", || said(fs::read("/tmp"))),
    ("read what is opened for writing", || {
        let (_folder, path) = folder();
        said(fs::File::create(path).unwrap().read(&mut [0; 10]))
    }),
    ("write what is opened for reading", || {
        let (_folder, path) = folder();
        said(fs::File::open(path).unwrap().write(b"x"))
    }),
    ("write at a place what is opened for reading", || {
        let (_folder, path) = folder();
        said(fs::File::open(path).unwrap().write_at(b"x", 3))
    }),
    ("read into nothing", || said(open(&folder_kept()).read(&mut []))),
    ("write nothing", || said(open(&folder_kept()).write(&[]))),
    ("read and write no buffers", || {
        let mut file = open(&folder_kept());
        and([said(file.read_vectored(&mut [])), said(file.write_vectored(&[]))])
    }),
    ("read and write more buffers than the kernel takes", || {
        let mut file = open(&folder_kept());
        let written = file.write_vectored(&vec![IoSlice::new(b"x"); 3000]);
        file.rewind().unwrap();
        let mut bytes = vec![0; 3000];
        let mut buffers: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
        and([said(written), said(file.read_vectored(&mut buffers))])
    }),
    ("read after the end", || said(open(&folder_kept()).read_at(&mut [0; 10], 1 << 40))),
    ("read exactly more than there is", || said(open(&folder_kept()).read_exact(&mut [0; 100]))),
    ("read at a place that is none", || said(open(&folder_kept()).read_at(&mut [0; 10], u64::MAX))),
    ("seek before the start", || said(open(&folder_kept()).seek(SeekFrom::Current(-1)))),
    ("seek before the start, from the end", || said(open(&folder_kept()).seek(SeekFrom::End(-100)))),
    ("seek a FIFO", || {
        let folder = tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut file = open(&path);
        and([said(file.seek(SeekFrom::Start(1))), said(file.read_at(&mut [0; 1], 0))])
    }),
    ("text that is no UTF-8", || {
        let (_folder, path) = folder();
        std::fs::write(&path, b"three \xff strands").unwrap();
        let mut text = String::from("kept");
        let outcome = said(open(&path).read_to_string(&mut text));
        and([outcome, text, said(fs::read_to_string(&path))])
    }),
    ("lines, the last one without an end", || {
        let (_folder, path) = folder();
        std::fs::write(&path, "one\r\ntwo\nthree").unwrap();
        let lines = io::BufReader::new(fs::File::open(path).unwrap()).lines();
        said(lines.collect::<io::Result<Vec<_>>>())
    }),
    ("cut to a length that is none", || said(open(&folder_kept()).set_len(u64::MAX))),
    ("cut what is opened for reading", || said(fs::File::open(folder_kept()).unwrap().set_len(1))),
    ("write beyond the limit", || {
        let file = open(&folder_kept());
        limited(Resource::Fsize, 8, || and([said(file.write_at(b"x", 8)), said(file.write_at(b"abcdef", 4))]))
    }),
    ("no space on the device", || {
        said(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write(b"x"))
    }),
    ("no space on a file system", || {
        let Some(mounted) = mounted() else { return "skipped".into() };
        let path = mounted.small.join("file");
        let outcome = fs::write(&path, vec![1; 1 << 20]);
        let length = fs::metadata(&path).unwrap().len();
        fs::remove_file(&path).unwrap();
        and([said(outcome), format!("{length} bytes are there")])
    }),
    ("make a file where nothing can be written", || {
        let Some(mounted) = mounted() else { return "skipped".into() };
        and([
            went(fs::File::create(mounted.read_only.join("file"))),
            said(fs::create_dir(mounted.read_only.join("folder"))),
        ])
    }),
    ("rename to another file system", || {
        let Some(mounted) = mounted() else { return "skipped".into() };
        let (_folder, path) = folder();
        let to = mounted.small.join("file");
        and([said(fs::rename(&path, &to)), said(fs::hard_link(&path, &to))])
    }),
    ("copy to another file system", || {
        let Some(mounted) = mounted() else { return "skipped".into() };
        let (_folder, path) = folder();
        let to = mounted.small.join("copy");
        let copied = said(fs::copy(&path, &to));
        fs::remove_file(&to).unwrap();
        copied
    }),
    ("copy what is no file", || {
        format!("{:?}", fs::copy("/tmp", "/tmp/ropewalk-is-not-here").unwrap_err().kind())
    }),
    ("copy a file that does not know its length", || {
        let (_folder, path) = folder();
        (fs::copy("/proc/version", path).unwrap() > 0).to_string()
    }),
    ("rename what is not there", || said(fs::rename("/nowhere/at/all", "/nowhere/else"))),
    ("rename a folder onto one with something in it", || {
        let (folder, _) = folder();
        let other = tempdir().unwrap();
        said(fs::rename(other.path(), folder.path()))
    }),
    ("remove a folder with something in it", || said(fs::remove_dir(folder().0.path()))),
    ("remove a file as a folder", || said(fs::remove_dir(folder_kept()))),
    ("remove a folder as a file", || said(fs::remove_file("/tmp"))),
    ("remove what is not there", || {
        and([said(fs::remove_file("/nowhere/at/all")), said(fs::remove_dir_all("/nowhere/at/all"))])
    }),
    ("make a folder that is there", || said(fs::create_dir("/tmp"))),
    ("make folders through a file", || said(fs::create_dir_all(folder_kept().join("a/b")))),
    ("list a file", || went(fs::read_dir(folder_kept()))),
    ("list what is not there", || went(fs::read_dir("/nowhere/at/all"))),
    ("list what must not be listed", || went(fs::read_dir("/root"))),
    ("follow what is no link", || said(fs::read_link("/tmp"))),
    ("the real path of nothing", || said(fs::canonicalize("/nowhere/../at/all"))),
    ("whether something is there", || {
        let there = [fs::exists("/tmp"), fs::exists("/nowhere/at/all"), fs::exists("/etc/passwd/below")];
        and(there.map(said))
    }),
    ("change what is another's", || {
        let mode = fs::metadata("/etc/passwd").unwrap().permissions();
        said(fs::set_permissions("/etc/passwd", mode))
    }),
    ("lock what somebody has locked", || {
        let (_folder, path) = folder();
        let (first, second) = (open(&path), open(&path));
        first.lock().unwrap();
        let tried = [format!("{:?}", second.try_lock()), format!("{:?}", second.try_lock_shared())];
        first.unlock().unwrap();
        let [exclusive, shared] = tried;
        and([exclusive, shared, said(second.lock_shared())])
    }),
    ("a FIFO that nobody reads", || {
        let folder = tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let opened = fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let both = open(&path);
        let writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
        drop(both);
        and([went(opened), said((&writer).write(b"x"))])
    }),
];

/// A file in a folder that stays until the process ends.
fn folder_kept() -> PathBuf {
    let (folder, path) = folder();
    let _kept = folder.keep();
    path
}
