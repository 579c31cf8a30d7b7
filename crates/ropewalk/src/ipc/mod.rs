//! What goes between processes: memory that they share, the locks, rings and topics in it, and channels, also [over a
//! connection](remote); and the kernel's message queues.
//!
//! A process has memory of its own; what it is given in its argument is a copy. A [`Segment`] is not copied: all
//! processes that have it see the same words.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use ropewalk::ipc::Segment;
//! use ropewalk::process;
//!
//! let counter = Segment::<AtomicU64>::new(1)?;
//! let add = |counter: Segment| {
//!     for _ in 0..1000 {
//!         counter[0].fetch_add(1, Relaxed);
//!     }
//! };
//! let one = process::spawn(add, counter.clone())?;
//! let other = process::spawn(add, counter.clone())?;
//! one.join()?;
//! other.join()?;
//! assert_eq!(counter[0].load(Relaxed), 2000);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! For a word of four bytes that another process is to change a task can wait, whichever plan runs it:
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::Release};
//! use ropewalk::ipc::Segment;
//! use ropewalk::process;
//!
//! let words = Segment::<AtomicU32>::new(1)?;
//! let answer = |words: Segment<AtomicU32>| {
//!     words[0].store(42, Release);
//!     words.notify_all(0);
//! };
//! process::spawn(answer, words.clone())?;
//! assert_eq!(words.wait(0, 0), 42); // while it holds 0
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Locks
//! [`Mutex`], [`RwLock`], [`Condvar`], [`Semaphore`], [`Barrier`], [`Event`] and [`Latch`] stand in shared memory ([`Region`]),
//! travel in arguments and results, and block whoever waits: a coroutine, a thread, in any process. Within one process they
//! serve as well as those of [`sync`](crate::sync), only slower.
//!
//! They survive the death of any process at any moment, `kill -9` included. The kernel tells the others of it, and one of
//! them tidies up: who waits for a lock that a dead process had gets it, with [`OwnerDied`] as the notice; the value is as it
//! was before, never half changed; permits are refunded; a barrier breaks. Nothing is left in `/dev/shm`: the memory has no
//! name, and goes with the last process that has it.
//!
//! ```
//! use ropewalk::ipc::{Mutex, Region, Semaphore};
//! use ropewalk::process;
//!
//! let region = Region::new(4096)?;
//! let balances = Mutex::new_in(&region, [100_i64, 0])?;
//! let desks = Semaphore::new_in(&region, 1)?;
//! let pay = |(balances, desks): (Mutex<[i64; 2]>, Semaphore)| {
//!     let _desk = desks.acquire();
//!     let mut balances = balances.lock().unwrap();
//!     balances[0] -= 30;
//!     balances[1] += 30;
//! };
//! process::spawn(pay, (balances.clone(), desks.clone()))?.join()?;
//! assert_eq!(*balances.lock().unwrap(), [70, 30]);
//!
//! let dies = |balances: Mutex<[i64; 2]>| -> () {
//!     let mut balances = balances.lock().unwrap();
//!     balances[0] = 0; // the other half of it never comes
//!     std::process::abort();
//! };
//! process::spawn(dies, balances.clone())?.join().unwrap_err();
//! let balances = balances.lock().unwrap_err().into_inner(); // somebody has died in it ..
//! assert_eq!(*balances, [70, 30]);                          // .. and has changed nothing
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Programs that do not start each other meet by a name: [`Region::publish`].
//!
//! # Rings
//! A [`ring`] carries messages from process to process without copies, and without system calls while nobody sleeps: a slot is
//! lent, filled in place and published, and read where it stands. Its ends travel too.
//!
//! ```
//! use ropewalk::ipc::ring::{Builder, One, Receiver, Sender};
//! use ropewalk::process;
//!
//! let (mut questions, theirs) = Builder::new(16).max_len(1024).spsc::<[u8]>()?;
//! let (ours, mut answers) = Builder::new(16).spsc::<u64>()?;
//! let count = |(mut questions, mut answers): (Receiver<[u8], One>, Sender<u64, One>)| {
//!     while let Ok(text) = questions.recv_ref() {
//!         answers.send(&(text.len() as u64)).unwrap();
//!     }
//! };
//! let counter = process::spawn(count, (theirs, ours))?;
//! questions.send(b"how long is this?")?;
//! assert_eq!(answers.recv()?, 17);
//! drop(questions); // `recv_ref` there says so
//! counter.join()?;
//! assert!(answers.recv().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Topics
//! A [`topic`] is publish and subscribe in shared memory: each message goes to everybody who has subscribed, in any process, and
//! nobody who publishes waits for anybody.
//!
//! ```
//! use ropewalk::ipc::topic::{Subscription, Topic};
//! use ropewalk::process;
//!
//! let prices = Topic::<f64>::builder().history(1).build()?;
//! prices.publish(&20.5)?;
//! let dearest = |mut prices: Subscription<f64>| prices.iter().fold(0.0, f64::max);
//! let watchers = [(); 2].map(|()| process::spawn(dearest, prices.subscribe()));
//! prices.publish(&21.5)?;
//! prices.publish(&21.0)?;
//! drop(prices); // `iter` there comes to its end
//! for watcher in watchers {
//!     assert_eq!(watcher?.join()?, 21.5);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Channels
//! [`channel`] has the verbs of the channels between tasks, for values that serde can send. Its ends travel, too, and any number
//! of processes may have them.
//!
//! ```
//! use ropewalk::ipc::{self, Receiver, Sender};
//! use ropewalk::process;
//!
//! let work = |(jobs, results): (Receiver<u64>, Sender<u64>)| {
//!     for job in jobs {
//!         results.send(job.unwrap() * 2).unwrap();
//!     }
//! };
//! let (jobs, line) = ipc::channel::<u64>(64 * 1024)?;
//! let (results, done) = ipc::channel::<u64>(64 * 1024)?;
//! let workers = [(); 2].map(|()| process::spawn(work, (line.clone(), results.clone())));
//! drop((line, results)); // so that the end is seen when the workers are gone
//! (1..=10).try_for_each(|job| jobs.send(job))?;
//! drop(jobs);
//! assert_eq!(done.iter().sum::<std::io::Result<u64>>()?, 110);
//! for worker in workers {
//!     worker?.join()?;
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What they promise - of order, room, death, cancellation - says the table below; what differs over a connection, [`remote`].
//!
//! | | |
//! |---|---|
//! | order | messages come out in the order in which their sends took effect |
//! | room | a bound in bytes: [`channel`] |
//! | a message is whole | it is received as a whole or not at all, however its sender ended |
//! | a process that dies (`kill -9`) | what it had sent is received; what it had received is lost with it; all others go on |
//! | the end | when the last sender of all processes is gone, dropped or dead, receivers get what is there and then [`RecvError::Disconnected`]; when the last receiver is gone, senders get [`SendError::Disconnected`], and what was on its way is lost |
//! | cancelled in a wait | the message of a send does not arrive; a receive takes none. The channel is as it was |
//! | descriptors | travel in messages, 252 at most in one; so do channels, segments and locks |
//! | length | 1 GiB at most; what is longer than 32 KiB travels as memory |
//! | type | travels with an end, and is compared when that arrives |
//! | waiting | any task. Waiters are not served in their order; the ends are no operations of `select!` |
//!
//! # Message queues
//! [`MessageQueue`] is POSIX's: messages with priorities that the kernel keeps under a name, until somebody takes them.
//!
//! ```
//! use ropewalk::ipc::{MessageQueue, UnlinkOnDrop};
//! use ropewalk::process;
//!
//! let name = format!("/ropewalk-jobs-{}", std::process::id());
//! let jobs = MessageQueue::create_new(&name, 10, 100)?;
//! let _name = UnlinkOnDrop::new(&name)?;
//! let worker = process::spawn(
//!     |jobs: MessageQueue| {
//!         let mut job = [0; 100];
//!         let (length, _priority) = jobs.recv(&mut job).unwrap();
//!         String::from_utf8_lossy(&job[..length]).to_uppercase()
//!     },
//!     jobs.try_clone()?,
//! )?;
//! jobs.send(b"sweep", 1)?;
//! assert_eq!(worker.join()?, "SWEEP");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `docs/ipc.md` in the repository has every way to talk between processes in a table, with what it survives.

pub mod remote;

pub use ropewalk_ipc::channel::{
    IntoIter, Iter, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryIter,
    TryRecvError, TrySendError, channel,
};
pub use ropewalk_ipc::queue::{MessageQueue, MessageQueueAttributes, MessageQueueOptions, UnlinkOnDrop};
pub use ropewalk_ipc::segment::{Segment, Word};
pub use ropewalk_ipc::shared::{
    Access, Barrier, BrokenBarrier, Condvar, Event, Latch, Mutex, MutexGuard, Name, OwnerDied, Plain, Region,
    Reset, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit, TryLockError, ring, topic,
};
