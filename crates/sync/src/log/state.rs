//! The messages of a log, and how far each reader is. The numbered rules are in the module.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::Policy;

/// How a log was asked to be: what nobody has said is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) capacity: Option<usize>,
    pub(crate) policy: Option<Policy>,
    pub(crate) history: Option<usize>,
}

/// The capacity of a log for which nobody has said it.
pub(crate) const CAPACITY: usize = 64;

impl Options {
    /// How many messages there is room for.
    pub(crate) fn room(self) -> usize {
        self.capacity.unwrap_or(CAPACITY).max(self.history())
    }

    pub(crate) fn policy(self) -> Policy {
        self.policy.unwrap_or_default()
    }

    /// How many messages are kept though everybody has passed them.
    fn history(self) -> usize {
        self.history.unwrap_or(0)
    }
}

pub(super) struct Entry<T> {
    pub(super) message: Arc<T>,
    /// How many readers have it still before them.
    left: usize,
}

/// How far a reader is.
#[derive(Default)]
pub(super) struct Place {
    /// The number of the message that is next.
    pub(super) next: u64,
    /// How many of those before it are promised to selects.
    pub(super) promised: usize,
    /// How many it has missed.
    pub(super) missed: u64,
    /// It was too slow, and is no reader any more.
    pub(super) disconnected: bool,
}

pub(crate) struct State<T> {
    /// Their numbers follow on each other.
    pub(super) queue: VecDeque<Entry<T>>,
    /// The number of the first one in the queue, and of the next one to come if that is empty.
    pub(super) first: u64,
    pub(crate) options: Options,
    pub(super) writers: usize,
    pub(super) closed: bool,
    /// How many are to get every message.
    pub(super) readers: usize,
    pub(super) places: Vec<Place>,
    /// Places that nobody has.
    pub(super) free: Vec<usize>,
}

impl<T> State<T> {
    pub(super) fn new(options: Options, writers: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            first: 0,
            options,
            writers,
            closed: false,
            readers: 0,
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The number of the next message to come.
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// Whether no more messages can come.
    pub(super) fn is_over(&self) -> bool {
        self.closed || self.writers == 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.options.room() || self.queue.front().is_some_and(|entry| entry.left == 0)
    }

    pub(super) fn pop(&mut self) -> Option<Entry<T>> {
        self.first += 1;
        self.queue.pop_front()
    }

    /// Takes off the first message, if it is before nobody and none of the history.
    fn trim(&mut self) -> Option<Entry<T>> {
        let done = self.queue.len() > self.options.history()
            && self.queue.front().is_some_and(|entry| entry.left == 0);
        if done { self.pop() } else { None }
    }

    /// Adds a message, in the place of the first if there is no other. Gives what is to be dropped when the lock is free.
    pub(super) fn push(&mut self, message: Arc<T>) -> Option<Entry<T>> {
        let oldest = if self.queue.len() >= self.options.room() { self.pop() } else { None };
        self.queue.push_back(Entry { message, left: self.readers });
        if oldest.is_some() { oldest } else { self.trim() }
    }

    /// A reader has message `number` no longer before it.
    pub(super) fn pass(&mut self, number: u64) -> Option<Entry<T>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(index)?.left -= 1;
        self.trim()
    }

    /// A place before the history.
    pub(super) fn enter(&mut self) -> usize {
        let kept = self.queue.len().min(self.options.history());
        let place = Place { next: self.end() - kept as u64, ..Place::default() };
        self.queue.iter_mut().rev().take(kept).for_each(|entry| entry.left += 1);
        self.readers += 1;
        match self.free.pop() {
            Some(index) => {
                self.places[index] = place;
                index
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        }
    }

    /// Who has this place passes all that is before it, and is none of the readers any more.
    pub(super) fn stop(&mut self, place: usize) -> Vec<Entry<T>> {
        self.readers -= 1;
        let numbers = self.places[place].next.max(self.first)..self.end();
        numbers.filter_map(|number| self.pass(number)).collect()
    }

    /// How many messages are before this place.
    pub(super) fn unread(&self, place: usize) -> usize {
        let Place { next, disconnected, .. } = self.places[place];
        if disconnected { 0 } else { (self.end() - next.max(self.first)) as usize }
    }

    /// How many messages this place has missed since it was last told.
    pub(super) fn lag(&self, place: usize) -> u64 {
        let Place { next, disconnected, .. } = self.places[place];
        if disconnected { 0 } else { self.first.saturating_sub(next) }
    }

    pub(super) fn is_too_slow(&self, place: usize) -> bool {
        self.places[place].disconnected
            || (self.lag(place) > 0 && self.options.policy() == Policy::Disconnect)
    }

    /// Whether a message is before this place that is promised to nobody.
    pub(super) fn has_message(&self, place: usize) -> bool {
        self.unread(place) > self.places[place].promised
    }

    /// Whether whoever reads here need not wait for a message, or for a reason why there will be none.
    pub(super) fn is_ready(&self, place: usize) -> bool {
        self.has_message(place) || self.is_too_slow(place) || self.is_over()
    }
}
