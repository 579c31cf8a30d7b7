//! Words in shared memory that the kernel marks when the process dies that holds them: robust futexes
//! (set_robust_list(2); the kernel's `Documentation/locking/robust-futex-ABI.rst`).
//!
//! The kernel keeps a list for each thread, and goes through it when the thread ends, in whatever way: a word on it that
//! holds the thread's number loses that, gets [`DIED`], and one who sleeps on it is woken. Here one thread, the
//! [`Keeper`], holds words in the name of its process and never ends before it. (glibc has the same list for its own
//! robust mutexes; it sets one for each thread when that starts, and never again, and the keeper locks none.) A copy that
//! fork(2) makes has no list, and a process that executes another program ends as far as this is concerned.
//!
//! # What the kernel reads
//! A `Head`, and from there on the `Node`s of the words that are held. All nodes have the same distance to their words,
//! so that it finds these; other processes must not be able to change the nodes, or they would lead the kernel anywhere in
//! this process. So a mapping has a page of this process's own in front of it, for the nodes:
//!
//! ```text
//!     own page         | the memory that is shared
//!     node 0  node 1 ..| header  word 0 ..  word 1 ..  ...
//!     ^------------------------->  futex_offset
//! ```
//!
//! # Rules
//! 1. A mapping lives from [`RobustWords::map`] until it is dropped, and a [`Held`] keeps the mapping of its word.
//! 2. List, nodes and `pending` are written under the keeper's lock, in an order in which the thread may be killed anywhere:
//!    `pending` names a word from before it is taken until its node is in the list, and from before its node leaves the list
//!    until the word is free.
//! 3. The memory is seen as atomic integers and as nothing else, as in `shared_memory`.

use std::io;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::shared_memory::SealedMemory;

/// How many words of a mapping can be held.
pub const SLOTS: usize = 64;
/// The place of the first of them among the mapping's words.
pub const FIRST_SLOT: usize = 16;
/// From one to the next, in words: a line of the cache.
pub const SLOT_WORDS: usize = 16;
/// In the word of a process that has died.
pub const DIED: u32 = libc::FUTEX_OWNER_DIED;

/// `struct robust_list`.
#[repr(C)]
struct Node {
    next: AtomicUsize,
}

/// `struct robust_list_head`.
#[repr(C)]
struct Head {
    first: Node,
    futex_offset: usize,
    pending: AtomicUsize,
}

/// From a node to its word.
fn futex_offset() -> usize {
    crate::memory::page_size() + FIRST_SLOT * size_of::<u32>()
}

const NODE_STEP: usize = SLOT_WORDS * size_of::<u32>();
const _: () = assert!(SLOTS * NODE_STEP <= 4096, "the nodes fit into the smallest page");

/// Sealed memory, mapped as words with a page for nodes in front.
#[derive(Debug)]
pub struct RobustWords {
    /// The page of the nodes.
    nodes: NonNull<u8>,
    /// Behind it: all of the memory. Kept, because to ask for the size of a page takes longer than to send a message.
    words: NonNull<[AtomicU32]>,
    /// How many bytes are mapped, both together.
    mapped: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; words and nodes are atomic.
unsafe impl Send for RobustWords {}
// SAFETY: as above.
unsafe impl Sync for RobustWords {}

impl RobustWords {
    /// Maps all of `memory`, for reading and writing.
    ///
    /// # Errors
    /// `EINVAL`: it is too small for the words that can be held. `ENOMEM`: the limit of address space (`ulimit -v`) or of
    /// mappings (`vm.max_map_count`). `EACCES`, `EPERM`: the descriptor does not allow writing.
    pub fn map(memory: &SealedMemory) -> io::Result<Self> {
        let (page, length) = (crate::memory::page_size(), memory.length());
        if length < (FIRST_SLOT + SLOTS * SLOT_WORDS) * size_of::<u32>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let all = length.checked_add(page).ok_or(io::ErrorKind::OutOfMemory)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), all, protection, MapFlags::PRIVATE) }?;
        let nodes = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping is a page longer than the memory.
        let first = unsafe { nodes.byte_add(page) }.cast::<AtomicU32>();
        // From here on it is unmapped by `drop`.
        let words = NonNull::slice_from_raw_parts(first, length / size_of::<u32>());
        let words = Self { nodes, words, mapped: all };
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: it replaces the pages of the mapping above from its second on, which nobody has seen.
        unsafe { mmap(base.byte_add(page), length, protection, flags, memory, 0) }?;
        Ok(words)
    }

    fn node(&self, slot: usize) -> &Node {
        assert!(slot < SLOTS, "there is no such slot");
        // SAFETY: rule 1, and the assertions above: it lies in the page of the nodes, which began as zeros, and is
        // accessed as an atomic integer only.
        unsafe { self.nodes.byte_add(slot * NODE_STEP).cast::<Node>().as_ref() }
    }

    /// The word of a slot.
    fn word(&self, slot: usize) -> &AtomicU32 {
        &self[FIRST_SLOT + slot * SLOT_WORDS]
    }
}

impl Deref for RobustWords {
    type Target = [AtomicU32];

    #[inline]
    fn deref(&self) -> &[AtomicU32] {
        // SAFETY: rules 1 and 3: so many words lie behind the page, aligned, and live as long as `self`; the size of the
        // memory is sealed.
        unsafe { self.words.as_ref() }
    }
}

/// Some of the words, one behind the other, and what keeps the mapping: the way to them is found and checked once.
#[derive(Clone, Debug)]
pub struct Part {
    words: NonNull<[AtomicU32]>,
    _whole: Arc<RobustWords>,
}

// SAFETY: as `RobustWords`.
unsafe impl Send for Part {}
// SAFETY: as above.
unsafe impl Sync for Part {}

impl Part {
    /// These words; none if there are not so many.
    #[must_use]
    pub fn new(whole: &Arc<RobustWords>, range: Range<usize>) -> Option<Self> {
        let words = NonNull::from(whole.get(range)?);
        Some(Self { words, _whole: whole.clone() })
    }
}

impl Deref for Part {
    type Target = [AtomicU32];

    #[inline]
    fn deref(&self) -> &[AtomicU32] {
        // SAFETY: rules 1 and 3: it came from a reference into the mapping, which lives as long as `self` has it.
        unsafe { self.words.as_ref() }
    }
}

impl AsRef<[AtomicU32]> for RobustWords {
    fn as_ref(&self) -> &[AtomicU32] {
        self
    }
}

impl Drop for RobustWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and every reference into it has borrowed `self`.
        let _ = unsafe { munmap(self.nodes.as_ptr().cast(), self.mapped) };
    }
}

/// The thread whose end the kernel takes for that of the process.
#[derive(Debug)]
pub struct Keeper {
    /// Never freed: the kernel reads it when the thread ends.
    head: &'static Head,
    /// What the words hold that it holds.
    mark: u32,
    /// For who changes the list.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Head { .. }")
    }
}

impl Keeper {
    /// Makes the calling thread one, for good. It must end with the process and not before: else its words are marked
    /// though the process lives.
    ///
    /// # Errors
    /// The kernel has no robust futexes, or they are forbidden (`ENOSYS`, `EPERM`).
    pub fn of_this_thread() -> io::Result<Self> {
        let head: &'static Head = Box::leak(Box::new(Head {
            first: Node { next: AtomicUsize::new(0) },
            futex_offset: futex_offset(),
            pending: AtomicUsize::new(0),
        }));
        // An empty list is a circle.
        head.first.next.store(address_of(&head.first), Relaxed);
        // SAFETY: the head lives for ever, and what it leads to stays mapped (rule 1).
        let result =
            unsafe { libc::syscall(libc::SYS_set_robust_list, ptr::from_ref(head), size_of::<Head>()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let own = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        // With the mark of sleepers always on, the kernel always wakes one.
        Ok(Self { head, mark: own | libc::FUTEX_WAITERS, changing: Mutex::new(()) })
    }

    /// Takes the word of a slot, which is zero while it is free. `None` if somebody else has it.
    #[must_use]
    pub fn hold(&'static self, words: &Arc<RobustWords>, slot: usize) -> Option<Held> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (node, word) = (words.node(slot), words.word(slot));
        self.head.pending.store(address_of(node), SeqCst);
        // SYNC: robust.slot. What its holder before this one, or who tidied up after that one, did is visible.
        let taken = word.compare_exchange(0, self.mark, AcqRel, Relaxed).is_ok();
        if taken {
            node.next.store(self.head.first.next.load(Relaxed), Relaxed);
            self.head.first.next.store(address_of(node), Release);
        }
        self.head.pending.store(0, SeqCst);
        drop(changing);
        taken.then(|| Held { keeper: self, words: words.clone(), slot })
    }

    /// Takes a node out of the list, if it is there.
    fn unlink(&self, node: &Node) {
        let end = address_of(&self.head.first);
        let mut before = &self.head.first;
        loop {
            let next = before.next.load(Relaxed);
            if next == address_of(node) {
                return before.next.store(node.next.load(Relaxed), Release);
            }
            if next == end {
                return;
            }
            // SAFETY: rules 1 and 2: what is in the list is a node of a mapping that a `Held` keeps, put there by `hold`,
            // and the caller has the lock. (Node addresses were exposed by `address_of`.)
            before = unsafe { &*ptr::with_exposed_provenance::<Node>(next) };
        }
    }
}

fn address_of(node: &Node) -> usize {
    ptr::from_ref(node).expose_provenance()
}

/// A word that is held in the name of this process; free again when this is dropped.
#[derive(Debug)]
pub struct Held {
    keeper: &'static Keeper,
    words: Arc<RobustWords>,
    slot: usize,
}

impl Held {
    /// Which one.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The word is the original's, and so is the list.
        if crate::fork::is_copy() {
            return;
        }
        let _changing = self.keeper.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let node = self.words.node(self.slot);
        self.keeper.head.pending.store(address_of(node), SeqCst);
        self.keeper.unlink(node);
        // SYNC: robust.slot. If it does not hold our mark any more, somebody has tampered with it.
        let _ = self.words.word(self.slot).compare_exchange(self.keeper.mark, 0, Release, Acquire);
        self.keeper.head.pending.store(0, SeqCst);
    }
}
