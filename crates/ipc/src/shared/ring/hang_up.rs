//! That all on the other side of a ring, or all who publish on a topic, have gone, wherever they were, in whatever way.
//!
//! Each has a pipe through which nothing ever goes: senders hold the end for writing, receivers the end for reading.
//! So the kernel counts them: in all processes, also those that are killed, and those that are on their way in a message, which
//! may never arrive. When none is left on one side, it says so to the other. A thread of each process listens for that
//! on all pipes (epoll(7)), writes it into the ring, and wakes whoever waits.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ropewalk_sync::park;
use ropewalk_sys::epoll::Epoll;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shape::Role;
use crate::message::{deserialize_descriptor, serialize_descriptor};

/// What is told when all on the other side of its line have gone.
pub(in crate::shared) trait HungUp: Send + Sync {
    fn hung_up(&self);
}

/// Listens for all rings of this process.
struct Listener {
    epoll: Epoll,
    rings: Mutex<HashMap<u64, Weak<dyn HungUp>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listener() -> io::Result<&'static Listener> {
    static LISTENER: OnceLock<Listener> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());

    let _starting = locked(&STARTING);
    if let Some(listener) = LISTENER.get() {
        return Ok(listener);
    }
    let listener = Listener { epoll: Epoll::new()?, rings: Mutex::default() };
    let (tell, told) = std::sync::mpsc::channel::<&'static Listener>();
    let listen = move || {
        let Ok(listener) = told.recv() else { return };
        while listener.epoll.wait(None, |token, _| listener.hung_up(token)).is_ok() {}
    };
    std::thread::Builder::new().name("ropewalk-hangup".into()).spawn(listen)?;
    let listener = LISTENER.get_or_init(|| listener);
    let _ = tell.send(listener);
    Ok(listener)
}

impl Listener {
    fn hung_up(&self, token: u64) {
        let ring = locked(&self.rings).get(&token).and_then(Weak::upgrade);
        // Dropped without the lock, which it takes if it is the last one.
        if let Some(ring) = ring {
            ring.hung_up();
        }
    }
}

/// An end of the pipe.
#[derive(Debug)]
pub(in crate::shared) struct Line {
    end: OwnedFd,
    token: u64,
}

impl Line {
    pub(in crate::shared) fn new(end: OwnedFd) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { end, token: NEXT.fetch_add(1, Relaxed) }
    }

    /// One that came in a message.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is not the end of a pipe that such an end of a ring has.
    pub(in crate::shared) fn received(end: OwnedFd, role: Role) -> io::Result<Self> {
        let mode = match role {
            Role::Sender => OFlags::WRONLY,
            Role::Receiver => OFlags::RDONLY,
        };
        let is_pipe = FileType::from_raw_mode(fstat(&end)?.st_mode) == FileType::Fifo;
        if !is_pipe || fcntl_getfl(&end)? & OFlags::RWMODE != mode {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not such an end of a ring"));
        }
        Ok(Self::new(end))
    }

    /// Has `ring`, whose line this is, told when all on the other side have gone.
    ///
    /// # Errors
    /// No descriptor is left, or no thread; `fs.epoll.max_user_watches`.
    pub(in crate::shared) fn listen(&self, ring: Weak<dyn HungUp>) -> io::Result<()> {
        let listener = listener()?;
        locked(&listener.rings).insert(self.token, ring);
        listener.epoll.add_hang_up(self.end.as_fd(), self.token)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A copy that fork(2) made shares the epoll instance, and would take its parent's ring off that.
        if !park::is_original() {
            return;
        }
        if let Ok(listener) = listener() {
            let ring = locked(&listener.rings).remove(&self.token);
            if ring.is_some() {
                listener.epoll.remove(self.end.as_fd());
            }
        }
    }
}

/// A line on its way out, and in.
pub(in crate::shared) struct SentLine<'a>(pub(in crate::shared) &'a Line);
pub(in crate::shared) struct ReceivedLine(pub(in crate::shared) OwnedFd);

impl Serialize for SentLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.0.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for ReceivedLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_descriptor(deserializer).map(Self)
    }
}
