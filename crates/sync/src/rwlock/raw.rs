//! The lock of a read-write lock, without what it protects.
//!
//! # The word
//! | bits | meaning |
//! |---|---|
//! | `WRITER` | a writer holds the lock |
//! | `QUEUED` | somebody may wait |
//! | the rest | how many readers hold it, times `READER`; none beside `WRITER` |
//!
//! # Invariants
//! 1. Only who holds the lock gives its own share back; where shares are added there is no writer, and where `WRITER` is
//!    set there is nobody.
//! 2. `QUEUED` changes under the lock of the wait list only; if somebody is on the list it is set. (It may stay set when
//!    the list empties: whoever comes next under that lock clears it.)
//! 3. While `QUEUED` is set, readers that hold the lock are joined by others only under the lock of the list, and the last
//!    share is given back only there. So who holds the last share, or is the writer, may there rely on the word.
//! 4. If the lock is free and somebody is on the list, then somebody who was woken is on the way (`on_the_way`), and will
//!    look at the word under the lock of the list.
//!
//! # Protocol
//! As that of the mutex, with several that may be let in together. Who gives back the last share wakes the first waiter,
//! and if that reads, all readers right behind it; but the lock is left free for whoever comes first. Who comes too late
//! queues before all others and asks for a *hand-over*: the next release gives it the lock without freeing it. So nobody
//! loses twice. While readers hold the lock and somebody waits, further readers queue: a writer waits for those that
//! were there before it, and for one overtaker. When a writer leaves the queue because of an interruption the readers
//! behind it are let in.
//!
//! # Memory ordering
//! What a writer did is visible to whoever comes later, and what readers have read was read before a later writer
//! writes: giving back releases and taking acquires the word (SYNC: rwlock.word); who gives back the last share acquires
//! it as well, since it may hand over in the name of all readers. Handed over, the node of the wait list does both (SYNC:
//! wait_list.notified).

use Ordering::{Acquire, Relaxed, Release};

use crate::holder::{Holder, Note};
use crate::park::{Interrupt, Unparker, Wait, WaitReason};
use crate::primitive::{AtomicU32, Ordering, const_unless_loom};
use crate::wait_list::{Locked, Place, WaitList};

const WRITER: u32 = 1;
const QUEUED: u32 = 2;
const READER: u32 = 4;
/// The most readers; half of what the word can count, so that no number of threads at once overflows it.
const READERS_MAX: u32 = u32::MAX / READER / 2;

/// As for the mutex.
const SPINS: u32 = 100;

/// What a task wants with the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    fn share(self) -> u32 {
        match self {
            Self::Read => READER,
            Self::Write => WRITER,
        }
    }

    /// Whether a lock with this word, if nobody waits for it, has room for one more.
    fn fits(self, word: u32) -> bool {
        match self {
            Self::Read => word & WRITER == 0,
            Self::Write => word & !QUEUED == 0,
        }
    }

    fn reason(self) -> WaitReason {
        match self {
            Self::Read => WaitReason::RwLockRead,
            Self::Write => WaitReason::RwLockWrite,
        }
    }
}

/// What a waiter brings, and what it is told.
#[derive(Clone, Copy)]
struct Waiting {
    holder: Holder,
    access: Access,
    /// Before: it asks for a hand-over. Afterwards: it holds the lock.
    handed: bool,
}

#[derive(Default)]
struct Queue {
    /// How many have been woken, without a hand-over, and have not come yet.
    on_the_way: usize,
}

type Guard<'a> = Locked<'a, Queue, Waiting>;

/// A lock, and who writes under it.
pub(super) struct RawRwLock {
    word: AtomicU32,
    /// The writer. Readers are only counted.
    writer: Note,
    waiters: WaitList<Queue, Waiting>,
}

fn readers(word: u32) -> u32 {
    word / READER
}

impl RawRwLock {
    #[cfg(not(loom))]
    pub(super) const TASK_OFFSET: usize = std::mem::offset_of!(Self, writer) + Note::TASK_OFFSET;

    const_unless_loom! {
        /// Free.
        pub(super) fn new() -> Self {
            Self {
                word: AtomicU32::new(0),
                writer: Note::new(),
                waiters: WaitList::new(Queue { on_the_way: 0 }),
            }
        }
    }

    /// Takes the lock; waits for it if it has to. `object` is what the waiter is shown to wait for. In the error is the
    /// interruption, not yet delivered.
    #[inline]
    pub(super) fn lock<T: ?Sized>(&self, access: Access, object: &T) -> Result<(), Interrupt> {
        let caller = Holder::caller();
        let word = self.word.load(Relaxed);
        if !self.take(access, word) && !self.spin(access, caller) {
            self.lock_contended(access, caller, Wait::new(access.reason()).object(object))?;
        }
        self.note(access, caller);
        Ok(())
    }

    /// Takes the lock if it is free for this, and nobody waits for it to become so.
    #[inline]
    pub(super) fn try_lock(&self, access: Access) -> bool {
        let mut word = self.word.load(Relaxed);
        let taken = loop {
            if !access.fits(word) {
                break false;
            }
            if word & QUEUED != 0 && readers(word) > 0 {
                // Whether anybody is before it the list knows.
                break self.enter(access, &self.waiters.lock(), false);
            }
            // SYNC: rwlock.word
            match self.word.compare_exchange(word, add(word, access), Acquire, Relaxed) {
                Ok(_) => break true,
                Err(now) => word = now,
            }
        };
        if taken {
            self.note(access, Holder::caller());
        }
        taken
    }

    /// Gives a share back. Only for who holds one for this.
    #[inline]
    pub(super) fn unlock(&self, access: Access) {
        match access {
            Access::Write => {
                self.writer.release();
                // SYNC: rwlock.word
                if self.word.compare_exchange(WRITER, 0, Release, Relaxed).is_err() {
                    self.release_last(self.waiters.lock());
                }
            }
            Access::Read => {
                let mut word = self.word.load(Relaxed);
                while word & QUEUED == 0 || readers(word) > 1 {
                    // SYNC: rwlock.word
                    match self.word.compare_exchange(word, word - READER, Release, Relaxed) {
                        Ok(_) => return,
                        Err(now) => word = now,
                    }
                }
                self.unlock_last_reader();
            }
        }
    }

    /// Makes the caller, who writes, a reader, and lets in the readers that wait first.
    pub(super) fn downgrade(&self) {
        self.writer.clear();
        // SYNC: rwlock.word
        let word = self.word.fetch_add(READER - WRITER, Release);
        if word & QUEUED != 0 {
            self.admit_readers(self.waiters.lock());
        }
    }

    /// Who writes, if anybody does. A snapshot.
    pub(super) fn writer(&self) -> Option<Holder> {
        let written = self.word.load(Relaxed) & WRITER != 0;
        written.then(|| self.writer.read())
    }

    /// How many read. A snapshot.
    pub(super) fn readers(&self) -> usize {
        readers(self.word.load(Relaxed)) as usize
    }

    fn note(&self, access: Access, holder: Holder) {
        if access == Access::Write {
            self.writer.write(holder);
        }
    }

    /// Takes the lock, whose word was this, if nobody waits for it and there is room.
    #[inline]
    fn take(&self, access: Access, word: u32) -> bool {
        // SYNC: rwlock.word
        word & QUEUED == 0
            && access.fits(word)
            && self.word.compare_exchange(word, add(word, access), Acquire, Relaxed).is_ok()
    }

    /// Looks for a while whether there is room.
    fn spin(&self, access: Access, caller: Holder) -> bool {
        let spins = if cfg!(loom) { 0 } else { SPINS };
        for _ in 0..spins {
            let word = self.word.load(Relaxed);
            if self.take(access, word) {
                return true;
            }
            // Others wait already, or it cannot become free while its holder's worker looks at it.
            if word & QUEUED != 0 || word & WRITER != 0 && self.writer.is_neighbour_of(caller) {
                return false;
            }
            std::hint::spin_loop();
        }
        false
    }

    #[cold]
    fn lock_contended(&self, access: Access, caller: Holder, wait: Wait) -> Result<(), Interrupt> {
        let mut comes_back = false;
        let mut queue = self.waiters.lock();
        loop {
            if self.enter(access, &queue, comes_back) {
                return Ok(());
            }
            let place = if comes_back { Place::First } else { Place::Last };
            let wait = wait.holder(self.writer().map(|writer| writer.home)).comes_back(comes_back);
            let waiting = Waiting { holder: caller, access, handed: comes_back };
            match self.waiters.wait_with(queue, &wait, waiting, place) {
                Ok(Waiting { handed: true, .. }) => return Ok(()),
                Ok(Waiting { handed: false, .. }) => {
                    queue = self.waiters.lock();
                    queue.on_the_way -= 1;
                    comes_back = true;
                }
                Err(left) => {
                    // Readers behind a writer that leaves have nobody before them any more.
                    self.admit_readers(left.guard);
                    return Err(left.interrupt);
                }
            }
        }
    }

    /// Under the lock of the list: takes the lock if there is room, else says that somebody waits. Where readers hold it a
    /// reader that comes finds no room if anybody waits, unless it was before all who wait and comes back.
    fn enter(&self, access: Access, queue: &Guard<'_>, comes_back: bool) -> bool {
        let is_next = comes_back || queue.is_empty();
        let queued = if queue.is_empty() { 0 } else { QUEUED };
        let mut word = self.word.load(Relaxed);
        loop {
            let has_room = access.fits(word) && (is_next || readers(word) == 0);
            let next = if has_room { add(word & !QUEUED, access) | queued } else { word | QUEUED };
            // SYNC: rwlock.word
            match self.word.compare_exchange(word, next, Acquire, Relaxed) {
                Ok(_) => return has_room,
                Err(now) => word = now,
            }
        }
    }

    /// Under the lock of the list: if readers hold the lock, lets those in that wait before any writer.
    fn admit_readers(&self, queue: Guard<'_>) {
        if queue.is_empty() {
            self.word.fetch_and(!QUEUED, Relaxed);
            return;
        }
        self.waiters.notify_while(queue, |_, first| {
            let word = self.word.load(Relaxed);
            // `QUEUED` is set, so as long as this lock is held the readers do not all go (3).
            let joins = first.access == Access::Read && word & WRITER == 0 && readers(word) > 0;
            if joins {
                // SYNC: rwlock.word. For who is woken, who sees what the writers before have done only by way of this task.
                self.word.fetch_add(READER, Acquire);
                first.handed = true;
            }
            joins
        });
    }

    #[cold]
    fn unlock_last_reader(&self) {
        let queue = self.waiters.lock();
        let mut word = self.word.load(Relaxed);
        // Before the lock of the list was taken others may have joined, or those who waited have left.
        while word & QUEUED == 0 || readers(word) > 1 {
            // SYNC: rwlock.word
            match self.word.compare_exchange(word, word - READER, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.release_last(queue);
    }

    /// Gives back the last share, under the lock of the list: the word changes by nobody else (3).
    #[cold]
    fn release_last(&self, mut queue: Guard<'_>) {
        // SYNC: rwlock.word. What the other readers have read they read before whoever is next writes.
        let _ = self.word.load(Acquire);
        let rest = if queue.waiters() <= 1 { 0 } else { QUEUED };
        match queue.first_slot() {
            None => self.word.store(0, Release), // SYNC: rwlock.word
            Some(first @ Waiting { handed: true, access, .. }) => {
                // Before it is told: from then on the lock is its own.
                self.note(access, first.holder);
                // SYNC: rwlock.word. For those who join, without a look at the list, a reader that is handed it.
                self.word.store(access.share() | rest, Release);
                let woken = queue.notify_first(first);
                match access {
                    Access::Read => self.admit_readers(queue),
                    Access::Write => drop(queue),
                }
                woken.into_iter().for_each(Unparker::unpark);
            }
            Some(_) if queue.on_the_way > 0 => self.word.store(QUEUED, Release), // SYNC: rwlock.word
            Some(first @ Waiting { access: Access::Write, .. }) => {
                queue.on_the_way += 1;
                let woken = queue.notify_first(first);
                self.word.store(rest, Release); // SYNC: rwlock.word
                drop(queue);
                woken.into_iter().for_each(Unparker::unpark);
            }
            Some(_) => {
                self.word.store(QUEUED, Release); // SYNC: rwlock.word
                self.waiters.notify_while(queue, |queue, first| {
                    let goes = first.access == Access::Read && !first.handed;
                    queue.on_the_way += usize::from(goes);
                    goes
                });
            }
        }
    }
}

/// The word with one more that holds the lock.
fn add(word: u32, access: Access) -> u32 {
    assert!(readers(word) < READERS_MAX, "too many tasks read under one lock");
    word + access.share()
}
