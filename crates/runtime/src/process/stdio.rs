//! Where the standard input, output and error of a child come from and go to.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ropewalk_ipc::message::Descriptor;

/// Where a standard stream of a process comes from or goes to, mirroring [`std::process::Stdio`].
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    Given(OwnedFd),
}

impl Stdio {
    /// This process's.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// Nothing: to read gives the end at once, and what is written is gone.
    #[must_use]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// A new pipe, whose other end is a field of the foreign program's `Child`. A [`Builder`](super::Builder), which gives a
    /// handle and no child, takes the end of a pipe that you have made.
    #[must_use]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }
}

/// Whether it is a new pipe.
#[must_use]
pub fn is_piped(stdio: &Stdio) -> bool {
    matches!(stdio.0, Kind::Piped)
}

impl From<OwnedFd> for Stdio {
    /// A file, a pipe, a socket.
    fn from(descriptor: OwnedFd) -> Self {
        Self(Kind::Given(descriptor))
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self(Kind::Given(file.into()))
    }
}

/// What std makes of it, once: the original stays as it is. `None` for a new pipe.
///
/// # Errors
/// No descriptor is left (`ulimit -n`).
pub fn to_std(stdio: &Stdio) -> io::Result<Option<std::process::Stdio>> {
    Ok(Some(match &stdio.0 {
        Kind::Inherit => std::process::Stdio::inherit(),
        Kind::Null => std::process::Stdio::null(),
        Kind::Given(descriptor) => descriptor.try_clone()?.into(),
        Kind::Piped => return Ok(None),
    }))
}

/// For the input of a program that is handed its own: `None` for one that is empty.
///
/// # Errors
/// No descriptor is left (`ulimit -n`); this process's is closed; it is a new pipe, whose end has to be given.
pub fn to_descriptor(stdio: &Stdio) -> io::Result<Option<OwnedFd>> {
    match &stdio.0 {
        Kind::Null => Ok(None),
        Kind::Inherit => io::stdin().as_fd().try_clone_to_owned().map(Some),
        Kind::Given(descriptor) => descriptor.try_clone().map(Some),
        Kind::Piped => Err(no_child()),
    }
}

/// For the output or error of a child that is no foreign program.
pub(super) fn output(stdio: Option<Stdio>) -> io::Result<std::process::Stdio> {
    match stdio.map(|stdio| stdio.0) {
        None | Some(Kind::Inherit) => Ok(std::process::Stdio::inherit()),
        Some(Kind::Null) => Ok(std::process::Stdio::null()),
        Some(Kind::Given(descriptor)) => Ok(descriptor.into()),
        Some(Kind::Piped) => Err(no_child()),
    }
}

/// For the input of a child that is no foreign program: what is sent to it, if anything.
pub(super) fn input(stdio: Option<Stdio>) -> io::Result<Option<Descriptor>> {
    match stdio.map(|stdio| stdio.0) {
        None | Some(Kind::Null) => Ok(None),
        Some(Kind::Inherit) => Ok(Some(io::stdin().as_fd().try_clone_to_owned()?.into())),
        Some(Kind::Given(descriptor)) => Ok(Some(descriptor.into())),
        Some(Kind::Piped) => Err(no_child()),
    }
}

fn no_child() -> io::Error {
    let text = "a task has no field for the other end of a pipe: make the pipe and pass its end instead of `Stdio::piped`";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
