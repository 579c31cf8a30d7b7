//! Standard input, output and error, mirroring those of `std::io`.

mod gate;
mod input;
mod output;

pub use self::input::{Stdin, StdinLock, stdin};
pub use self::output::{Stderr, StderrLock, Stdout, StdoutLock, stderr, stdout};

use std::io;
use std::os::fd::AsFd;

use rustix::fs::FileType;
use rustix::io::Errno;

/// Whether it is a file on a disk, for which there is no readiness.
fn is_regular(stream: impl AsFd) -> bool {
    rustix::fs::fstat(stream)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile)
}

/// As in std: a program that was started without a stream reads nothing from it, and writes into nothing.
fn unless_closed<T>(result: io::Result<T>, closed: T) -> io::Result<T> {
    match result {
        Err(error) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => Ok(closed),
        result => result,
    }
}
