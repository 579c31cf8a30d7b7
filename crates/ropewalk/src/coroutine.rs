//! Tasks as coroutines, mirroring `std::thread`: `use ropewalk::coroutine as thread;`.
//!
//! A coroutine has a stack of its own and runs plain sequential code. Where a thread would sleep in the kernel, it gives
//! its worker to the next coroutine. It may start on any worker and then stays there.
//!
//! # Where this differs from `std::thread`
//! `use ropewalk::coroutine as thread;` is the only change to a program, but for these, each for a reason:
//!
//! | std | here | because |
//! |---|---|---|
//! | the process ends with `main` | from a plain `main` as in std; [`run`](crate::run) waits for all tasks that are no daemons | nobody is cut off in the middle |
//! | a scope waits for all children, and then panics if one did | the first that fails cancels the others; [`scope_with`] with [`OnFailure::Isolate`](crate::OnFailure) waits as std does | nobody works for a result that is lost |
//! | `join` gives the payload of a panic as the error | [`JoinError`](crate::JoinError), which has it ([`into_panic`](crate::JoinError::into_panic)) | a task can also be cancelled, or not start |
//! | a thread ends when it returns or panics | a coroutine unwinds from a wait, too, when it is cancelled | see [Cancellation](crate#cancellation) |
//! | `Builder::spawn` fails where no thread can be started | that there is no memory for a stack is told by `join` | the stack is taken when the coroutine starts |
//! | `Builder::stack_size`: 2 MiB unless told otherwise | 192 KiB in a release build; 64 KiB is the least | a million of them |
//! | `thread_local!` | is the worker's, shared by its coroutines: [`task_local!`](crate::task_local) is the coroutine's | see `docs/soundness.md` |
//! | `std::sync`, `std::net`, `std::io::pipe`, `std::process::Command`, what else blocks | holds up the worker: `ropewalk::sync`, [`net`](crate::net), [`io`](crate::io), [`process`](crate::process), [`blocking`](crate::blocking) | a coroutine gives its worker away only in waits that know of it |
//! | `yield_now` lets other threads run | other coroutines of the worker | |
//! | `panicking` is of the thread | of the task | others of the worker may be unwinding |
//! | `ThreadId` is opaque | a number ([`ThreadId::as_u64`]) | it stands in the lists of [`inspect`](crate::inspect) |
//! | `park_timeout_ms`, `sleep_ms` | missing | deprecated |
//! | `Builder::spawn_unchecked` | missing | unsafe; a scope borrows |
//!
//! A program that was written for std, compiled with either import: `crates/ropewalk/tests/conformance/programs`.

pub use ropewalk_runtime::coroutine::{
    AccessError, Builder, HandOverError, LocalKey, available_parallelism, current, hand_over, panicking,
    park, park_timeout, sleep, sleep_until, spawn, spawn_local, yield_now,
};
pub use ropewalk_runtime::{
    JoinHandle, Scope, ScopedJoinHandle, Task as Thread, TaskId as ThreadId, Unstarted, scope, scope_with,
};

/// What `join` gives. Where std has the payload of the panic, this has an error that holds it and knows more.
pub type Result<T> = std::result::Result<T, crate::JoinError>;
