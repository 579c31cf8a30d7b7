//! Linux and the CPU, one fact per function.
//!
//! The lowest layer of Ropewalk. A function here wraps one thing that the kernel or the processor can do and turns its
//! ways of failing into values; it holds no policy, no global state (but the signal handlers that the kernel itself
//! keeps once per process) and starts no thread. Whoever decides anything lives above.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!(
    "Ropewalk needs Linux on x86-64 or aarch64: it is built on io_uring or epoll, futexes and ppoll."
);

pub mod activity;
pub mod at_exit;
pub mod capture;
pub mod clock;
pub mod context;
pub mod credentials;
pub mod epoll;
pub mod eventfd;
pub mod fork;
pub mod futex;
pub mod interruptible;
pub mod limits;
pub mod memory;
pub mod message_queue;
pub mod objects;
pub mod operation;
pub mod poll;
pub mod process;
pub mod robust;
pub mod scheduling;
pub mod segv;
pub mod shared_memory;
pub mod signals;
pub mod switch;
pub mod terminal;
#[cfg(feature = "uring")]
pub mod uring;
