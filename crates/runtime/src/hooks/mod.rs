//! What is done whenever a worker goes into a coroutine, and out of it: to give each coroutine its own value of what its
//! thread has only one of.
//!
//! The coroutines of a worker share its `thread_local!`s. Code that sets one, calls back and restores it relies on the order
//! of one stack, which coroutines do not keep: `docs/soundness.md` begins with that. Where the thread-local is known, a hook
//! mends it: before a coroutine leaves its worker what it has set is taken away and kept, and when it comes back it is put
//! there again.
//!
//! ```
//! use std::cell::Cell;
//! use ropewalk_runtime::{Runtime, coroutine, hooks};
//!
//! thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
//!
//! let runtime = Runtime::builder().switch_hook(hooks::per_coroutine(&DEPTH, || 0)).build()?;
//! runtime.run(|| {
//!     DEPTH.set(1);
//!     coroutine::spawn_local(|| {
//!         assert_eq!(DEPTH.get(), 0); // its own
//!         DEPTH.set(2);
//!         coroutine::yield_now();
//!         assert_eq!(DEPTH.get(), 2);
//!     })
//!     .join()
//!     .unwrap();
//!     assert_eq!(DEPTH.get(), 1);
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | hook | what each coroutine then has for itself |
//! |---|---|
//! | [`per_coroutine`] | a `thread_local!` that is a `Cell` |
//! | [`TracingSpans`] | the spans of `tracing` that it has entered |
//! | a [`SwitchHook`] of yours | whatever the thread has one of, in a C library too |
//!
//! Hooks belong to a runtime ([`Builder::switch_hook`](crate::Builder::switch_hook)), so none comes late for a coroutine. The
//! global runtime has none: a program that needs one starts with a runtime of its own. Without hooks a switch costs what it
//! costs without this module. Hooks are for coroutines: a thread has its thread-locals to itself, a call in
//! [`blocking`](crate::blocking()) those of the thread that runs it. A generator's body is a part of whoever resumes it: what it
//! has set over a yield stays set there.

pub(crate) mod detector;
mod local;
mod spans;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ropewalk_sync::park::{self, Waiter};
use ropewalk_sys::segv::abort_with;

use crate::task::Header;

pub use self::local::{PerCoroutine, per_coroutine};
pub use self::spans::{OwnSpans, TracingSpans};

/// Called at every switch between a worker and a coroutine, on the worker's thread, outside of the coroutine.
///
/// It must not wait, by whatever would be a wait of Ropewalk's: that panics. It must not panic: half of a thread-local
/// restored is worse than the end, so the process aborts. It should be quick: it runs at every switch.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use ropewalk_runtime::hooks::SwitchHook;
/// use ropewalk_runtime::{Runtime, coroutine};
///
/// /// Counts the turns of each coroutine, and remembers the most.
/// struct Turns(Arc<AtomicU32>);
///
/// impl SwitchHook for Turns {
///     type Saved = u32;
///
///     fn enter(&self, turns: &mut u32) {
///         *turns += 1;
///     }
///
///     fn leave(&self, turns: &mut u32) {
///         self.0.fetch_max(*turns, Relaxed);
///     }
/// }
///
/// let most = Arc::new(AtomicU32::new(0));
/// let runtime = Runtime::builder().switch_hook(Turns(most.clone())).build()?;
/// runtime.run(|| (0..9).for_each(|_| coroutine::yield_now()));
/// assert_eq!(most.load(Relaxed), 10);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait SwitchHook: Send + Sync + 'static {
    /// What is kept of each coroutine. Made when it starts, dropped when it has ended, on its worker; both by the rules for
    /// the hook itself.
    type Saved: Default + 'static;

    /// A coroutine is about to start or to go on.
    fn enter(&self, saved: &mut Self::Saved);

    /// It has left: it waits, lets others run, or has ended.
    fn leave(&self, saved: &mut Self::Saved);
}

/// A hook whose type is forgotten.
trait Hook: Send + Sync {
    fn start(&self) -> Box<dyn Any>;
    fn enter(&self, saved: &mut dyn Any);
    fn leave(&self, saved: &mut dyn Any, left: &Left<'_>);
}

/// The coroutine that has left.
pub(crate) struct Left<'a> {
    /// The addresses that it uses.
    pub(crate) stack: Range<usize>,
    pub(crate) header: &'a Header,
    pub(crate) waiter: &'a Waiter,
}

impl<H: SwitchHook> Hook for H {
    fn start(&self) -> Box<dyn Any> {
        Box::<H::Saved>::default()
    }

    fn enter(&self, saved: &mut dyn Any) {
        SwitchHook::enter(self, saved.downcast_mut().expect("made by `start`"));
    }

    fn leave(&self, saved: &mut dyn Any, _: &Left<'_>) {
        SwitchHook::leave(self, saved.downcast_mut().expect("made by `start`"));
    }
}

/// The hooks of a runtime, in the order in which they were given.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<Arc<dyn Hook>>);

/// What they keep of one coroutine.
pub(crate) type Saved = Vec<Box<dyn Any>>;

impl Hooks {
    pub(crate) fn add(&mut self, hook: impl SwitchHook) {
        self.0.push(Arc::new(hook));
    }

    /// As the outermost: it sees what is left when the others have taken theirs away.
    pub(crate) fn add_detector(&mut self) {
        self.0.insert(0, Arc::new(detector::Detector));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A coroutine is about to run; `None` if it does for the first time.
    pub(crate) fn enter(&self, saved: &mut Option<Box<Saved>>) {
        alone(|| {
            let saved =
                saved.get_or_insert_with(|| Box::new(self.0.iter().map(|hook| hook.start()).collect()));
            for (hook, saved) in self.0.iter().zip(saved.iter_mut()) {
                hook.enter(&mut **saved);
            }
        });
    }

    /// It has left. Backwards: the first hook is the outermost.
    pub(crate) fn leave(&self, saved: &mut Option<Box<Saved>>, left: &Left<'_>) {
        alone(|| {
            for (hook, saved) in self.0.iter().zip(saved.as_mut().expect("it was entered").iter_mut()).rev() {
                hook.leave(&mut **saved, left);
            }
        });
    }
}

/// It has ended, or has never run.
pub(crate) fn end(saved: Option<Box<Saved>>) {
    if saved.is_some() {
        alone(|| drop(saved));
    }
}

/// Runs code of hooks: without waits, and to its end.
fn alone<R>(f: impl FnOnce() -> R) -> R {
    struct Abort;

    impl Drop for Abort {
        fn drop(&mut self) {
            abort_with(&[
                "\nropewalk: a switch hook has panicked: the thread-locals that it keeps are lost\n",
            ]);
        }
    }

    let abort = Abort;
    let result = park::no_wait("a switch hook", f);
    std::mem::forget(abort);
    result
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
