//! Who writes to a log, and who reads it.

use std::sync::Arc;
use std::time::Instant;

use super::error::{RecvTimeoutError, TryRecvError};
use super::state::Options;
use super::{Kind, Log, READERS, WRITERS};
use crate::wait_list::{Outcome, Selecting};

/// One of those who write: when the last has gone, no more messages come.
pub(crate) struct Writer<T> {
    pub(crate) log: Arc<Log<T>>,
}

impl<T> Writer<T> {
    /// The first writer of a new log. One with a name counts that as a writer, too: somebody may yet come and write.
    pub(crate) fn new(kind: &'static Kind, options: Options, has_name: bool) -> Self {
        Self { log: Arc::new(Log::new(kind, options, 1 + usize::from(has_name))) }
    }

    /// One more writer of a log.
    pub(crate) fn of(log: Arc<Log<T>>) -> Self {
        log.list.lock().writers += 1;
        Self { log }
    }

    /// One more reader.
    pub(crate) fn reader(&self) -> Reader<T> {
        Reader::of(&self.log)
    }
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        Self::of(self.log.clone())
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        let mut guard = self.log.list.lock();
        guard.writers -= 1;
        if guard.writers == 0 {
            self.log.tell_readers(guard);
        }
    }
}

/// One of those who read. Several may read at its place: each message goes to one of them.
pub(crate) struct Reader<T> {
    log: Arc<Log<T>>,
    place: usize,
}

impl<T> Reader<T> {
    fn of(log: &Arc<Log<T>>) -> Self {
        let place = log.list.lock().enter();
        Self { log: log.clone(), place }
    }

    /// Another one, with a place of its own.
    pub(crate) fn another(&self) -> Self {
        Self::of(&self.log)
    }

    pub(crate) fn log(&self) -> &Arc<Log<T>> {
        &self.log
    }

    /// How many messages are before it.
    pub(crate) fn unread(&self) -> usize {
        self.log.list.lock().unread(self.place)
    }

    /// How many of them are promised to nobody.
    pub(crate) fn available(&self) -> usize {
        let guard = self.log.list.lock();
        guard.unread(self.place).saturating_sub(guard.places[self.place].promised)
    }

    /// How many messages it has missed.
    pub(crate) fn missed(&self) -> u64 {
        let guard = self.log.list.lock();
        guard.places[self.place].missed + guard.lag(self.place)
    }

    /// Reads if that needs no wait.
    pub(crate) fn try_read(&self, skip: bool) -> Result<Arc<T>, TryRecvError> {
        match self.log.take(self.place, skip, self.log.list.lock()) {
            Ok(found) => Ok(found?),
            Err(_) => Err(TryRecvError::Empty),
        }
    }

    /// Reads, and waits while there is nothing. `deadline` is asked for when it has to wait.
    #[track_caller]
    pub(crate) fn read(
        &self,
        skip: bool,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<Arc<T>, RecvTimeoutError> {
        self.log.read(self.place, skip, deadline)
    }

    /// Whether to read, skipping what was missed, needs no wait.
    pub(crate) fn is_ready(&self) -> bool {
        self.log.list.lock().is_ready(self.place)
    }

    /// Promises a message, if one is there.
    pub(crate) fn begin(&self) -> Option<Outcome> {
        let mut guard = self.log.list.lock();
        if guard.has_message(self.place) && !guard.is_too_slow(self.place) {
            guard.places[self.place].promised += 1;
            return Some(Outcome::Served);
        }
        guard.is_ready(self.place).then_some(Outcome::Closed)
    }

    /// Has an operation of a select wait to be told that it may be ready. `false`: it is ready.
    pub(crate) fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize) -> bool {
        let object = std::ptr::from_ref(&*self.log).addr();
        selecting.enlist(index, object, &self.log.list, READERS, |guard| guard.is_ready(self.place))
    }

    /// Takes what was promised. It waits only if what was promised to several at one place has been dropped since, because
    /// the capacity was said to be less.
    #[track_caller]
    pub(crate) fn end(&self, begun: Outcome) -> Result<Arc<T>, RecvTimeoutError> {
        if begun == Outcome::Closed {
            return Err(RecvTimeoutError::Closed);
        }
        let mut guard = self.log.list.lock();
        guard.places[self.place].promised -= 1;
        match self.log.take(self.place, true, guard) {
            Ok(found) => Ok(found?),
            Err(guard) => {
                drop(guard);
                self.read(true, || None)
            }
        }
    }

    /// Gives back what was promised.
    pub(crate) fn release(&self, begun: Outcome) {
        if begun == Outcome::Closed {
            return;
        }
        let mut guard = self.log.list.lock();
        guard.places[self.place].promised -= 1;
        self.log.tell_readers(guard);
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        let log = &*self.log;
        let mut guard = log.list.lock();
        let disconnected = guard.places[self.place].disconnected;
        let _passed = if disconnected { Vec::new() } else { guard.stop(self.place) };
        guard.free.push(self.place);
        if guard.readers == 0 && log.kind.refuses_unread {
            drop(log.list.notify_line(WRITERS, Outcome::Closed, guard));
        } else {
            drop(guard);
            log.serve_writers();
        }
    }
}
