//! From one stack to another.
//!
//! Who leaves a stack keeps what the calling convention promises to callers there, and notes where; who comes back finds
//! it (System V ABI for AMD64, section 3.2.1; AAPCS64, section 6.1.1). The compiler is told that all registers are lost,
//! so that it keeps only those that are in use; left for here are the ones that it does not let go.
//!
//! # By a jump
//! A processor predicts where a return goes from the calls that it has seen (on every processor since the nineties, a stack
//! of a few dozen addresses). A coroutine leaves its stack some calls deep, and the returns above that happen when it comes
//! back. Were the switch itself a call on one side and a return on the other, one of these addresses would be missing, or
//! one too many there: each of the returns after it would be predicted wrongly, and each of these costs as much as fifty
//! instructions. With jumps the addresses of the one that leaves serve the one that comes: as often as not it waits in the
//! same place. (Boost.Context jumps for the same reason.) Where nothing is called between the switch and what goes on, in a
//! generator whose body yields itself, a call and a return are as good.

use std::ptr::{self, NonNull};

/// Where a stack goes on that nobody runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended(*mut u8);

impl Suspended {
    /// Nowhere: nobody has left it.
    pub const NOWHERE: Self = Self(ptr::null_mut());
}

/// What a new stack begins with.
pub type Entry = unsafe extern "C" fn(argument: *mut u8) -> !;

/// What stands on a stack that was left, lowest address first.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
struct Left {
    goes_on: unsafe extern "C" fn(),
    /// Of a stack that was not begun: the argument.
    rbx: *mut u8,
    /// The entry.
    rbp: Entry,
}

#[cfg(target_arch = "aarch64")]
#[repr(C)]
struct Left {
    /// Of a stack that was not begun: the argument.
    x19: *mut u8,
    /// The entry.
    x29: Entry,
    goes_on: unsafe extern "C" fn(),
    _aligned: usize,
}

// The first of a stack: nobody has called it, so a stack trace ends here.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl ropewalk_stack_root",
    ".hidden ropewalk_stack_root",
    ".type ropewalk_stack_root,@function",
    "ropewalk_stack_root:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "pop rdi",
    "pop rax",
    "xor ebp, ebp",
    "call rax",
    "ud2",
    ".cfi_endproc",
    ".size ropewalk_stack_root, . - ropewalk_stack_root",
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl ropewalk_stack_root",
    ".hidden ropewalk_stack_root",
    ".type ropewalk_stack_root,@function",
    "ropewalk_stack_root:",
    ".cfi_startproc",
    ".cfi_undefined x30",
    "ldp x0, x8, [sp], #32",
    "mov x29, #0",
    "mov x30, #0",
    "blr x8",
    "brk #1",
    ".cfi_endproc",
    ".size ropewalk_stack_root, . - ropewalk_stack_root",
);

unsafe extern "C" {
    fn ropewalk_stack_root();
}

/// Has a stack begin with `entry(argument)`, when it is first switched to.
///
/// # Safety
/// `top` is a multiple of 16, and below it there is room that is the caller's, for this and for whatever `entry` does.
pub unsafe fn prepare(top: NonNull<u8>, entry: Entry, argument: *mut u8) -> Suspended {
    #[cfg(target_arch = "x86_64")]
    let left = Left { goes_on: ropewalk_stack_root, rbx: argument, rbp: entry };
    #[cfg(target_arch = "aarch64")]
    let left = Left { x19: argument, x29: entry, goes_on: ropewalk_stack_root, _aligned: 0 };
    // SAFETY: the caller's promise.
    unsafe {
        let pointer = top.as_ptr().sub(size_of::<Left>());
        pointer.cast::<Left>().write(left);
        Suspended(pointer)
    }
}

/// Goes to the stack that stands at `to`, with a word for who is there, and notes in `from` where the caller's own goes on.
/// Comes back when somebody switches to that, with a word of his.
///
/// # Safety
/// `to` is what was noted last of its stack, which lives, and of which nobody has made use since. It belongs to this thread:
/// what the compiler has kept there of thread-locals is this thread's. `from` is valid until the caller is back; nothing
/// unwinds through either.
#[inline(always)]
pub unsafe fn switch(from: *mut Suspended, to: Suspended, word: usize) -> usize {
    let back: usize;
    // SAFETY: what was left at `to` by the same code, or by `prepare`, is taken from there once; the compiler is told of
    // every register that is not kept. The rest is the caller's promise.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov [rsi], rsp",
            "mov rsp, rdx",
            "pop rcx",
            "jmp rcx",
            "2:",
            "pop rbx",
            "pop rbp",
            inlateout("rdi") word => back,
            in("rsi") from,
            in("rdx") to.0,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "stp x19, x29, [sp, #-32]!",
            "adr x9, 2f",
            "str x9, [sp, #16]",
            "mov x9, sp",
            "str x9, [x1]",
            "mov sp, x2",
            "ldr x9, [sp, #16]",
            "br x9",
            "2:",
            "ldp x19, x29, [sp], #32",
            inlateout("x0") word => back,
            in("x1") from,
            in("x2") to.0,
            lateout("x20") _,
            lateout("x21") _,
            lateout("x22") _,
            lateout("x23") _,
            lateout("x24") _,
            lateout("x25") _,
            lateout("x26") _,
            lateout("x27") _,
            lateout("x28") _,
            clobber_abi("C"),
        );
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64 * 1024;

    /// A stack that counts up by what it is told, and tells the sum.
    struct Counter {
        own: Suspended,
        callers: Suspended,
        sum: usize,
    }

    unsafe extern "C" fn count(argument: *mut u8) -> ! {
        let counter = argument.cast::<Counter>();
        // Kept in registers over the switches, as far as there are any.
        let mut kept: [f64; 4] = [0.5, 1.5, 2.5, 3.5];
        loop {
            // SAFETY: the test has prepared it, and stands in its own switch meanwhile.
            unsafe {
                let (callers, sum) = ((*counter).callers, (*counter).sum);
                let told = switch(&raw mut (*counter).own, callers, sum);
                (*counter).sum += told;
            }
            kept.iter_mut().for_each(|value| *value *= 2.0);
            assert_eq!(kept[3] / kept[0], 7.0);
        }
    }

    #[test]
    fn words_go_both_ways_and_what_was_kept_is_there() {
        let mut stacks: Vec<Vec<u128>> = (0..3).map(|_| vec![0; SIZE / 16]).collect();
        let mut counters: Vec<_> = stacks
            .iter_mut()
            .map(|stack| {
                let counter = Counter { own: Suspended::NOWHERE, callers: Suspended::NOWHERE, sum: 0 };
                let counter = Box::into_raw(Box::new(counter));
                let top = NonNull::new(stack.as_mut_ptr_range().end).unwrap().cast();
                // SAFETY: the end of a vector of u128, which lives until the end of the test.
                unsafe { (*counter).own = prepare(top, count, counter.cast()) };
                counter
            })
            .collect();
        for number in 0..100 {
            for (place, counter) in counters.iter().enumerate() {
                // SAFETY: it stands in its own switch, or has not begun; nobody else knows of it.
                let sum = unsafe {
                    let own = (**counter).own;
                    switch(&raw mut (**counter).callers, own, number + place)
                };
                // SAFETY: as above.
                assert_eq!(sum, unsafe { (**counter).sum });
            }
        }
        for (place, counter) in counters.drain(..).enumerate() {
            // SAFETY: made by `into_raw`; its stack is never switched to again.
            let counter = unsafe { Box::from_raw(counter) };
            assert_eq!(counter.sum, (1..100).map(|number| number + place).sum::<usize>());
        }
    }
}
