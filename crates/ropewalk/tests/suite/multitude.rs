//! A hundred thousand coroutines in a scope that is cancelled half-way: some have ended, some wait in all kinds of things,
//! some have not started. Every destructor runs once, and what they took is given back.

use std::io::Read;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

use ropewalk::channel::{Receiver, never, select, unbounded};
use ropewalk::net::TcpStream;
use ropewalk::sync::{Condvar, Latch, Mutex, RwLock, Semaphore};
use ropewalk::{coroutine, inspect, scope, thread, timeout};

use crate::support::child::{self, Child, test_name};
use crate::support::net::pair;
use crate::support::{LONG, guarded, runtime, until};

/// How many there are. Without optimizations a hundred thousand take ten seconds on a busy machine.
const COUNT: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
/// The last ones are spawned just before the cancellation.
const LATE: usize = COUNT / 10;
/// The ways to wait, and the ways to have ended.
const KINDS: usize = 12;

/// What was done by, and to, each coroutine.
struct Books {
    started: Vec<AtomicU8>,
    /// Drops of what its closure had captured.
    captured: Vec<AtomicU8>,
    /// Drops of a local of its body.
    local: Vec<AtomicU8>,
    /// A permit for each that has ended by itself, or is about to wait.
    arrived: Semaphore,
}

impl Books {
    fn new() -> Self {
        let zeros = || (0..COUNT).map(|_| AtomicU8::new(0)).collect();
        Self { started: zeros(), captured: zeros(), local: zeros(), arrived: Semaphore::new(0) }
    }
}

struct Dropped<'a>(&'a AtomicU8);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// What they wait for. Nothing of it ever comes.
struct Things {
    empty: Receiver<()>,
    mutex: Mutex<()>,
    free: Mutex<()>,
    condvar: Condvar,
    lock: RwLock<()>,
    semaphore: Semaphore,
    latch: Latch,
    stream: TcpStream,
}

impl Things {
    fn wait(&self, kind: usize) {
        match kind {
            0 => return,
            1 => coroutine::sleep(LONG),
            2 => self.empty.recv().unwrap(),
            3 => drop(self.mutex.lock()),
            4 => drop(self.semaphore.acquire()),
            5 => self.latch.wait(),
            6 => coroutine::park(),
            7 => select! {
                recv(self.empty) -> _ => {}
                recv(never::<u8>()) -> _ => {}
            },
            8 => drop(self.lock.read()),
            9 => drop(self.condvar.wait_while(self.free.lock().unwrap(), |()| true)),
            10 => drop((&self.stream).read(&mut [0; 8])),
            _ => timeout(LONG, || scope(|s| s.spawn(|| coroutine::sleep(LONG)).join().unwrap())).unwrap(),
        }
        unreachable!("wait {kind} is only ended by a cancellation");
    }
}

/// One crowd, by a task that cancels itself when most are there, and its books.
fn crowd() -> Arc<Books> {
    let books = Arc::new(Books::new());
    let (sender, empty) = unbounded();
    let (near, _far) = pair();
    let things = Things {
        empty,
        mutex: Mutex::new(()),
        free: Mutex::new(()),
        condvar: Condvar::new(),
        lock: RwLock::new(()),
        semaphore: Semaphore::new(0),
        latch: Latch::new(1),
        stream: near,
    };
    let task = coroutine::spawn({
        let books = books.clone();
        move || {
            let _held = (things.mutex.lock().unwrap(), things.lock.write().unwrap());
            scope(|s| {
                let spawn = |n: usize| {
                    let captured = Dropped(&books.captured[n]);
                    let (books, things) = (&books, &things);
                    s.spawn(move || {
                        let _captured = captured;
                        books.started[n].fetch_add(1, SeqCst);
                        let _local = Dropped(&books.local[n]);
                        books.arrived.add_permits(1);
                        things.wait(n % KINDS);
                    });
                };
                (0..COUNT - LATE).for_each(spawn);
                books.arrived.acquire_many(COUNT - LATE).forget();
                (COUNT - LATE..COUNT).for_each(spawn);
                coroutine::current().cancel();
                coroutine::sleep(LONG);
            });
        }
    });
    assert!(task.join().unwrap_err().is_cancelled());
    drop(sender);
    books
}

/// Looks whether every destructor ran once. Gives how many coroutines never started.
#[track_caller]
fn audit(books: &Books) -> usize {
    let mut unstarted = 0;
    for n in 0..COUNT {
        let of = |counts: &[AtomicU8]| counts[n].load(SeqCst);
        let (started, captured, local) = (of(&books.started), of(&books.captured), of(&books.local));
        assert_eq!((captured, local), (1, started), "drops of coroutine {n}, which started {started} times");
        assert!(started <= 1, "coroutine {n} started {started} times");
        unstarted += usize::from(started == 0);
    }
    unstarted
}

/// The memory of this process in bytes, without what is mapped from files: the program's own pages come in one by one.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = anonymous.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.expect("every kernel since 4.5 tells it") * 1024
}

#[test]
fn all_destructors_run_once() {
    guarded(|| {
        runtime(1).run(|| {
            let unstarted = audit(&crowd());
            assert_eq!(unstarted, LATE, "with one worker none of the last can have started");
        });
    });
}

#[test]
fn what_they_took_is_given_back() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").env("ROPEWALK_STACK", "128K").run().assert_success();
    }
    guarded(|| {
        // A thread looks on, so that the workers are idle in the end.
        let body = || {
            let before = resident();
            for _ in 0..2 {
                let (tell, told) = mpsc::channel();
                coroutine::spawn(move || tell.send(crowd()).unwrap());
                audit(&told.recv().unwrap());
                // Every stack had a page at least. The allocator may keep some of what was on the heap.
                until(|| resident() < before + COUNT * rustix::param::page_size() / 2);
            }
            let left = inspect::dump();
            assert_eq!(left.tasks().len(), 2, "the main task and this thread: {left}");
        };
        runtime(2).run(|| thread::spawn(body).join().unwrap());
    });
}
