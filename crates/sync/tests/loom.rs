//! Every interleaving, within bounds, of the protocols that no task must lose a wake-up in.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ropewalk-sync --test loom --release`, best with a target directory of its own.
//! `LOOM_MAX_PREEMPTIONS` sets how many forced switches an execution may have; without it, 3 in most
//! models.
//!
//! # What this cannot check
//! - Time: in a model no time passes, so nothing times out here. A wait that times out takes the path of one that is
//!   cancelled.
//! - More forced switches than the bound, more threads than the models have, and the spinning of a mutex (none here).
//! - Reads that see stores of the future, and the finer points of `SeqCst`: loom does not know the former and takes
//!   the latter for more than it is. Nothing here relies on either.
//! - The kernel: the futex is a lock and a condition variable here, the descriptor a flag.
//! - What a task does while it unwinds: loom runs its threads on one, which then panics for all of them. So a
//!   cancellation unwinds here through frames that have nothing to do on the way.
//! - The internal lock of the lists is loom's, not the one that runs.
#![cfg(loom)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::sync::{Condvar as LoomCondvar, Mutex as LoomMutex};
use loom::thread::{self, JoinHandle};

use ropewalk_sync::channel::{RecvError, SendError, bounded, unbounded};
use ropewalk_sync::condvar::Condvar;
use ropewalk_sync::mailbox::{Mailbox, Posted, publish_fence};
use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::{
    self, Interest, Interrupt, Park, ThreadParker, Unparker, Unwind, Wait, WaitReason, Waiter, Watched,
    word::Sleep,
};
use ropewalk_sync::semaphore::Semaphore;
use ropewalk_sync::source::Source;
use ropewalk_sync::wait_list::{Place, WaitList};

fn model(body: impl Fn() + Send + Sync + 'static) {
    explore(3, body);
}

fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(body);
}

fn wait() -> Wait {
    Wait::new(WaitReason::Sleep)
}

/// A thread that can be cancelled.
struct Task<T> {
    parker: Arc<ThreadParker>,
    thread: JoinHandle<Option<T>>,
}

impl<T: 'static> Task<T> {
    fn spawn(body: impl FnOnce() -> T + 'static) -> Self {
        let parker = Arc::new(ThreadParker::new());
        let own = parker.clone();
        let thread = thread::spawn(move || {
            own.bind();
            park::adopt_thread(own);
            // Kept out of the frames that unwind, so that nothing is dropped on the way.
            let body = Cell::new(Some(body));
            let end = catch_unwind(AssertUnwindSafe(|| (body.take().expect("called once"))()));
            end.map_err(|payload| assert_eq!(Unwind::from_payload(&*payload), Some(Unwind::Cancelled))).ok()
        });
        Self { parker, thread }
    }

    fn cancel(&self) {
        self.parker.waiter().request_cancel();
        let parker: Arc<ThreadParker> = self.parker.clone();
        Unparker::of(parker).unpark();
    }

    /// What it returned, unless it was cancelled.
    fn join(self) -> Option<T> {
        self.thread.join().unwrap()
    }
}

/// A task that sleeps as a coroutine does: off its thread, until somebody resumes it, who does so exactly once.
struct Suspendable {
    waiter: Waiter,
    resumed: LoomMutex<Option<bool>>,
    bell: LoomCondvar,
}

impl Suspendable {
    /// Makes the calling thread such a task while `body` runs.
    fn run(body: impl FnOnce()) {
        let task: Arc<dyn Park> = Arc::new(Self {
            waiter: Waiter::new(true),
            resumed: LoomMutex::new(None),
            bell: LoomCondvar::new(),
        });
        let pointer = NonNull::new(Arc::as_ptr(&task).cast_mut());
        // SAFETY: the Arc lives beyond the second call, and this thread runs the task.
        unsafe { park::enter(pointer, None) };
        body();
        // SAFETY: as above.
        unsafe { park::enter(None, None) };
    }
}

// SAFETY: (1) the panics of a failed model end the process; (2) `run` keeps the Arc while the task is current.
unsafe impl Park for Suspendable {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn sleep(&self, _deadline: Option<Instant>) {
        if !self.waiter.word().fall_asleep(Sleep::Suspended) {
            return;
        }
        let mut resumed = self.resumed.lock().unwrap();
        while resumed.is_none() {
            resumed = self.bell.wait(resumed).unwrap();
        }
        *resumed = None;
        drop(resumed);
        assert!(self.waiter.word().wake_up(), "it was resumed, so it was called");
    }

    fn yield_now(&self) {
        thread::yield_now();
    }

    fn resume(self: Arc<Self>) {
        let before = self.resumed.lock().unwrap().replace(true);
        assert_eq!(before, None, "it is in the ready queue twice");
        self.bell.notify_one();
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: it borrows nothing.
        unsafe { park::waker_of(self) }
    }

    fn watch(&self, _fd: BorrowedFd<'_>, _source: &Arc<dyn Watched>) -> io::Result<()> {
        Ok(())
    }

    fn poll(&self, _fd: BorrowedFd<'_>, _interest: Interest, _deadline: Option<Instant>) -> io::Result<()> {
        unreachable!("it is a coroutine")
    }
}

/// Two callers, and an owner that may be awake, asleep or anything in between: it sees what each did before calling.
fn two_callers_and_a_sleeper() {
    let done: [Arc<AtomicBool>; 2] = Default::default();
    for flag in done.clone() {
        let owner = Unparker::current();
        thread::spawn(move || {
            flag.store(true, Relaxed);
            owner.unpark();
        });
    }
    while !done.iter().all(|flag| flag.load(Relaxed)) {
        assert!(park::park(&wait()).is_ok());
    }
}

#[test]
fn word_of_a_thread_loses_no_wake_up() {
    model(two_callers_and_a_sleeper);
}

#[test]
fn word_of_a_coroutine_loses_no_wake_up() {
    model(|| Suspendable::run(two_callers_and_a_sleeper));
}

/// What is left in the slot is read without the lock: loom sees the slot's cell.
#[test]
fn wait_list_hands_over_what_the_notifier_leaves() {
    model(|| {
        let list = Arc::new(WaitList::<bool, usize>::new(false));
        let other = list.clone();
        let notifier = thread::spawn(move || {
            let mut ready = other.lock();
            *ready = true;
            let unparker = ready.notify_first(7);
            drop(ready);
            unparker.map(Unparker::unpark).is_some()
        });
        let ready = list.lock();
        let got = if *ready { None } else { list.wait_with(ready, &wait(), 1, Place::Last).ok() };
        assert_eq!(got, notifier.join().unwrap().then_some(7));
    });
}

#[test]
fn wait_list_wakes_everybody() {
    model(|| {
        let list = Arc::new(WaitList::<bool>::new(false));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let list = list.clone();
                thread::spawn(move || {
                    let ready = list.lock();
                    if !*ready {
                        assert_eq!(list.wait(ready, &wait()), Ok(0));
                    }
                })
            })
            .collect();
        *list.lock() = true;
        list.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(list.lock().is_empty());
    });
}

/// Notified and cancelled at once: who was given something has it, and nobody else thinks so.
#[test]
fn wait_list_lets_the_result_win() {
    model(|| {
        let list = Arc::new(WaitList::<(), usize>::default());
        let other = list.clone();
        let task = Task::spawn(move || match other.wait_with(other.lock(), &wait(), 1, Place::Last) {
            Ok(slot) => Some(slot),
            Err(left) => {
                assert_eq!((left.interrupt, left.slot), (Interrupt::Raise(Unwind::Cancelled), 1));
                None
            }
        });
        let other = list.clone();
        let notifier = thread::spawn(move || {
            let unparker = other.lock().notify_first(7);
            unparker.map(Unparker::unpark).is_some()
        });
        task.cancel();
        let notified = notifier.join().unwrap();
        assert_eq!(task.join(), Some(notified.then_some(7)));
        assert!(list.lock().is_empty());
    });
}

/// A mutex around something that loom sees touched.
type Tracked = Mutex<UnsafeCell<usize>>;

fn tracked() -> Arc<Tracked> {
    Arc::new(Mutex::new(UnsafeCell::new(0)))
}

fn increment(mutex: &Tracked) {
    let guard = mutex.lock().unwrap();
    // SAFETY: the lock is held; that this is enough is what the models are about.
    guard.with_mut(|count| unsafe { *count += 1 });
}

fn count(mutex: &Tracked) -> usize {
    // SAFETY: as above.
    mutex.try_lock().unwrap().with(|count| unsafe { *count })
}

/// One locks again and again: the other may be woken, come too late, and then be handed the lock.
#[test]
fn mutex_with_a_task_that_barges() {
    model(|| {
        let mutex = tracked();
        let other = mutex.clone();
        let thread = thread::spawn(move || increment(&other));
        (0..3).for_each(|_| increment(&mutex));
        thread.join().unwrap();
        assert_eq!(count(&mutex), 4);
    });
}

#[test]
fn mutex_with_a_queue() {
    model(|| {
        let mutex = tracked();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || increment(&mutex))
            })
            .collect();
        increment(&mutex);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(count(&mutex), 3);
    });
}

/// A waiter is cancelled while it is woken, or handed the lock, or on its way: the one behind it gets its turn.
#[test]
fn mutex_with_a_waiter_that_is_cancelled() {
    for cancel_first in [true, false] {
        model(move || {
            let mutex = tracked();
            let guard = mutex.lock().unwrap();
            let (first, second) = (mutex.clone(), mutex.clone());
            let first = Task::spawn(move || increment(&first));
            let second = thread::spawn(move || increment(&second));
            // SAFETY: the lock is held.
            guard.with_mut(|count| unsafe { *count += 1 });
            if cancel_first {
                first.cancel();
            }
            drop(guard);
            if !cancel_first {
                first.cancel();
            }
            let counted = usize::from(first.join().is_some());
            second.join().unwrap();
            assert_eq!(count(&mutex), 2 + counted);
        });
    }
}

/// Who tries takes the lock without a look at the list, even while somebody is on the way.
#[test]
fn mutex_with_a_task_that_tries() {
    // Four threads: with three forced switches this one would take longer than all others together.
    explore(2, || {
        let mutex = tracked();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || increment(&mutex))
            })
            .collect();
        let other = mutex.clone();
        let tries = thread::spawn(move || {
            let guard = other.try_lock().ok()?;
            // SAFETY: the lock is held.
            guard.with_mut(|count| unsafe { *count += 1 });
            Some(())
        });
        increment(&mutex);
        increment(&mutex);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let tried = usize::from(tries.join().unwrap().is_some());
        assert_eq!(count(&mutex), 4 + tried);
    });
}

/// Sends two messages through a channel that has less room; what was written before is seen after.
fn stream(capacity: usize) {
    let (sender, receiver) = bounded(capacity);
    let written: Arc<[AtomicUsize; 2]> = Arc::default();
    let writes = written.clone();
    let producer = thread::spawn(move || {
        for n in 0..2 {
            writes[n].store(n + 1, Relaxed);
            sender.send(n).unwrap();
        }
    });
    for n in 0..2 {
        assert_eq!(receiver.recv(), Ok(n));
        assert_eq!(written[n].load(Relaxed), n + 1);
    }
    assert_eq!(receiver.recv(), Err(RecvError));
    producer.join().unwrap();
}

#[test]
fn channel_with_room_for_one() {
    model(|| stream(1));
}

#[test]
fn channel_without_room() {
    model(|| stream(0));
}

#[test]
fn channel_whose_receiver_goes_while_the_sender_waits() {
    model(|| {
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            let producer = thread::spawn(move || [sender.send(1), sender.send(2)]);
            let received = receiver.recv();
            drop(receiver);
            assert_eq!(received, Ok(1));
            let [first, second] = producer.join().unwrap();
            assert_eq!(first, Ok(()));
            // With room for one it may have been sent before the receiver went.
            assert!(second == Err(SendError(2)) || capacity == 1);
        }
    });
}

/// A receiver that is cancelled takes no message away from the one that goes on waiting.
#[test]
fn channel_with_a_receiver_that_is_cancelled() {
    for capacity in [Some(0), None] {
        model(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let other = receiver.clone();
            let task = Task::spawn(move || other.recv());
            let producer = thread::spawn(move || sender.send(1));
            task.cancel();
            match task.join() {
                Some(received) => assert_eq!(received, Ok(1)),
                None => assert_eq!(receiver.recv(), Ok(1)),
            }
            assert_eq!(producer.join().unwrap(), Ok(()));
            assert_eq!(receiver.recv(), Err(RecvError));
        });
    }
}

/// A send that is cancelled has sent its message or has not.
#[test]
fn channel_with_a_sender_that_is_cancelled() {
    for capacity in [0, 1] {
        model(move || {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|_| sender.send(0).unwrap());
            let task = Task::spawn(move || sender.send(1));
            let consumer = thread::spawn(move || receiver.iter().sum::<usize>());
            task.cancel();
            let sent = task.join();
            assert_ne!(sent, Some(Err(SendError(1))));
            assert_eq!(consumer.join().unwrap(), usize::from(sent.is_some()));
        });
    }
}

/// The descriptor becomes ready at any moment; the driver reports it once.
#[test]
fn source_loses_no_edge() {
    model(|| {
        Suspendable::run(|| {
            let source = Source::default();
            let readiness = source.readiness().clone();
            let ready = Arc::new(AtomicBool::new(false));
            let becomes_ready = ready.clone();
            let driver = thread::spawn(move || {
                becomes_ready.store(true, Relaxed);
                readiness.signal(Interest::Read);
            });
            let stdin = io::stdin();
            let mut tries = 0;
            let attempt = source.attempt(stdin.as_fd(), Interest::Read, &wait(), || {
                tries += 1;
                if ready.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            assert!(attempt.is_ok() && tries <= 2);
            driver.join().unwrap();
        });
    });
}

/// Two wait in the same direction: one edge wakes both.
#[test]
fn source_wakes_all_who_wait_for_the_edge() {
    model(|| {
        let source = Arc::new(Source::default());
        let readiness = source.readiness().clone();
        let ready = Arc::new(AtomicBool::new(false));
        let read = |source: &Source, ready: &AtomicBool| {
            Suspendable::run(|| {
                let stdin = io::stdin();
                let attempt = source.attempt(stdin.as_fd(), Interest::Read, &wait(), || {
                    if ready.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
                });
                assert!(attempt.is_ok());
            });
        };
        let (other, other_ready) = (source.clone(), ready.clone());
        let reader = thread::spawn(move || read(&other, &other_ready));
        let becomes_ready = ready.clone();
        let driver = thread::spawn(move || {
            becomes_ready.store(true, Relaxed);
            readiness.signal(Interest::Read);
        });
        read(&source, &ready);
        reader.join().unwrap();
        driver.join().unwrap();
    });
}

#[test]
fn semaphore_gives_each_permit_to_one() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        // Loom's threads take turns on one, so this may be shared.
        let inside = Rc::new(UnsafeCell::new(0));
        let enter = |semaphore: &Semaphore, inside: &UnsafeCell<usize>| {
            let _permit = semaphore.acquire();
            // SAFETY: there is one permit; that this is enough is what the model is about.
            inside.with_mut(|count| unsafe { *count += 1 });
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                thread::spawn(move || enter(&semaphore, &inside))
            })
            .collect();
        enter(&semaphore, &inside);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // SAFETY: all others have ended.
        assert_eq!(inside.with(|count| unsafe { *count }), 3);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// A large request leaves, and those behind it get what is there; no permit is lost whatever comes first.
#[test]
fn semaphore_with_a_large_request_that_is_cancelled() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (large, small) = (semaphore.clone(), semaphore.clone());
        let large = Task::spawn(move || drop(large.acquire_many(2)));
        let small = thread::spawn(move || drop(small.acquire()));
        semaphore.add_permits(1);
        large.cancel();
        assert!(large.join().is_none());
        small.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn condvar_misses_no_notification() {
    model(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let other = pair.clone();
        let setter = thread::spawn(move || {
            *other.0.lock().unwrap() = true;
            other.1.notify_one();
        });
        let guard = pair.1.wait_while(pair.0.lock().unwrap(), |ready| !*ready).unwrap();
        assert!(*guard);
        drop(guard);
        setter.join().unwrap();
    });
}

/// One of two waiters is cancelled, perhaps when it was notified and waits for the lock: then the other hears of the
/// one notification.
#[test]
fn condvar_with_a_waiter_that_is_cancelled() {
    model(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let take = |pair: &(Mutex<usize>, Condvar)| {
            let mut items = pair.1.wait_while(pair.0.lock().unwrap(), |items| *items == 0).unwrap();
            *items -= 1;
        };
        let (first, second) = (pair.clone(), pair.clone());
        let first = Task::spawn(move || take(&first));
        let second = thread::spawn(move || take(&second));
        let mut items = pair.0.lock().unwrap();
        *items += 1;
        pair.1.notify_one();
        first.cancel();
        drop(items);
        if first.join().is_some() {
            // It took the only item: one more for the other.
            *pair.0.lock().unwrap() += 1;
            pair.1.notify_one();
        }
        second.join().unwrap();
        assert_eq!(*pair.0.lock().unwrap(), 0);
    });
}

/// The driver of a worker: a wake-up that is kept until the worker waits for it, as an eventfd keeps it.
struct Doorbell {
    rung: LoomMutex<bool>,
    changed: LoomCondvar,
}

impl Doorbell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rung: LoomMutex::new(false), changed: LoomCondvar::new() })
    }

    fn notify(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

fn post(mailbox: &Mailbox<u32>, doorbell: &Doorbell, message: u32) {
    match mailbox.post(message) {
        Posted::Delivered => {}
        Posted::Asleep => doorbell.notify(),
        Posted::Closed(_) => panic!("nobody closes it"),
    }
}

#[test]
fn mailbox_sleeps_over_no_message() {
    model(|| {
        let mailbox = Arc::new(Mailbox::new());
        let doorbell = Doorbell::new();
        let posters: Vec<_> = (0..2)
            .map(|message| {
                let (mailbox, doorbell) = (mailbox.clone(), doorbell.clone());
                loom::thread::spawn(move || post(&mailbox, &doorbell, message))
            })
            .collect();
        let (mut received, mut mail) = (0, Vec::new());
        while received < 2 {
            if mailbox.has_mail() {
                mailbox.collect(&mut mail);
                received += mail.drain(..).count();
            } else if mailbox.fall_asleep(|| false) {
                doorbell.wait();
                mailbox.wake_up();
            }
        }
        for poster in posters {
            poster.join().unwrap();
        }
    });
}

#[test]
fn mailbox_sleeps_over_no_published_work() {
    model(|| {
        let mailbox = Arc::new(Mailbox::<u32>::new());
        let doorbell = Doorbell::new();
        let work = Arc::new(AtomicBool::new(false));
        let publisher = {
            let (mailbox, doorbell, work) = (mailbox.clone(), doorbell.clone(), work.clone());
            loom::thread::spawn(move || {
                work.store(true, Relaxed);
                publish_fence();
                if mailbox.rouse() {
                    doorbell.notify();
                }
            })
        };
        if mailbox.fall_asleep(|| work.load(Relaxed)) {
            doorbell.wait();
            mailbox.wake_up();
        }
        assert!(work.load(Relaxed), "awake because there is work");
        publisher.join().unwrap();
    });
}
