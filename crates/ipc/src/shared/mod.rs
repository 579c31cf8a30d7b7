//! Locks and their relatives in memory that processes share, which survive the death of any process at any moment.
//!
//! A [`Region`] is a piece of sealed memory with a table of the processes that have it; in it stand the structures. The
//! handles of structures ([`Mutex`] and the others) travel in the arguments and results of processes, and serve the tasks
//! of one process as well: what waits is a coroutine or a thread, through the park seam ([`ropewalk_sync::park::wait_word`]).
//!
//! # Layout
//! All is words of four bytes, in the machine's order.
//!
//! ```text
//!     header   magic, version, end of the blocks, epoch, recovery lock, allocation lock
//!     table    64 slots: pulse, generation, process number
//!     blocks   one behind the other, each: kind, fingerprint, length, lock, bell, state, extra,
//!              for some kinds a word for each slot, for some two copies of a value
//! ```
//!
//! No pointers, which mean nothing in another process; nothing with a destructor.
//!
//! # Rules
//! 1. **One word commits.** Each change that others rely on is made by one atomic operation on one word. So whenever a
//!    process dies, it has made a change or it has not.
//! 2. **Owners are slots with generations** (`Owner`), never bare process numbers, which are used again.
//! 3. **The dead are noticed by the kernel**: a process holds the pulse of its slot as a robust futex
//!    ([`ropewalk_sys::robust`]), which is marked when the process dies. Each process watches the pulses of the others.
//! 4. **One who lives tidies up** for each that has died ([`Region`], `recover`): what the dead one owned is freed, and
//!    **everybody who waits for anything in the region is woken and looks again**. So a wake-up that the dead one owed,
//!    or had been given and not used, is never missed. Tidying up is done under a lock that is taken over if its owner
//!    dies, and to do it again, or half of it, changes nothing.
//! 5. **Who lies harms nobody's memory.** What stands in a region was written by others, who may be broken or hostile. It
//!    is read as atomic integers only, copied out before it is used, and checked before it is an index. A process that
//!    breaks the rules can make the structures of the region useless, and nothing more.

pub(crate) mod bell;
pub(crate) mod block;
pub(crate) mod lock;
pub(crate) mod region;
pub(crate) mod table;
pub(crate) mod value;

mod barrier;
mod condvar;
mod event;
mod handle;
mod latch;
mod mutex;
mod names;
pub mod ring;
mod rwlock;
mod semaphore;
pub mod topic;

pub use self::barrier::{Barrier, BrokenBarrier};
pub use self::condvar::Condvar;
pub use self::event::{Event, Reset};
pub use self::latch::Latch;
pub use self::mutex::{Mutex, MutexGuard, OwnerDied, TryLockError};
pub use self::names::{Access, Name};
pub use self::region::Region;
pub use self::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::semaphore::{Semaphore, SemaphorePermit};
pub use self::value::Plain;
