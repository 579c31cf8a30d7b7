//! A piece of shared memory with a table of the processes that have it, and structures one behind the other.
//!
//! # Header
//! | word | what |
//! |---|---|
//! | 0, 1 | magic and version of this layout |
//! | 2 | where the blocks end; changed last when one is placed |
//! | 3 | epoch: changes whenever a process comes |
//! | 4 | the recovery lock: whoever tidies up for the dead |
//! | 5 | the allocation lock: whoever places a block |
//!
//! # Nobody dies unnoticed
//! 1. A process that comes takes a slot, whose pulse the kernel marks from then on should the process die, and changes the
//!    epoch.
//! 2. Whoever is there watches the epoch and the pulses of all others, and looks at the table after each change: it watches
//!    first what it finds, the epoch before the pulses, and looks for marks then. So it watches newcomers before they can
//!    own anything for long, and if one dies in between, its pulse is found marked. One that dies before the others are
//!    told owns nothing but its slot, which is found at the next look.
//! 3. Whoever comes looks as well: for those that died while nobody was there.
//! 4. Tidying up is for one at a time, under the recovery lock, which is taken over from an owner that has died. Who finds it
//!    taken by one who lives leaves: that one looks at the table again after it has given the lock back, and both sides use
//!    `SeqCst`, so the look comes after the mark that the other has seen (SYNC: table.pulse).
//! 5. A pulse is one thread's, and the kernel ends the threads of a process one by one: others may run on for a moment,
//!    with locks in their hands. So tidying up begins when the process's pidfd says that all have ended.
//! 6. A slot is free again after all else is done. Whoever dies in the middle leaves the slot marked, and the next one does
//!    it all again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak, mpsc};

use ropewalk_sync::park::{self, Wait, WaitReason, Watch, WatchesWord, watch_word};
use ropewalk_sys::process::{Lingering, file_identity};
use ropewalk_sys::robust::{DIED, Held, Keeper, Part, RobustWords, SLOTS};
use ropewalk_sys::shared_memory::SealedMemory;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bell::wake_all;
use super::block::{self, Fields, Form};
use super::lock;
use super::table::{self, Owner, Table};
use crate::crash;
use crate::message::{Descriptor, serialize_descriptor};

const MAGIC: u32 = u32::from_ne_bytes(*b"rgn\x01");
const VERSION: u32 = 1;

const END: usize = 2;
const EPOCH: usize = 3;
const RECOVERY: usize = 4;
const ALLOCATION: usize = 5;

/// Memory for structures that processes share: locks, semaphores and the others of this module.
///
/// It travels in the argument and the result of a process, and so does each structure by itself: the region comes along. A
/// clone is the same region. The memory goes back to the system when the last process that has it drops it, with all that
/// stands in it, or ends, however it ends: it has no name, and nothing is left behind in `/dev/shm`.
///
/// Up to 64 processes can have a region at a time. One thread of each, which sleeps, is what the kernel tells the others
/// the process's death by (robust futexes); another, which sleeps as well, watches for that. When one dies, another
/// frees what it held.
///
/// What stands in a region stays there: there is no way to take a structure out again.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::{Mutex, Region, Semaphore};
///
/// let region = Region::new(4096)?;
/// let balance = Mutex::new_in(&region, 100_u64)?;
/// let desks = Semaphore::new_in(&region, 2)?;
/// let _desk = desks.acquire();
/// *balance.lock().unwrap() += 1;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Region(Arc<Inner>);

struct Inner {
    words: Arc<RobustWords>,
    memory: SealedMemory,
    /// Of the memory's file: what the processes' regions are known by.
    identity: (u64, u64),
    owner: Owner,
    watching: Arc<Watching>,
}

/// What the helper that watches the pulses knows.
struct Watching {
    words: Arc<RobustWords>,
    owner: Owner,
    own: Weak<Watching>,
    /// The words that are watched, with what they held: the epoch, and then the pulses.
    watches: Mutex<Vec<Option<(u32, Watch)>>>,
    /// A thread waits for a process to end for good.
    is_lingering: AtomicBool,
    /// The slot is free when nobody can tidy up in the name of this process any more.
    _held: Held,
}

type Regions = HashMap<(u64, u64), Weak<Inner>>;

/// The regions that this process has, by the files of their memory: a process takes one slot for each, however often it
/// comes.
static REGIONS: LazyLock<Mutex<Regions>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that holds the pulses of this process. It sleeps, and ends with the process.
fn keeper() -> io::Result<&'static Keeper> {
    static KEEPER: OnceLock<Keeper> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());

    let _starting = locked(&STARTING);
    if let Some(keeper) = KEEPER.get() {
        return Ok(keeper);
    }
    let (tell, told) = mpsc::channel();
    let hold = move || {
        let keeper = Keeper::of_this_thread();
        let failed = keeper.is_err();
        let _ = tell.send(keeper);
        if failed {
            return;
        }
        loop {
            std::thread::park();
        }
    };
    std::thread::Builder::new().name("ropewalk-pulse".into()).spawn(hold)?;
    let keeper = told.recv().map_err(io::Error::other)?.map_err(|error| {
        let text = format!(
            "{error}: without robust futexes (set_robust_list(2)) nobody would notice that a process dies"
        );
        io::Error::new(error.kind(), text)
    })?;
    Ok(KEEPER.get_or_init(|| keeper))
}

impl Region {
    /// The most processes that can have a region at a time.
    pub const PROCESSES_MAX: usize = SLOTS;

    /// A new region with room for about `bytes` of structures: 64 for each, 256 more for a lock of readers and writers or a
    /// semaphore, 512 for a barrier, and twice the size of the value that it protects. Its pages are all taken now, so that
    /// no access can fail later.
    ///
    /// # Errors
    /// As those of [`Segment::new`](crate::segment::Segment::new). [`Unsupported`](io::ErrorKind::Unsupported): the kernel
    /// has no robust futexes, or this is a copy that fork(2) made.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let blocks = bytes.div_ceil(size_of::<u32>());
        Self::with_words(blocks)
    }

    /// With room for exactly one structure.
    pub(super) fn of(form: Form) -> io::Result<Self> {
        Self::with_words(form.words())
    }

    fn with_words(blocks: usize) -> io::Result<Self> {
        let words = blocks.checked_add(table::END).filter(|words| u32::try_from(*words).is_ok());
        let memory = SealedMemory::new(words.ok_or(io::ErrorKind::FileTooLarge)? * size_of::<u32>())?;
        let words = RobustWords::map(&memory)?;
        words[1].store(VERSION, Relaxed);
        words[END].store(table::END as u32, Relaxed);
        words[0].store(MAGIC, Release);
        Self::attach(memory, words)
    }

    /// Takes a slot of a region that is there.
    fn attach(memory: SealedMemory, words: RobustWords) -> io::Result<Self> {
        park::check_original()?;
        park::remember_original();
        let identity = file_identity(memory.as_fd())?;
        let words = Arc::new(words);
        let held = take_slot(&words)?;
        crash::point("region: slot taken");
        let owner = Table(&words).begin(held.slot());
        let watching = Arc::new_cyclic(|own| Watching {
            words: words.clone(),
            owner,
            own: own.clone(),
            watches: Mutex::new((0..SLOTS).map(|_| None).collect()),
            is_lingering: AtomicBool::new(false),
            _held: held,
        });
        let inner = Arc::new(Inner { words, memory, identity, owner, watching });
        inner.words[EPOCH].fetch_add(1, SeqCst);
        crash::point("region: epoch changed");
        wake_all(&inner.words[EPOCH]);
        inner.watching.look()?;
        locked(&REGIONS).insert(identity, Arc::downgrade(&inner));
        Ok(Self(inner))
    }

    pub(super) fn words(&self) -> &[AtomicU32] {
        &self.0.words
    }

    /// These words, if there are so many.
    pub(super) fn part(&self, range: Range<usize>) -> Option<Part> {
        Part::new(&self.0.words, range)
    }

    pub(super) fn owner(&self) -> Owner {
        self.0.owner
    }

    /// The processes that have the region, by their numbers. One that has died is among them until what it held is free.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::Region;
    ///
    /// assert_eq!(Region::new(0)?.processes(), [std::process::id()]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        // One that died before it had told the others that it came owns nothing but a slot, and nobody was woken for it.
        let _ = self.0.watching.look();
        Table(self.words()).processes()
    }

    /// The place of the first block that `is_wanted`, or else of a new one; `write` writes that before anybody else can know
    /// of it.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull).
    ///
    /// # Waits
    /// While somebody else does this.
    pub(super) fn find_or_allocate(
        &self,
        form: Form,
        is_wanted: impl Fn(Fields<'_>) -> bool,
        write: impl FnOnce(&[AtomicU32]),
    ) -> io::Result<usize> {
        let words = self.words();
        let wait = Wait::new(WaitReason::SharedLock).object(&words[ALLOCATION]).uncancellable();
        let taken = lock::lock(&words[ALLOCATION], self.owner(), &wait);
        debug_assert!(taken.is_ok(), "who cannot be interrupted was");
        let start = words[END].load(Acquire) as usize;
        let mut at = table::END;
        for fields in block::all(words, table::END..start) {
            if is_wanted(fields) {
                lock::unlock(&words[ALLOCATION], true);
                return Ok(at);
            }
            at += fields.length();
        }
        let end = start.checked_add(form.words()).filter(|end| *end <= words.len() && start >= table::END);
        let result = match end {
            Some(end) => {
                write(&words[start..end]);
                crash::point("region: block written, not committed");
                // SYNC: region.end. Whoever sees the block sees what is in it.
                words[END].store(end as u32, Release);
                Ok(start)
            }
            None => {
                let text = "the region is full: see `Region::new`";
                Err(io::Error::new(io::ErrorKind::StorageFull, text))
            }
        };
        lock::unlock(&words[ALLOCATION], true);
        result
    }
}

/// # Errors
/// All are taken.
fn take_slot(words: &Arc<RobustWords>) -> io::Result<Held> {
    let keeper = keeper()?;
    (0..SLOTS).find_map(|slot| keeper.hold(words, slot)).ok_or_else(|| {
        let text = format!("{SLOTS} processes have the region already, that is the most");
        io::Error::new(io::ErrorKind::QuotaExceeded, text)
    })
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The pulses are of no interest any more.
        locked(&self.watching.watches).clear();
        let mut regions = locked(&REGIONS);
        // There may be a newer one of the same file.
        if regions.get(&self.identity).is_some_and(|region| region.strong_count() == 0) {
            regions.remove(&self.identity);
        }
    }
}

impl WatchesWord for Watching {
    fn changed(&self) {
        // Without a thread for it, others watch.
        let _ = self.look();
    }
}

impl Watching {
    /// Watches all who live, and tidies up for those that have died.
    fn look(&self) -> io::Result<()> {
        let watched = self.watch();
        // Behind the watching: who dies before it is found here, and who dies after it is told of. So also where nobody
        // could be watched.
        self.recover();
        watched
    }

    /// Watches the epoch, and the pulses of all who live.
    fn watch(&self) -> io::Result<()> {
        let mut watches = locked(&self.watches);
        let own: Weak<dyn WatchesWord> = self.own.clone();
        // The epoch first: who comes takes a slot before it changes the epoch, so it has a pulse already, or is told of.
        let slots = (0..SLOTS).filter(|slot| *slot != self.owner.slot());
        let places = std::iter::once(EPOCH).chain(slots.map(Table::place_of_pulse));
        for (watch, place) in watches.iter_mut().zip(places) {
            let value = self.words[place].load(SeqCst);
            let is_watched = place == EPOCH || (value != 0 && value & DIED == 0);
            if !is_watched {
                *watch = None;
            } else if watch.as_ref().is_none_or(|(watched, _)| *watched != value) {
                *watch = None;
                *watch = Some((value, watch_word(&self.words, place, value, own.clone())?));
            }
        }
        Ok(())
    }

    /// Tidies up for all processes that have died. See the module's "Nobody dies unnoticed".
    fn recover(&self) {
        let table = Table(&self.words);
        // No more often than processes can die here: who marks slots for fun is not to keep this thread busy.
        for _ in 0..=SLOTS {
            let Some(slot) = table.dead().next() else { return };
            if let Some(lingering) = table.dead().find_map(|slot| table.lingering(slot)) {
                return self.look_after(lingering);
            }
            if !self.take_recovery() {
                return;
            }
            crash::point("region: recovery lock taken");
            self.recover_slot(slot);
            // SYNC: table.pulse
            self.words[RECOVERY].store(0, SeqCst);
        }
    }

    /// Tidies up for the process that had the slot. The caller has the recovery lock.
    fn recover_slot(&self, slot: usize) {
        let table = Table(&self.words);
        if table.pulse(slot) & DIED == 0 {
            return;
        }
        let dead = table.owner(slot);
        let end = self.words[END].load(Acquire) as usize;
        for fields in block::all(&self.words, table::END..end) {
            fields.recover(dead);
            crash::point("region: one block recovered");
        }
        lock::recover(&self.words[ALLOCATION], dead);
        crash::point("region: slot about to be freed");
        table.free_dead(slot);
        crash::point("region: slot freed");
    }

    /// Looks again when a process that dies has ended for good, on a thread that waits for that, if there is none yet.
    fn look_after(&self, lingering: Lingering) {
        let Some(own) = self.own.upgrade() else { return };
        if self.is_lingering.swap(true, SeqCst) {
            return;
        }
        let wait = move || {
            lingering.join();
            // Before the look: who finds it set has marks to look at that this look still finds.
            own.is_lingering.store(false, SeqCst);
            let _ = own.look();
        };
        if std::thread::Builder::new().name("ropewalk-pulse".into()).spawn(wait).is_err() {
            // Whoever comes next does it.
            self.is_lingering.store(false, SeqCst);
        }
    }

    /// Takes the recovery lock, from an owner that has died as well.
    fn take_recovery(&self) -> bool {
        let word = &self.words[RECOVERY];
        let now = word.load(SeqCst);
        let is_free = Owner::of(now).is_none_or(|owner| Table(&self.words).is_gone(owner));
        is_free && word.compare_exchange(now, self.owner.bits(), SeqCst, SeqCst).is_ok()
    }
}

impl TryFrom<OwnedFd> for Region {
    type Error = io::Error;

    /// A region whose descriptor came in another way than in a message between Ropewalk's processes.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is no region, or one of another version of this layout.
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): as many processes have it as can. What the kernel says when it cannot
    /// be mapped, or no thread be started.
    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let memory = SealedMemory::try_from(descriptor)?;
        let known = locked(&REGIONS).get(&file_identity(memory.as_fd())?).and_then(Weak::upgrade);
        if let Some(known) = known {
            return Ok(Self(known));
        }
        if memory.length() < table::END * size_of::<u32>() {
            return Err(invalid("the shared memory is too small for a region"));
        }
        let words = RobustWords::map(&memory)?;
        if words[0].load(Acquire) != MAGIC {
            return Err(invalid("the shared memory is no region"));
        }
        if words[1].load(Relaxed) != VERSION {
            return Err(invalid("the region is of another version of Ropewalk"));
        }
        Self::attach(memory, words)
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.memory.as_fd()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("bytes", &self.0.memory.length()).finish_non_exhaustive()
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(OwnedFd::from(Descriptor::deserialize(deserializer)?)).map_err(D::Error::custom)
    }
}
