//! Every way to wait, each as a function that waits for ever.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::sync::atomic::AtomicU32;

use ropewalk::channel::{bounded, never, select, unbounded};
use ropewalk::future::block_on;
use ropewalk::io::pipe;
use ropewalk::ipc::{self, Segment};
use ropewalk::net::{TcpStream, UnixListener, UnixStream};
use ropewalk::sync::{
    Barrier, Condvar, Latch, Mutex, OnceLock, RwLock, Semaphore, broadcast, mpsc, oneshot, watch,
};
use ropewalk::topic::{Policy, Topic};
use ropewalk::{coroutine, scope, thread, timeout};

use super::net::{Congested, listener, pair};
use super::{LONG, Plan, Spot};

/// A wait: sets up what it takes, marks the spot, and waits until the task is interrupted. What the wait gives, if it
/// gives anything, is dropped.
pub(crate) type WaitForEver = fn(&Spot);

/// Every one, with its name.
pub(crate) const WAITS: [(&str, WaitForEver); 58] = [
    ("sleep", sleep),
    ("sleep_until", sleep_until),
    ("join a coroutine", join_coroutine),
    ("join a thread", join_thread),
    ("join with a limit", join_timeout),
    ("receive", receive),
    ("receive with a limit", receive_timeout),
    ("iterate", iterate),
    ("send to a full channel", send),
    ("send with a limit", send_timeout),
    ("rendezvous", rendezvous),
    ("select", select_one),
    ("select with a limit", select_timeout),
    ("wait for a new value", watch_change),
    ("receive what all receive", receive_broadcast),
    ("receive from a topic", receive_topic),
    ("select from a topic", select_topic),
    ("publish to a slow subscriber", publish),
    ("lock", lock),
    ("wait for a condition", condition),
    ("wait for a condition with a limit", condition_timeout),
    ("acquire", acquire),
    ("acquire with a limit", acquire_timeout),
    ("lock for reading", lock_for_reading),
    ("lock for writing", lock_for_writing),
    ("wait at a barrier", barrier),
    ("wait for a latch", latch),
    ("wait for a latch with a limit", latch_timeout),
    ("wait for an initialization", once),
    ("accept", accept),
    ("connect", connect),
    ("read", read),
    ("peek, with a limit", peek_timeout),
    ("read in parts", read_vectored),
    ("write", write),
    ("read from a pipe", read_pipe),
    ("write to a pipe", write_pipe),
    ("wait for a scope's coroutine", scope_end),
    ("park", park),
    ("park with a limit", park_timeout),
    ("receive the only message", receive_once),
    ("receive as std does", receive_as_std),
    ("send as std does", send_as_std),
    ("wait for a future", future),
    ("wait for the end of a task among others", ended),
    ("accept at a Unix socket", accept_unix),
    ("read from a Unix socket", read_unix),
    ("receive from another process", receive_from_process),
    ("send to a full channel between processes", send_to_process),
    ("wait for a word in shared memory", shared_word),
    ("lock in shared memory", shared_lock),
    ("lock for reading in shared memory", shared_read),
    ("lock for writing in shared memory", shared_write),
    ("wait for a condition in shared memory", shared_condition),
    ("acquire in shared memory", shared_acquire),
    ("wait at a barrier in shared memory", shared_barrier),
    ("wait for an event in shared memory", shared_event),
    ("wait for a latch in shared memory, with a limit", shared_latch),
];

fn sleep(spot: &Spot) {
    spot.mark();
    coroutine::sleep(LONG);
}

fn sleep_until(spot: &Spot) {
    spot.mark();
    thread::sleep_until(std::time::Instant::now() + LONG);
}

fn join_coroutine(spot: &Spot) {
    let other = Plan::Coroutine.spawn_daemon(|| coroutine::sleep(LONG));
    spot.mark();
    let _ = other.join();
}

fn join_thread(spot: &Spot) {
    let other = Plan::Thread.spawn_daemon(|| thread::sleep(LONG));
    spot.mark();
    let _ = other.join();
}

fn join_timeout(spot: &Spot) {
    let other = Plan::Thread.spawn_daemon(|| thread::sleep(LONG));
    spot.mark();
    let _ = other.join_timeout(LONG);
}

fn receive(spot: &Spot) {
    let (_sender, receiver) = unbounded::<()>();
    spot.mark();
    let _ = receiver.recv();
}

fn receive_timeout(spot: &Spot) {
    let (_sender, receiver) = bounded::<()>(1);
    spot.mark();
    let _ = receiver.recv_timeout(LONG);
}

fn iterate(spot: &Spot) {
    let (_sender, receiver) = bounded::<()>(0);
    spot.mark();
    receiver.iter().for_each(drop);
}

fn send(spot: &Spot) {
    let (sender, _receiver) = bounded(1);
    sender.send(1).unwrap();
    spot.mark();
    let _ = sender.send(2);
}

fn send_timeout(spot: &Spot) {
    let (sender, _receiver) = bounded(1);
    sender.send(1).unwrap();
    spot.mark();
    let _ = sender.send_timeout(2, LONG);
}

fn rendezvous(spot: &Spot) {
    let (sender, _receiver) = bounded(0);
    spot.mark();
    let _ = sender.send(1);
}

fn select_one(spot: &Spot) {
    let ((full, _receiver), (_sender, empty)) = (bounded(0), bounded::<u8>(1));
    spot.mark();
    select! {
        recv(empty) -> _ => {}
        send(full, ()) -> _ => {}
    }
}

fn select_timeout(spot: &Spot) {
    let (_sender, empty) = unbounded::<u8>();
    spot.mark();
    select! {
        recv(empty) -> _ => {}
        recv(never::<u8>()) -> _ => {}
        default(LONG) => {}
    }
}

fn watch_change(spot: &Spot) {
    let (_sender, mut receiver) = watch::channel(0);
    spot.mark();
    let _ = receiver.changed();
}

fn receive_broadcast(spot: &Spot) {
    let (_sender, mut receiver) = broadcast::channel::<u8>(1);
    spot.mark();
    let _ = receiver.recv();
}

fn receive_topic(spot: &Spot) {
    let topic = Topic::<u8>::new();
    let subscription = topic.subscribe();
    spot.mark();
    let _ = subscription.recv();
}

fn select_topic(spot: &Spot) {
    let topic = Topic::<u8>::new();
    let subscription = topic.subscribe();
    spot.mark();
    select! { recv(subscription.as_channel()) -> _ => {} }
}

fn publish(spot: &Spot) {
    let topic = Topic::builder().capacity(1).policy(Policy::Block).build();
    let _slow = topic.subscribe();
    let _ = topic.publish(1);
    spot.mark();
    let _ = topic.publish(2);
}

fn lock(spot: &Spot) {
    let mutex = Mutex::new(());
    let _held = mutex.lock().unwrap();
    spot.mark();
    drop(mutex.lock());
}

fn condition(spot: &Spot) {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let guard = mutex.lock().unwrap();
    spot.mark();
    drop(condvar.wait_while(guard, |()| true));
}

fn condition_timeout(spot: &Spot) {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let guard = mutex.lock().unwrap();
    spot.mark();
    drop(condvar.wait_timeout(guard, LONG));
}

fn acquire(spot: &Spot) {
    let semaphore = Semaphore::new(2);
    spot.mark();
    drop(semaphore.acquire_many(3));
}

fn acquire_timeout(spot: &Spot) {
    let semaphore = Semaphore::new(0);
    spot.mark();
    drop(semaphore.acquire_timeout(LONG));
}

fn lock_for_reading(spot: &Spot) {
    let lock = RwLock::new(());
    let _held = lock.write().unwrap();
    spot.mark();
    drop(lock.read());
}

fn lock_for_writing(spot: &Spot) {
    let lock = RwLock::new(());
    let _held = lock.read().unwrap();
    spot.mark();
    drop(lock.write());
}

fn barrier(spot: &Spot) {
    let barrier = Barrier::new(2);
    spot.mark();
    let _ = barrier.wait();
}

fn latch(spot: &Spot) {
    let latch = Latch::new(2);
    spot.mark();
    latch.arrive_and_wait();
}

fn latch_timeout(spot: &Spot) {
    let latch = Latch::new(1);
    spot.mark();
    let _ = latch.wait_timeout(LONG);
}

fn shared_word(spot: &Spot) {
    let words = Segment::<AtomicU32>::new(1).unwrap();
    spot.mark();
    words.wait(0, 0);
}

fn shared_lock(spot: &Spot) {
    let mutex = ipc::Mutex::new(0_u32).unwrap();
    let _held = mutex.try_lock().unwrap();
    spot.mark();
    drop(mutex.lock());
}

fn shared_read(spot: &Spot) {
    let lock = ipc::RwLock::new(0_u32).unwrap();
    let _held = lock.try_write().unwrap();
    spot.mark();
    drop(lock.read());
}

fn shared_write(spot: &Spot) {
    let lock = ipc::RwLock::new(0_u32).unwrap();
    let _held = lock.try_read().unwrap();
    spot.mark();
    drop(lock.write());
}

fn shared_condition(spot: &Spot) {
    let (mutex, condvar) = (ipc::Mutex::new(0_u32).unwrap(), ipc::Condvar::new().unwrap());
    let mut guard = mutex.try_lock().unwrap();
    spot.mark();
    loop {
        guard = condvar.wait(guard).unwrap();
    }
}

fn shared_acquire(spot: &Spot) {
    let semaphore = ipc::Semaphore::new(0).unwrap();
    spot.mark();
    drop(semaphore.acquire());
}

fn shared_barrier(spot: &Spot) {
    let barrier = ipc::Barrier::new(2).unwrap();
    spot.mark();
    let _ = barrier.wait();
}

fn shared_event(spot: &Spot) {
    let event = ipc::Event::new(ipc::Reset::Auto).unwrap();
    spot.mark();
    event.wait();
}

fn shared_latch(spot: &Spot) {
    let latch = ipc::Latch::new(1).unwrap();
    spot.mark();
    let _ = latch.wait_timeout(LONG);
}

fn once(spot: &Spot) {
    let cell = OnceLock::<()>::new();
    spot.mark();
    cell.wait();
}

fn accept(spot: &Spot) {
    let (listener, _) = listener();
    spot.mark();
    let _ = listener.accept();
}

fn connect(spot: &Spot) {
    let congested = Congested::new();
    spot.mark();
    let _ = TcpStream::connect_timeout(&congested.address, LONG);
}

fn read(spot: &Spot) {
    let (mut near, _far) = pair();
    spot.mark();
    let _ = near.read(&mut [0; 8]);
}

fn peek_timeout(spot: &Spot) {
    let (near, _far) = pair();
    near.set_read_timeout(Some(LONG)).unwrap();
    spot.mark();
    let _ = near.peek(&mut [0; 8]);
}

fn read_vectored(spot: &Spot) {
    let (mut near, _far) = pair();
    spot.mark();
    let _ = near.read_vectored(&mut [IoSliceMut::new(&mut [0; 4]), IoSliceMut::new(&mut [0; 4])]);
}

fn write(spot: &Spot) {
    let (mut near, _far) = pair();
    let block = [0; 64 * 1024];
    spot.mark();
    // Until both buffers of the kernel are full.
    while near.write_vectored(&[IoSlice::new(&block), IoSlice::new(&block)]).is_ok() {}
}

fn read_pipe(spot: &Spot) {
    let (mut reader, _writer) = pipe().unwrap();
    spot.mark();
    let _ = reader.read(&mut [0; 8]);
}

fn write_pipe(spot: &Spot) {
    let (_reader, mut writer) = pipe().unwrap();
    spot.mark();
    // Until it is full.
    while writer.write(&[0; 4096]).is_ok() {}
}

fn scope_end(spot: &Spot) {
    scope(|s| {
        s.spawn(|| {
            spot.mark();
            let _ = timeout(LONG, || coroutine::sleep(LONG));
        });
    });
}

fn park(spot: &Spot) {
    spot.mark();
    coroutine::park();
}

fn park_timeout(spot: &Spot) {
    spot.mark();
    coroutine::park_timeout(LONG);
}

fn receive_once(spot: &Spot) {
    let (_sender, receiver) = oneshot::channel::<()>();
    spot.mark();
    let _ = receiver.recv();
}

fn receive_as_std(spot: &Spot) {
    let (_sender, receiver) = mpsc::channel::<()>();
    spot.mark();
    let _ = receiver.recv();
}

fn send_as_std(spot: &Spot) {
    let (sender, _receiver) = mpsc::sync_channel(0);
    spot.mark();
    let _ = sender.send(1);
}

fn future(spot: &Spot) {
    spot.mark();
    block_on(std::future::pending::<()>());
}

fn ended(spot: &Spot) {
    let other = Plan::Thread.spawn_daemon(|| thread::sleep(LONG));
    let (ended, never) = (other.ended(), never::<u8>());
    spot.mark();
    select! {
        recv(ended) -> _ => {}
        recv(never) -> _ => {}
    }
}

fn receive_from_process(spot: &Spot) {
    let (_sender, receiver) = ipc::channel::<u8>(4096).unwrap();
    spot.mark();
    let _ = receiver.recv();
}

fn send_to_process(spot: &Spot) {
    let (sender, _receiver) = ipc::channel(4096).unwrap();
    while sender.try_send(1).is_ok() {}
    spot.mark();
    let _ = sender.send(2);
}

fn accept_unix(spot: &Spot) {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    spot.mark();
    let _ = listener.accept();
}

fn read_unix(spot: &Spot) {
    let (mut near, _far) = UnixStream::pair().unwrap();
    spot.mark();
    let _ = near.read(&mut [0; 8]);
}
