//! `io::copy`: everything arrives, by pieces as large as what there is to read.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};

use ropewalk::fs::File;
use ropewalk::io::copy;

use crate::support::net::pair;
use crate::support::on_every_pair;

const KIB: usize = 1024;

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place.wrapping_mul(31) >> 3) as u8).collect()
}

#[test]
fn a_file_goes_through_a_connection_into_another_file() {
    on_every_pair(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        let bytes = data(3_000_001);
        std::fs::write(&from, &bytes).unwrap();
        let (mut near, mut far) = pair();
        let sender = plan.spawn(move || copy(&mut File::open(from).unwrap(), &mut near).unwrap());
        assert_eq!(copy(&mut far, &mut File::create(&to).unwrap()).unwrap(), 3_000_001);
        assert_eq!(sender.join().unwrap(), 3_000_001);
        assert!(std::fs::read(to).unwrap() == bytes);
    });
}

/// Gives what it has, as much as is asked for, with an interruption before each piece, and notes how much was asked for.
struct Asked<'a> {
    left: &'a [u8],
    sizes: &'a RefCell<Vec<usize>>,
    interrupted: bool,
    most: usize,
}

impl Read for Asked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted ^= true;
        if self.interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        self.sizes.borrow_mut().push(buffer.len());
        let most = buffer.len().min(self.most);
        self.left.read(&mut buffer[..most])
    }
}

fn sizes(length: usize, most: usize) -> Vec<usize> {
    let sizes = RefCell::new(Vec::new());
    let bytes = data(length);
    let mut copied = Vec::new();
    let mut reader = Asked { left: &bytes, sizes: &sizes, interrupted: false, most };
    assert_eq!(copy(&mut reader, &mut copied).unwrap(), length as u64);
    assert!(copied == bytes);
    sizes.into_inner()
}

#[test]
fn pieces_grow_while_reads_fill_them() {
    assert_eq!(sizes(0, usize::MAX), [8 * KIB]);
    let grown = [8 * KIB, 32 * KIB, 128 * KIB, 128 * KIB, 128 * KIB, 128 * KIB];
    assert_eq!(sizes(300 * KIB, usize::MAX), grown);
    // What comes in small pieces is given little room: ten thousand quiet connections cost no more than with std.
    assert!(sizes(40 * KIB, 1460).iter().all(|size| *size == 8 * KIB));
}

/// Takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails where it should end.
struct Breaks<'a>(&'a [u8]);

impl Read for Breaks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::ConnectionReset.into()),
            length => Ok(length),
        }
    }
}

#[test]
fn what_fails_is_told_and_what_came_before_is_written() {
    let bytes = data(20_000);
    let mut full = Full(10_000);
    assert_eq!(copy(&mut &bytes[..], &mut full).unwrap_err().kind(), ErrorKind::WriteZero);
    assert_eq!(full.0, 0);

    let mut copied = Vec::new();
    let error = copy(&mut Breaks(&bytes), &mut copied).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(copied == bytes);
}
