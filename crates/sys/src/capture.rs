//! The registers and the stack of another thread of this process, whatever it does.
//!
//! The thread is sent the wake signal of [`interruptible`]; its handler copies the registers that
//! it interrupted and the stack above, into memory that was there before, by a system call that cannot fault. What calls
//! the copied return addresses belong to is found out elsewhere, by somebody who may allocate.
//!
//! # Protocol
//! One request at a time, under a lock. Requester: **R1** store the target; **R2** make `WANTED`; **R3** send the signal;
//! **R4** sleep until `TAKEN` or the deadline; **R5** late: take it back (`WANTED` to `IDLE`), and if it is too late for
//! that, wait for `TAKEN` after all, which is a copy away; **R6** read the slot, make `IDLE`.
//!
//! Handler: **H1** go on only if it is `WANTED` of this very thread; **H2** make `TAKING`; **H3** fill the slot; **H4** make
//! `TAKEN`, wake the requester.
//!
//! # Who may touch the slot
//! 1. From H2 to H4 the handler, of which there is one: only the target's thread makes `TAKING`, its handler does not
//!    interrupt itself, and the target changes only while it is `IDLE`.
//! 2. From R4 (`TAKEN`) to R6 the requester, under its lock.
//!
//! R2 releases the target and H1 acquires it; H4 releases the slot and R4 acquires it (SYNC: capture.state).

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::context::Context;
use crate::interruptible::{self, ThreadId};
use crate::{futex, memory};

/// How much of a stack is copied.
pub const STACK_MAX: usize = 64 * 1024;

const IDLE: u32 = 0;
const WANTED: u32 = 1;
const TAKING: u32 = 2;
const TAKEN: u32 = 3;

/// What a handler leaves for the requester.
struct Slot {
    context: Context,
    length: usize,
    stack: [u8; STACK_MAX],
}

struct Exchange {
    state: AtomicU32,
    target: AtomicI32,
    slot: UnsafeCell<Slot>,
}

// SAFETY: the slot is touched by one thread at a time (rules 1 and 2).
unsafe impl Sync for Exchange {}

static EXCHANGE: Exchange = Exchange {
    state: AtomicU32::new(IDLE),
    target: AtomicI32::new(0),
    slot: UnsafeCell::new(Slot {
        context: Context { pc: 0, sp: 0, fp: 0, lr: 0 },
        length: 0,
        stack: [0; STACK_MAX],
    }),
};

/// In the handler of the signal.
fn on_signal(interrupted: &libc::ucontext_t) {
    // SYNC: capture.state
    if EXCHANGE.state.load(Acquire) != WANTED {
        return;
    }
    let is_target = EXCHANGE.target.load(Relaxed) == ThreadId::own_number(); // H1
    // SYNC: capture.state. H2
    if !is_target || EXCHANGE.state.compare_exchange(WANTED, TAKING, Acquire, Relaxed).is_err() {
        return;
    }
    // SAFETY: rule 1.
    let slot = unsafe { &mut *EXCHANGE.slot.get() };
    slot.context = registers(interrupted);
    slot.length = memory::read_own(slot.context.sp, &mut slot.stack); // H3
    EXCHANGE.state.store(TAKEN, Release); // SYNC: capture.state. H4
    futex::wake(&EXCHANGE.state, 1);
}

#[cfg(target_arch = "x86_64")]
fn registers(interrupted: &libc::ucontext_t) -> Context {
    let register = |number: libc::c_int| interrupted.uc_mcontext.gregs[number as usize] as usize;
    Context { pc: register(libc::REG_RIP), sp: register(libc::REG_RSP), fp: register(libc::REG_RBP), lr: 0 }
}

#[cfg(target_arch = "aarch64")]
fn registers(interrupted: &libc::ucontext_t) -> Context {
    let machine = &interrupted.uc_mcontext;
    let register = |number: usize| machine.regs[number] as usize;
    Context { pc: machine.pc as usize, sp: machine.sp as usize, fp: register(29), lr: register(30) }
}

/// Interrupts `thread`, and calls `use_copy` with its registers and its stack from the stack pointer upwards. `None` if
/// it has not answered by the deadline: it has ended, blocks the signal, or is in the kernel and cannot be interrupted
/// there. Blocks the calling thread, until the deadline at most.
///
/// System calls that the thread was in are restarted by the kernel, except for those that never are (signal(7)): waits
/// for several descriptors, sleeps, and waits with a time limit that belongs to a socket. std makes those again; C code
/// that does not look for `EINTR` may take it for a failure.
///
/// For another thread than the caller's.
pub fn capture<R>(
    thread: ThreadId,
    deadline: Instant,
    use_copy: impl FnOnce(Context, &[u8]) -> R,
) -> Option<R> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // What the handler calls has found out what it has to.
    let _ = memory::page_size();
    interruptible::observe(on_signal);

    EXCHANGE.target.store(thread.number(), Relaxed); // R1
    EXCHANGE.state.store(WANTED, Release); // SYNC: capture.state. R2
    // R3
    if !interruptible::interrupt(thread) {
        EXCHANGE.state.store(IDLE, Relaxed);
        return None;
    }
    loop {
        let state = EXCHANGE.state.load(Acquire); // SYNC: capture.state. R4
        if state == TAKEN {
            break;
        }
        let is_late = Instant::now() >= deadline;
        // R5
        if is_late && EXCHANGE.state.compare_exchange(WANTED, IDLE, AcqRel, Relaxed).is_ok() {
            return None;
        }
        futex::wait(&EXCHANGE.state, state, Some(deadline).filter(|_| !is_late));
    }
    // SAFETY: rule 2.
    let slot = unsafe { &*EXCHANGE.slot.get() };
    let result = use_copy(slot.context, &slot.stack[..slot.length]);
    EXCHANGE.state.store(IDLE, Relaxed); // R6
    Some(result)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_thread_that_computes_is_found_on_its_stack_and_goes_on() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            let (tell, told) = mpsc::channel();
            let stop = &stop;
            s.spawn(move || {
                let marker = [0x5eed_u64; 4];
                tell.send((ThreadId::current(), (&raw const marker).addr())).unwrap();
                while !stop.load(Relaxed) {
                    std::hint::black_box(&marker);
                }
            });
            let (thread, marker) = told.recv().unwrap();
            for _ in 0..100 {
                let found = capture(thread, Instant::now() + LONG, |context, stack| {
                    let place = marker.checked_sub(context.sp)?;
                    Some(u64::from_ne_bytes(*stack.get(place..)?.first_chunk()?))
                });
                // The first captures may find it still in `send`, below the marker's frame all the same.
                assert_eq!(found, Some(Some(0x5eed)));
            }
            stop.store(true, Relaxed);
        });
    }

    #[test]
    fn a_call_that_blocks_is_restarted() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (tell, told) = mpsc::channel();
        let blocked = std::thread::spawn(move || {
            tell.send(ThreadId::current()).unwrap();
            let mut byte = 0_u8;
            // SAFETY: one byte of room; not std, which would try again itself.
            let read =
                unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&reader), (&raw mut byte).cast(), 1) };
            (read, byte)
        });
        let thread = told.recv().unwrap();
        while !std::fs::read_to_string(format!("/proc/self/task/{}/syscall", thread.number()))
            .is_ok_and(|call| call.starts_with(&format!("{} ", libc::SYS_read)))
        {
            std::thread::yield_now();
        }
        for _ in 0..10 {
            assert_eq!(capture(thread, Instant::now() + LONG, |_, stack| !stack.is_empty()), Some(true));
        }
        std::io::Write::write_all(&mut writer, &[7]).unwrap();
        assert_eq!(blocked.join().unwrap(), (1, 7));
    }

    #[test]
    fn a_thread_that_has_ended_or_blocks_the_signal_gives_nothing() {
        let ended = std::thread::spawn(ThreadId::current).join().unwrap();
        assert_eq!(capture(ended, Instant::now() + LONG, |_, _| ()), None);
        let (tell, told) = mpsc::channel();
        let (over, wait_over) = mpsc::channel::<()>();
        let blocks = std::thread::spawn(move || {
            let thread = ThreadId::current();
            // SAFETY: blocks one signal for this thread.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&raw mut set);
                libc::sigaddset(&raw mut set, libc::SIGURG);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            }
            tell.send(thread).unwrap();
            let _ = wait_over.recv();
        });
        let thread = told.recv().unwrap();
        assert_eq!(capture(thread, Instant::now() + Duration::from_millis(5), |_, _| ()), None);
        drop(over);
        blocks.join().unwrap();
    }
}
