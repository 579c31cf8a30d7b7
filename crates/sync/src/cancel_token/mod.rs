//! Tokens that cancel what was attached to them, in a tree.
//!
//! A [`CancelToken`] is a wish that can be handed around: whoever has it can ask everything that is attached to it to end,
//! and everything that is attached to its [children](CancelToken::child). What a handle's `cancel` is to one task, a token
//! is to a request, a connection or a whole service, whose tasks nobody has all the handles of.
//!
//! | | here | Go's `context` | tokio-util's `CancellationToken` |
//! |---|---|---|---|
//! | reaches code that | waits, by an unwind from its wait; or asks | receives from `Done`, or asks | awaits `cancelled`, or asks |
//! | is given to that code | as an argument, or around it by [`run`](CancelToken::run) | as an argument | as an argument |
//! | why | [`cause`](CancelToken::cause) | `Cause` | |
//! | deadline | the block's: `timeout`, which the children of a scope inherit | part of it | `timeout` |
//! | in a `select!` | [`cancelled`](CancelToken::cancelled) | `Done` | `cancelled` |
//!
//! # Memory
//! A token is one allocation, which its clones share; a child keeps the ones above it. Whatever goes - a child, an
//! attached task, a block - leaves nothing behind in a token that stays: children and blocks give their place back, and
//! ended tasks are swept out before the list of them would grow.
//!
//! # Order
//! What a task did before it called [`cancel`](CancelToken::cancel) happens before whatever hears of it: a `wait` that
//! returns, an [`is_cancelled`](CancelToken::is_cancelled) that says so, the destructors of a task that unwinds.

mod node;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use self::node::{Attached, Block, Cause, Node};
use crate::channel::Receiver;
use crate::clock;
use crate::park::{self, Nested, Unparker, Unwind};

/// What a [`CancelToken`] can cancel: the handle of a task.
pub trait Cancellable {
    /// The task.
    #[doc(hidden)]
    fn unparker(&self) -> Unparker;
}

impl Cancellable for Unparker {
    fn unparker(&self) -> Unparker {
        self.clone()
    }
}

/// A wish that can be handed around: that what is attached to it should end. See the [module](self). Clones are the same
/// token.
///
/// # Examples
/// ```
/// use ropewalk_sync::cancel_token::CancelToken;
/// use ropewalk_sync::channel::{select, unbounded};
///
/// let service = CancelToken::new();
/// let request = service.child();
/// let (sender, orders) = unbounded::<u32>();
/// let worker = std::thread::spawn(move || {
///     loop {
///         select! {
///             recv(orders) -> order => println!("{order:?}"),
///             recv(request.cancelled()) -> _ => break request.is_cancelled(),
///         }
///     }
/// });
/// sender.send(1).unwrap();
/// service.cancel();
/// assert!(worker.join().unwrap());
/// ```
#[derive(Clone)]
pub struct CancelToken(Arc<Node>);

impl CancelToken {
    /// A token that nobody has cancelled, with none above it.
    ///
    /// # Examples
    /// ```
    /// assert!(!ropewalk_sync::cancel_token::CancelToken::new().is_cancelled());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Node::new(None, false, None)))
    }

    /// A token below this one: to cancel this cancels the child, too, and not the other way round. The child of a
    /// cancelled token is cancelled.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    ///
    /// let service = CancelToken::new();
    /// let (one, other) = (service.child(), service.child());
    /// one.cancel();
    /// assert!(!service.is_cancelled() && !other.is_cancelled());
    /// service.cancel();
    /// assert!(other.is_cancelled() && service.child().is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        let mut inner = self.0.waiters.lock();
        if self.is_cancelled() {
            let cause = inner.cause.clone();
            drop(inner);
            return Self(Arc::new(Node::new(None, true, cause)));
        }
        Self(Arc::new_cyclic(|child| {
            let place = inner.attach(Attached::Child(child.clone()));
            Node::new(Some((self.0.clone(), place)), false, None)
        }))
    }

    /// Cancels this token and those below it: who waits for one of them goes on, a block under it unwinds from its next
    /// wait, and so do the tasks attached to it. A second time changes nothing. Never waits.
    ///
    /// # Examples
    /// See [`child`](Self::child).
    pub fn cancel(&self) {
        self.cancel_all(&None);
    }

    /// As [`cancel`](Self::cancel), and says why. If somebody has cancelled it before, his word counts.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let child = token.child();
    /// token.cancel_with("the client has gone");
    /// token.cancel_with("too late");
    /// assert_eq!(child.cause().unwrap().to_string(), "the client has gone");
    /// ```
    pub fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        self.cancel_all(&Some(Arc::from(cause.into())));
    }

    fn cancel_all(&self, cause: &Cause) {
        // A list and no recursion: the tree may be deep.
        let mut left = vec![self.0.clone()];
        while let Some(node) = left.pop() {
            for attached in node.cancel(cause) {
                match attached {
                    Attached::Child(child) => left.extend(child.upgrade()),
                    Attached::Block(block) => block.task.unpark(),
                }
            }
        }
    }

    /// Whether it was cancelled. One load, for code that computes and never waits.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let first = (2_u64..).take_while(|_| !token.is_cancelled()).find(|n| n * n > 1000);
    /// assert_eq!(first, Some(32));
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Why it was cancelled, if that was said.
    ///
    /// # Examples
    /// See [`cancel_with`](Self::cancel_with).
    #[must_use]
    pub fn cause(&self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.0.waiters.lock().cause.clone()
    }

    /// Waits until it is cancelled.
    ///
    /// # Waits
    /// Until it is cancelled.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let other = token.clone();
    /// std::thread::spawn(move || other.cancel());
    /// token.wait();
    /// ```
    #[track_caller]
    pub fn wait(&self) {
        // Without a deadline only an unwind can end the wait early.
        while !self.0.wait_until(|| None) {}
    }

    /// As [`wait`](Self::wait), for at most `timeout`. Returns whether it was cancelled: a pause that ends early.
    ///
    /// # Waits
    /// Until it is cancelled, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    /// use std::time::Duration;
    ///
    /// assert!(!CancelToken::new().wait_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "the time may have been up"]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.0.wait_until(|| clock::after(timeout))
    }

    /// A receiver for [`select!`](macro@crate::channel::select): there is never a message, and it is disconnected when the
    /// token is cancelled, so a receive gives an error then. (A clone that outlives the token and its children is
    /// disconnected, too: nobody is left who could cancel.)
    ///
    /// # Examples
    /// See [`CancelToken`].
    #[must_use]
    pub fn cancelled(&self) -> &Receiver<Infallible> {
        self.0.receiver()
    }

    /// Has the task cancelled when this token is, if it has not ended by then: as its handle's `cancel` does, a process
    /// by `SIGTERM` and then `SIGKILL`. If the token is cancelled already, so is the task.
    ///
    /// The task's children are the task's affair: those of its scopes, and its daemons, end with it; one that it has
    /// spawned and let go goes on, unless that is attached, too.
    ///
    /// # Examples
    /// A thread that gives away what cancels it; in the crate `ropewalk` the handles of tasks are that.
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    /// use ropewalk_sync::park::{Unparker, sleep};
    /// use std::time::Duration;
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let clerk = std::thread::spawn(move || {
    ///     sender.send(Unparker::current()).unwrap();
    ///     sleep(Duration::from_secs(3600));
    /// });
    /// let token = CancelToken::new();
    /// token.attach(&receiver.recv().unwrap());
    /// token.cancel();
    /// assert!(clerk.join().is_err());
    /// ```
    pub fn attach(&self, task: &(impl Cancellable + ?Sized)) {
        let task = task.unparker();
        let mut inner = self.0.waiters.lock();
        if !self.is_cancelled() {
            inner.attach_task(task.downgrade());
            return;
        }
        drop(inner);
        task.waiter().request_cancel();
        task.unpark();
    }

    /// Runs `f` until the token is cancelled: then `f` unwinds from the wait that it is in, or from its next one, running
    /// destructors, and its task goes on here. A scope inside cancels its children and waits for them. Code that does not
    /// wait is not interrupted; what `f` returns all the same counts. Under a cancelled token `f` does not begin.
    ///
    /// # Errors
    /// [`TokenCancelled`]: the token was cancelled before `f` had returned.
    ///
    /// # Panics
    /// If `f` panics.
    ///
    /// # Waits
    /// Where `f` does.
    ///
    /// # Cancellation
    /// Where `f` waits.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    /// use ropewalk_sync::park::sleep;
    /// use std::time::Duration;
    ///
    /// let token = CancelToken::new();
    /// let other = token.clone();
    /// std::thread::spawn(move || other.cancel_with("enough"));
    /// let error = token.run(|| sleep(Duration::from_secs(3600))).unwrap_err();
    /// assert_eq!(error.to_string(), "cancelled: enough");
    /// assert_eq!(CancelToken::new().run(|| 42).unwrap(), 42);
    /// ```
    pub fn run<F, T>(&self, f: F) -> Result<T, TokenCancelled>
    where
        F: FnOnce() -> T,
    {
        let shields = park::current(|waiter, _| waiter.shields());
        let block = Block { task: Unparker::current(), shields };
        let mut inner = self.0.waiters.lock();
        if self.is_cancelled() {
            return Err(TokenCancelled(inner.cause.clone()));
        }
        let place = inner.attach(Attached::Block(block));
        drop(inner);
        let nested = Nested::enter();
        let result = catch_unwind(AssertUnwindSafe(f));
        drop(nested);
        let mut inner = self.0.waiters.lock();
        let block = inner.detach(place);
        let cancelled = self.is_cancelled();
        let cause = inner.cause.clone();
        drop((inner, block));
        if cancelled {
            // It was told: under the lock, before the token was seen to be cancelled.
            park::current(|waiter, _| waiter.end_failed_scope(shields));
        }
        result.or_else(|payload| {
            // Of a block around this one the unwind passes through; and if that is to unwind as well as this one, it does
            // so at its next wait.
            if cancelled && Unwind::from_payload(&*payload) == Some(Unwind::ScopeFailed) {
                Err(TokenCancelled(cause))
            } else {
                resume_unwind(payload)
            }
        })
    }

    /// What cancels the token when it is dropped: at the end of a block, however that ends.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::cancel_token::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let guard = token.clone().drop_guard();
    /// drop(guard);
    /// assert!(token.is_cancelled());
    /// ```
    #[must_use = "it cancels when it is dropped"]
    pub fn drop_guard(self) -> CancelGuard {
        CancelGuard(Some(self))
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

/// Two of them are equal if they are the same token.
impl PartialEq for CancelToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CancelToken {}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// Cancels its token when it is dropped: see [`CancelToken::drop_guard`].
#[derive(Debug)]
pub struct CancelGuard(Option<CancelToken>);

impl CancelGuard {
    /// Gives the token back, which is not cancelled.
    ///
    /// # Examples
    /// ```
    /// let token = ropewalk_sync::cancel_token::CancelToken::new().drop_guard().disarm();
    /// assert!(!token.is_cancelled());
    /// ```
    #[must_use]
    pub fn disarm(mut self) -> CancelToken {
        self.0.take().expect("it is taken only here")
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.0 {
            token.cancel();
        }
    }
}

/// A block was ended by its token: see [`CancelToken::run`].
///
/// # Examples
/// ```
/// use ropewalk_sync::cancel_token::CancelToken;
///
/// let token = CancelToken::new();
/// token.cancel_with("the client has gone");
/// let error = token.run(|| ()).unwrap_err();
/// assert_eq!(error.cause().unwrap().to_string(), "the client has gone");
/// ```
#[derive(Clone)]
pub struct TokenCancelled(Cause);

impl TokenCancelled {
    /// Why the token was cancelled, if that was said.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<dyn Error + Send + Sync>> {
        self.0.as_ref()
    }
}

impl fmt::Display for TokenCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(cause) => write!(f, "cancelled: {cause}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl fmt::Debug for TokenCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCancelled({self})")
    }
}

impl Error for TokenCancelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0.as_ref()?)
    }
}

impl From<TokenCancelled> for io::Error {
    // Never `Interrupted`: std's loops would try again for ever.
    fn from(cancelled: TokenCancelled) -> Self {
        Self::other(cancelled)
    }
}
