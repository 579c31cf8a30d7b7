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
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::Stream;

/// All live connections.
pub(super) struct Registry<S> {
    draining: AtomicBool,
    state: Mutex<State<S>>,
    /// Signalled when the last connection has ended.
    empty: Condvar,
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

/// A registered connection; dropping it ends its registration.
pub(super) struct Live<S> {
    registry: Arc<Registry<S>>,
    entry: Arc<Entry<S>>,
    number: u64,
}

impl<S: Stream> Registry<S> {
    /// A registry without connections.
    pub(super) fn new() -> Self {
        let state = State { next: 0, live: HashMap::new() };
        Self { draining: AtomicBool::new(false), state: Mutex::new(state), empty: Condvar::new() }
    }

    /// Registers a new connection; nothing, and the connection is closed, during a drain.
    pub(super) fn register(self: &Arc<Self>, stream: S) -> Option<Live<S>> {
        let entry = Arc::new(Entry { stream, idle: AtomicBool::new(false) });
        let mut state = self.lock();
        // Under the lock: a drain that has looked at the connections is not missed.
        if self.is_draining() {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.live.insert(number, Arc::clone(&entry));
        Some(Live { registry: Arc::clone(self), entry, number })
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
                shut(&connection.stream, Shutdown::Read);
            }
        }
    }

    /// Ends all connections, whatever they do. Returns how many there were.
    pub(super) fn cut(&self) -> usize {
        let state = self.lock();
        for connection in state.live.values() {
            shut(&connection.stream, Shutdown::Both);
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

/// Shuts a stream down; one that the client has closed already needs nothing.
fn shut<S: Stream>(stream: &S, how: Shutdown) {
    let result: io::Result<()> = stream.shutdown(how);
    drop(result);
}

impl<S: Stream> Live<S> {
    /// The stream.
    pub(super) fn stream(&self) -> &S {
        &self.entry.stream
    }

    /// The connection is about to wait for a new request. False when it must close instead.
    pub(super) fn enter_idle(&self) -> bool {
        self.entry.idle.store(true, SeqCst);
        !self.registry.is_draining()
    }

    /// The wait is over.
    pub(super) fn leave_idle(&self) {
        self.entry.idle.store(false, SeqCst);
    }
}

impl<S> Drop for Live<S> {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.live.remove(&self.number);
        if state.live.is_empty() {
            self.registry.empty.notify_all();
        }
    }
}
