//! Which topic a name means.
//!
//! The table keeps no topic alive. A name whose topic has gone is as one that nobody has used; such entries are swept out
//! when the table has doubled since it was last swept.
//!
//! Its lock is std's: a static, held for a look-up, in which no topic is locked, made visible or dropped.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::{OpenError, TOPIC, Topic};
use crate::log::{Log, Options, Writer};

struct Named {
    type_id: TypeId,
    type_name: &'static str,
    log: Weak<dyn Any + Send + Sync>,
}

#[derive(Default)]
struct Names {
    topics: HashMap<Arc<str>, Named>,
    /// How many entries there may be before those are looked for that mean nothing any more.
    sweep_at: usize,
}

static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a name means to whoever asks for it with a type.
enum Meaning<T> {
    Found(Arc<Log<T>>, Arc<str>),
    OtherType(&'static str),
    Nothing,
}

impl Names {
    fn look_up<T: Send + Sync + 'static>(&self, name: &str) -> Meaning<T> {
        let Some((name, named)) = self.topics.get_key_value(name) else { return Meaning::Nothing };
        if named.type_id != TypeId::of::<T>() {
            // Not upgraded: it would be dropped under the lock.
            let exists = named.log.strong_count() > 0;
            return if exists { Meaning::OtherType(named.type_name) } else { Meaning::Nothing };
        }
        match named.log.upgrade().map(Arc::downcast::<Log<T>>) {
            Some(Ok(log)) => Meaning::Found(log, name.clone()),
            _ => Meaning::Nothing,
        }
    }

    fn insert<T: Send + Sync + 'static>(&mut self, name: Arc<str>, log: &Arc<Log<T>>) {
        if self.topics.len() >= self.sweep_at {
            self.topics.retain(|_, named| named.log.strong_count() > 0);
            self.sweep_at = 16.max(2 * self.topics.len());
        }
        let log = Arc::downgrade(log);
        let named = Named { type_id: TypeId::of::<T>(), type_name: type_name::<T>(), log };
        self.topics.insert(name, named);
    }
}

/// The topic with this name, to be as `wanted`.
pub(super) fn open<T: Send + Sync + 'static>(name: &str, wanted: Options) -> Result<Topic<T>, OpenError> {
    let mut names = lock();
    let (log, name) = match names.look_up::<T>(name) {
        Meaning::Found(log, name) => (log, name),
        Meaning::OtherType(exists) => {
            return Err(OpenError::Type { name: name.into(), exists, wanted: type_name::<T>() });
        }
        Meaning::Nothing => {
            let name: Arc<str> = name.into();
            let writer = Writer::new(&TOPIC, wanted, true);
            names.insert(name.clone(), &writer.log);
            return Ok(Topic { writer, name: Some(name) });
        }
    };
    drop(names);
    log.change_options(|options| agree(&name, options, wanted))?;
    Ok(Topic::of(log, name))
}

/// The name no longer means the topic whose log is at this address.
pub(super) fn free(name: &str, address: usize) {
    let mut names = lock();
    if names.topics.get(name).is_some_and(|named| named.log.as_ptr().addr() == address) {
        names.topics.remove(name);
    }
}

/// What was said of a topic, and what is said now.
fn agree(name: &str, exist: Options, wanted: Options) -> Result<Options, OpenError> {
    Ok(Options {
        capacity: agree_on("capacity", name, exist.capacity, wanted.capacity)?,
        policy: agree_on("policy", name, exist.policy, wanted.policy)?,
        history: agree_on("history", name, exist.history, wanted.history)?,
    })
}

fn agree_on<S: PartialEq + Debug>(
    setting: &'static str,
    name: &str,
    exists: Option<S>,
    wanted: Option<S>,
) -> Result<Option<S>, OpenError> {
    match (exists, wanted) {
        (Some(exists), Some(wanted)) if exists != wanted => Err(OpenError::Setting {
            name: name.into(),
            setting,
            exists: format!("{exists:?}").into(),
            wanted: format!("{wanted:?}").into(),
        }),
        (exists, wanted) => Ok(exists.or(wanted)),
    }
}
