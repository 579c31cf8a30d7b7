//! The ways in which tasks talk to each other.

use serde::{Deserialize, Serialize};

use crate::costs::cell::{PLANS, Plan};

/// A way to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mechanism {
    /// Two anonymous pipes
    Pipe,
    /// Two named pipes
    Fifo,
    /// A Unix stream
    UnixStream,
    /// Unix datagrams
    UnixDatagram,
    /// A Unix seqpacket connection
    UnixSeqpacket,
    /// A TCP connection, within this machine
    Tcp,
    /// Two POSIX message queues
    MessageQueue,
    /// Channels between processes
    IpcChannel,
    /// Channels over a TCP connection
    RemoteChannel,
    /// Rings in shared memory; who waits sleeps
    RingSleep,
    /// The same; who waits looks for a while and sleeps then
    RingAdaptive,
    /// The same; who waits looks until it is there
    RingSpin,
    /// A mutex and a condition variable in shared memory
    SharedLock,
    /// Two semaphores in shared memory
    SharedSemaphore,
    /// Two events in shared memory
    SharedEvent,
    /// Two words in shared memory, waited for
    SharedWord,
    /// Two signals
    Signal,
    /// Channels within a process
    Channel,
    /// Topics within a process
    Topic,
    /// A mutex and a condition variable within a process
    Lock,
    /// Two semaphores within a process
    Semaphore,
}

/// All of them, in the order of the tables.
pub(crate) const MECHANISMS: [Mechanism; 21] = [
    Mechanism::Pipe,
    Mechanism::Fifo,
    Mechanism::UnixStream,
    Mechanism::UnixDatagram,
    Mechanism::UnixSeqpacket,
    Mechanism::Tcp,
    Mechanism::MessageQueue,
    Mechanism::IpcChannel,
    Mechanism::RemoteChannel,
    Mechanism::RingSleep,
    Mechanism::RingAdaptive,
    Mechanism::RingSpin,
    Mechanism::SharedLock,
    Mechanism::SharedSemaphore,
    Mechanism::SharedEvent,
    Mechanism::SharedWord,
    Mechanism::Signal,
    Mechanism::Channel,
    Mechanism::Topic,
    Mechanism::Lock,
    Mechanism::Semaphore,
];

impl Mechanism {
    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Fifo => "FIFO",
            Self::UnixStream => "Unix stream",
            Self::UnixDatagram => "Unix datagram",
            Self::UnixSeqpacket => "Unix seqpacket",
            Self::Tcp => "TCP",
            Self::MessageQueue => "message queue",
            Self::IpcChannel => "ipc::channel",
            Self::RemoteChannel => "channel over TCP",
            Self::RingSleep => "ring, sleep",
            Self::RingAdaptive => "ring, adaptive",
            Self::RingSpin => "ring, spin",
            Self::SharedLock => "ipc lock, condvar",
            Self::SharedSemaphore => "ipc semaphore",
            Self::SharedEvent => "ipc event",
            Self::SharedWord => "word in a segment",
            Self::Signal => "signal",
            Self::Channel => "channel",
            Self::Topic => "topic",
            Self::Lock => "lock, condvar",
            Self::Semaphore => "semaphore",
        }
    }

    /// Whether a message has bytes; else it says that it is there, and no more.
    pub(crate) fn carries_bytes(self) -> bool {
        !matches!(
            self,
            Self::SharedLock
                | Self::SharedSemaphore
                | Self::SharedEvent
                | Self::SharedWord
                | Self::Signal
                | Self::Lock
                | Self::Semaphore
        )
    }

    /// The plans whose tasks can talk so.
    pub(crate) fn plans(self) -> &'static [Plan] {
        match self {
            Self::Channel | Self::Topic | Self::Lock | Self::Semaphore => &PLANS[1..],
            _ => &PLANS,
        }
    }
}
