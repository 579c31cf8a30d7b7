//! Run a Rust function as a coroutine, a thread or a process: same verbs, same handle.
//!
//! A *task* is what you hold: a [`JoinHandle`]. A *plan* is how it is run, and each plan is a module: [`coroutine`] and
//! [`thread`] with std's names, and [`process`]. Code is plain and sequential; where it waits, it waits by the plan of
//! whoever runs it.
//!
//! ```
//! use ropewalk::{channel, coroutine, scope, thread};
//!
//! ropewalk::run(|| {
//!     let (sender, receiver) = channel::bounded(1);
//!     let producer = thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
//!     let words = ["one", "two", "three"];
//!     scope(|s| {
//!         for n in receiver {
//!             let words = &words; // a borrow: the scope ends after its children
//!             s.spawn(move || println!("{}", words[n - 1]));
//!         }
//!     });
//!     producer.join().unwrap();
//!     coroutine::yield_now();
//! });
//! ```
//!
//! | to | use |
//! |---|---|
//! | start | [`run`] in `main`, or [`Runtime::builder`]; without either a global runtime starts on first use |
//! | run tasks | [`coroutine::spawn`], [`thread::spawn`], [`process::spawn`], [`coroutine::spawn_local`] |
//! | run tasks that borrow, and end with a block | [`scope`], [`try_scope`], [`join_all`], [`race`] |
//! | wait for tasks | [`JoinHandle::join`], [`JoinHandle::join_timeout`] |
//! | know a task | [`Task`]: what it does, its parent and children, from anywhere; [`inspect`] for all |
//! | keep a value in each task | [`task_local!`]; a thread-local in each coroutine: [`hooks`] |
//! | end tasks | [`JoinHandle::cancel`], [`timeout`](fn@timeout), [`shield`], [`defer_cancel`] |
//! | end many tasks, pieces of code and selects together | [`CancelToken`] |
//! | take turns without a scheduler | [`generator`] |
//! | read and write files | [`fs`] |
//! | talk | [`channel`], [`sync`], [`net`]; between processes also [`ipc`] |
//! | publish and subscribe | [`topic::Topic`] |
//! | hear of signals | [`signal`] |
//! | block | [`blocking`] |
//! | keep all CPUs busy | [`thread::Pool`] |
//! | run futures, or be awaited | [`future`] |
//! | run hyper, and what else wants an async runtime | `compat`, with the feature of that name |
//!
//! # Where a task may wait
//! Only in functions whose documentation has a section *Waits* (`docs/waits.md` in the repository lists them). Between two of them no other coroutine of the worker
//! runs, so what [`coroutine::spawn_local`] shares in an `Rc` needs no lock. In a [`no_suspend`] region a coroutine's wait
//! that would switch panics.
//!
//! What one task has seen of another: `docs/memory-model.md` in the repository.
//!
//! # Cancellation
//! A cancelled task unwinds from its next wait: destructors run, nothing is lost that a wait had already got. With
//! `panic = "abort"` nothing can unwind: then only waits that return an error tell of it.
//!
//! # Soundness
//! `docs/soundness.md` in the repository says what holds and what does not, thread-locals first.
#![forbid(unsafe_code)]

#[cfg(feature = "compat")]
pub mod compat;
pub mod coroutine;
pub mod fs;
pub mod future;
pub mod generator;
pub mod io;
#[cfg(feature = "process")]
pub mod ipc;
pub mod net;
#[cfg(feature = "compat")]
mod pollable;
#[cfg(feature = "process")]
pub mod process;
pub mod signal;
pub mod sync;
pub mod thread;
pub mod time;
mod waitable;

pub use ropewalk_runtime::{
    Builder, Clock, DriverChoice, DriverKind, Elapsed, JoinError, JoinHandle, OnFailure, Runtime, Schedule,
    Scope, ScopedJoinHandle, Task, TaskId, TryJoinHandle, TryScope, Unstarted, blocking, defer_cancel, hooks,
    inspect, join_all, no_suspend, race, run, scope, scope_with, shield, task_local, timeout, try_scope,
};
pub use ropewalk_sync::cancel_token::{CancelGuard, CancelToken, Cancellable, TokenCancelled};
pub use ropewalk_sync::{channel, topic};

/// The examples of the README and of the pages are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/memory-model.md")]
struct MemoryModel;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/coming-from-std.md")]
struct ComingFromStd;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/coming-from-tokio.md")]
struct ComingFromTokio;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/coming-from-go.md")]
struct ComingFromGo;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/coming-from-python.md")]
struct ComingFromPython;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/troubleshooting.md")]
struct Troubleshooting;
