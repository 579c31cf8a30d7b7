//! A body on a stack of its own: how it is entered, left and ended.
//!
//! # Rules
//! 1. The body runs on the generator's stack and nowhere else, between [`Core::resume`] and the switch back. A
//!    [`Yielder`] lives in a frame at the bottom of that stack; so does corosensei's, below it.
//! 2. Only code on that very stack switches back ([`Yielder::exchange`] looks): so what corosensei saves belongs to the
//!    generator that it resumes.
//! 3. Nothing unwinds through the switch: the body is called in `catch_unwind`, and what it raised travels as a value.
//! 4. A stack with live frames is never given back. They end by a return or by an unwind ([`Core::close`]), or they are
//!    leaked, and the thread's pool with them.
//! 5. A message for the body lies on the resumer's stack until the body has taken it, which is the first thing that it does
//!    when it is entered, every time.
//! 6. What a body borrows outlives its frames: it borrows nothing (owned generators), or it is closed by the frame that
//!    owns the `Core` (`generator::scope`).

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::Stack as _;
use corosensei::{Coroutine, CoroutineResult};
use ropewalk_sync::park::{Raising, Unwinding, is_nested_on};

use super::pool::ThreadPool;
use super::state::Thrown;
use super::{Finished, SendError, State, ThrowError};
use crate::stack::overflow::{self, Runner, Running};
use crate::stack::{self, FRAME, Stack};

type Payload = Box<dyn Any + Send>;

/// Larger bodies go to the heap: what they capture is put onto the stack before there is anybody to look whether it fits.
const INLINE_MAX: usize = 1024;

/// Why a body goes on.
enum Resume<Input> {
    Next,
    Send(Input),
    Throw(Thrown),
    Close,
}

/// How a body ended: it returned, was dropped uncalled, or unwound.
type Outcome<Return> = Result<Option<Return>, Payload>;

type Inner<Yield, Return> = Coroutine<(), Yield, Outcome<Return>, Stack>;

/// What stands in the room at the top of the stack.
struct Room<Input> {
    running: Running,
    /// What the body is resumed with. Not by corosensei's way: it copies it on both sides, and the processor stalls on a
    /// copy of what was just written in other pieces.
    message: Cell<*const Resume<Input>>,
}

impl<Input> Room<Input> {
    /// Takes the message.
    ///
    /// # Safety
    /// Rule 5: to be called by the body, once each time that it is entered.
    #[inline(always)]
    unsafe fn take(room: NonNull<Self>) -> Resume<Input> {
        // SAFETY: rule 5; the room is there as long as the stack on which this runs.
        let message = unsafe { room.as_ref().message.get() };
        // SAFETY: rule 5.
        match unsafe { &*message } {
            // The commonest, without a copy.
            Resume::Next => Resume::Next,
            // SAFETY: rule 5.
            _ => unsafe { message.read() },
        }
    }
}

/// The payload of an unwind by which a generator is closed.
struct Closing {
    _raising: Raising,
}

/// The payload of an unwind by which an error is raised in a body.
struct Raised {
    error: Thrown,
    _raising: Raising,
}

/// How far a body has come when it switches back.
enum Step<Yield, Return> {
    Yielded(Yield),
    Ended(Outcome<Return>),
}

/// What a generator is to be made with.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) name: Option<Arc<str>>,
    pub(super) stack_size: Option<usize>,
}

/// A generator without its promises about what the body borrows.
pub(super) struct Core<Input, Yield, Return> {
    /// `None` when the body has ended.
    inner: Option<Inner<Yield, Return>>,
    /// At the top of the stack: valid as long as there is one.
    room: NonNull<Room<Input>>,
    pool: Rc<ThreadPool>,
    name: Option<Arc<str>>,
}

impl<Input, Yield, Return> Core<Input, Yield, Return> {
    /// Takes a stack for `body`, which is called at the first resume.
    ///
    /// # Safety
    /// Rule 6: what `body`, and values of the three types, borrow must live until the body has ended; for ever, if the
    /// `Core` can be forgotten.
    pub(super) unsafe fn new<F>(
        options: Options,
        made_at: &'static Location<'static>,
        body: F,
    ) -> io::Result<Self>
    where
        F: FnOnce(&Yielder<Input, Yield>) -> Return,
    {
        if size_of::<F>() > INLINE_MAX {
            let body = Box::new(body);
            // SAFETY: the caller's promise.
            return unsafe { Self::with_small(options, made_at, move |yielder: &_| body(yielder)) };
        }
        // SAFETY: the caller's promise.
        unsafe { Self::with_small(options, made_at, body) }
    }

    /// # Safety
    /// As [`new`](Self::new); `body` is no larger than `INLINE_MAX`.
    unsafe fn with_small<F>(
        options: Options,
        made_at: &'static Location<'static>,
        body: F,
    ) -> io::Result<Self>
    where
        F: FnOnce(&Yielder<Input, Yield>) -> Return,
    {
        // Whoever runs the thread has given it an alternate stack: a worker, or std.
        overflow::install();
        let pool = ThreadPool::of_this_thread();
        let stack = pool.take(stack::slot_size(options.stack_size))?;
        let name = options.name;
        let room = stack.frame().cast::<Room<Input>>();
        const { assert!(size_of::<Room<Input>>() <= FRAME && align_of::<Room<Input>>() <= 64) };
        let running = Running {
            guard: stack.guard(),
            usable: stack.usable(),
            runner: Runner::Generator,
            name: name.as_deref().map(std::ptr::from_ref),
            made_at,
        };
        // SAFETY: `Stack::frame` promises room and alignment, and nobody else uses it while the stack is taken.
        unsafe { room.write(Room { running, message: Cell::new(std::ptr::null()) }) };
        let bounds = stack.limit().get()..stack.base().get();
        let entry = move |inner: &corosensei::Yielder<(), Yield>, ()| {
            let called = || {
                // SAFETY: rule 5: it is entered for the first time.
                match unsafe { Room::take(room) } {
                    // Closed before it was called: what it captured is dropped where it would have run.
                    Resume::Close => {
                        drop(body);
                        None
                    }
                    _ => Some(body(&Yielder::new(inner, room, bounds))),
                }
            };
            catch_unwind(AssertUnwindSafe(called))
        };
        // SAFETY: the caller's promise is the one that is asked for.
        let inner = unsafe { Coroutine::with_stack_unchecked(stack, entry) };
        Ok(Self { inner: Some(inner), room, pool, name })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.inner.is_none()
    }

    pub(super) fn is_started(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.started())
    }

    #[inline]
    pub(super) fn resume(&mut self) -> Result<State<Yield, Return>, Finished> {
        if self.is_finished() {
            return Err(Finished);
        }
        Ok(settle(self.switch(&ManuallyDrop::new(Resume::Next))))
    }

    #[inline]
    pub(super) fn send(&mut self, input: Input) -> Result<State<Yield, Return>, SendError<Input>> {
        if self.is_finished() {
            return Err(SendError::Finished(input));
        }
        if !self.is_started() {
            return Err(SendError::NotStarted(input));
        }
        Ok(settle(self.switch(&ManuallyDrop::new(Resume::Send(input)))))
    }

    pub(super) fn throw(&mut self, error: Thrown) -> Result<State<Yield, Return>, ThrowError> {
        if self.is_finished() {
            return Err(ThrowError::Finished(error));
        }
        if !self.is_started() {
            return Err(ThrowError::NotStarted(error));
        }
        match self.switch(&ManuallyDrop::new(Resume::Throw(error))) {
            Step::Ended(Err(payload)) => match payload.downcast::<Raised>() {
                Ok(raised) => Err(ThrowError::Uncaught(raised.error)),
                Err(payload) => resume_unwind(payload),
            },
            step => Ok(settle(step)),
        }
    }

    /// Ends the body, by an unwind if it has begun. What else it raises on the way comes out of here.
    pub(super) fn close(&mut self) {
        if self.is_finished() {
            return;
        }
        if cfg!(not(panic = "unwind")) && self.is_started() {
            return self.leak();
        }
        // A body that is being closed does not yield any more: `Yielder::exchange`.
        if let Step::Ended(Err(payload)) = self.switch(&ManuallyDrop::new(Resume::Close))
            && !payload.is::<Closing>()
        {
            resume_unwind(expose(payload));
        }
    }

    /// Goes on with a body that has not ended. The message is the body's from now on: by reference, so that it is written
    /// and read once, in the same pieces.
    #[inline]
    fn switch(&mut self, message: &ManuallyDrop<Resume<Input>>) -> Step<Yield, Return> {
        let inner = self.inner.as_mut().expect("the callers have looked");
        // SAFETY: the stack is there as long as the body has not ended.
        let room = unsafe { self.room.as_ref() };
        // Rule 5: the body takes it.
        room.message.set(&raw const **message);
        let outside = overflow::replace_running(&raw const room.running);
        let result = inner.resume(());
        overflow::replace_running(outside);
        match result {
            CoroutineResult::Yield(value) => Step::Yielded(value),
            CoroutineResult::Return(outcome) => {
                let inner = self.inner.take().expect("it has just run");
                self.pool.give_back(inner.into_stack());
                Step::Ended(outcome)
            }
        }
    }

    /// Frames stay on the stack for ever: so does the stack (rule 4).
    fn leak(&mut self) {
        std::mem::forget(Rc::clone(&self.pool));
        std::mem::forget(self.inner.take());
    }
}

impl<Input, Yield, Return> Drop for Core<Input, Yield, Return> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second unwind out of a destructor would abort the process. The first one goes on; a cancellation comes
            // again at the next wait.
            let _ = catch_unwind(AssertUnwindSafe(|| self.close()));
        } else {
            self.close();
        }
    }
}

/// Unwinds a body with an error that was thrown into it.
#[cold]
fn raise(error: Thrown) -> ! {
    resume_unwind(Box::new(Raised { error, _raising: Raising::begin() }))
}

/// For who resumes: what the body has raised goes on here.
fn settle<Yield, Return>(step: Step<Yield, Return>) -> State<Yield, Return> {
    match step {
        Step::Yielded(value) => State::Yielded(value),
        Step::Ended(Ok(Some(value))) => State::Complete(value),
        Step::Ended(Ok(None)) => unreachable!("only a body that is closed is dropped uncalled"),
        Step::Ended(Err(payload)) => resume_unwind(expose(payload)),
    }
}

/// An error that was held back in the body, and raised when nobody threw it, is a panic with the error as its payload.
fn expose(payload: Payload) -> Payload {
    match payload.downcast::<Raised>() {
        Ok(raised) => Box::new(raised.error),
        Err(payload) => payload,
    }
}

/// What a body yields with.
///
/// It belongs to one body and to its stack: functions that the body calls may have it, however deep; the body of another
/// generator may not, nor may another thread.
///
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<ropewalk_runtime::generator::Yielder<(), ()>>();
/// ```
pub struct Yielder<Input, Yield> {
    inner: NonNull<corosensei::Yielder<(), Yield>>,
    room: NonNull<Room<Input>>,
    stack: Range<usize>,
    /// Whether the resuming task unwound when the body was entered the last time.
    entered: Cell<Unwinding>,
    /// How often the body was unwound to be closed; not at all before it is closed.
    closing: Cell<u32>,
}

impl<Input, Yield> Yielder<Input, Yield> {
    fn new(inner: &corosensei::Yielder<(), Yield>, room: NonNull<Room<Input>>, stack: Range<usize>) -> Self {
        Self {
            inner: NonNull::from(inner),
            room,
            stack,
            entered: Cell::new(Unwinding::now()),
            closing: Cell::new(0),
        }
    }

    /// Gives `value` to whoever resumed the generator, and waits to be resumed again: Python's `yield`. Gives the input that
    /// was [sent](super::Generator::send), or `None` if it was resumed without one.
    ///
    /// What waits is the generator, not its task: the resumer goes on. So this is no wait in the sense of a *Waits* section.
    /// An error that is [thrown](super::Generator::throw) into the generator unwinds the body from here, running
    /// destructors, without a panic message; [`try_yield`](Self::try_yield) takes it as a value. When the generator is
    /// closed or dropped, the body is unwound from here too.
    ///
    /// In a destructor of a body that unwinds it returns `None` at once, and `value` is dropped: nobody could take it.
    ///
    /// # Panics
    /// On another stack than the generator's own; inside of a [`timeout`](fn@crate::timeout), [`shield`](crate::shield),
    /// [`scope`](fn@crate::scope) or [`no_suspend`](fn@crate::no_suspend) that the body has opened: they belong to the task
    /// that happens to resume the body, and would go on in code that knows nothing of them (Python: PEP 789).
    #[inline(always)]
    pub fn yield_(&self, value: Yield) -> Option<Input> {
        match self.exchange(value) {
            Ok(input) => input,
            Err(error) => raise(error),
        }
    }

    /// As [`yield_`](Self::yield_), and takes an error that is thrown into the generator as a value.
    ///
    /// # Errors
    /// The error that was thrown.
    ///
    /// # Panics
    /// As `yield_`.
    #[inline(always)]
    pub fn try_yield(&self, value: Yield) -> Result<Option<Input>, Thrown> {
        self.exchange(value)
    }

    /// Inlined into the body, with its callers: corosensei's switch returns as the call of its `resume` did, and a return
    /// of ours between the two would be predicted wrongly, which costs several times the switch.
    #[inline(always)]
    fn exchange(&self, value: Yield) -> Result<Option<Input>, Thrown> {
        self.assert_own_stack();
        if Unwinding::now().began_after(&self.entered.get()) {
            return Ok(None);
        }
        if self.closing.get() == 0 {
            assert!(
                !is_nested_on(&self.stack),
                "a generator cannot yield inside of a timeout, shield, scope or no_suspend that its body has opened"
            );
            // SAFETY: rule 1: this is the body's stack, below which it lives; rule 2 was looked at.
            unsafe { self.inner.as_ref() }.suspend(value);
            // SAFETY: rule 5: it was entered just now.
            let message = unsafe { Room::take(self.room) };
            self.entered.set(Unwinding::now());
            match message {
                Resume::Next => return Ok(None),
                Resume::Send(input) => return Ok(Some(input)),
                Resume::Throw(error) => return Err(error),
                Resume::Close => {}
            }
        } else {
            drop(value);
        }
        self.raise_closing()
    }

    fn assert_own_stack(&self) {
        let here = 0_u8;
        assert!(
            self.stack.contains(&(&raw const here).addr()),
            "a generator can yield on its own stack only: this is the stack of another generator, or of a coroutine"
        );
    }

    /// Level-triggered, as a cancellation: a body that catches it is unwound again at its next yield.
    #[cold]
    fn raise_closing(&self) -> ! {
        let raised = self.closing.get().saturating_add(1);
        self.closing.set(raised);
        if raised == 100 {
            tracing::warn!(
                "a generator has caught its closing 100 times: something in it catches every unwind, and yields"
            );
        }
        resume_unwind(Box::new(Closing { _raising: Raising::begin() }))
    }
}

impl<Input, Yield> fmt::Debug for Yielder<Input, Yield> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}
