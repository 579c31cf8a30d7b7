//! Reserving address space, guarding parts of it, giving pages back: `mmap(2)`, `madvise(2)`.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

/// `MADV_GUARD_INSTALL` of Linux 6.13: pages that fault when touched, without a mapping of their own.
const MADV_GUARD_INSTALL: i32 = 102;

/// The size of a page of memory.
#[must_use]
pub fn page_size() -> usize {
    rustix::param::page_size()
}

/// Address space that is ours; a page of memory is given for each that is touched.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<c_void>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Reservation {}
// SAFETY: `&Reservation` gives out addresses only.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `length` bytes, a multiple of the page size: readable, writable, in small pages (a huge page would turn
    /// one touched stack page into two megabytes).
    ///
    /// # Errors
    /// `ENOMEM`: the limit of address space (`ulimit -v`), of mappings (`vm.max_map_count`), or, with
    /// `vm.overcommit_memory=2`, of committed memory.
    pub fn new(length: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches nothing that exists.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags)
        }?;
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: advice about our own fresh mapping. A kernel without huge pages refuses, and needs no advice.
        let _ = unsafe { madvise(base.as_ptr(), length, Advice::LinuxNoHugepage) };
        Ok(Self { base, length })
    }

    /// Its first address, from which pointers may be made.
    #[must_use]
    pub fn base(&self) -> NonZeroUsize {
        self.base.expose_provenance()
    }

    /// How long it is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it is nothing; it never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn part(&self, offset: usize, length: usize) -> *mut c_void {
        assert!(offset <= self.length && length <= self.length - offset, "a part of the reservation");
        self.base.as_ptr().wrapping_byte_add(offset)
    }

    /// Makes a part fault when touched, without a mapping of its own.
    ///
    /// # Errors
    /// `EINVAL` on a kernel before 6.13: use [`protect`](Self::protect).
    pub fn install_guard(&self, offset: usize, length: usize) -> io::Result<()> {
        let start = self.part(offset, length);
        // SAFETY: the range is ours, and the caller gives up what is in it (guards drop the pages).
        let result = unsafe { libc::madvise(start, length, MADV_GUARD_INSTALL) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Makes a part fault when touched, by a mapping of its own: two more of `vm.max_map_count`.
    ///
    /// # Errors
    /// `ENOMEM` where `vm.max_map_count` is reached.
    pub fn protect(&self, offset: usize, length: usize) -> io::Result<()> {
        // SAFETY: the range is ours, and nobody uses a guard.
        Ok(unsafe { mprotect(self.part(offset, length), length, MprotectFlags::empty()) }?)
    }

    /// Gives the pages of a part back; they read as zero when touched again.
    ///
    /// # Safety
    /// Nobody uses what is in the part.
    pub unsafe fn discard(&self, offset: usize, length: usize) {
        // SAFETY: the range is ours, and unused: the caller's promise. Advice may fail; then the pages stay.
        let _ = unsafe { madvise(self.part(offset, length), length, Advice::LinuxDontNeed) };
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and whoever drops it has no address in it any more.
        let _ = unsafe { munmap(self.base.as_ptr(), self.length) };
    }
}

/// How many bytes a processor's cache takes at once.
const LINE: usize = 64;

/// Has the processor bring what stands in these `length` bytes close, without waiting for it. A hint: whatever is there,
/// or is not, nothing faults.
#[inline(always)]
pub fn prefetch(address: usize, length: usize) {
    let mut line = address & !(LINE - 1);
    while line < address.saturating_add(length) {
        // SAFETY: a hint that reads nothing in the sense of the language, and cannot fault.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(line));
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        line += LINE;
    }
}

/// Copies what stands at `address` in this process, whatever it is, as a debugger would: it may be changing, or not be
/// there. Gives how many bytes could be read, from the start; none where the kernel forbids the call
/// (`process_vm_readv(2)`). Async-signal-safe.
pub fn read_own(address: usize, into: &mut [u8]) -> usize {
    // The kernel promises to stop between two pieces, not inside of one: so each is a page.
    const PIECES: usize = 32;
    let page = page_size();
    let mut done = 0;
    while done < into.len() {
        let mut remote = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES];
        let mut pieces = 0;
        let mut wanted = 0;
        while pieces < PIECES && done + wanted < into.len() {
            let start = address.wrapping_add(done + wanted);
            let length = (page - start % page).min(into.len() - done - wanted);
            remote[pieces] =
                libc::iovec { iov_base: std::ptr::without_provenance_mut(start), iov_len: length };
            pieces += 1;
            wanted += length;
        }
        let piece = &mut into[done..done + wanted];
        let local = libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() };
        // SAFETY: the kernel writes to `piece`, which is borrowed for the call, and only reads at `address`; what is not
        // mapped there is an error.
        let read = unsafe {
            let own = libc::getpid();
            libc::process_vm_readv(own, &raw const local, 1, remote.as_ptr(), pieces as libc::c_ulong, 0)
        };
        let Ok(read) = usize::try_from(read) else { break };
        done += read;
        if read < wanted {
            break;
        }
    }
    done
}
