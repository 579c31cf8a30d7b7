//! Waiting for a word of memory that processes share.
//!
//! Whoever changes the word need not be of this process, so there is nobody to leave an `Unparker` with: the kernel wakes
//! who sleeps on the word (futex(2), not private to the process). A thread does so itself. A coroutine must not, so its
//! driver does (`IORING_OP_FUTEX_WAIT`, Linux 6.7). Where it cannot, and for who only [watches](watch_word), there is a
//! *helper*, a thread that sleeps on the words of up to 127 tasks at once (futex_waitv(2)) and unparks those whose word has
//! changed. There are as many helpers as it takes, from the first coroutine that waits on; where the kernel has no
//! futex_waitv, a helper for each word.
//!
//! # The contract
//! 1. [`wait_word`] sleeps only while the word holds `expected`, and may return for no reason.
//! 2. Who changes the word calls [`wake_word`] **after** that. A wake-up without a change is none.
//! 3. A value that comes back may go unseen: while the word holds `expected` again, its waiter may sleep on. So `expected`
//!    has to mean "wait, somebody will change me and call", whenever it is there. (A lock that is held, with the mark that
//!    somebody waits, does; a count of events does, as it never comes back.)
//! 4. A wake-up for one wakes at least one who waits, or somebody who looks; but that one may be interrupted at the same
//!    moment, or its process killed. So who is interrupted passes the wake-up on, and who shares words with others
//!    that can be killed wakes all when one was.
//!
//! # Why no wake-up is lost
//! By a driver: the kernel compares the word when it takes the request, under its own lock; what was changed before ends the
//! sleep at once. A request that is broken off has either been woken, and then says so, or it has not. By a helper:
//! 1. A task registers its word before it parks, and then has its helper look: the helper is woken, and
//!    its next sleep begins only if all of its words still hold what is expected (the kernel looks under its own lock).
//! 2. The helper, woken, goes through **all** of its words, since the kernel names one of several that were woken; whoever's
//!    word has changed is unparked and forgotten.
//! 3. A task that leaves without having been unparked takes its word off the list, and the helper may still sleep on it in
//!    the kernel. A wake-up for one that arrives there is meant for somebody else: the helper passes it on, at every return
//!    and for every word that it slept on and that is gone.
//!
//! # Safety
//! A: the pointer of an entry is to a word that lives as long as the entry stands in the list: `wait_word` takes the entry
//!    out before it returns (what it calls cannot unwind), and a [`Watch`] keeps the memory. The list is locked for each
//!    access. What the kernel has beyond that is an address.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ropewalk_sys::futex;
use ropewalk_sys::interruptible::{
    SHARED_WORDS_MAX, SharedWord, ThreadId, can_wait_for_any, interrupt, wait_shared, wait_shared_any,
    wait_shared_word,
};

use super::word::{Owed, Sleep, WakeWord};
use super::{Interrupt, Unparker, Wait, is_coroutine, operation, original, park, with_current};
use crate::clock;

/// A helper sleeps on so many words at most.
const WORDS_MAX: usize = SHARED_WORDS_MAX - 1;
/// How often a coroutine looks at its word where no thread is left for a helper.
const LOOK: Duration = Duration::from_millis(1);

/// Waits once, while `word`, which other processes may have too, holds `expected`: until [`wake_word`] is called for it, the
/// task is interrupted, or for no reason a shorter time. See the module's contract.
///
/// # Errors
/// The interruption, not yet delivered: see the contract of a wait.
///
/// # Waits
/// Until the word has changed and somebody says so.
pub fn wait_word(word: &AtomicU32, expected: u32, wait: &Wait) -> Result<(), Interrupt> {
    if word.load(Relaxed) != expected {
        return Ok(());
    }
    if is_coroutine() { wait_parked(word, expected, wait) } else { wait_in_kernel(word, expected, wait) }
}

/// Wakes at most `count` of those who wait for `word`, in whatever process. The word was changed before. Never waits.
pub fn wake_word(word: &AtomicU32, count: u32) {
    futex::wake_shared(word, count);
}

/// A thread: in a system call on the word itself, which a cancellation ends as it ends every other.
fn wait_in_kernel(word: &AtomicU32, expected: u32, wait: &Wait) -> Result<(), Interrupt> {
    with_current(|current| {
        let waiter = current.waiter();
        if let Some(interrupt) = waiter.interruption(wait).or_else(|| waiter.forbids(wait)) {
            return Err(interrupt);
        }
        original::expect_original(wait.reason);
        if !waiter.word().fall_asleep(Sleep::Suspended) {
            return Ok(());
        }
        let deadline = waiter.next_deadline(wait);
        waiter.begin_wait(wait, deadline);
        // Late, called or woken: the caller looks either way.
        wait_shared(waiter.word().as_atomic(), word, expected, deadline);
        waiter.end_wait();
        waiter.word().wake_up();
        Ok(())
    })
}

/// A coroutine: parked, while its driver or a helper sleeps on the word.
fn wait_parked(word: &AtomicU32, expected: u32, wait: &Wait) -> Result<(), Interrupt> {
    original::expect_original(wait.reason);
    if let Some(slept) = operation::sleep_on(word, expected, wait) {
        return slept;
    }
    let task = Callee::Task(Unparker::current());
    // A: `registered` is dropped before this returns.
    match register(word, expected, task) {
        Ok(registered) => {
            let parked = park(wait);
            drop(registered);
            parked
        }
        // Without a helper it looks for itself, now and then.
        Err(_) => {
            let look = clock::after(LOOK);
            match park(&wait.until(wait.deadline.map_or(look, |end| look.map(|look| look.min(end))))) {
                Err(Interrupt::TimedOut) if wait.deadline.is_none_or(|end| clock::now() < end) => Ok(()),
                parked => parked,
            }
        }
    }
}

/// Told by a helper that a word has changed. It is called on the helper's thread, and must not wait.
pub trait WatchesWord: Send + Sync {
    /// The word does not hold what was expected, or did not for a moment.
    fn changed(&self);
}

/// Calls `watcher` once, when the word with this index does not hold `expected` any more; at once if it does not now. In
/// vain if it is dropped before.
///
/// # Errors
/// There is no such word ([`InvalidInput`](io::ErrorKind::InvalidInput)); no thread can be started.
pub fn watch_word<M>(
    memory: &Arc<M>,
    index: usize,
    expected: u32,
    watcher: Weak<dyn WatchesWord>,
) -> io::Result<Watch>
where
    M: AsRef<[AtomicU32]> + Send + Sync + 'static,
{
    let word = (**memory).as_ref().get(index).ok_or(io::ErrorKind::InvalidInput)?;
    // A: the `Watch` drops its registration first, and the memory with it.
    let registered = register(word, expected, Callee::Watcher(watcher))?;
    Ok(Watch { _registered: registered, _memory: memory.clone() })
}

/// That a word is [watched](watch_word), until it is dropped.
pub struct Watch {
    _registered: Registered,
    _memory: Arc<dyn Send + Sync>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch { .. }")
    }
}

/// Who is told of a word.
enum Callee {
    Task(Unparker),
    Watcher(Weak<dyn WatchesWord>),
}

impl Callee {
    fn call(self) {
        match self {
            Self::Task(task) => task.unpark(),
            Self::Watcher(watcher) => {
                if let Some(watcher) = watcher.upgrade() {
                    watcher.changed();
                }
            }
        }
    }
}

/// One word that a helper looks after.
struct Entry {
    key: u64,
    word: *const AtomicU32,
    expected: u32,
    callee: Callee,
}

// SAFETY: the word may be looked at by any thread while the entry stands in its list (A).
unsafe impl Send for Entry {}

impl Entry {
    fn has_changed(&self) -> bool {
        // SAFETY: A.
        unsafe { &*self.word }.load(Relaxed) != self.expected
    }

    fn to_shared_word(&self) -> SharedWord {
        // SAFETY: A.
        SharedWord::new(unsafe { &*self.word }, self.expected)
    }
}

/// A thread that sleeps on the words of others.
struct Helper {
    /// Its own word, by which it is woken to look at its list.
    word: WakeWord,
    thread: OnceLock<ThreadId>,
    /// In the order of their keys.
    entries: Mutex<Vec<Entry>>,
}

/// All that there are: they stay. A helper is full if it has as many entries as it can sleep on.
static HELPERS: Mutex<Vec<Arc<Helper>>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A word in the list of a helper, until it is dropped.
struct Registered {
    helper: Arc<Helper>,
    key: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut entries = locked(&self.helper.entries);
        let entry = match entries.binary_search_by_key(&self.key, |entry| entry.key) {
            Ok(place) => Some(entries.remove(place)),
            // It was called.
            Err(_) => None,
        };
        drop(entries);
        // What it drops may be the last of a task.
        drop(entry);
    }
}

/// Puts a word into the list of a helper that has room, and has it look.
fn register(word: &AtomicU32, expected: u32, callee: Callee) -> io::Result<Registered> {
    static KEY: AtomicU64 = AtomicU64::new(0);

    let most = if may_wait_for_any() { WORDS_MAX } else { 1 };
    let mut entry = Entry { key: 0, word: ptr::from_ref(word), expected, callee };
    let mut helpers = locked(&HELPERS);
    let add = |helper: &Arc<Helper>, mut entry: Entry| {
        let mut entries = locked(&helper.entries);
        if entries.len() >= most {
            return Err(entry);
        }
        // Drawn under the lock: the list stays in order.
        entry.key = KEY.fetch_add(1, Relaxed);
        let key = entry.key;
        entries.push(entry);
        Ok(Registered { helper: helper.clone(), key })
    };
    for helper in helpers.iter() {
        match add(helper, entry) {
            Ok(registered) => {
                drop(helpers);
                registered.helper.call();
                return Ok(registered);
            }
            Err(back) => entry = back,
        }
    }
    let helper = Helper::start()?;
    helpers.push(helper.clone());
    let registered = add(&helper, entry);
    drop(helpers);
    let Ok(registered) = registered else { unreachable!("a new helper has room") };
    registered.helper.call();
    Ok(registered)
}

fn may_wait_for_any() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(can_wait_for_any)
}

impl Helper {
    /// # Errors
    /// No thread can be started.
    fn start() -> io::Result<Arc<Self>> {
        let helper = Arc::new(Self {
            word: WakeWord::new(),
            thread: OnceLock::new(),
            entries: Mutex::new(Vec::new()),
        });
        let thread = std::thread::Builder::new().name("ropewalk-words".into());
        let own = helper.clone();
        thread.spawn(move || own.run())?;
        Ok(helper)
    }

    /// Has it look at its list.
    fn call(&self) {
        match self.word.notify() {
            Owed::Nothing => {}
            Owed::WakeThread => futex::wake(self.word.as_atomic(), 1),
            Owed::Resume => {
                if let Some(&thread) = self.thread.get() {
                    interrupt(thread);
                }
            }
        }
    }

    fn run(&self) {
        let _ = self.thread.set(ThreadId::current());
        let mut slept_on: Vec<(u64, SharedWord)> = Vec::new();
        let mut words = Vec::new();
        loop {
            // The last sleep may have taken what was meant for others.
            self.pass_on(&slept_on);
            for callee in self.take_changed() {
                callee.call();
            }
            slept_on.clear();
            slept_on.extend(locked(&self.entries).iter().map(|entry| (entry.key, entry.to_shared_word())));
            words.clear();
            words.extend(slept_on.iter().map(|(_, word)| *word));
            self.sleep(&words);
        }
    }

    /// Those whose words have changed, off the list.
    fn take_changed(&self) -> Vec<Callee> {
        let mut entries = locked(&self.entries);
        entries.extract_if(.., |entry| entry.has_changed()).map(|entry| entry.callee).collect()
    }

    /// Wakes somebody else for each word that it slept on and whose task has left meanwhile.
    fn pass_on(&self, slept_on: &[(u64, SharedWord)]) {
        for (key, word) in slept_on {
            if locked(&self.entries).binary_search_by_key(key, |entry| entry.key).is_err() {
                futex::wake_shared_at(word.address(), 1);
            }
        }
    }

    /// Until one of the words is woken or the helper is called.
    fn sleep(&self, words: &[SharedWord]) {
        let how = if words.is_empty() { Sleep::Blocked } else { Sleep::Suspended };
        if !self.word.fall_asleep(how) {
            return;
        }
        let own = self.word.as_atomic();
        match words {
            [] => futex::wait(own, WakeWord::BLOCKED_VALUE, None),
            [one] => wait_shared_word(own, *one),
            many => wait_shared_any(own, many),
        }
        self.word.wake_up();
    }
}
