//! A system call together with what it borrows, as a value: the caller makes it, or another thread, or a ring.
//!
//! Here are the calls that cannot be told to come back at once, because what they wait for is no readiness of the
//! descriptor: a disk, a lock, the other end of a FIFO that is opened, a word of shared memory.

use std::ffi::CStr;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU32;

#[cfg(feature = "uring")]
use io_uring::{opcode, squeue, types};

use crate::interruptible::call;

/// As many buffers the kernel takes in one call (`IOV_MAX`, sysconf(3)).
const BUFFERS_MAX: usize = 1024;
/// As many bytes it moves in one call (read(2)).
const LENGTH_MAX: usize = 0x7fff_f000;
/// The place that stands for "where the descriptor is", for calls that take a place (preadv2(2)).
const CURRENT: u64 = u64::MAX;
/// What sort of word a ring sleeps on: of four bytes (`FUTEX2_SIZE_U32`, futex2(2)), and not private to the process.
#[cfg(feature = "uring")]
const SHARED_U32: u32 = 0x02;

/// One call. What it borrows is valid for `'a`, and the call's alone as long as it is under way.
pub struct Operation<'a> {
    call: Call,
    /// Whatever the place, writes go to the end.
    appends: bool,
    _borrows: PhantomData<&'a mut [u8]>,
}

/// Numbers and addresses: what the kernel is given.
#[derive(Clone, Copy)]
enum Call {
    Read { fd: RawFd, start: *mut u8, length: usize, place: u64 },
    Write { fd: RawFd, start: *const u8, length: usize, place: u64 },
    ReadVectored { fd: RawFd, buffers: *const libc::iovec, count: usize, place: u64 },
    WriteVectored { fd: RawFd, buffers: *const libc::iovec, count: usize, place: u64 },
    Sync { fd: RawFd, data_only: bool },
    Lock { fd: RawFd, how: libc::c_int },
    Open { path: *const libc::c_char, flags: libc::c_int, mode: libc::mode_t },
    WaitWord { word: *const AtomicU32, expected: u32 },
}

// SAFETY: what the addresses lead to is borrowed for the call alone (the type's promise), and bytes, paths and descriptors
// may be touched from any thread.
unsafe impl Send for Operation<'_> {}

impl<'a> Operation<'a> {
    fn new(call: Call) -> Self {
        Self { call, appends: false, _borrows: PhantomData }
    }

    /// Reads at `place`, or where the descriptor is.
    #[must_use]
    pub fn read(fd: BorrowedFd<'a>, buffer: &'a mut [u8], place: Option<u64>) -> Self {
        let length = buffer.len().min(LENGTH_MAX);
        let place = place.unwrap_or(CURRENT);
        Self::new(Call::Read { fd: fd.as_raw_fd(), start: buffer.as_mut_ptr(), length, place })
    }

    /// Writes at `place`, or where the descriptor is.
    #[must_use]
    pub fn write(fd: BorrowedFd<'a>, buffer: &'a [u8], place: Option<u64>) -> Self {
        let length = buffer.len().min(LENGTH_MAX);
        let place = place.unwrap_or(CURRENT);
        Self::new(Call::Write { fd: fd.as_raw_fd(), start: buffer.as_ptr(), length, place })
    }

    /// As [`read`](Self::read), into several buffers.
    #[must_use]
    pub fn read_vectored(fd: BorrowedFd<'a>, buffers: &'a mut [IoSliceMut<'_>], place: Option<u64>) -> Self {
        // std promises that an `IoSliceMut` has the layout of an `iovec`.
        let (buffers, count) = (buffers.as_mut_ptr().cast(), buffers.len().min(BUFFERS_MAX));
        let place = place.unwrap_or(CURRENT);
        Self::new(Call::ReadVectored { fd: fd.as_raw_fd(), buffers, count, place })
    }

    /// As [`write`](Self::write), from several buffers.
    #[must_use]
    pub fn write_vectored(fd: BorrowedFd<'a>, buffers: &'a [IoSlice<'_>], place: Option<u64>) -> Self {
        // As above.
        let (buffers, count) = (buffers.as_ptr().cast(), buffers.len().min(BUFFERS_MAX));
        let place = place.unwrap_or(CURRENT);
        Self::new(Call::WriteVectored { fd: fd.as_raw_fd(), buffers, count, place })
    }

    /// Waits until what was written is on the disk: fsync(2), or with `data_only` fdatasync(2).
    #[must_use]
    pub fn sync(fd: BorrowedFd<'a>, data_only: bool) -> Self {
        Self::new(Call::Sync { fd: fd.as_raw_fd(), data_only })
    }

    /// Locks what the descriptor stands for, and waits as long as others hold it: flock(2).
    #[must_use]
    pub fn lock(fd: BorrowedFd<'a>, shared: bool) -> Self {
        let how = if shared { libc::LOCK_SH } else { libc::LOCK_EX };
        Self::new(Call::Lock { fd: fd.as_raw_fd(), how })
    }

    /// Opens a file; its result is for [`opened`]. `O_CLOEXEC` is added.
    #[must_use]
    pub fn open(path: &'a CStr, flags: i32, mode: u32) -> Self {
        Self::new(Call::Open { path: path.as_ptr(), flags: flags | libc::O_CLOEXEC, mode })
    }

    /// Sleeps while a word that processes share holds `expected`, until somebody wakes who sleeps there: futex(2).
    #[must_use]
    pub fn wait_word(word: &'a AtomicU32, expected: u32) -> Self {
        Self::new(Call::WaitWord { word: std::ptr::from_ref(word), expected })
    }

    /// Whether it sleeps on a word.
    #[cfg(feature = "uring")]
    pub(crate) fn waits_for_word(&self) -> bool {
        matches!(self.call, Call::WaitWord { .. })
    }

    /// The descriptor is one whose writes go to the end (`O_APPEND`). So a ring may make the call, which does not lock the place
    /// where a descriptor is, as read(2) and write(2) do.
    #[must_use]
    pub fn appends(mut self) -> Self {
        self.appends = true;
        self
    }

    /// Whether it may wait for what other tasks do, and not for a device: a lock, the other end of a FIFO.
    #[must_use]
    pub fn waits_for_others(&self) -> bool {
        matches!(self.call, Call::Lock { .. } | Call::Open { .. } | Call::WaitWord { .. })
    }

    /// The same call, without a limit to its time.
    ///
    /// # Safety
    /// What it borrows outlives its being made, and only one of the two is made.
    #[must_use]
    pub unsafe fn detach(&self) -> Operation<'static> {
        Operation { call: self.call, appends: self.appends, _borrows: PhantomData }
    }

    /// Makes the call here, as long as it takes.
    ///
    /// # Errors
    /// `EINTR` if the word is not [`SUSPENDED`](crate::interruptible::SUSPENDED), or interrupted; else what the call says.
    pub fn make(&mut self, word: &AtomicU32) -> io::Result<usize> {
        let fd = |fd: RawFd| fd as usize;
        let (number, arguments) = match self.call {
            Call::Read { fd: from, start, length, place: CURRENT } => {
                (libc::SYS_read, [fd(from), start.expose_provenance(), length, 0, 0, 0])
            }
            Call::Read { fd: from, start, length, place } => {
                (libc::SYS_pread64, [fd(from), start.expose_provenance(), length, place as usize, 0, 0])
            }
            Call::Write { fd: to, start, length, place: CURRENT } => {
                (libc::SYS_write, [fd(to), start.expose_provenance(), length, 0, 0, 0])
            }
            Call::Write { fd: to, start, length, place } => {
                (libc::SYS_pwrite64, [fd(to), start.expose_provenance(), length, place as usize, 0, 0])
            }
            Call::ReadVectored { fd: from, buffers, count, place } => {
                (libc::SYS_preadv2, [fd(from), buffers.expose_provenance(), count, place as usize, 0, 0])
            }
            Call::WriteVectored { fd: to, buffers, count, place } => {
                (libc::SYS_pwritev2, [fd(to), buffers.expose_provenance(), count, place as usize, 0, 0])
            }
            Call::Sync { fd: of, data_only: true } => (libc::SYS_fdatasync, [fd(of), 0, 0, 0, 0, 0]),
            Call::Sync { fd: of, data_only: false } => (libc::SYS_fsync, [fd(of), 0, 0, 0, 0, 0]),
            Call::Lock { fd: of, how } => (libc::SYS_flock, [fd(of), how as usize, 0, 0, 0, 0]),
            Call::Open { path, flags, mode } => (
                libc::SYS_openat,
                [libc::AT_FDCWD as usize, path.expose_provenance(), flags as usize, mode as usize, 0, 0],
            ),
            Call::WaitWord { word, expected } => (
                libc::SYS_futex,
                [word.expose_provenance(), libc::FUTEX_WAIT as usize, expected as usize, 0, 0, 0],
            ),
        };
        // SAFETY: the arguments are what the call takes, and what they lead to is borrowed for it (the type's promise).
        unsafe { call(word, number, arguments) }
    }

    /// As a ring takes it; `None` for what a ring does not do as the call does: it has no `flock`, opens a FIFO without
    /// waiting for its other end, and does not lock the place where the descriptor is.
    #[cfg(feature = "uring")]
    pub(crate) fn entry(&self) -> Option<squeue::Entry> {
        let length = |length: usize| u32::try_from(length).expect("it was cut to what the kernel takes");
        Some(match self.call {
            Call::Read { place: CURRENT, .. }
            | Call::Write { place: CURRENT, .. }
            | Call::ReadVectored { place: CURRENT, .. }
            | Call::WriteVectored { place: CURRENT, .. }
                if !self.appends =>
            {
                return None;
            }
            Call::Read { fd, start, length: room, place } => {
                opcode::Read::new(types::Fd(fd), start, length(room)).offset(place).build()
            }
            Call::Write { fd, start, length: bytes, place } => {
                opcode::Write::new(types::Fd(fd), start, length(bytes)).offset(place).build()
            }
            Call::ReadVectored { fd, buffers, count, place } => {
                opcode::Readv::new(types::Fd(fd), buffers, length(count)).offset(place).build()
            }
            Call::WriteVectored { fd, buffers, count, place } => {
                opcode::Writev::new(types::Fd(fd), buffers, length(count)).offset(place).build()
            }
            Call::Sync { fd, data_only } => {
                let flags = if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
                opcode::Fsync::new(types::Fd(fd)).flags(flags).build()
            }
            Call::WaitWord { word, expected } => {
                let any = u64::from(libc::FUTEX_BITSET_MATCH_ANY as u32);
                opcode::FutexWait::new(word.cast(), expected.into(), any, SHARED_U32).build()
            }
            Call::Lock { .. } | Call::Open { .. } => return None,
        })
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.call {
            Call::Read { .. } => "Operation(read)",
            Call::Write { .. } => "Operation(write)",
            Call::ReadVectored { .. } => "Operation(readv)",
            Call::WriteVectored { .. } => "Operation(writev)",
            Call::Sync { .. } => "Operation(fsync)",
            Call::Lock { .. } => "Operation(flock)",
            Call::Open { .. } => "Operation(open)",
            Call::WaitWord { .. } => "Operation(futex)",
        })
    }
}

/// The descriptor that an [`open`](Operation::open) gave.
///
/// # Safety
/// `result` is what such an operation gave just now, and nobody else takes it.
#[must_use]
pub unsafe fn opened(result: usize) -> OwnedFd {
    let fd = RawFd::try_from(result).expect("a descriptor is a small number");
    // SAFETY: the caller's promise: it is open, and nobody's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
