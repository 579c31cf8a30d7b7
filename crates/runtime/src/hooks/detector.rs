//! Finds thread-locals that are kept set over a wait.
//!
//! Code that sets a thread-local, calls back and restores it mostly keeps a pointer to a local there: `scoped-tls`, the contexts
//! of async runtimes, thread pools. So when a coroutine leaves its worker and a thread-local points into its stack, then
//! its neighbours can follow that pointer, and it dangles if it is restored out of order. The thread-locals of a program and
//! its libraries are a few kilobytes that lie together: they are copied at every switch, as a debugger would copy them, and
//! looked through.
//!
//! What it does not see: a value in place of a pointer (a number, a counter of borrows), a pointer to the heap that points on,
//! a library that was loaded after the worker's first switch, and what C code keeps by `pthread_setspecific`.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object::{Object as _, ObjectSymbol as _, SymbolKind};
use ropewalk_sync::park::WaitReason;
use ropewalk_sys::memory::read_own;
use ropewalk_sys::objects::{ThreadLocals, thread_locals};

use super::{Hook, Left};
use crate::stack_trace::{StackTrace, Tracer};
use crate::task::join::TaskId;

const WORD: usize = size_of::<usize>();

/// A thread-local that points into the stack of a coroutine which has left its worker. Its `Display` is a text for people.
#[derive(Clone, Debug)]
pub struct ExposedStack {
    task: TaskId,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    reason: Option<WaitReason>,
    object: PathBuf,
    offset: usize,
    stack: Option<StackTrace>,
}

impl ExposedStack {
    /// The coroutine.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// What it waits for; `None` if it lets others run, or has ended.
    #[must_use]
    pub fn reason(&self) -> Option<WaitReason> {
        self.reason
    }

    /// The name of the thread-local, if the symbols of its file tell it. Reads them anew, all of them: it takes as long as
    /// the file is large.
    #[must_use]
    pub fn local(&self) -> Option<String> {
        name_of(&self.object, self.offset)
    }

    /// The file that the thread-local belongs to: the program, or a library.
    #[must_use]
    pub fn object(&self) -> &Path {
        &self.object
    }

    /// Its place among the thread-locals of that file, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the coroutine left; `None` if it has ended, or the kernel forbids to look.
    #[must_use]
    pub fn stack(&self) -> Option<&StackTrace> {
        self.stack.as_ref()
    }
}

impl fmt::Display for ExposedStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, spawned_at, object, offset, .. } = self;
        match self.local() {
            Some(local) => write!(f, "the thread-local {local}")?,
            None => write!(f, "a thread-local (at {offset:#x} of those of {})", object.display())?,
        }
        write!(f, " points into the stack of coroutine {task}")?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        match self.reason {
            Some(reason) => write!(f, ", which has left its worker, {reason}")?,
            None => write!(f, ", which has left its worker")?,
        }
        writeln!(f, "; spawned at {}:{}", spawned_at.file(), spawned_at.line())?;
        match &self.stack {
            Some(stack) => stack.fmt(f),
            None => Ok(()),
        }
    }
}

type Callback = Arc<dyn Fn(&ExposedStack) + Send + Sync>;

/// What is told once: the thread-local, where the coroutine was spawned, and its name.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    path: PathBuf,
    offset: usize,
    spawned_at: &'static Location<'static>,
    name: Option<Arc<str>>,
}

#[derive(Default)]
struct Findings {
    callbacks: Vec<Callback>,
    told: Option<HashSet<Place>>,
}

static FINDINGS: Mutex<Findings> = Mutex::new(Findings { callbacks: Vec::new(), told: None });

fn findings() -> MutexGuard<'static, Findings> {
    FINDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `callback` whenever a coroutine has left its worker and a thread-local points into its stack, in runtimes that look
/// for that ([`Builder::detector`](crate::Builder::detector), or `ROPEWALK_DETECTOR=1`): once for each thread-local, place of spawn and
/// name, on the worker, between two coroutines. So it must not wait. For the rest of the process's life. The same is told as a
/// warning through `tracing`.
///
/// ```
/// use std::cell::Cell;
/// use std::sync::mpsc;
/// use ropewalk_runtime::{Runtime, coroutine, inspect};
///
/// thread_local!(static CONTEXT: Cell<*const u32> = const { Cell::new(std::ptr::null()) });
///
/// let (tell, told) = mpsc::channel();
/// inspect::on_exposed(move |exposed| drop(tell.send(exposed.to_string())));
/// let runtime = Runtime::builder().detector(true).build()?;
/// runtime.run(|| {
///     let local = 42;
///     let before = CONTEXT.replace(&raw const local);
///     coroutine::yield_now(); // a neighbour could follow the pointer, or restore it later
///     CONTEXT.set(before);
/// });
/// let text = told.recv().unwrap();
/// assert!(text.contains("points into the stack of coroutine"), "{text}");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn on_exposed(callback: impl Fn(&ExposedStack) + Send + Sync + 'static) {
    findings().callbacks.push(Arc::new(callback));
}

/// Whether the environment asks for a detector.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("ROPEWALK_DETECTOR").is_some_and(|value| value != "0" && !value.is_empty())
}

thread_local! {
    /// Where the thread-locals of this thread stand, and room for a copy. On the heap: it would find itself otherwise.
    static BLOCKS: RefCell<Option<Box<Blocks>>> = const { RefCell::new(None) };
}

struct Blocks {
    locals: Vec<ThreadLocals>,
    copy: Vec<u8>,
}

impl Blocks {
    fn of_this_thread() -> Box<Self> {
        Box::new(Self { locals: thread_locals(), copy: Vec::new() })
    }

    /// The words that point into `stack`: the file, and the offset in its block.
    fn pointing_into(&mut self, stack: &std::ops::Range<usize>) -> Vec<(PathBuf, usize)> {
        let mut found = Vec::new();
        for locals in &self.locals {
            self.copy.resize(locals.range.len(), 0);
            let read = read_own(locals.range.start, &mut self.copy);
            // Blocks are aligned as their strictest variable; words are where words are.
            let skip = locals.range.start.next_multiple_of(WORD) - locals.range.start;
            let words = self.copy[..read].get(skip..).unwrap_or_default().chunks_exact(WORD);
            for (index, word) in words.enumerate() {
                let word = usize::from_ne_bytes(word.try_into().expect("of this length"));
                if stack.contains(&word) {
                    found.push((locals.path.clone(), skip + index * WORD));
                }
            }
        }
        found
    }
}

pub(super) struct Detector;

impl Hook for Detector {
    fn start(&self) -> Box<dyn Any> {
        Box::new(())
    }

    fn enter(&self, _: &mut dyn Any) {}

    fn leave(&self, _: &mut dyn Any, left: &Left<'_>) {
        let found = BLOCKS.with_borrow_mut(|blocks| {
            blocks.get_or_insert_with(Blocks::of_this_thread).pointing_into(&left.stack)
        });
        for (path, offset) in found {
            tell(left, path, offset);
        }
    }
}

#[cold]
fn tell(left: &Left<'_>, path: PathBuf, offset: usize) {
    let (spawned_at, name) = (left.header.spawned_at(), left.header.shared_name());
    let callbacks = {
        let mut findings = findings();
        let place = Place { path: path.clone(), offset, spawned_at, name: name.clone() };
        if !findings.told.get_or_insert_default().insert(place) {
            return;
        }
        findings.callbacks.clone()
    };
    let object = if path.as_os_str().is_empty() { PathBuf::from("/proc/self/exe") } else { path };
    let exposed = ExposedStack {
        task: TaskId(left.waiter.id()),
        name,
        spawned_at,
        reason: left.waiter.waiting().map(|waiting| waiting.reason),
        object,
        offset,
        stack: Tracer::new().trace_waiting(left.waiter),
    };
    let name = exposed.name().unwrap_or("unnamed");
    tracing::warn!(task = exposed.task.as_u64(), name, "{exposed}");
    for callback in callbacks {
        // One that panics has said so.
        let _ = catch_unwind(AssertUnwindSafe(|| callback(&exposed)));
    }
}

/// The thread-local at this place, by the symbols of the file.
fn name_of(path: &Path, offset: usize) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let offset = offset as u64;
    let holds = |symbol: &object::Symbol<'_, '_>| {
        symbol.kind() == SymbolKind::Tls
            && (symbol.address()..symbol.address() + symbol.size().max(1)).contains(&offset)
    };
    let symbol = file.symbols().find(holds)?;
    let name = backtrace::SymbolName::new(symbol.name_bytes().ok()?);
    // Without the hash, and without what `thread_local!` puts the variable into.
    let name = format!("{name:#}");
    Some(name.split("::{{").next().unwrap_or(&name).to_owned())
}
