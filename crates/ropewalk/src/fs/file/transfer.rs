//! How a file's bytes are read and written.
//!
//! # The place where a file is
//! read(2) and write(2) move the descriptor's place under a lock, so of two tasks that write to one file each writes all of its
//! bytes. An io_uring does not lock it, and does not move it where it has written a part and then failed, for want of space
//! (Linux 6.18, `kiocb_done`). So a ring is always told a place. Where nobody else can use the descriptor's - by `&mut File`, unless the
//! descriptor was cloned or handed out - that is asked for before, and moved afterwards; where anybody can, a thread of the pool
//! makes the call as it is. Writes that always go to the end, and reads and writes at a place of their own ([`FileExt`]), need none.

use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sync::park::{self, Operation, Wait, WaitReason};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};

use super::{File, Kind, Regular};
use crate::fs::away;

/// Where the descriptor is, for calls that take a place (preadv2(2)).
const CURRENT: u64 = u64::MAX;

impl File {
    fn read_here(&self, buffer: &mut [u8], alone: bool) -> io::Result<usize> {
        match &self.kind {
            Kind::Regular(regular) => self.read_regular(regular, buffer, None, alone),
            Kind::Special => self.end.read(WaitReason::FileRead, buffer),
        }
    }

    fn write_here(&self, buffer: &[u8], alone: bool) -> io::Result<usize> {
        match &self.kind {
            Kind::Regular(regular) => self.write_regular(regular, buffer, None, alone),
            Kind::Special => self.end.write(WaitReason::FileWrite, buffer),
        }
    }

    /// Reads all that there is, as read(2) does of a regular file.
    fn read_regular(
        &self,
        regular: &Regular,
        buffer: &mut [u8],
        place: Option<u64>,
        alone: bool,
    ) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::FileRead).fallible();
        let mut done = 0;
        if park::is_coroutine() {
            park::spend();
            // What is in the page cache comes in pieces where the next one is not.
            while let Some(read) = now(&regular.read_now, |flags| {
                let at = place.map_or(CURRENT, |place| place + done as u64);
                preadv2(&self.end, &mut [IoSliceMut::new(&mut buffer[done..])], at, flags)
            }) {
                match read {
                    Ok(read) if read > 0 && done + read < buffer.len() => done += read,
                    Ok(read) => return Ok(done + read),
                    Err(_) if done > 0 => return Ok(done),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let rest = place.map(|place| place + done as u64);
        let own = self.own_place(regular, rest, alone)?;
        let read = Operation::read(self.end.as_fd(), &mut buffer[done..], own.or(rest));
        match self.moved(own, park::complete(read, &wait)) {
            Ok(read) => Ok(done + read),
            Err(_) if done > 0 => Ok(done),
            Err(error) => Err(error),
        }
    }

    fn write_regular(
        &self,
        regular: &Regular,
        buffer: &[u8],
        place: Option<u64>,
        alone: bool,
    ) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::FileWrite).fallible();
        if park::is_coroutine() {
            park::spend();
            let at = place.unwrap_or(CURRENT);
            let written =
                now(&regular.write_now, |flags| pwritev2(&self.end, &[IoSlice::new(buffer)], at, flags));
            if let Some(written) = written {
                return Ok(written?);
            }
        }
        if regular.appends {
            let write = Operation::write(self.end.as_fd(), buffer, place).appends();
            return park::complete(write, &wait);
        }
        let own = self.own_place(regular, place, alone)?;
        let write = Operation::write(self.end.as_fd(), buffer, own.or(place));
        self.moved(own, park::complete(write, &wait))
    }

    /// Where the file is, if a coroutine that was given no place is the only one who can use that.
    fn own_place(&self, regular: &Regular, place: Option<u64>, alone: bool) -> io::Result<Option<u64>> {
        let own = place.is_none() && alone && park::is_coroutine() && !regular.shared.load(Relaxed);
        Ok(if own { Some(rustix::fs::tell(&self.end)?) } else { None })
    }

    /// Moves on from there by what was read or written.
    fn moved(&self, own: Option<u64>, result: io::Result<usize>) -> io::Result<usize> {
        if let (Some(place), Ok(length)) = (own, &result) {
            rustix::fs::seek(&self.end, rustix::fs::SeekFrom::Start(place + *length as u64))?;
        }
        result
    }

    fn read_vectored_here(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match &self.kind {
            Kind::Special => self.end.read_vectored(WaitReason::FileRead, buffers),
            Kind::Regular(regular) => {
                if park::is_coroutine() {
                    park::spend();
                    let read = now(&regular.read_now, |flags| preadv2(&self.end, buffers, CURRENT, flags));
                    if let Some(read) = read {
                        return Ok(read?);
                    }
                }
                let wait = Wait::new(WaitReason::FileRead).fallible();
                park::complete(Operation::read_vectored(self.end.as_fd(), buffers, None), &wait)
            }
        }
    }

    fn write_vectored_here(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.kind {
            Kind::Special => self.end.write_vectored(WaitReason::FileWrite, buffers),
            Kind::Regular(regular) => {
                if park::is_coroutine() {
                    park::spend();
                    let written =
                        now(&regular.write_now, |flags| pwritev2(&self.end, buffers, CURRENT, flags));
                    if let Some(written) = written {
                        return Ok(written?);
                    }
                }
                let wait = Wait::new(WaitReason::FileWrite).fallible();
                let write = Operation::write_vectored(self.end.as_fd(), buffers, None);
                let write = if regular.appends { write.appends() } else { write };
                park::complete(write, &wait)
            }
        }
    }
}

/// Makes a call that does not wait, unless it is known that the file system has none such. `None`: it has not, or the call
/// would have to wait.
fn now<R>(
    known: &AtomicBool,
    call: impl FnOnce(ReadWriteFlags) -> rustix::io::Result<R>,
) -> Option<rustix::io::Result<R>> {
    if !known.load(Relaxed) {
        return None;
    }
    match call(ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) => {
            known.store(false, Relaxed);
            None
        }
        Err(Errno::AGAIN | Errno::INTR) => None,
        result => Some(result),
    }
}

/// Reads a file, piece by piece, and nothing else: what std does by default is done over this.
struct Pieces<'a> {
    file: &'a File,
    alone: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_here(buffer, self.alone)
    }
}

impl File {
    /// How many bytes are left, as far as that is known: what a place is needed for.
    fn left(&self) -> usize {
        let size = rustix::fs::fstat(&self.end).map_or(0, |status| status.st_size);
        let place = rustix::fs::tell(&self.end).unwrap_or(0);
        usize::try_from(size).unwrap_or(0).saturating_sub(usize::try_from(place).unwrap_or(usize::MAX))
    }

    /// Reads the rest: what is known to be there by as few calls as can be, then until there is no more.
    fn read_rest(&self, bytes: &mut Vec<u8>, alone: bool) -> io::Result<usize> {
        let start = bytes.len();
        let left = if matches!(self.kind, Kind::Regular(_)) { self.left() } else { 0 };
        if left > 0 {
            bytes.try_reserve(left)?;
            let mut filled = start;
            bytes.resize(start + left, 0);
            let read = loop {
                match self.read_here(&mut bytes[filled..], alone) {
                    Ok(read) if read > 0 && filled + read < bytes.len() => filled += read,
                    result => break result,
                }
            };
            bytes.truncate(filled + read.as_ref().unwrap_or(&0));
            read?;
        }
        Pieces { file: self, alone }.read_to_end(bytes)?;
        Ok(bytes.len() - start)
    }

    fn read_rest_of_text(&self, text: &mut String, alone: bool) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let read = self.read_rest(&mut bytes, alone);
        // As std: what is no text is not kept, what was read before an error is.
        match std::str::from_utf8(&bytes) {
            Ok(read_text) => text.push_str(read_text),
            Err(_) => {
                read?;
                let text = "stream did not contain valid UTF-8";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        read
    }
}

impl Read for &File {
    /// # Waits
    /// Until something is read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_here(buffer, false)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_rest(bytes, false)
    }

    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        self.read_rest_of_text(text, false)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_vectored_here(buffers)
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_here(buffer, true)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.read_rest(bytes, true)
    }

    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        self.read_rest_of_text(text, true)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_vectored_here(buffers)
    }
}

impl Write for &File {
    /// # Waits
    /// Until something is written.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_here(buffer, false)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored_here(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for File {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_here(buffer, true)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored_here(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    /// # Waits
    /// From the end only: until that is known.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut file = self.end.get();
        match to {
            // A number of the kernel's, while the end of a file may be known to a server only.
            SeekFrom::Start(_) | SeekFrom::Current(_) => file.seek(to),
            SeekFrom::End(_) => away(|| file.seek(to)),
        }
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl FileExt for File {
    /// # Waits
    /// Until something is read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.kind {
            Kind::Regular(regular) if offset != CURRENT => {
                self.read_regular(regular, buffer, Some(offset), true)
            }
            // Nearly always an error: what has places to read at is a file.
            _ => away(|| self.end.get().read_at(buffer, offset)),
        }
    }

    /// # Waits
    /// Until something is written.
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        match &self.kind {
            Kind::Regular(regular) if offset != CURRENT => {
                self.write_regular(regular, buffer, Some(offset), true)
            }
            _ => away(|| self.end.get().write_at(buffer, offset)),
        }
    }
}
