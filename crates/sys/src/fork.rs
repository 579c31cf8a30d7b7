//! Copies of this process: `fork(2)` copies memory and descriptors, but of the threads only the one that calls it.
//!
//! What tells a copy is a page of memory that the kernel empties in it (`MADV_WIPEONFORK`, madvise(2), Linux 4.14): so it
//! is told however it was made, by libc or past it, and to look costs two loads. The child of a `vfork` shares its
//! parent's memory, and is no copy.

use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A page that holds `true` here, and `false` in every copy. Null until [`remember`]; never unmapped once it is here.
static MARK: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());

/// Remembers this process: those that fork(2) makes of it from now on [are copies](is_copy). Where the kernel is older
/// than 4.14, or has no mapping left, they are not told.
pub fn remember() {
    if !MARK.load(Relaxed).is_null() {
        return;
    }
    let Some(page) = new_mark() else { return };
    // SYNC: fork.mark. Who sees the page sees what is in it.
    if MARK.compare_exchange(ptr::null_mut(), page.as_ptr(), AcqRel, Relaxed).is_err() {
        // SAFETY: somebody else's was first, and nobody has seen this one.
        let _ = unsafe { munmap(page.as_ptr().cast(), crate::memory::page_size()) };
    }
}

fn new_mark() -> Option<NonNull<AtomicBool>> {
    let size = crate::memory::page_size();
    // SAFETY: a new anonymous mapping at an address that the kernel chooses touches nothing that exists.
    let page = unsafe {
        mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let page = NonNull::new(page.ok()?)?;
    // SAFETY: advice about our own fresh mapping.
    let advised = unsafe { madvise(page.as_ptr(), size, Advice::LinuxWipeOnFork) };
    if advised.is_err() {
        // SAFETY: ours, and nobody has seen it.
        let _ = unsafe { munmap(page.as_ptr(), size) };
        return None;
    }
    let mark = page.cast::<AtomicBool>();
    // SAFETY: the page is mapped, aligned, and all zero, which is a `false`.
    unsafe { mark.as_ref() }.store(true, Release);
    Some(mark)
}

/// Whether this process is a copy that fork(2) made of one that was [remembered](remember). Async-signal-safe.
#[inline]
#[must_use]
pub fn is_copy() -> bool {
    // SYNC: fork.mark
    let mark = MARK.load(Acquire);
    // SAFETY: null, or a page that stays mapped for ever.
    unsafe { mark.as_ref() }.is_some_and(|mark| !mark.load(Relaxed))
}
