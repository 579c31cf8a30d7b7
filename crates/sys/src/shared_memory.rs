//! Memory that processes share: a file without a name (memfd_create(2)) whose size is sealed, and mappings of it.
//!
//! # What makes it sound
//! 1. A [`SealedMemory`] has the seals against shrinking, growing and further seals (fcntl(2), "File Sealing"). They hold
//!    for the file, in every process and for ever, so no access to a mapping of it lies behind its end.
//! 2. A mapping starts at a page, is as long as the file, and lives from [`Words::map`] until the `Words` is dropped.
//! 3. A mapping is seen as atomic integers of one size and as nothing else ([`Word`]). What anybody else does to the
//!    memory - another process, the kernel in a write(2), another mapping - happens outside of this program, as what a
//!    device does: any bits may be found, and all bits are a valid integer.
//! 4. Many words at once are copied by an instruction that the compiler does not look into ([`copy_in`], [`copy_out`]). What it
//!    does to the memory is what another process would do: byte by byte, each of them whole, in any order. Copied are
//!    integers, of which any bits are valid, from words that somebody may be writing to, or to words that somebody may be
//!    reading.
//!
//! The seals do not keep a process that has the descriptor from punching holes (fallocate(2)). A hole reads as zero, and
//! takes memory again when it is touched.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate,
    memfd_create,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Resource, getrlimit};

/// What nobody may do to the file any more.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Memory with a descriptor, and a size that cannot change.
#[derive(Debug)]
pub struct SealedMemory {
    file: OwnedFd,
    length: usize,
}

impl SealedMemory {
    /// Allocates `length` bytes of zeros, all of them now: what is short later is memory for others.
    ///
    /// # Errors
    /// `EINVAL`: no length. `EFBIG`: more than `ulimit -f`. `ENOMEM` or `ENOSPC`: more than there is. `EMFILE`, `ENFILE`:
    /// no descriptor is left.
    pub fn new(length: usize) -> io::Result<Self> {
        let size = u64::try_from(length).map_err(|_| Errno::FBIG)?;
        if size == 0 {
            return Err(Errno::INVAL.into());
        }
        // The kernel would send `SIGXFSZ`, which ends the process.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < size) {
            return Err(Errno::FBIG.into());
        }
        let file = open()?;
        ftruncate(&file, size)?;
        retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, size))?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Self { file, length })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

/// A file in memory that can be sealed and never run as a program.
fn open() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"ropewalk", flags | MemfdFlags::NOEXEC_SEAL) {
        // A kernel before 6.3 does not know the flag.
        Err(Errno::INVAL) => memfd_create(c"ropewalk", flags),
        opened => opened,
    }
}

impl TryFrom<OwnedFd> for SealedMemory {
    type Error = io::Error;

    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is no file in memory, it is not sealed, it is empty.
    fn try_from(file: OwnedFd) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let seals = fcntl_get_seals(&file).map_err(|_| invalid("the descriptor is no shared memory"))?;
        if !seals.contains(SEALS) {
            return Err(invalid("the shared memory is not sealed: its size could change"));
        }
        // Asked after the seals: now it is true for ever.
        match usize::try_from(fstat(&file)?.st_size) {
            Ok(length @ 1..) => Ok(Self { file, length }),
            _ => Err(invalid("the shared memory has no size that could be used")),
        }
    }
}

impl AsFd for SealedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// An atomic integer as which shared memory can be seen.
///
/// # Safety
/// All bits are a valid value; its size is a power of two of at most a page, and its alignment is no larger; through a
/// shared reference it is accessed by atomic operations on all of it, and in no other way.
pub unsafe trait Word: Send + Sync + 'static {}

// SAFETY: an integer of four bytes, with atomic operations only.
unsafe impl Word for AtomicU32 {}
// SAFETY: an integer of eight bytes, with atomic operations only.
unsafe impl Word for AtomicU64 {}

/// A mapping of [`SealedMemory`], as words. What does not fill a word at its end is left out.
#[derive(Debug)]
pub struct Words<T: Word> {
    base: NonNull<T>,
    length: usize,
    words: PhantomData<T>,
}

// SAFETY: a mapping belongs to the process, not to a thread, and its words are `Send` and `Sync`.
unsafe impl<T: Word> Send for Words<T> {}
// SAFETY: as above.
unsafe impl<T: Word> Sync for Words<T> {}

impl<T: Word> Words<T> {
    /// Maps all of `memory`, for reading and writing.
    ///
    /// # Errors
    /// `ENOMEM`: the limit of address space (`ulimit -v`) or of mappings (`vm.max_map_count`). `EACCES`, `EPERM`: the
    /// descriptor does not allow writing.
    pub fn map(memory: &SealedMemory) -> io::Result<Self> {
        let length = memory.length;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let base =
            unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, &memory.file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length, words: PhantomData })
    }
}

impl<T: Word> Deref for Words<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: rules 1 and 2: so many words lie in the mapping, aligned, and they live as long as `self`. Rule 3 and
        // `Word`: all bits are valid, and nobody in this program accesses them but by atomic operations.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length / size_of::<T>()) }
    }
}

impl<T: Word> Drop for Words<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and every reference into it has borrowed `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// From so many words on the processor copies them by itself, faster than word by word.
const MANY: usize = 64;

/// Writes the bytes into the words, in no order that others could rely upon.
///
/// # Panics
/// If there are not so many words.
#[inline]
pub fn copy_in(words: &[AtomicU32], bytes: &[[u8; size_of::<u32>()]]) {
    let words = &words[..bytes.len()];
    if can_copy_many(words.len()) {
        // SAFETY: there is room for so many bytes, which may be written through a shared reference, as the words are atomic.
        return unsafe {
            copy_many(words.as_ptr().cast_mut().cast(), bytes.as_ptr().cast(), size_of_val(words))
        };
    }
    for (word, bytes) in words.iter().zip(bytes) {
        word.store(u32::from_ne_bytes(*bytes), Relaxed);
    }
}

/// Reads the bytes out of the words; what somebody writes to meanwhile is read in pieces.
///
/// # Panics
/// If there are not so many words.
#[inline]
pub fn copy_out(words: &[AtomicU32], bytes: &mut [[u8; size_of::<u32>()]]) {
    let words = &words[..bytes.len()];
    if can_copy_many(words.len()) {
        // SAFETY: so many bytes are there, and there is room for them.
        return unsafe { copy_many(bytes.as_mut_ptr().cast(), words.as_ptr().cast(), size_of_val(words)) };
    }
    for (word, bytes) in words.iter().zip(bytes) {
        *bytes = word.load(Relaxed).to_ne_bytes();
    }
}

/// Under Miri, and on other processors, words are copied one by one.
fn can_copy_many(words: usize) -> bool {
    cfg!(all(target_arch = "x86_64", not(miri))) && words >= MANY
}

/// Rule 4. Its stores are done before those that come later in the program (Intel SDM 1, 7.3.9.3; AMD64 APM 2, 7.1).
///
/// # Safety
/// So many bytes can be read there, and written there; the two do not overlap.
#[inline]
unsafe fn copy_many(to: *mut u8, from: *const u8, count: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; the direction flag is clear, as at every function's beginning.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (to, from, count);
        unreachable!("words are copied one by one here");
    }
}
