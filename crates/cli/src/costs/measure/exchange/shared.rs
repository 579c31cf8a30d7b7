//! Mechanisms that say that something is there, and no more: locks, semaphores, events and words in shared memory, signals.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use ropewalk::ipc::{Condvar, Event, Mutex, Segment, Semaphore};
use ropewalk::net::UnixStream;
use ropewalk::signal::{Signal, Signals};
use rustix::process::{Pid, Signal as Sent, kill_process};
use serde::{Deserialize, Serialize};

use super::link::Link;
use super::packets::ended;

/// Which of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    /// The leader's.
    Near,
    /// The follower's.
    Far,
}

impl Side {
    /// Its number: of the word that says that it is its turn.
    fn index(self) -> usize {
        self as usize
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

/// A mutex that guards whose turn it is, and a condition variable.
pub(super) struct Turns {
    pub(super) turn: Mutex<u32>,
    pub(super) changed: Condvar,
    pub(super) side: Side,
}

impl Link for Turns {
    fn send(&mut self) -> io::Result<()> {
        *self.turn.lock().map_err(ended)? = self.side.other() as u32;
        self.changed.notify_one();
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut turn = self.turn.lock().map_err(ended)?;
        while *turn != self.side as u32 {
            turn = self.changed.wait(turn).map_err(ended)?;
        }
        Ok(())
    }
}

/// A semaphore for each direction.
pub(super) struct Permits {
    pub(super) to: Semaphore,
    pub(super) from: Semaphore,
}

impl Link for Permits {
    fn send(&mut self) -> io::Result<()> {
        self.to.add_permits(1);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.from.acquire().forget();
        Ok(())
    }
}

/// An event for each direction.
pub(super) struct Events {
    pub(super) to: Event,
    pub(super) from: Event,
}

impl Link for Events {
    fn send(&mut self) -> io::Result<()> {
        self.to.set();
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.from.wait();
        Ok(())
    }
}

/// A word for each direction, which counts.
pub(super) struct Words {
    pub(super) words: Segment<AtomicU32>,
    pub(super) side: Side,
    pub(super) seen: u32,
}

impl Link for Words {
    fn send(&mut self) -> io::Result<()> {
        let other = self.side.other().index();
        self.words[other].fetch_add(1, SeqCst);
        self.words.notify_one(other);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let own = self.side.index();
        if self.words[own].load(SeqCst) == self.seen {
            self.words.wait(own, self.seen);
        }
        self.seen = self.seen.wrapping_add(1);
        Ok(())
    }
}

/// A signal for each direction: within a process both are its own.
pub(super) struct Nudges {
    signals: Signals,
    peer: Pid,
    sends: Sent,
}

impl Nudges {
    /// Listens first, and then says over `introduction` which process this is.
    pub(super) fn new(side: Side, mut introduction: UnixStream) -> io::Result<Self> {
        let (listens, sends) = match side {
            Side::Near => (Signal::USR2, Sent::USR1),
            Side::Far => (Signal::USR1, Sent::USR2),
        };
        let signals = Signals::new([listens])?;
        introduction.write_all(&std::process::id().to_ne_bytes())?;
        let mut number = [0; 4];
        introduction.read_exact(&mut number)?;
        let peer = Pid::from_raw(i32::from_ne_bytes(number));
        Ok(Self { signals, peer: peer.ok_or(io::ErrorKind::InvalidData)?, sends })
    }
}

impl Link for Nudges {
    fn send(&mut self) -> io::Result<()> {
        Ok(kill_process(self.peer, self.sends)?)
    }

    fn receive(&mut self) -> io::Result<()> {
        self.signals.recv().map(drop).map_err(ended)
    }
}
