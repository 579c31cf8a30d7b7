//! What `docs/waits.md` says never to switch does not: each function is called by a coroutine whose turn is over, so that
//! any chance to let others run would be taken, under a hook that counts switches.
//!
//! `crates/tidy/tests/waits.rs` looks that every function is here which the page says never to switch, of those types and
//! modules that also have some which may.

use std::cell::Cell;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::channel::{Select, bounded, never, unbounded};
use ropewalk::fs::{DirBuilder, DirEntry, File, OpenOptions};
use ropewalk::future::{co, sleep, sleep_until, spawn_future};
use ropewalk::generator::Generator;
use ropewalk::hooks::SwitchHook;
use ropewalk::inspect::State;
use ropewalk::ipc::{self, Segment};
use ropewalk::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use ropewalk::sync::{
    Barrier, Condvar, Latch, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, broadcast, mpsc, oneshot,
    watch,
};
use ropewalk::topic::{Policy, Topic};
use ropewalk::{CancelToken, JoinHandle, OnFailure, Runtime, coroutine, scope_with, thread};

use crate::support::net::{listener, pair};
use crate::support::{LONG, guarded};

/// Counts the turns of the first coroutine.
struct Count {
    turns: Arc<AtomicU64>,
    has_begun: AtomicBool,
}

impl SwitchHook for Count {
    /// Whether it is the first one, once that is known.
    type Saved = Option<bool>;

    fn enter(&self, is_first: &mut Option<bool>) {
        let is_first = *is_first.get_or_insert_with(|| !self.has_begun.swap(true, Relaxed));
        self.turns.fetch_add(u64::from(is_first), Relaxed);
    }

    fn leave(&self, _: &mut Option<bool>) {}
}

/// The turns of the first coroutine of a runtime with one worker.
struct Switches(Arc<AtomicU64>);

impl Switches {
    fn run<T>(f: impl FnOnce(&Self) -> T) -> T {
        let counter = Arc::new(AtomicU64::new(0));
        let hook = Count { turns: counter.clone(), has_begun: AtomicBool::new(false) };
        let runtime = Runtime::builder().workers(1).switch_hook(hook).build().unwrap();
        guarded(|| runtime.run(|| f(&Self(counter))))
    }

    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Does as much as a coroutine may do in a turn: the next thing that may let others run does.
    fn use_up_the_turn(&self) {
        coroutine::yield_now();
        let before = self.count();
        let mut most = 0;
        while self.count() == before {
            coroutine::sleep(Duration::ZERO);
            most += 1;
        }
        // That began a new turn.
        (1..most).for_each(|_| coroutine::sleep(Duration::ZERO));
        assert_eq!(self.count(), before + 1);
    }

    /// How often `f`, and the drop of what it holds, switched.
    fn of(&self, f: impl FnOnce()) -> u64 {
        self.use_up_the_turn();
        let before = self.count();
        f();
        self.count() - before
    }
}

/// Prepares a call, which may wait, and gives the call.
type Prepare = fn() -> Box<dyn FnOnce()>;

/// Instead of `drop`, which is for what is more than a number.
fn ignore<T>(_: T) {}

/// A coroutine of this worker that waits for ever in `wait`.
fn waiting(wait: impl FnOnce() + 'static) -> JoinHandle<()> {
    let task = coroutine::Builder::new().daemon(true).spawn_local(wait).unwrap();
    while !matches!(task.task().state(), State::Blocked(_)) {
        coroutine::yield_now();
    }
    task
}

fn sleeper() -> JoinHandle<()> {
    waiting(|| coroutine::sleep(LONG))
}

fn ended() -> JoinHandle<i32> {
    let task = coroutine::spawn_local(|| 1);
    while !task.is_finished() {
        coroutine::yield_now();
    }
    task
}

const LOCKS: &[(&str, Prepare)] = &[
    ("sync::Mutex::new", || Box::new(|| ignore(Mutex::new(1)))),
    ("sync::Mutex::try_lock", || {
        let mutex = Mutex::new(1);
        Box::new(move || drop(mutex.try_lock()))
    }),
    ("sync::Mutex::clear_poison", || {
        let mutex = Mutex::new(1);
        Box::new(move || mutex.clear_poison())
    }),
    ("sync::Mutex::get_mut", || {
        let mut mutex = Mutex::new(1);
        Box::new(move || *mutex.get_mut().unwrap() = 2)
    }),
    ("sync::Mutex::holder", || {
        let mutex = Mutex::new(1);
        Box::new(move || assert!(mutex.holder().is_none()))
    }),
    ("sync::Mutex::into_inner", || {
        let mutex = Mutex::new(1);
        Box::new(move || drop(mutex.into_inner()))
    }),
    ("sync::Mutex::is_poisoned", || {
        let mutex = Mutex::new(1);
        Box::new(move || assert!(!mutex.is_poisoned()))
    }),
    ("a guard that somebody waits for is dropped", || {
        let mutex: &'static Mutex<i32> = Box::leak(Box::new(Mutex::new(1)));
        let guard = mutex.lock().unwrap();
        let task = waiting(|| drop(mutex.lock()));
        Box::new(move || drop((guard, task)))
    }),
    ("sync::RwLock::new", || Box::new(|| ignore(RwLock::new(1)))),
    ("sync::RwLock::try_read", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.try_read()))
    }),
    ("sync::RwLock::try_write", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.try_write()))
    }),
    ("sync::RwLock::clear_poison", || {
        let lock = RwLock::new(1);
        Box::new(move || lock.clear_poison())
    }),
    ("sync::RwLock::get_mut", || {
        let mut lock = RwLock::new(1);
        Box::new(move || *lock.get_mut().unwrap() = 2)
    }),
    ("sync::RwLock::into_inner", || {
        let lock = RwLock::new(1);
        Box::new(move || drop(lock.into_inner()))
    }),
    ("sync::RwLock::is_poisoned", || {
        let lock = RwLock::new(1);
        Box::new(move || assert!(!lock.is_poisoned()))
    }),
    ("sync::RwLock::readers", || {
        let lock = RwLock::new(1);
        Box::new(move || assert_eq!(lock.readers(), 0))
    }),
    ("sync::RwLock::writer", || {
        let lock = RwLock::new(1);
        Box::new(move || assert!(lock.writer().is_none()))
    }),
    ("sync::RwLockWriteGuard::downgrade", || {
        let lock: &'static RwLock<i32> = Box::leak(Box::new(RwLock::new(1)));
        let guard = lock.write().unwrap();
        let task = waiting(|| drop(lock.read()));
        Box::new(move || drop((ropewalk::sync::RwLockWriteGuard::downgrade(guard), task)))
    }),
    ("sync::Condvar::new", || Box::new(|| ignore(Condvar::new()))),
    ("sync::Condvar::notify_one", || {
        let pair: &'static (Mutex<i32>, Condvar) = Box::leak(Box::default());
        let task = waiting(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        Box::new(move || {
            pair.1.notify_one();
            drop(task);
        })
    }),
    ("sync::Condvar::notify_all", || {
        let pair: &'static (Mutex<i32>, Condvar) = Box::leak(Box::default());
        let task = waiting(|| drop(pair.1.wait(pair.0.lock().unwrap())));
        Box::new(move || {
            pair.1.notify_all();
            drop(task);
        })
    }),
    ("sync::Semaphore::new", || Box::new(|| ignore(Semaphore::new(1)))),
    ("sync::Semaphore::try_acquire", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert!(permits.try_acquire().is_some()))
    }),
    ("sync::Semaphore::try_acquire_many", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert!(permits.try_acquire_many(2).is_none()))
    }),
    ("sync::Semaphore::try_acquire_owned", || {
        let permits = Arc::new(Semaphore::new(1));
        Box::new(move || drop(permits.try_acquire_owned()))
    }),
    ("sync::Semaphore::try_acquire_many_owned", || {
        let permits = Arc::new(Semaphore::new(1));
        Box::new(move || drop(permits.try_acquire_many_owned(1)))
    }),
    ("sync::Semaphore::add_permits", || {
        let permits: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
        let task = waiting(|| drop(permits.acquire()));
        Box::new(move || {
            permits.add_permits(1);
            drop(task);
        })
    }),
    ("sync::Semaphore::available_permits", || {
        let permits = Semaphore::new(1);
        Box::new(move || assert_eq!(permits.available_permits(), 1))
    }),
    ("sync::Barrier::new", || Box::new(|| ignore(Barrier::new(2)))),
    ("sync::Latch::new", || Box::new(|| ignore(Latch::new(2)))),
    ("sync::Latch::count", || {
        let latch = Latch::new(2);
        Box::new(move || assert_eq!(latch.count(), 2))
    }),
    ("sync::Latch::is_open", || {
        let latch = Latch::new(2);
        Box::new(move || assert!(!latch.is_open()))
    }),
    ("sync::Latch::count_down", || {
        let latch: &'static Latch = Box::leak(Box::new(Latch::new(1)));
        let task = waiting(|| latch.wait());
        Box::new(move || {
            latch.count_down();
            drop(task);
        })
    }),
    ("sync::Latch::count_down_by", || {
        let latch = Latch::new(2);
        Box::new(move || latch.count_down_by(2))
    }),
    ("sync::Once::new", || Box::new(|| ignore(Once::new()))),
    ("sync::Once::is_completed", || {
        let once = Once::new();
        Box::new(move || assert!(!once.is_completed()))
    }),
    ("sync::OnceLock::new", || Box::new(|| drop(OnceLock::<i32>::new()))),
    ("sync::OnceLock::get", || {
        let cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.get().is_none()))
    }),
    ("sync::OnceLock::get_mut", || {
        let mut cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.get_mut().is_none()))
    }),
    ("sync::OnceLock::into_inner", || {
        let cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.into_inner().is_none()))
    }),
    ("sync::OnceLock::take", || {
        let mut cell = OnceLock::<i32>::new();
        Box::new(move || assert!(cell.take().is_none()))
    }),
    ("sync::LazyLock::new", || Box::new(|| drop(LazyLock::new(|| 1)))),
    ("sync::LazyLock::get", || {
        let lazy = LazyLock::new(|| 1);
        Box::new(move || assert!(LazyLock::get(&lazy).is_none()))
    }),
    ("sync::LazyLock::get_mut", || {
        let mut lazy = LazyLock::new(|| 1);
        Box::new(move || assert!(LazyLock::get_mut(&mut lazy).is_none()))
    }),
];

/// Where there is somebody who could be let run, a coroutine of this worker waits for just this.
const SHARED: &[(&str, Prepare)] = &[
    ("ipc::Segment::new", || Box::new(|| ignore(Segment::<AtomicU32>::new(1)))),
    ("ipc::Segment::notify_one", || {
        let words: &'static Segment<AtomicU32> = Box::leak(Box::new(Segment::new(1).unwrap()));
        let task = waiting(|| ignore(words.wait(0, 0)));
        Box::new(move || {
            words[0].store(1, Relaxed);
            words.notify_one(0);
            ignore(task);
        })
    }),
    ("ipc::Segment::notify_all", || {
        let words: &'static Segment<AtomicU32> = Box::leak(Box::new(Segment::new(1).unwrap()));
        let task = waiting(|| ignore(words.wait(0, 0)));
        Box::new(move || {
            words[0].store(1, Relaxed);
            words.notify_all(0);
            ignore(task);
        })
    }),
    ("ipc::Region::new", || Box::new(|| ignore(ipc::Region::new(0)))),
    ("ipc::Region::processes", || {
        let region = ipc::Region::new(0).unwrap();
        Box::new(move || assert_eq!(region.processes(), [std::process::id()]))
    }),
    ("ipc::Region::publish", || {
        let region = ipc::Region::new(0).unwrap();
        let name = format!("switches-{}", std::process::id());
        Box::new(move || drop(region.publish(&name, ipc::Access::User).unwrap()))
    }),
    ("ipc::Mutex::new", || Box::new(|| ignore(ipc::Mutex::new(1).unwrap()))),
    ("ipc::Mutex::region", || {
        let it = ipc::Mutex::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::RwLock::new", || Box::new(|| ignore(ipc::RwLock::new(1).unwrap()))),
    ("ipc::RwLock::region", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Condvar::new", || Box::new(|| ignore(ipc::Condvar::new().unwrap()))),
    ("ipc::Condvar::region", || {
        let it = ipc::Condvar::new().unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Semaphore::new", || Box::new(|| ignore(ipc::Semaphore::new(1).unwrap()))),
    ("ipc::Semaphore::region", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Barrier::new", || Box::new(|| ignore(ipc::Barrier::new(2).unwrap()))),
    ("ipc::Barrier::region", || {
        let it = ipc::Barrier::new(2).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Event::new", || Box::new(|| ignore(ipc::Event::new(ipc::Reset::Manual).unwrap()))),
    ("ipc::Event::region", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Latch::new", || Box::new(|| ignore(ipc::Latch::new(1).unwrap()))),
    ("ipc::Latch::region", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || ignore(it.region().clone()))
    }),
    ("ipc::Mutex::try_lock", || {
        let it = ipc::Mutex::new(1).unwrap();
        Box::new(move || drop(it.try_lock()))
    }),
    ("ipc::RwLock::try_read", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || drop(it.try_read()))
    }),
    ("ipc::RwLock::try_write", || {
        let it = ipc::RwLock::new(1).unwrap();
        Box::new(move || drop(it.try_write()))
    }),
    ("ipc::Condvar::notify_one", || {
        let it = ipc::Condvar::new().unwrap();
        let theirs = it.clone();
        let task = waiting(move || {
            let mutex = ipc::Mutex::new(1).unwrap();
            let guard = mutex.lock().unwrap();
            ignore(theirs.wait(guard));
        });
        Box::new(move || {
            it.notify_one();
            ignore(task);
        })
    }),
    ("ipc::Condvar::notify_all", || {
        let it = ipc::Condvar::new().unwrap();
        let theirs = it.clone();
        let task = waiting(move || {
            let mutex = ipc::Mutex::new(1).unwrap();
            let guard = mutex.lock().unwrap();
            ignore(theirs.wait(guard));
        });
        Box::new(move || {
            it.notify_all();
            ignore(task);
        })
    }),
    ("ipc::Semaphore::try_acquire", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || drop(it.try_acquire()))
    }),
    ("ipc::Semaphore::available_permits", || {
        let it = ipc::Semaphore::new(1).unwrap();
        Box::new(move || assert_eq!(it.available_permits(), 1))
    }),
    ("ipc::Semaphore::add_permits", || {
        let it = ipc::Semaphore::new(1).unwrap();
        let theirs = it.clone();
        let task = waiting(move || drop(theirs.acquire_many(2)));
        Box::new(move || {
            it.add_permits(1);
            ignore(task);
        })
    }),
    ("ipc::Barrier::is_broken", || {
        let it = ipc::Barrier::new(2).unwrap();
        Box::new(move || assert!(!it.is_broken()))
    }),
    ("ipc::Event::set", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        let theirs = it.clone();
        let task = waiting(move || theirs.wait());
        Box::new(move || {
            it.set();
            ignore(task);
        })
    }),
    ("ipc::Event::reset", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || it.reset())
    }),
    ("ipc::Event::is_set", || {
        let it = ipc::Event::new(ipc::Reset::Manual).unwrap();
        Box::new(move || assert!(!it.is_set()))
    }),
    ("ipc::Latch::count_down", || {
        let it = ipc::Latch::new(1).unwrap();
        let theirs = it.clone();
        let task = waiting(move || theirs.wait());
        Box::new(move || {
            it.count_down();
            ignore(task);
        })
    }),
    ("ipc::Latch::count", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || assert_eq!(it.count(), 1))
    }),
    ("ipc::Latch::is_open", || {
        let it = ipc::Latch::new(1).unwrap();
        Box::new(move || assert!(!it.is_open()))
    }),
];

const CHANNELS: &[(&str, Prepare)] = &[
    ("channel::bounded", || Box::new(|| drop(bounded::<i32>(1)))),
    ("channel::unbounded", || Box::new(|| drop(unbounded::<i32>()))),
    ("channel::never", || Box::new(|| drop(never::<i32>()))),
    ("channel::after", || Box::new(|| drop(ropewalk::channel::after(LONG)))),
    ("channel::at", || Box::new(|| drop(ropewalk::channel::at(Instant::now() + LONG)))),
    ("channel::tick", || Box::new(|| drop(ropewalk::channel::tick(LONG)))),
    ("channel::Sender::try_send", || {
        let (sender, receiver) = bounded(1);
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.try_send(1).unwrap();
            drop(task);
        })
    }),
    ("channel::Sender::capacity", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(sender.capacity(), Some(1)))
    }),
    ("channel::Sender::is_empty", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(sender.is_empty()))
    }),
    ("channel::Sender::is_full", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(!sender.is_full()))
    }),
    ("channel::Sender::len", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(sender.len(), 0))
    }),
    ("channel::Sender::same_channel", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(sender.same_channel(&sender.clone())))
    }),
    ("channel::Receiver::capacity", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(receiver.capacity(), Some(1)))
    }),
    ("channel::Receiver::is_empty", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(receiver.is_empty()))
    }),
    ("channel::Receiver::is_full", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(!receiver.is_full()))
    }),
    ("channel::Receiver::len", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(receiver.len(), 0))
    }),
    ("channel::Receiver::same_channel", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.clone())))
    }),
    ("the last sender is dropped", || {
        let (sender, receiver) = unbounded::<i32>();
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || drop((sender, task)))
    }),
    ("an unbounded send, but for the budget", || {
        let (sender, receiver) = mpsc::channel();
        Box::new(move || {
            sender.send(1).unwrap();
            drop(receiver);
        })
    }),
    ("channel::Select::new", || Box::new(|| drop(Select::new()))),
    ("channel::Select::new_biased", || Box::new(|| drop(Select::new_biased()))),
    ("channel::Select::recv", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            Select::new().recv(&receiver);
        })
    }),
    ("channel::Select::send", || {
        Box::new(|| {
            let (sender, _receiver) = unbounded::<i32>();
            Select::new().send(&sender);
        })
    }),
    ("channel::Select::remove", || {
        Box::new(|| {
            let (sender, _receiver) = unbounded::<i32>();
            let mut select = Select::new();
            let place = select.send(&sender);
            select.remove(place);
        })
    }),
    ("channel::Select::try_ready", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            let mut select = Select::new();
            select.recv(&receiver);
            assert!(select.try_ready().is_err());
        })
    }),
    ("channel::Select::try_select", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            let mut select = Select::new();
            select.recv(&receiver);
            assert!(select.try_select().is_err());
        })
    }),
    ("channel::SelectedOperation::index", || {
        let (sender, receiver) = unbounded();
        sender.send(1).unwrap();
        Box::new(move || {
            let mut select = Select::new();
            select.recv(&receiver);
            let selected = select.try_select().unwrap();
            assert_eq!(selected.index(), 0);
            // It has to be completed, and that may wait for a select at the other end: here it need not.
            ignore(selected.recv(&receiver));
        })
    }),
    ("sync::mpsc::Receiver::try_recv", || {
        let (_sender, receiver) = mpsc::channel::<i32>();
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
    ("sync::mpsc::Receiver::try_iter", || {
        let (_sender, receiver) = mpsc::channel::<i32>();
        Box::new(move || assert_eq!(receiver.try_iter().count(), 0))
    }),
    ("sync::mpsc::SyncSender::try_send", || {
        let (sender, receiver) = mpsc::sync_channel(1);
        Box::new(move || {
            sender.try_send(1).unwrap();
            drop(receiver);
        })
    }),
    ("sync::oneshot::Receiver::try_recv", || {
        let (_sender, receiver) = oneshot::channel::<i32>();
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
    ("sync::oneshot::Receiver::as_channel", || {
        let (_sender, receiver) = oneshot::channel::<i32>();
        Box::new(move || assert!(receiver.as_channel().is_empty()))
    }),
    ("sync::oneshot::Sender::is_closed", || {
        let (sender, _receiver) = oneshot::channel::<i32>();
        Box::new(move || ignore(sender.is_closed()))
    }),
    ("sync::oneshot::Sender::send", || {
        let (sender, receiver) = oneshot::channel();
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.send(1).unwrap();
            drop(task);
        })
    }),
    ("sync::watch::Sender::send", || {
        let (sender, mut receiver) = watch::channel(1);
        let task = waiting(move || ignore(receiver.changed()));
        Box::new(move || {
            sender.send(2).unwrap();
            drop(task);
        })
    }),
    ("sync::watch::Sender::send_replace", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || drop(sender.send_replace(2)))
    }),
    ("sync::watch::Sender::borrow", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*sender.borrow(), 1))
    }),
    ("sync::watch::Sender::is_closed", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || ignore(sender.is_closed()))
    }),
    ("sync::watch::Sender::receiver_count", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || ignore(sender.receiver_count()))
    }),
    ("sync::watch::Sender::subscribe", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || drop(sender.subscribe()))
    }),
    ("sync::watch::Receiver::borrow", || {
        let (_sender, receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*receiver.borrow(), 1))
    }),
    ("sync::watch::Receiver::borrow_and_update", || {
        let (_sender, mut receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*receiver.borrow_and_update(), 1))
    }),
    ("sync::watch::Receiver::has_changed", || {
        let (sender, receiver) = watch::channel(1);
        Box::new(move || {
            assert_eq!(receiver.has_changed(), Ok(false));
            drop(sender);
        })
    }),
    ("sync::watch::Receiver::same_channel", || {
        let (_sender, receiver) = watch::channel(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.clone())))
    }),
    ("sync::broadcast::Sender::is_empty", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(sender.is_empty()))
    }),
    ("sync::broadcast::Sender::len", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert_eq!(sender.len(), 0))
    }),
    ("sync::broadcast::Sender::receiver_count", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || ignore(sender.receiver_count()))
    }),
    ("sync::broadcast::Sender::subscribe", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || drop(sender.subscribe()))
    }),
    ("sync::broadcast::Receiver::is_empty", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.is_empty()))
    }),
    ("sync::broadcast::Receiver::len", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert_eq!(receiver.len(), 0))
    }),
    ("sync::broadcast::Receiver::resubscribe", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || drop(receiver.resubscribe()))
    }),
    ("sync::broadcast::Receiver::same_channel", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.resubscribe())))
    }),
    ("sync::broadcast::Receiver::try_recv", || {
        let (_sender, mut receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
];

const TOPICS: &[(&str, Prepare)] = &[
    ("topic::Topic::builder", || Box::new(|| ignore(Topic::<i32>::builder().capacity(2).history(1).build()))),
    ("topic::Topic::new", || Box::new(|| ignore(Topic::<i32>::new()))),
    ("topic::Topic::named", || Box::new(|| assert!(Topic::<i32>::named("switches").is_ok()))),
    ("topic::Topic::capacity", || {
        let topic = Topic::<i32>::new();
        Box::new(move || ignore(topic.capacity()))
    }),
    ("topic::Topic::close", || {
        let topic = Topic::<i32>::new();
        Box::new(move || topic.close())
    }),
    ("topic::Topic::is_closed", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(!topic.is_closed()))
    }),
    ("topic::Topic::is_empty", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.is_empty()))
    }),
    ("topic::Topic::len", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert_eq!(topic.len(), 0))
    }),
    ("topic::Topic::name", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.name().is_none()))
    }),
    ("topic::Topic::policy", || {
        let topic = Topic::<i32>::new();
        Box::new(move || ignore(topic.policy()))
    }),
    ("topic::Topic::same_topic", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.same_topic(&topic.clone())))
    }),
    ("topic::Topic::subscribe", || {
        let topic = Topic::<i32>::new();
        Box::new(move || drop(topic.subscribe()))
    }),
    ("topic::Topic::subscriber_count", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert_eq!(topic.subscriber_count(), 0))
    }),
    ("topic::Topic::try_publish", || {
        let topic = Topic::builder().capacity(1).policy(Policy::Block).build();
        let subscription = topic.subscribe();
        topic.publish(1).unwrap();
        Box::new(move || {
            assert!(topic.try_publish(2).unwrap_err().is_full());
            drop(subscription);
            topic.try_publish(2).unwrap();
        })
    }),
    ("topic::Subscription::as_channel", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || ignore(subscription.as_channel().len()))
    }),
    ("topic::Subscription::is_empty", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert!(subscription.is_empty()))
    }),
    ("topic::Subscription::len", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.len(), 0))
    }),
    ("topic::Subscription::missed", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.missed(), 0))
    }),
    ("topic::Subscription::try_iter", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.try_iter().count(), 0))
    }),
    ("topic::Subscription::try_recv", || {
        let topic = Topic::new();
        let subscription = topic.subscribe();
        topic.publish(1).unwrap();
        Box::new(move || assert!(subscription.try_recv().is_ok() && subscription.try_recv().is_err()))
    }),
];

const TASKS: &[(&str, Prepare)] = &[
    ("no_suspend", || Box::new(|| ropewalk::no_suspend(|| ()))),
    ("task_local", || {
        ropewalk::task_local!(static VALUE: Cell<i32> = Cell::new(1));
        Box::new(|| VALUE.set(2))
    }),
    ("coroutine::current", || Box::new(|| drop(coroutine::current()))),
    ("coroutine::panicking", || Box::new(|| assert!(!coroutine::panicking()))),
    ("coroutine::spawn", || Box::new(|| drop(coroutine::spawn(|| ())))),
    ("coroutine::spawn_local", || Box::new(|| drop(coroutine::spawn_local(|| ())))),
    ("time::now", || Box::new(|| assert!(ropewalk::time::now() <= Instant::now()))),
    ("thread::current", || Box::new(|| drop(thread::current()))),
    ("thread::panicking", || Box::new(|| assert!(!thread::panicking()))),
    ("thread::spawn", || Box::new(|| drop(thread::spawn(|| ())))),
    ("thread::affinity", || Box::new(|| drop(thread::affinity()))),
    ("thread::priority", || Box::new(|| drop(thread::priority()))),
    ("thread::set_affinity", || {
        let all = thread::affinity();
        Box::new(move || drop(all.map(|all| thread::set_affinity(&all))))
    }),
    ("thread::set_priority", || {
        let own = thread::priority();
        Box::new(move || drop(own.map(thread::set_priority)))
    }),
    ("future::co", || {
        let step = || std::future::ready(Ok::<_, std::fmt::Error>(1));
        let steps = Generator::new(move |yielder| yielder.yield_(step()).is_some());
        Box::new(move || drop(co(steps)))
    }),
    ("future::sleep", || Box::new(|| ignore(sleep(LONG)))),
    ("future::sleep_until", || Box::new(|| ignore(sleep_until(Instant::now())))),
    ("future::spawn_future", || Box::new(|| drop(spawn_future(async {})))),
    ("JoinHandle::cancel", || {
        let task = sleeper();
        Box::new(move || task.cancel())
    }),
    ("JoinHandle::ended", || {
        let task = sleeper();
        Box::new(move || drop(task.ended()))
    }),
    ("JoinHandle::id", || {
        let task = sleeper();
        Box::new(move || assert!(task.id().as_u64() > 0))
    }),
    ("JoinHandle::is_finished", || {
        let task = sleeper();
        Box::new(move || assert!(!task.is_finished()))
    }),
    ("JoinHandle::name", || {
        let task = sleeper();
        Box::new(move || assert!(task.name().is_none()))
    }),
    ("JoinHandle::spawned_at", || {
        let task = sleeper();
        Box::new(move || assert_eq!(task.spawned_at().file(), file!()))
    }),
    ("JoinHandle::task", || {
        let task = sleeper();
        Box::new(move || drop(task.task()))
    }),
    ("JoinHandle::thread", || {
        let task = sleeper();
        Box::new(move || drop(task.thread()))
    }),
    ("a handle is dropped, of one that waits and of one that has ended", || {
        let tasks = (sleeper(), ended());
        Box::new(move || drop(tasks))
    }),
    ("Task::cancel", || {
        let task = sleeper().task();
        Box::new(move || task.cancel())
    }),
    ("Task::id", || Box::new(|| assert!(coroutine::current().id().as_u64() > 0))),
    ("Task::is_cancelled", || Box::new(|| assert!(!coroutine::current().is_cancelled()))),
    ("Task::is_coroutine", || Box::new(|| assert!(coroutine::current().is_coroutine()))),
    ("Task::name", || Box::new(|| assert_eq!(coroutine::current().name(), Some("main")))),
    ("Task::parent", || Box::new(|| ignore(coroutine::current().parent()))),
    ("Task::send_signal", || {
        let coroutine = sleeper().task();
        // There is no thread to send it to.
        Box::new(move || assert!(coroutine.send_signal(ropewalk::signal::Signal::USR1).is_err()))
    }),
    ("Task::spawned_at", || Box::new(|| ignore(coroutine::current().spawned_at()))),
    ("Task::state", || Box::new(|| assert_eq!(coroutine::current().state(), State::Running))),
    ("Task::unpark", || {
        let task = waiting(coroutine::park).task();
        Box::new(move || task.unpark())
    }),
    ("Runtime::builder", || Box::new(|| drop(Runtime::builder()))),
    ("Runtime::driver", || {
        Box::new(|| {
            let runtime = Runtime::builder().workers(1).build().unwrap();
            ignore(runtime.driver().reason().map(str::len));
        })
    }),
    ("CancelToken::new", || Box::new(|| drop(CancelToken::new()))),
    ("CancelToken::child", || Box::new(|| drop(CancelToken::new().child()))),
    ("CancelToken::is_cancelled", || Box::new(|| assert!(!CancelToken::new().is_cancelled()))),
    ("CancelToken::cause", || Box::new(|| assert!(CancelToken::new().cause().is_none()))),
    ("CancelToken::cancelled", || Box::new(|| assert!(CancelToken::new().cancelled().is_empty()))),
    ("CancelToken::drop_guard", || Box::new(|| drop(CancelToken::new().drop_guard()))),
    ("CancelToken::attach", || {
        let task = sleeper();
        Box::new(move || CancelToken::new().attach(&task))
    }),
    ("CancelToken::cancel", || {
        let token = CancelToken::new();
        let waits = token.clone();
        let task = waiting(move || waits.wait());
        Box::new(move || {
            token.cancel();
            drop(task);
        })
    }),
    ("CancelToken::cancel_with", || Box::new(|| CancelToken::new().cancel_with("because"))),
    ("generator::Generator::new", || Box::new(|| drop(Generator::<(), (), ()>::new(|_| ())))),
    ("generator::Generator::is_finished", || {
        Box::new(|| assert!(!Generator::<(), (), ()>::new(|_| ()).is_finished()))
    }),
    ("generator::Generator::name", || {
        Box::new(|| assert!(Generator::<(), (), ()>::new(|_| ()).name().is_none()))
    }),
];

/// One of a pair of connected sockets.
fn stream() -> TcpStream {
    pair().0
}

/// A file that is open.
fn file() -> File {
    File::from(tempfile::tempfile().unwrap())
}

/// An entry of a directory.
fn entry() -> DirEntry {
    ropewalk::fs::read_dir("/proc/self").unwrap().next().unwrap().unwrap()
}

const FILES: &[(&str, Prepare)] = &[
    ("fs::File::options", || Box::new(|| ignore(File::options()))),
    ("fs::File::try_clone", || {
        let file = file();
        Box::new(move || drop(file.try_clone().unwrap()))
    }),
    ("fs::File::try_lock", || {
        let file = file();
        Box::new(move || file.try_lock().unwrap())
    }),
    ("fs::File::try_lock_shared", || {
        let file = file();
        Box::new(move || file.try_lock_shared().unwrap())
    }),
    ("fs::File::unlock", || {
        let file = file();
        Box::new(move || file.unlock().unwrap())
    }),
    ("fs::OpenOptions::new", || Box::new(|| ignore(OpenOptions::new()))),
    ("fs::OpenOptions::read", || Box::new(|| ignore(OpenOptions::new().read(true).clone()))),
    ("fs::OpenOptions::write", || Box::new(|| ignore(OpenOptions::new().write(true).clone()))),
    ("fs::OpenOptions::append", || Box::new(|| ignore(OpenOptions::new().append(true).clone()))),
    ("fs::OpenOptions::truncate", || Box::new(|| ignore(OpenOptions::new().truncate(true).clone()))),
    ("fs::OpenOptions::create", || Box::new(|| ignore(OpenOptions::new().create(true).clone()))),
    ("fs::OpenOptions::create_new", || Box::new(|| ignore(OpenOptions::new().create_new(true).clone()))),
    ("fs::DirBuilder::new", || Box::new(|| ignore(DirBuilder::new()))),
    ("fs::DirBuilder::recursive", || Box::new(|| ignore(format!("{:?}", DirBuilder::new().recursive(true))))),
    ("fs::DirEntry::file_name", || {
        let entry = entry();
        Box::new(move || drop(entry.file_name()))
    }),
    ("fs::DirEntry::path", || {
        let entry = entry();
        Box::new(move || drop(entry.path()))
    }),
    ("a file is dropped", || {
        let file = file();
        Box::new(move || drop(file))
    }),
];

const SOCKETS: &[(&str, Prepare)] = &[
    ("net::TcpListener::local_addr", || {
        let (listener, _) = listener();
        Box::new(move || drop(listener.local_addr()))
    }),
    ("net::TcpListener::try_clone", || {
        let (listener, _) = listener();
        Box::new(move || drop(listener.try_clone()))
    }),
    ("net::TcpListener::incoming", || {
        let (listener, _): (TcpListener, _) = listener();
        Box::new(move || ignore(listener.incoming()))
    }),
    ("net::TcpStream::local_addr", || {
        let stream = stream();
        Box::new(move || drop(stream.local_addr()))
    }),
    ("net::TcpStream::peer_addr", || {
        let stream = stream();
        Box::new(move || drop(stream.peer_addr()))
    }),
    ("net::TcpStream::nodelay", || {
        let stream = stream();
        Box::new(move || drop(stream.nodelay()))
    }),
    ("net::TcpStream::set_nodelay", || {
        let stream = stream();
        Box::new(move || stream.set_nodelay(true).unwrap())
    }),
    ("net::TcpStream::read_timeout", || {
        let stream = stream();
        Box::new(move || drop(stream.read_timeout()))
    }),
    ("net::TcpStream::set_read_timeout", || {
        let stream = stream();
        Box::new(move || stream.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::TcpStream::write_timeout", || {
        let stream = stream();
        Box::new(move || drop(stream.write_timeout()))
    }),
    ("net::TcpStream::set_write_timeout", || {
        let stream = stream();
        Box::new(move || stream.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::TcpStream::ttl", || {
        let stream = stream();
        Box::new(move || drop(stream.ttl()))
    }),
    ("net::TcpStream::set_ttl", || {
        let stream = stream();
        Box::new(move || stream.set_ttl(9).unwrap())
    }),
    ("net::TcpStream::take_error", || {
        let stream = stream();
        Box::new(move || assert!(stream.take_error().unwrap().is_none()))
    }),
    ("net::TcpStream::try_clone", || {
        let stream = stream();
        Box::new(move || drop(stream.try_clone()))
    }),
    ("net::TcpStream::shutdown", || {
        let stream = stream();
        Box::new(move || stream.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::TcpListener::set_backlog", || with_tcp_listener(|listener| listener.set_backlog(9).unwrap())),
    ("net::TcpListener::set_nonblocking", || {
        with_tcp_listener(|listener| listener.set_nonblocking(true).unwrap())
    }),
    ("net::TcpListener::set_ttl", || with_tcp_listener(|listener| listener.set_ttl(9).unwrap())),
    ("net::TcpListener::take_error", || with_tcp_listener(|listener| drop(listener.take_error()))),
    ("net::TcpListener::ttl", || with_tcp_listener(|listener| drop(listener.ttl()))),
    ("net::TcpStream::into_split", || {
        let stream = stream();
        Box::new(move || drop(stream.into_split()))
    }),
    ("net::TcpStream::set_nonblocking", || {
        let stream = stream();
        Box::new(move || stream.set_nonblocking(true).unwrap())
    }),
    ("a socket that a neighbour reads from is dropped at the other end", || {
        let (near, far) = pair();
        let task = waiting(move || drop(std::io::Read::read(&mut &near, &mut [0])));
        Box::new(move || drop((far, task)))
    }),
    ("net::UnixListener::bind", || {
        let folder = tempfile::tempdir().unwrap();
        Box::new(move || drop(UnixListener::bind(folder.path().join("socket"))))
    }),
    ("net::UnixListener::bind_addr", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixListener::bind_addr(&address), folder)))
    }),
    ("net::UnixListener::bind_with_backlog", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixListener::bind_with_backlog(&address, 1), folder)))
    }),
    ("net::UnixListener::incoming", || with_unix_listener(|listener| ignore(listener.incoming()))),
    ("net::UnixListener::local_addr", || with_unix_listener(|listener| drop(listener.local_addr()))),
    ("net::UnixListener::take_error", || with_unix_listener(|listener| drop(listener.take_error()))),
    ("net::UnixListener::try_clone", || with_unix_listener(|listener| drop(listener.try_clone()))),
    ("net::UnixListener::set_backlog", || with_unix_listener(|listener| listener.set_backlog(9).unwrap())),
    ("net::UnixListener::set_nonblocking", || {
        with_unix_listener(|listener| listener.set_nonblocking(true).unwrap())
    }),
    ("net::UnixStream::into_split", || {
        let (stream, _other) = UnixStream::pair().unwrap();
        Box::new(move || drop(stream.into_split()))
    }),
    ("net::UnixStream::set_nonblocking", || with_unix_stream(|stream| stream.set_nonblocking(true).unwrap())),
    ("net::UnixStream::pair", || Box::new(|| drop(UnixStream::pair()))),
    ("net::UnixStream::local_addr", || with_unix_stream(|stream| drop(stream.local_addr()))),
    ("net::UnixStream::peer_addr", || with_unix_stream(|stream| drop(stream.peer_addr()))),
    ("net::UnixStream::read_timeout", || with_unix_stream(|stream| drop(stream.read_timeout()))),
    ("net::UnixStream::set_read_timeout", || {
        with_unix_stream(|stream| stream.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixStream::write_timeout", || with_unix_stream(|stream| drop(stream.write_timeout()))),
    ("net::UnixStream::set_write_timeout", || {
        with_unix_stream(|stream| stream.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixStream::shutdown", || {
        with_unix_stream(|stream| stream.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::UnixStream::take_error", || with_unix_stream(|stream| drop(stream.take_error()))),
    ("net::UnixStream::try_clone", || with_unix_stream(|stream| drop(stream.try_clone()))),
];

const DATAGRAMS: &[(&str, Prepare)] = &[
    ("net::UdpSocket::broadcast", || with_udp(|socket| drop(socket.broadcast()))),
    ("net::UdpSocket::join_multicast_v4", || {
        with_udp(|socket| drop(socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)))
    }),
    ("net::UdpSocket::join_multicast_v6", || {
        with_udp(|socket| drop(socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 1)))
    }),
    ("net::UdpSocket::leave_multicast_v4", || {
        with_udp(|socket| drop(socket.leave_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)))
    }),
    ("net::UdpSocket::leave_multicast_v6", || {
        with_udp(|socket| drop(socket.leave_multicast_v6(&Ipv6Addr::LOCALHOST, 1)))
    }),
    ("net::UdpSocket::local_addr", || with_udp(|socket| drop(socket.local_addr()))),
    ("net::UdpSocket::multicast_loop_v4", || with_udp(|socket| drop(socket.multicast_loop_v4()))),
    ("net::UdpSocket::multicast_loop_v6", || with_udp(|socket| drop(socket.multicast_loop_v6()))),
    ("net::UdpSocket::multicast_ttl_v4", || with_udp(|socket| drop(socket.multicast_ttl_v4()))),
    ("net::UdpSocket::peer_addr", || with_udp(|socket| drop(socket.peer_addr()))),
    ("net::UdpSocket::read_timeout", || with_udp(|socket| drop(socket.read_timeout()))),
    ("net::UdpSocket::set_broadcast", || with_udp(|socket| socket.set_broadcast(true).unwrap())),
    ("net::UdpSocket::set_multicast_loop_v4", || {
        with_udp(|socket| socket.set_multicast_loop_v4(true).unwrap())
    }),
    ("net::UdpSocket::set_multicast_loop_v6", || with_udp(|socket| drop(socket.set_multicast_loop_v6(true)))),
    ("net::UdpSocket::set_multicast_ttl_v4", || with_udp(|socket| socket.set_multicast_ttl_v4(9).unwrap())),
    ("net::UdpSocket::set_nonblocking", || with_udp(|socket| socket.set_nonblocking(true).unwrap())),
    ("net::UdpSocket::set_read_timeout", || with_udp(|socket| socket.set_read_timeout(Some(LONG)).unwrap())),
    ("net::UdpSocket::set_ttl", || with_udp(|socket| socket.set_ttl(9).unwrap())),
    ("net::UdpSocket::set_write_timeout", || {
        with_udp(|socket| socket.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UdpSocket::take_error", || with_udp(|socket| drop(socket.take_error()))),
    ("net::UdpSocket::try_clone", || with_udp(|socket| drop(socket.try_clone()))),
    ("net::UdpSocket::ttl", || with_udp(|socket| drop(socket.ttl()))),
    ("net::UdpSocket::write_timeout", || with_udp(|socket| drop(socket.write_timeout()))),
    ("net::UnixDatagram::bind", || {
        let folder = tempfile::tempdir().unwrap();
        Box::new(move || drop(UnixDatagram::bind(folder.path().join("socket"))))
    }),
    ("net::UnixDatagram::bind_addr", || {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("socket")).unwrap();
        Box::new(move || drop((UnixDatagram::bind_addr(&address), folder)))
    }),
    ("net::UnixDatagram::connect", || with_datagrams(|socket| assert!(socket.connect("/nowhere").is_err()))),
    ("net::UnixDatagram::connect_addr", || {
        let address = SocketAddr::from_pathname("/nowhere").unwrap();
        Box::new(move || assert!(UnixDatagram::unbound().unwrap().connect_addr(&address).is_err()))
    }),
    ("net::UnixDatagram::pair", || Box::new(|| drop(UnixDatagram::pair()))),
    ("net::UnixDatagram::unbound", || Box::new(|| drop(UnixDatagram::unbound()))),
    ("net::UnixDatagram::local_addr", || with_datagrams(|socket| drop(socket.local_addr()))),
    ("net::UnixDatagram::peer_addr", || with_datagrams(|socket| drop(socket.peer_addr()))),
    ("net::UnixDatagram::read_timeout", || with_datagrams(|socket| drop(socket.read_timeout()))),
    ("net::UnixDatagram::set_nonblocking", || with_datagrams(|socket| socket.set_nonblocking(true).unwrap())),
    ("net::UnixDatagram::set_read_timeout", || {
        with_datagrams(|socket| socket.set_read_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixDatagram::set_write_timeout", || {
        with_datagrams(|socket| socket.set_write_timeout(Some(LONG)).unwrap())
    }),
    ("net::UnixDatagram::shutdown", || {
        with_datagrams(|socket| socket.shutdown(std::net::Shutdown::Both).unwrap())
    }),
    ("net::UnixDatagram::take_error", || with_datagrams(|socket| drop(socket.take_error()))),
    ("net::UnixDatagram::try_clone", || with_datagrams(|socket| drop(socket.try_clone()))),
    ("net::UnixDatagram::write_timeout", || with_datagrams(|socket| drop(socket.write_timeout()))),
];

/// A group of which nobody else is.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 42, 98);

fn with_tcp_listener(f: fn(&TcpListener)) -> Box<dyn FnOnce()> {
    let (listener, _) = listener();
    Box::new(move || f(&listener))
}

fn with_udp(f: fn(&UdpSocket)) -> Box<dyn FnOnce()> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Box::new(move || f(&socket))
}

fn with_datagrams(f: fn(&UnixDatagram)) -> Box<dyn FnOnce()> {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    Box::new(move || f(&socket))
}

fn with_unix_listener(f: fn(&UnixListener)) -> Box<dyn FnOnce()> {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    Box::new(move || {
        f(&listener);
        drop((listener, folder));
    })
}

fn with_unix_stream(f: fn(&UnixStream)) -> Box<dyn FnOnce()> {
    let (stream, _other) = UnixStream::pair().unwrap();
    Box::new(move || f(&stream))
}

#[test]
fn what_is_said_never_to_switch_does_not() {
    Switches::run(|switches| {
        for (name, prepare) in [LOCKS, SHARED, CHANNELS, TOPICS, TASKS, FILES, SOCKETS, DATAGRAMS].concat() {
            let call = prepare();
            assert_eq!(switches.of(call), 0, "{name} has switched");
        }
    });
}

/// A scope's end waits, so what is done in it is looked at in it.
#[test]
fn the_handles_of_a_scope_never_switch() {
    Switches::run(|switches| {
        let calls = scope_with(OnFailure::Isolate, |s| {
            let mut calls = Vec::new();
            calls.push(("spawn", switches.of(|| drop(s.spawn(|| ())))));
            calls.push(("spawn_local", switches.of(|| drop(s.spawn_local(|| ())))));
            let child = s.spawn_local(|| coroutine::sleep(LONG));
            calls.push(("ended", switches.of(|| drop(child.ended()))));
            calls.push(("id", switches.of(|| assert!(child.id().as_u64() > 0))));
            calls.push(("is_finished", switches.of(|| assert!(!child.is_finished()))));
            calls.push(("name", switches.of(|| assert!(child.name().is_none()))));
            calls.push(("task", switches.of(|| drop(child.task()))));
            calls.push(("thread", switches.of(|| drop(child.thread()))));
            calls.push(("cancel", switches.of(|| child.cancel())));
            calls.push(("cancel_all", switches.of(|| s.cancel())));
            calls
        });
        let switched: Vec<_> = calls.iter().filter(|(_, count)| *count > 0).collect();
        assert!(switched.is_empty(), "{switched:?}");
    });
}

/// That the count would notice: what need not wait lets others run, when the turn is over.
#[test]
fn what_may_switch_does_when_its_turn_is_over() {
    Switches::run(|switches| {
        let mutex = Mutex::new(1);
        assert_eq!(switches.of(|| drop(mutex.lock())), 1, "a lock that is free");
        let (sender, receiver) = bounded(1);
        assert_eq!(switches.of(|| sender.send(1).unwrap()), 1, "a send with room");
        assert_eq!(switches.of(|| ignore(receiver.recv())), 1, "a receive of what is there");
        let (mut near, _far) = pair();
        assert_eq!(switches.of(|| near.write_all(b"x").unwrap()), 1, "a write with room");
        assert_eq!(switches.of(coroutine::yield_now), 1);
        assert_eq!(switches.of(|| ropewalk::no_suspend(|| drop(mutex.lock()))), 0, "but in a region");
    });
}
