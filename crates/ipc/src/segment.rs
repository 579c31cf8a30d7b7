//! Memory that processes share, as a value that travels in messages.
//!
//! A segment is a file in memory without a name: allocated when it is made, sealed against any change of its size, gone
//! with the last process that has it. It holds words and nothing else: no pointer, whose target another process does not
//! have, and nothing with a destructor, which a process that dies would not run.
//!
//! On the wire: the size of a word in bytes, then the descriptor. The receiver checks the size of a word, the seals and
//! the length before it maps anything.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Wait, WaitReason};
pub use ropewalk_sys::shared_memory::Word;
use ropewalk_sys::shared_memory::{SealedMemory, Words};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::{deserialize_descriptor, serialize_descriptor};

/// A piece of memory that processes share: a slice of atomic integers.
///
/// It travels in the argument and the result of a process, by itself or inside of other values; what one process writes
/// the others read, at once and without a copy. A clone is the same segment, not a copy of it. The memory goes back
/// to the system when the last process that has it drops it or ends, however it ends: nothing is left behind in `/dev/shm`.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use ropewalk_ipc::segment::Segment;
///
/// let words = Segment::<AtomicU64>::new(4)?;
/// words[3].fetch_add(2, Relaxed);
/// assert_eq!(words.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>(), [0, 0, 0, 2]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Words of several processes obey the rules of threads: an [`Acquire`] load that
/// sees what a [`Release`](std::sync::atomic::Ordering::Release) store wrote sees all that was written before. A process
/// can die between any two of its operations, and what it wrote until then stays. Whoever holds a segment can write any
/// word: what is read is a number that somebody may have made up, so check it before you use it as an index.
///
/// It lends its descriptor ([`AsFd`]), for the locks and the other means that the kernel has for a file.
pub struct Segment<T: Word = AtomicU64> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Word> {
    memory: SealedMemory,
    words: Words<T>,
}

impl<T: Word> Segment<T> {
    /// Allocates a segment of `count` words, all zero. Its pages are all taken now, so that no access can fail later;
    /// as with any memory that is used, to ask for more than the machine has may wake the kernel's killer instead of
    /// giving an error.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): no words. [`FileTooLarge`](io::ErrorKind::FileTooLarge): more than
    /// `ulimit -f` allows, or than can be addressed. [`OutOfMemory`](io::ErrorKind::OutOfMemory),
    /// [`StorageFull`](io::ErrorKind::StorageFull): more memory or address space (`ulimit -v`) than there is. What else the
    /// kernel says: no descriptor is left (`ulimit -n`).
    pub fn new(count: usize) -> io::Result<Self> {
        let length = count.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::FileTooLarge)?;
        Self::map(SealedMemory::new(length)?)
    }

    fn map(memory: SealedMemory) -> io::Result<Self> {
        let words = Words::map(&memory)?;
        Ok(Self { shared: Arc::new(Shared { memory, words }) })
    }
}

/// Waiting for a word, as C++'s `std::atomic::wait` does it.
impl Segment<AtomicU32> {
    /// Waits while the word holds `old`, and returns what it holds then. It is for whoever changes the word to say so
    /// afterwards, with [`notify_one`](Self::notify_one) or [`notify_all`](Self::notify_all), from whatever task of whatever
    /// process. A change that is undone before the waiter has looked may go unseen: count, where that matters.
    ///
    /// What a process wrote before it changed the word with [`Release`](std::sync::atomic::Ordering::Release) is visible afterwards.
    ///
    /// If the process that was to change the word dies, nobody does: where that can happen, wait with a limit, or take a lock
    /// or a semaphore, which notice.
    ///
    /// # Panics
    /// If there is no word `index`.
    ///
    /// # Waits
    /// Until the word holds something else. A thread sleeps on the word itself (futex(2)); for a coroutine its io_uring does
    /// (Linux 6.7), or with epoll another thread, one for up to 127 of them, which costs two more switches between threads.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Release};
    /// use ropewalk_ipc::segment::Segment;
    ///
    /// let words = Segment::<AtomicU32>::new(1)?;
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         words[0].store(7, Release);
    ///         words.notify_all(0);
    ///     });
    ///     assert_eq!(words.wait(0, 0), 7);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn wait(&self, index: usize, old: u32) -> u32 {
        loop {
            // Without a deadline the interruptions that remain are those of a task that cannot unwind: it goes on waiting.
            if let Some(new) = self.wait_until(index, old, None) {
                return new;
            }
        }
    }

    /// As [`wait`](Self::wait), for at most `limit`: then `None`.
    ///
    /// # Panics
    /// If there is no word `index`.
    ///
    /// # Waits
    /// Until the word holds something else, or the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::AtomicU32;
    /// use std::time::Duration;
    /// use ropewalk_ipc::segment::Segment;
    ///
    /// let words = Segment::<AtomicU32>::new(1)?;
    /// assert_eq!(words.wait_timeout(0, 0, Duration::from_millis(1)), None);
    /// assert_eq!(words.wait_timeout(0, 1, Duration::from_millis(1)), Some(0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, index: usize, old: u32, limit: Duration) -> Option<u32> {
        self.wait_until(index, old, clock::after(limit))
    }

    #[track_caller]
    fn wait_until(&self, index: usize, old: u32, deadline: Option<Instant>) -> Option<u32> {
        let word = &self[index];
        let wait = Wait::new(WaitReason::SharedWord).object(word).until(deadline);
        park::spend();
        loop {
            // The user's Release store is the other end.
            let value = word.load(Acquire);
            if value != old {
                return Some(value);
            }
            if let Err(interrupt) = park::wait_word(word, old, &wait) {
                let value = word.load(Acquire);
                if value != old {
                    return Some(value);
                }
                // What has woken this one, if anything did, was perhaps meant for one of several.
                park::wake_word(word, 1);
                let _ = interrupt.deliver();
                return None;
            }
        }
    }

    /// Wakes one of those who wait for the word, which was changed before. Never waits.
    ///
    /// # Panics
    /// If there is no word `index`.
    ///
    /// # Examples
    /// See [`wait`](Self::wait).
    pub fn notify_one(&self, index: usize) {
        park::wake_word(&self[index], 1);
    }

    /// Wakes all who wait for the word, which was changed before. Never waits.
    ///
    /// # Panics
    /// If there is no word `index`.
    ///
    /// # Examples
    /// See [`wait`](Self::wait).
    pub fn notify_all(&self, index: usize) {
        park::wake_word(&self[index], i32::MAX as u32);
    }
}

impl<T: Word> TryFrom<OwnedFd> for Segment<T> {
    type Error = io::Error;

    /// A segment whose descriptor came in another way than in a message between Ropewalk's processes. That its words are
    /// as large as here is then for the two sides to agree on.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is no memory that can be shared, its size is not sealed, or no word
    /// fits into it. What the kernel says when it cannot be mapped: it may not be written, or address space is short.
    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        let memory = SealedMemory::try_from(descriptor)?;
        if memory.length() < size_of::<T>() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the segment does not hold a single word",
            ));
        }
        Self::map(memory)
    }
}

impl<T: Word> Deref for Segment<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.shared.words
    }
}

impl<T: Word> Clone for Segment<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Word> AsFd for Segment<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.memory.as_fd()
    }
}

impl<T: Word> fmt::Debug for Segment<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("words", &self.len())
            .field("word_bytes", &size_of::<T>())
            .finish_non_exhaustive()
    }
}

impl<T: Word> Serialize for Segment<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (size_of::<T>() as u64, Sent(self.as_fd())).serialize(serializer)
    }
}

impl<'de, T: Word> Deserialize<'de> for Segment<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (size, Received(descriptor)) = <(u64, Received)>::deserialize(deserializer)?;
        if size != size_of::<T>() as u64 {
            let text = format!("the segment has words of {size} bytes, and not of {}", size_of::<T>());
            return Err(D::Error::custom(text));
        }
        Self::try_from(descriptor).map_err(D::Error::custom)
    }
}

/// The descriptor on its way out.
struct Sent<'a>(BorrowedFd<'a>);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.0, serializer)
    }
}

/// The descriptor on its way in.
struct Received(OwnedFd);

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_descriptor(deserializer).map(Self)
    }
}
