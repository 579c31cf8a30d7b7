//! Functions that are found by a name, for callers of another build: the names, and who answers to them.
//!
//! A program lists its entries before its `main`, by functions that the loader calls: [`register_entry!`] puts them among
//! those with a priority (`.init_array.65000`), which come before those without, among which is the one that makes this
//! process a child. (The crate `inventory` collects in the same way, without a priority: then a child would begin
//! before the list is whole.)

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ropewalk_ipc::link::Message;
use ropewalk_ipc::schema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Address, Function, Schemas, answer};
use super::reply::Reply;

pub use crate::register_entry;

/// A function by its name, with the types of its argument and its result: what two programs agree on.
///
/// The one has a function for it ([`register_entry!`]), the other calls it
/// ([`Builder::spawn_entry`](super::Builder::spawn_entry), [`Pool::spawn_entry`](super::Pool::spawn_entry)). Best they have it
/// from a crate that both use; where each declares its own, or one of them is older, the two are compared when
/// a call arrives: what argument and result consist of, with the names of fields and variants, but not of types. A call
/// that does not fit is refused, and the error says where.
///
/// ```
/// use ropewalk_runtime::process::{Builder, Entry, register_entry};
///
/// static SHOUT: Entry<String, String> = Entry::new("example/shout");
///
/// fn shout(text: String) -> String {
///     text.to_uppercase()
/// }
///
/// register_entry!(SHOUT, shout);
///
/// // Usually the path is another program's.
/// let program = std::env::current_exe()?;
/// let loud = Builder::new().program(program).spawn_entry(&SHOUT, "rope".to_owned())?;
/// assert_eq!(loud.join()?, "ROPE");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Entry<A, R> {
    name: &'static str,
    address: OnceLock<Address>,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> fmt::Debug for Entry<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

impl<A, R> Entry<A, R> {
    /// Of this name. For a `static`: what is found out about the types is kept in it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, address: OnceLock::new(), types: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<A: DeserializeOwned, R: DeserializeOwned> Entry<A, R> {
    fn address(&self) -> &Address {
        self.address.get_or_init(|| {
            let schemas = Schemas { argument: schema::of::<A>(), result: schema::of::<R>() };
            Address { name: self.name.to_owned(), schemas }
        })
    }

    /// A call of it, as a message.
    ///
    /// # Errors
    /// The argument cannot be sent.
    pub(super) fn call_with(&self, argument: &A) -> io::Result<Message>
    where
        A: Serialize,
    {
        Function::Named(self.address().clone()).call_with(argument)
    }
}

/// An entry with its function, whatever its types.
trait Serve: Send {
    fn name(&self) -> &'static str;
    fn schemas(&self) -> &Schemas;
    fn call(&self, argument: Message) -> Reply;
}

struct Served<F, A: 'static, R: 'static> {
    entry: &'static Entry<A, R>,
    function: F,
}

impl<F, A, R> Serve for Served<F, A, R>
where
    F: Fn(A) -> R + Send + 'static,
    A: DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn name(&self) -> &'static str {
        self.entry.name
    }

    fn schemas(&self) -> &Schemas {
        &self.entry.address().schemas
    }

    fn call(&self, argument: Message) -> Reply {
        answer(argument, &self.function)
    }
}

/// All entries of this program. A call takes out the one that it is of: a process does one call at a time.
static ENTRIES: Mutex<Vec<Box<dyn Serve>>> = Mutex::new(Vec::new());

fn entries() -> MutexGuard<'static, Vec<Box<dyn Serve>>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `function` answer to the calls of `entry` in children that begin after this: the function behind
/// [`register_entry!`], which is called before `main`.
///
/// A program that calls [`init`](super::init) in its `main` may call this before it, for entries that are only known there:
/// children of its own have them then, those of other programs do not, since they begin before `main`.
///
/// ```standalone_crate
/// use ropewalk_runtime::process::{self, Entry};
///
/// static DOUBLE: Entry<u32, u32> = Entry::new("example/double");
///
/// fn main() -> std::io::Result<()> {
///     let factor = 2;
///     process::register_entry(&DOUBLE, move |n| n * factor);
///     process::init();
///     assert_eq!(process::Builder::new().spawn_entry(&DOUBLE, 21)?.join()?, 42);
///     Ok(())
/// }
/// ```
pub fn register_entry<F, A, R>(entry: &'static Entry<A, R>, function: F)
where
    F: Fn(A) -> R + Send + 'static,
    A: DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    entries().push(Box::new(Served { entry, function }));
}

/// Does a call by name, in a child.
pub(super) fn call(address: &Address, argument: Message) -> Reply {
    match find(address) {
        Ok(served) => {
            let reply = served.call(argument);
            entries().push(served);
            reply
        }
        Err(why) => Reply::Refused(why),
    }
}

/// Takes out who answers to a name.
///
/// # Errors
/// Why nobody does.
fn find(address: &Address) -> Result<Box<dyn Serve>, String> {
    let Address { name, schemas } = address;
    let program =
        std::env::current_exe().map_or_else(|_| "the program".into(), |path| path.display().to_string());
    let mut entries = entries();
    let mut found =
        entries.iter().enumerate().filter(|(_, entry)| entry.name() == name).map(|(index, _)| index);
    let Some(index) = found.next() else {
        return Err(match list(&entries) {
            Some(all) => format!("{program} has no entry `{name}`; it has {all}"),
            None => format!("{program} has no entry `{name}`, nor any other: `register_entry!` makes one"),
        });
    };
    if found.next().is_some() {
        return Err(format!("{program} has several entries `{name}`: a name is for one function"));
    }
    drop(found);
    let own = entries[index].schemas();
    for (what, theirs, own) in
        [("argument", &schemas.argument, &own.argument), ("result", &schemas.result, &own.result)]
    {
        if let Some((place, theirs, own)) = schema::difference(theirs, own) {
            return Err(format!(
                "the entry `{name}` of {program} has another type: where the caller has {theirs} in `{what}{place}`, it has \
                 {own}; give an entry whose types change another name"
            ));
        }
    }
    Ok(entries.swap_remove(index))
}

/// The names of all, for an error.
fn list(entries: &[Box<dyn Serve>]) -> Option<String> {
    let mut names: Vec<_> = entries.iter().map(|entry| format!("`{}`", entry.name())).collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Has a function answer to the calls of an [`Entry`]: the entry is a `static`, the function a function, or a closure whose
/// types are clear. To be written among a program's items.
///
/// ```
/// use ropewalk_runtime::process::{Entry, register_entry};
///
/// static SUM: Entry<Vec<u64>, u64> = Entry::new("example/sum");
///
/// register_entry!(SUM, |numbers| numbers.into_iter().sum());
/// # fn main() {}
/// ```
///
/// It must be in the program itself or in a crate that the program uses something of: what is linked from a crate that is only
/// named in `Cargo.toml` the linker decides.
#[macro_export]
macro_rules! register_entry {
    ($entry:expr, $function:expr $(,)?) => {
        const _: () = {
            extern "C" fn register() {
                $crate::process::register_entry(&$entry, $function);
            }

            #[used]
            // SAFETY: the loader calls what stands here once, on the main thread, before `main`; to push into a list needs
            // nothing that would not be there yet.
            #[unsafe(link_section = ".init_array.65000")]
            static REGISTER: extern "C" fn() = register;
        };
    };
}
