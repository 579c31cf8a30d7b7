//! What a task does: the states of every plan, in one vocabulary.
//!
//! | here | a coroutine | a thread | a process | Linux (proc_pid_stat(5)) |
//! |---|---|---|---|---|
//! | New | no worker has started it | the kernel has not started it | | |
//! | Ready | in its worker's queue | the kernel does not tell it from Running | as a thread | `R` |
//! | Running | its worker runs it | it does not wait for anything of Ropewalk's | | `R` |
//! | Blocked | it has given its worker away | it sleeps in a wait of Ropewalk's | it sleeps in the kernel | `S`, `D` |
//! | Stopped | | | by a signal, or a debugger | `T`, `t` |
//! | Dead | it has ended, and its result is there | the same | it has ended | `Z`, `X` |

use std::time::Instant;

use ropewalk_sync::park::WaitReason;

use super::join::TaskId;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It was created, and has not started: nobody has called its `start`, or no worker has come to it yet.
    New,
    /// It could run, and waits for its worker.
    Ready,
    /// It runs. Of a thread: it does not wait for anything of Ropewalk's; the kernel may know better.
    Running,
    /// It waits.
    Blocked(Blocked),
    /// A process that was stopped, by a signal (`SIGSTOP`, Ctrl-Z) or a debugger.
    Stopped,
    /// It has ended.
    Dead(Death),
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// Why. [`WaitReason::Kernel`] for a process.
    pub reason: WaitReason,
    /// When the wait began. Exact to some ten milliseconds; or, where a coroutine of its worker had held that up just
    /// before, to as long as that. Of a process, which the kernel does not tell, the moment at which it was asked.
    pub since: Instant,
    /// The address of what it waits for - a lock, a channel -, where there is such a thing. Tasks with the same address
    /// wait for the same. For a select see `TaskInfo::objects`.
    pub object: Option<usize>,
    /// The task that has to do something first, where that is known: the holder of a lock; in a
    /// [`dump`](fn@crate::inspect::dump) also the task that is joined.
    pub on: Option<TaskId>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Death {
    /// Its function returned.
    Returned,
    /// It panicked.
    Panicked,
    /// It was cancelled, or never started and never will.
    Cancelled,
    /// It could not start.
    NotStarted,
    /// A process that ended without a result: see [`JoinError::exit`](crate::JoinError::exit).
    Exited,
    /// A thread that was not spawned by Ropewalk has ended, and nobody knows how.
    Unknown,
}

/// The bits of a task's state word that say how it ended: a number from 1, shifted by this.
const SHIFT: u32 = 8;

impl Death {
    const ALL: [Self; 5] = [Self::Returned, Self::Panicked, Self::Cancelled, Self::NotStarted, Self::Exited];

    /// As bits of the state word. Of an unknown death there is no task that could tell.
    pub(super) fn to_bits(self) -> u32 {
        let place = Self::ALL.iter().position(|other| *other == self);
        place.map_or(0, |place| (place as u32 + 1) << SHIFT)
    }

    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.get((bits >> SHIFT).checked_sub(1)? as usize).copied()
    }
}
