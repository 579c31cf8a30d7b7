//! The live connections, so that a drain can reach them.
//!
//! Drain protocol. A connection that is about to wait for a new request (1) stores `idle`, then
//! (2) loads `draining`, and closes if it is set. A drain (1) stores `draining`, then (2) loads
//! each connection's `idle`, and shuts the reading side of the idle ones, which wakes them under
//! every plan alike. All four are SeqCst, so at least one of the two sees the other's store: no
//! idle connection is overlooked. A busy one finds `draining` when it has answered.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::Stream;
use super::service::Counts;

/// What is registered: a connection, or a process that serves some.
pub(super) trait Entrant: Send + Sync + 'static {
    /// A drain has begun, and this waits for a new request: it need not any more.
    fn end_idle(&self);

    /// Ends it, whatever it does.
    fn cut(&self);
}

impl<S: Stream> Entrant for S {
    fn end_idle(&self) {
        // One that the client has closed already needs nothing.
        let _ = self.shutdown(Shutdown::Read);
    }

    fn cut(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// All live connections.
pub(super) struct Registry<S> {
    draining: AtomicBool,
    state: Mutex<State<S>>,
    /// Signalled when the last connection has ended.
    empty: Condvar,
    /// Where they are counted, too, for whoever asks from outside.
    counts: Arc<Counts>,
}

/// What the lock guards.
struct State<S> {
    next: u64,
    live: HashMap<u64, Arc<Entry<S>>>,
}

/// What a connection and the registry share.
struct Entry<S> {
    stream: S,
    /// It waits for a new request, of which no byte has come.
    idle: AtomicBool,
}

/// A connection as the code that serves it sees it.
pub(super) trait Live {
    /// Its socket.
    type Stream: Stream;

    /// The stream.
    fn stream(&self) -> &Self::Stream;

    /// True from the beginning of a drain: after this answer the connection closes.
    fn is_draining(&self) -> bool;

    /// Reads the first bytes of a request, for which the client may take `timeout`. A drain ends the wait: then this
    /// reads what has arrived already, or nothing.
    fn read_first(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}

/// A registered connection; dropping it ends its registration.
pub(super) struct Registered<S> {
    registry: Arc<Registry<S>>,
    entry: Arc<Entry<S>>,
    number: u64,
}

impl<S: Entrant> Registry<S> {
    /// A registry without connections.
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        let state = State { next: 0, live: HashMap::new() };
        Self { draining: AtomicBool::new(false), state: Mutex::new(state), empty: Condvar::new(), counts }
    }

    /// Registers a new connection; nothing, and the connection is closed, during a drain.
    pub(super) fn register(self: &Arc<Self>, stream: S) -> Option<Registered<S>> {
        let entry = Arc::new(Entry { stream, idle: AtomicBool::new(false) });
        let mut state = self.lock();
        // Under the lock: a drain that has looked at the connections is not missed.
        if self.is_draining() {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.live.insert(number, Arc::clone(&entry));
        // Relaxed, here and in `drop`: a figure, under the lock.
        self.counts.connections.store(state.live.len() as u64, Relaxed);
        Some(Registered { registry: Arc::clone(self), entry, number })
    }

    /// True from the beginning of a drain.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.lock().live.len()
    }

    /// Begins a drain: no new connections, idle ones are ended.
    pub(super) fn drain(&self) {
        self.draining.store(true, SeqCst);
        for connection in self.lock().live.values() {
            if connection.idle.load(SeqCst) {
                connection.stream.end_idle();
            }
        }
    }

    /// Ends all connections, whatever they do. Returns how many there were.
    pub(super) fn cut(&self) -> usize {
        let state = self.lock();
        for connection in state.live.values() {
            connection.stream.cut();
        }
        state.live.len()
    }

    /// Waits until all connections have ended; false when they have not within `limit`.
    ///
    /// # Waits
    /// The calling thread: for the threads outside of the plans.
    pub(super) fn wait_until_empty(&self, limit: Duration) -> bool {
        let deadline = Instant::now().checked_add(limit);
        let mut state = self.lock();
        while !state.live.is_empty() {
            let Some(deadline) = deadline else {
                state = self.empty.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.empty.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// A map is whole between any two calls, also when one panicked.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Stream> Live for Registered<S> {
    type Stream = S;

    fn stream(&self) -> &S {
        &self.entry.stream
    }

    fn is_draining(&self) -> bool {
        self.registry.is_draining()
    }

    fn read_first(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let stream = &self.entry.stream;
        stream.set_read_timeout(timeout)?;
        self.entry.idle.store(true, SeqCst);
        if self.registry.is_draining() {
            // Read what has arrived already, then the end.
            stream.shutdown(Shutdown::Read)?;
        }
        let read = stream.read(buffer);
        self.entry.idle.store(false, SeqCst);
        read
    }
}

impl<S> Registered<S> {
    /// What was registered.
    pub(super) fn entrant(&self) -> &S {
        &self.entry.stream
    }
}

impl<S> Drop for Registered<S> {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.live.remove(&self.number);
        self.registry.counts.connections.store(state.live.len() as u64, Relaxed);
        if state.live.is_empty() {
            self.registry.empty.notify_all();
        }
    }
}
