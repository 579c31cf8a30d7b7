//! The programs that children run: this one, and others that are built with Ropewalk.
//!
//! A program is opened first, and the descriptor executed: what was looked at is what runs, whatever happens to the
//! path meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use object::read::elf::{ElfFile, FileHeader};
use object::read::{Object, ObjectSection, ReadCache};
use object::{Endianness, FileKind};
use ropewalk_sys::process as sys;

use super::child::{NOTE_SECTION, Note, PROTOCOL};

/// A program, and what tells it from others.
pub(super) struct Program {
    file: OwnedFd,
    pub(super) identity: (u64, u64),
}

impl Program {
    /// This one.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub(super) fn own() -> io::Result<&'static Self> {
        static OWN: OnceLock<Program> = OnceLock::new();
        if let Some(program) = OWN.get() {
            return Ok(program);
        }
        let file = sys::open_program().map_err(|error| {
            let text = format!("this program cannot be run again ({error}): mount /proc");
            io::Error::new(error.kind(), text)
        })?;
        let identity = sys::file_identity(file.as_fd())?;
        // Whoever comes second has opened the same file.
        Ok(OWN.get_or_init(|| Self { file, identity }))
    }

    /// The one at `path`, of which its file says that it can be a child of this one's.
    ///
    /// # Errors
    /// It cannot be opened; it is no program, none of Ropewalk's, or one that speaks another protocol
    /// ([`Unsupported`](io::ErrorKind::Unsupported)).
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("the program {} cannot be run: {error}", path.display()))
        };
        let file = File::open(path).map_err(told)?;
        let protocol = protocol_of(&file).map_err(told)?;
        if protocol != PROTOCOL {
            let text = format!(
                "it was built with another Ropewalk, whose processes speak protocol {protocol}, and this one's {PROTOCOL}: \
                 build both with the same"
            );
            return Err(told(io::Error::new(io::ErrorKind::Unsupported, text)));
        }
        let identity = sys::file_identity(file.as_fd())?;
        Ok(Self { file: file.into(), identity })
    }

    /// What executes it. It must not be dropped before the command is spawned.
    pub(super) fn command(&self) -> Command {
        Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// One for a child: this program, or another that is needed no longer than the child takes to start.
pub(super) enum Running {
    Own(&'static Program),
    Other(Program),
}

impl Running {
    /// This program, or the one at the path.
    ///
    /// # Errors
    /// As [`Program::own`] and [`Program::at`].
    pub(super) fn of(path: Option<&Path>) -> io::Result<Self> {
        match path {
            None => Program::own().map(Self::Own),
            Some(path) => Program::at(path).map(Self::Other),
        }
    }
}

impl std::ops::Deref for Running {
    type Target = Program;

    fn deref(&self) -> &Program {
        match self {
            Self::Own(program) => program,
            Self::Other(program) => program,
        }
    }
}

/// Which protocol a program's children speak: the note in its file says so (elf(5)).
fn protocol_of(file: &File) -> io::Result<u32> {
    let unsupported = |text: &str| io::Error::new(io::ErrorKind::Unsupported, text);
    if !file.metadata()?.is_file() {
        return Err(unsupported("it is no file"));
    }
    let contents = ReadCache::new(file);
    let note = match FileKind::parse(&contents) {
        Ok(FileKind::Elf64) => note::<object::elf::FileHeader64<Endianness>>(&contents),
        Ok(FileKind::Elf32) => note::<object::elf::FileHeader32<Endianness>>(&contents),
        _ => {
            return Err(unsupported(
                "it is no program that the kernel executes itself, but perhaps a script",
            ));
        }
    };
    let text = "it was not built with Ropewalk; `process::Command` runs programs of any kind";
    note.and_then(|note| Note::protocol(&note)).ok_or_else(|| unsupported(text))
}

fn note<H: FileHeader<Endian = Endianness>>(contents: &ReadCache<&File>) -> Option<Vec<u8>> {
    let program = ElfFile::<H, _>::parse(contents).ok()?;
    Some(program.section_by_name(NOTE_SECTION)?.data().ok()?.to_vec())
}
