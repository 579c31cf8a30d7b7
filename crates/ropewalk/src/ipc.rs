//! What processes share: memory.
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

pub use ropewalk_ipc::segment::{Segment, Word};
