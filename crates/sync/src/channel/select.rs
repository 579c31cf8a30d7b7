//! A list of operations to wait for.

use std::fmt;
use std::time::{Duration, Instant};

use super::error::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};
use super::operation::{Entry, Limit, Operation, SelectedOperation, ready_one, select_one};
use super::receiver::Receiver;
use super::sender::Sender;

/// Waits for the first of several channel operations: a list that can be made at run time, which
/// [`select!`](macro@crate::select) cannot.
///
/// There are two ways to go on from the list. [`select`](Self::select) and its sisters choose an operation, which
/// **must** then be ended with [`SelectedOperation::send`] or [`recv`](SelectedOperation::recv).
/// [`ready`](Self::ready) and its sisters only say that an operation may be ready now; somebody else may be quicker, so
/// try it, and look again if it fails.
///
/// Of several that are ready one is taken by lot. A disconnected channel is ready: the operation gives its error. Two
/// operations of one list on the same channel do not meet each other.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::{Receiver, RecvError, Select, unbounded};
///
/// fn receive_from_any<T>(receivers: &[Receiver<T>]) -> Result<T, RecvError> {
///     let mut select = Select::new();
///     for receiver in receivers {
///         select.recv(receiver);
///     }
///     let operation = select.select();
///     let index = operation.index();
///     operation.recv(&receivers[index])
/// }
///
/// let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| unbounded()).unzip();
/// senders[1].send("here").unwrap();
/// assert_eq!(receive_from_any(&receivers), Ok("here"));
/// ```
#[derive(Clone, Default)]
pub struct Select<'a> {
    entries: Vec<Entry<'a>>,
    next: usize,
    biased: bool,
}

// SAFETY: what a select does with a channel from another thread is to count, to queue and to move messages that it does
// not look at, under the channel's lock. Who ends an operation brings the sender or receiver, which is `Sync` only if its
// messages are `Send`.
unsafe impl Send for Select<'_> {}
// SAFETY: as above.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// An empty list.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::Select;
    ///
    /// assert!(Select::new().try_select().is_err());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list, in which of several operations that are ready the one that was added first is taken.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// let mut select = Select::new_biased();
    /// let first = select.recv(&receiver);
    /// select.recv(&receiver);
    /// assert_eq!(select.ready(), first);
    /// ```
    #[must_use]
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::default() }
    }

    /// Adds a send. Returns its number: they are counted from 0.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// let mut select = Select::new();
    /// assert_eq!(select.send(&sender), 0);
    /// select.select().send(&sender, "sent").unwrap();
    /// assert_eq!(receiver.recv(), Ok("sent"));
    /// ```
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(sender)
    }

    /// Adds a receive. Returns its number: they are counted from 0.
    ///
    /// # Examples
    /// See [`Select`].
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(receiver)
    }

    fn add(&mut self, operation: &'a (dyn Operation + 'a)) -> usize {
        let index = self.next;
        self.entries.push((operation, index));
        self.next += 1;
        index
    }

    /// Takes the operation with this number off the list: because its channel is disconnected, say. Numbers are not given
    /// twice.
    ///
    /// # Panics
    /// If it is not on the list.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded::<u8>();
    /// let mut select = Select::new();
    /// let receive = select.recv(&receiver);
    /// drop(sender);
    /// assert_eq!(select.try_ready(), Ok(receive));
    /// select.remove(receive);
    /// assert!(select.try_ready().is_err());
    /// ```
    pub fn remove(&mut self, index: usize) {
        let place = self.entries.iter().position(|(_, number)| *number == index);
        let place = place.expect("no operation with this index");
        self.entries.swap_remove(place);
        if self.biased {
            self.entries.sort_unstable_by_key(|(_, number)| *number);
        }
    }

    /// Chooses an operation that is ready. Never waits.
    ///
    /// # Errors
    /// If none is ready.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.try_select().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(select.try_select().unwrap().recv(&receiver), Ok(1));
    /// ```
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        select_one(&mut self.entries, self.biased, Limit::Now).ok_or(TrySelectError)
    }

    /// Waits until an operation is ready, and chooses it.
    ///
    /// # Panics
    /// If the list is empty. In a coroutine, in a `no_suspend` region, if it has to wait.
    ///
    /// # Waits
    /// Until an operation is ready.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; nothing is sent or received.
    ///
    /// # Examples
    /// See [`Select`].
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.entries.is_empty(), "no operations have been added to `Select`");
        select_one(&mut self.entries, self.biased, Limit::At(None)).expect("it waits for ever")
    }

    /// As [`select`](Self::select), for at most `timeout`. An empty list waits that long.
    ///
    /// # Errors
    /// If none became ready in time.
    ///
    /// # Panics
    /// In a coroutine, in a `no_suspend` region, if it has to wait.
    ///
    /// # Waits
    /// Until an operation is ready, for at most `timeout`.
    ///
    /// # Cancellation
    /// As [`select`](Self::select).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, bounded};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = bounded::<u8>(1);
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    /// ```
    #[track_caller]
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        select_one(&mut self.entries, self.biased, Limit::after(timeout)).ok_or(SelectTimeoutError)
    }

    /// As [`select`](Self::select), until `deadline` at most.
    ///
    /// # Errors
    /// If none became ready in time.
    ///
    /// # Panics
    /// As [`select_timeout`](Self::select_timeout).
    ///
    /// # Waits
    /// Until an operation is ready, until `deadline` at most.
    ///
    /// # Cancellation
    /// As [`select`](Self::select).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, bounded};
    /// use std::time::Instant;
    ///
    /// let (sender, receiver) = bounded(1);
    /// sender.send(1).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// let operation = select.select_deadline(Instant::now()).expect("what is ready is chosen, late or not");
    /// assert_eq!(operation.recv(&receiver), Ok(1));
    /// ```
    #[track_caller]
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        select_one(&mut self.entries, self.biased, Limit::At(Some(deadline))).ok_or(SelectTimeoutError)
    }

    /// The number of an operation that is ready. Never waits.
    ///
    /// # Errors
    /// If none is ready.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// let mut select = Select::new();
    /// let receive = select.recv(&receiver);
    /// assert!(select.try_ready().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(select.try_ready(), Ok(receive));
    /// ```
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        ready_one(&mut self.entries, self.biased, Limit::Now).ok_or(TryReadyError)
    }

    /// Waits until an operation is ready: its number. Somebody else may be quicker to do it.
    ///
    /// # Panics
    /// As [`select`](Self::select).
    ///
    /// # Waits
    /// Until an operation is ready.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// std::thread::spawn(move || sender.send(1).unwrap());
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// let message = loop {
    ///     select.ready();
    ///     match receiver.try_recv() {
    ///         Err(error) if error.is_empty() => {} // another receiver was quicker
    ///         message => break message,
    ///     }
    /// };
    /// assert_eq!(message, Ok(1));
    /// ```
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        assert!(!self.entries.is_empty(), "no operations have been added to `Select`");
        ready_one(&mut self.entries, self.biased, Limit::At(None)).expect("it waits for ever")
    }

    /// As [`ready`](Self::ready), for at most `timeout`. An empty list waits that long.
    ///
    /// # Errors
    /// If none became ready in time.
    ///
    /// # Panics
    /// As [`select_timeout`](Self::select_timeout).
    ///
    /// # Waits
    /// Until an operation is ready, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, never};
    /// use std::time::Duration;
    ///
    /// let nothing = never::<u8>();
    /// let mut select = Select::new();
    /// select.recv(&nothing);
    /// assert!(select.ready_timeout(Duration::from_millis(1)).is_err());
    /// ```
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        ready_one(&mut self.entries, self.biased, Limit::after(timeout)).ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), until `deadline` at most.
    ///
    /// # Errors
    /// If none became ready in time.
    ///
    /// # Panics
    /// As [`select_timeout`](Self::select_timeout).
    ///
    /// # Waits
    /// Until an operation is ready, until `deadline` at most.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{Select, unbounded};
    /// use std::time::Instant;
    ///
    /// let (sender, _receiver) = unbounded::<u8>();
    /// let mut select = Select::new();
    /// let send = select.send(&sender);
    /// assert_eq!(select.ready_deadline(Instant::now()), Ok(send));
    /// ```
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        ready_one(&mut self.entries, self.biased, Limit::At(Some(deadline))).ok_or(ReadyTimeoutError)
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}
