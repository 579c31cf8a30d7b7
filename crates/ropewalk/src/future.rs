//! Futures both ways: plain code runs a future, and `async` code awaits a task.
//!
//! Nothing in Ropewalk needs `async`. Where a library has only an `async` face, [`block_on`] runs
//! its futures in whatever task calls; and where a program lives in an async runtime, a [`JoinHandle`] is a future that
//! this runtime can await, so that plain blocking code is one `spawn` away.
//!
//! # A future in plain code
//! ```
//! use ropewalk::future::block_on;
//! use ropewalk::{coroutine, timeout};
//! use std::time::Duration;
//!
//! async fn add(a: u32, b: u32) -> u32 {
//!     a + b
//! }
//!
//! let handle = coroutine::spawn(|| {
//!     let sum = block_on(add(1, 2)); // the coroutine waits, its worker goes on
//!     let late = timeout(Duration::from_millis(1), || block_on(std::future::pending::<()>()));
//!     (sum, late.is_err()) // cancellation, `timeout` and `scope` reach it as they reach every wait
//! });
//! assert_eq!(handle.join().unwrap(), (3, true));
//! ```
//!
//! # A task in async code
//! A handle gives what `join` gives, on any executor; dropping it detaches the task, as it does elsewhere.
//!
//! ```
//! use ropewalk::coroutine;
//!
//! async fn length_of_reply() -> usize {
//!     // Plain code with borrowed buffers, in the middle of an async function.
//!     let reply = coroutine::spawn(|| {
//!         let mut line = String::from("pong");
//!         line.push('\n');
//!         line
//!     });
//!     reply.await.expect("the task returns").len()
//! }
//!
//! let executor = tokio::runtime::Builder::new_current_thread().build()?;
//! assert_eq!(executor.block_on(length_of_reply()), 5);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Time, sockets, and crates that need them
//! [`sleep`] is for `async` code. A stream for `async` code, and what hyper and its like ask of a runtime, is in the module
//! `compat`, with the feature of that name; also a bridge for what insists on tokio's runtime, which does what follows
//! here.
//!
//! # Futures that need their own runtime
//! Wakers may be called from any thread, so a future may be driven by another runtime's timers and sockets while a
//! coroutine waits for it. What such a runtime wants is to be *entered* when its futures are made, and some when they are
//! polled; it keeps that in a thread-local that it restores afterwards. Over a wait this breaks (see
//! `docs/soundness.md`), so enter it for one poll at a time, or let it run the future and await the handle:
//!
//! ```
//! use std::future::poll_fn;
//! use std::pin::pin;
//! use std::time::Duration;
//! use ropewalk::{coroutine, future::block_on};
//!
//! let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
//! let handle = tokio.handle().clone();
//! let answer = coroutine::spawn(move || {
//!     let work = async {
//!         tokio::time::sleep(Duration::from_millis(1)).await;
//!         20
//!     };
//!     let here = {
//!         let mut work = pin!(work);
//!         block_on(poll_fn(|context| {
//!             let _entered = handle.enter(); // for this poll only
//!             work.as_mut().poll(context)
//!         }))
//!     };
//!     let there = block_on(handle.spawn(async {
//!         tokio::time::sleep(Duration::from_millis(1)).await;
//!         22
//!     }));
//!     here + there.expect("it returns")
//! });
//! assert_eq!(answer.join().unwrap(), 42);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Where `await` comes from
//! [`co`] drives a [generator](crate::generator) that yields futures: it awaits each, and resumes the generator with what it
//! gave. JavaScript had it as a library before it had `await`; the example `co` writes one program all the ways.
//!
//! ```
//! use std::pin::Pin;
//! use ropewalk::coroutine;
//! use ropewalk::future::{block_on, co};
//! use ropewalk::generator::Generator;
//!
//! type Promise = Pin<Box<dyn Future<Output = Result<u32, ropewalk::JoinError>>>>;
//!
//! let steps = Generator::new(|yielder| {
//!     let a = yielder.yield_(Box::pin(coroutine::spawn(|| 40_u32)) as Promise).unwrap();
//!     let b = yielder.yield_(Box::pin(coroutine::spawn(move || a / 20))).unwrap();
//!     a + b
//! });
//! assert_eq!(block_on(co(steps)).unwrap(), 42);
//! ```
//!
//! # What does not work
//! - To wait in a poll. It would hold up the executor; in a coroutine it panics, because polls run in a
//!   [`no_suspend`](crate::no_suspend) region. In `async` code `await` a handle, or use `try_lock`, `try_recv`, and the
//!   like.
//! - A guard of `Handle::enter` of another runtime, held over a wait of a coroutine.
//! - `block_on` of *another* runtime in a coroutine: it runs, and blocks the worker's thread. Use
//!   [`blocking`](crate::blocking) around it, or this one.
//!
//! [`JoinHandle`]: crate::JoinHandle

pub use ropewalk_runtime::future::{Sleep, block_on, co, sleep, sleep_until, spawn_future};
