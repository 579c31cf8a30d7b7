//! Where a thread executes: the registers that an unwinder starts from.

/// The registers that lead from a frame to its caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The program counter.
    pub pc: usize,
    /// The stack pointer.
    pub sp: usize,
    /// The frame pointer, or whatever the code keeps in that register.
    pub fp: usize,
    /// The link register; 0 on processors that have none, and where it is of no use, because the function has saved it.
    pub lr: usize,
}

/// The registers of the caller, at the call. They stay true as long as the caller has not returned: what it calls has
/// its frames below `sp`.
#[inline(always)]
#[must_use]
pub fn here() -> Context {
    let (pc, sp, fp): (usize, usize, usize);
    // SAFETY: copies three registers into others.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "lea {pc}, [rip]",
            "mov {sp}, rsp",
            "mov {fp}, rbp",
            pc = out(reg) pc,
            sp = out(reg) sp,
            fp = out(reg) fp,
            options(nomem, nostack, preserves_flags)
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "adr {pc}, .",
            "mov {sp}, sp",
            "mov {fp}, x29",
            pc = out(reg) pc,
            sp = out(reg) sp,
            fp = out(reg) fp,
            options(nomem, nostack, preserves_flags)
        );
    }
    Context { pc, sp, fp, lr: 0 }
}
