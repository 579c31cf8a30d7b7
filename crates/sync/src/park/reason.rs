//! Why a task waits.

use std::fmt;
use std::time::Instant;

/// Why a task waits, one value for each place that can wait: what a task list shows beside a blocked task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
#[expect(missing_docs, reason = "the text that each shows is its documentation")]
pub enum WaitReason {
    Join = 1,
    ScopeEnd,
    RuntimeEnd,
    Sleep,
    MutexLock,
    CondvarWait,
    SemaphoreAcquire,
    ChannelSend,
    ChannelRendezvous,
    ChannelReceive,
    Accept,
    Connect,
    SocketRead,
    SocketWrite,
    PipeRead,
    PipeWrite,
    Blocking,
    Signal,
    Idle,
    LinkSend,
    LinkReceive,
    ProcessExit,
    PoolWorker,
    Yield,
    Future,
    RwLockRead,
    RwLockWrite,
    BarrierWait,
    LatchWait,
    OnceWait,
    Park,
    Kernel,
    Select,
    ChannelClosed,
    WatchChange,
    BroadcastSend,
    BroadcastReceive,
    TokenWait,
    TopicPublish,
    TopicReceive,
    SharedLock,
    SharedRead,
    SharedWrite,
    SharedCondvar,
    SharedSemaphore,
    SharedBarrier,
    SharedEvent,
    SharedLatch,
    SharedWord,
    RingSend,
    RingReceive,
    SharedTopicReceive,
    FileRead,
    FileWrite,
    FileSync,
    FileOpen,
    FileLock,
    InputRead,
    OutputWrite,
    FifoOpen,
    QueueSend,
    QueueReceive,
    ProcessSend,
    ProcessReceive,
}

impl WaitReason {
    const ALL: &[Self] = &[
        Self::Join,
        Self::ScopeEnd,
        Self::RuntimeEnd,
        Self::Sleep,
        Self::MutexLock,
        Self::CondvarWait,
        Self::SemaphoreAcquire,
        Self::ChannelSend,
        Self::ChannelRendezvous,
        Self::ChannelReceive,
        Self::Accept,
        Self::Connect,
        Self::SocketRead,
        Self::SocketWrite,
        Self::PipeRead,
        Self::PipeWrite,
        Self::Blocking,
        Self::Signal,
        Self::Idle,
        Self::LinkSend,
        Self::LinkReceive,
        Self::ProcessExit,
        Self::PoolWorker,
        Self::Yield,
        Self::Future,
        Self::RwLockRead,
        Self::RwLockWrite,
        Self::BarrierWait,
        Self::LatchWait,
        Self::OnceWait,
        Self::Park,
        Self::Kernel,
        Self::Select,
        Self::ChannelClosed,
        Self::WatchChange,
        Self::BroadcastSend,
        Self::BroadcastReceive,
        Self::TokenWait,
        Self::TopicPublish,
        Self::TopicReceive,
        Self::SharedLock,
        Self::SharedRead,
        Self::SharedWrite,
        Self::SharedCondvar,
        Self::SharedSemaphore,
        Self::SharedBarrier,
        Self::SharedEvent,
        Self::SharedLatch,
        Self::SharedWord,
        Self::RingSend,
        Self::RingReceive,
        Self::SharedTopicReceive,
        Self::FileRead,
        Self::FileWrite,
        Self::FileSync,
        Self::FileOpen,
        Self::FileLock,
        Self::InputRead,
        Self::OutputWrite,
        Self::FifoOpen,
        Self::QueueSend,
        Self::QueueReceive,
        Self::ProcessSend,
        Self::ProcessReceive,
    ];

    /// How many there are.
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(super) fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value).checked_sub(1)?).copied()
    }

    /// Whether such a wait can be ended by what comes from outside of the process, or of what its tasks do: the kernel,
    /// another process. (A deadline can end any wait.)
    #[must_use]
    pub fn is_for_outside(self) -> bool {
        match self {
            Self::Accept
            | Self::Connect
            | Self::SocketRead
            | Self::SocketWrite
            | Self::PipeRead
            | Self::PipeWrite
            | Self::Signal
            | Self::LinkSend
            | Self::LinkReceive
            | Self::ProcessExit
            | Self::PoolWorker
            | Self::Yield
            | Self::Kernel
            | Self::SharedLock
            | Self::SharedRead
            | Self::SharedWrite
            | Self::SharedCondvar
            | Self::SharedSemaphore
            | Self::SharedBarrier
            | Self::SharedEvent
            | Self::SharedLatch
            | Self::SharedWord
            | Self::RingSend
            | Self::RingReceive
            | Self::SharedTopicReceive
            | Self::FileRead
            | Self::FileWrite
            | Self::FileSync
            | Self::FileOpen
            | Self::FileLock
            | Self::InputRead
            | Self::OutputWrite
            | Self::FifoOpen
            | Self::QueueSend
            | Self::QueueReceive
            | Self::ProcessSend
            | Self::ProcessReceive => true,
            Self::Join
            | Self::ScopeEnd
            | Self::RuntimeEnd
            | Self::Sleep
            | Self::MutexLock
            | Self::CondvarWait
            | Self::SemaphoreAcquire
            | Self::ChannelSend
            | Self::ChannelRendezvous
            | Self::ChannelReceive
            | Self::Blocking
            | Self::Idle
            | Self::Future
            | Self::RwLockRead
            | Self::RwLockWrite
            | Self::BarrierWait
            | Self::LatchWait
            | Self::OnceWait
            | Self::TokenWait
            | Self::Park
            | Self::Select
            | Self::ChannelClosed
            | Self::WatchChange
            | Self::BroadcastSend
            | Self::BroadcastReceive
            | Self::TopicPublish
            | Self::TopicReceive => false,
        }
    }

    /// The reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "waiting for a task to end",
            Self::ScopeEnd => "waiting for the children of a scope",
            Self::RuntimeEnd => "waiting for the tasks of the runtime",
            Self::Sleep => "sleeping",
            Self::MutexLock => "locking a mutex",
            Self::CondvarWait => "waiting on a condition variable",
            Self::SemaphoreAcquire => "acquiring permits of a semaphore",
            Self::ChannelSend => "sending to a full channel",
            Self::ChannelRendezvous => "waiting for a receiver to take the message",
            Self::ChannelReceive => "receiving from an empty channel",
            Self::Accept => "accepting a connection",
            Self::Connect => "connecting",
            Self::SocketRead => "reading from a socket",
            Self::SocketWrite => "writing to a socket",
            Self::PipeRead => "reading from a pipe",
            Self::PipeWrite => "writing to a pipe",
            Self::Blocking => "waiting for a blocking call on another thread",
            Self::Signal => "waiting for a signal",
            Self::Idle => "waiting for work",
            Self::LinkSend => "sending to another process",
            Self::LinkReceive => "receiving from another process",
            Self::ProcessExit => "waiting for a process to end",
            Self::PoolWorker => "waiting for a worker of a process pool",
            Self::Yield => "letting others run",
            Self::Future => "waiting for a future",
            Self::RwLockRead => "locking a read-write lock for reading",
            Self::RwLockWrite => "locking a read-write lock for writing",
            Self::BarrierWait => "waiting at a barrier",
            Self::LatchWait => "waiting for a latch",
            Self::OnceWait => "waiting for an initialization",
            Self::Park => "parked",
            Self::Kernel => "sleeping in the kernel",
            Self::Select => "selecting among channels",
            Self::ChannelClosed => "waiting for the receivers of a channel to go",
            Self::WatchChange => "waiting for a new value",
            Self::BroadcastSend => "broadcasting to slow receivers",
            Self::BroadcastReceive => "receiving from a broadcast",
            Self::TokenWait => "waiting for a cancel token",
            Self::TopicPublish => "publishing to slow subscribers",
            Self::TopicReceive => "receiving from a topic",
            Self::SharedLock => "locking a mutex in shared memory",
            Self::SharedRead => "locking a read-write lock in shared memory for reading",
            Self::SharedWrite => "locking a read-write lock in shared memory for writing",
            Self::SharedCondvar => "waiting on a condition variable in shared memory",
            Self::SharedSemaphore => "acquiring permits of a semaphore in shared memory",
            Self::SharedBarrier => "waiting at a barrier in shared memory",
            Self::SharedEvent => "waiting for an event in shared memory",
            Self::SharedLatch => "waiting for a latch in shared memory",
            Self::SharedWord => "waiting for a word in shared memory",
            Self::RingSend => "sending to a full ring in shared memory",
            Self::RingReceive => "receiving from an empty ring in shared memory",
            Self::SharedTopicReceive => "receiving from a topic in shared memory",
            Self::FileRead => "reading from a file",
            Self::FileWrite => "writing to a file",
            Self::FileSync => "waiting until a file is on the disk",
            Self::FileOpen => "opening a file",
            Self::FileLock => "locking a file",
            Self::InputRead => "reading from standard input",
            Self::OutputWrite => "writing to standard output",
            Self::FifoOpen => "waiting for the other end of a FIFO",
            Self::QueueSend => "sending to a full message queue",
            Self::QueueReceive => "receiving from an empty message queue",
            Self::ProcessSend => "sending to a full channel between processes",
            Self::ProcessReceive => "receiving from an empty channel between processes",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One wait: why, for what, until when, and what an interruption may do.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub(super) reason: WaitReason,
    pub(super) object: usize,
    pub(super) holder: Option<u32>,
    pub(super) deadline: Option<Instant>,
    pub(super) fallible: bool,
    pub(super) cancellable: bool,
    pub(super) comes_back: bool,
}

impl Wait {
    /// A wait that cannot fail: a cancellation unwinds out of it.
    #[must_use]
    pub fn new(reason: WaitReason) -> Self {
        Self {
            reason,
            object: 0,
            holder: None,
            deadline: None,
            fallible: false,
            cancellable: true,
            comes_back: false,
        }
    }

    /// For this object (its address).
    #[must_use]
    pub fn object<T: ?Sized>(mut self, object: &T) -> Self {
        self.object = std::ptr::from_ref(object).addr();
        self
    }

    /// The object is held by a task whose [home](super::Waiter::home) is this.
    #[must_use]
    pub fn holder(mut self, home: Option<u32>) -> Self {
        self.holder = home;
        self
    }

    /// The caller was woken for it before, and came too late: now it is handed what it waits for, and holds it a moment
    /// before it knows.
    #[must_use]
    pub fn comes_back(mut self, comes_back: bool) -> Self {
        self.comes_back = comes_back;
        self
    }

    /// Until then at most.
    #[must_use]
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The caller can return an error: while its task unwinds it does so instead of waiting.
    #[must_use]
    pub fn fallible(mut self) -> Self {
        self.fallible = true;
        self
    }

    /// Whatever it waits for holds a borrow of the caller's, so it must end first: no cancellation, no timeout.
    #[must_use]
    pub fn uncancellable(mut self) -> Self {
        self.cancellable = false;
        self
    }
}
