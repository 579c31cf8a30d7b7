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
//! To wait for a word that another process is to write there is nothing here yet: send a message, or hand over the end of
//! a pipe.

pub use ropewalk_ipc::segment::{Segment, Word};
