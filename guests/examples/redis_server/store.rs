//! What is kept: strings and lists, some of which expire. It knows nothing of clients and connections.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use ropewalk::time;

use super::protocol::{number, write_array, write_integer, write_string};

enum Value {
    String(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

struct Entry {
    value: Value,
    expires: Option<Instant>,
}

/// Strings and lists, some of which expire.
#[derive(Default)]
pub struct Store {
    entries: HashMap<Vec<u8>, Entry>,
    /// What expires, and when: each entry with a time once.
    due: BTreeSet<(Instant, Vec<u8>)>,
}

/// Why a command is refused, in the words of Redis.
pub type Refusal = String;

const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

impl Store {
    /// Carries out `command`, in capitals, and appends the answer to `out`.
    pub fn execute(&mut self, command: &[u8], arguments: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (command, arguments) {
            (b"PING", []) => out.extend_from_slice(b"+PONG\r\n"),
            (b"PING", [text]) => write_string(out, Some(text)),
            (b"GET", [key]) => write_string(out, self.string(key)?),
            (b"SET", [key, value]) => {
                self.set(key, value);
                out.extend_from_slice(b"+OK\r\n");
            }
            (b"MGET", keys @ [_, ..]) => {
                write_array(out, keys.len());
                keys.iter().for_each(|key| write_string(out, self.string(key).unwrap_or(None)));
            }
            (b"DEL", keys @ [_, ..]) => {
                write_integer(out, keys.iter().filter(|key| self.remove(key).is_some()).count());
            }
            (b"INCR", [key]) => write_integer(out, self.add(key, 1)?),
            (b"INCRBY", [key, by]) => write_integer(out, self.add(key, number(by).ok_or(NO_INTEGER)?)?),
            (b"EXPIRE" | b"PEXPIRE", [key, length]) => {
                let expires = time_from_now(length, command[0] == b'P').ok_or(NO_INTEGER)?;
                write_integer(out, u8::from(self.set_expiry(key, expires)));
            }
            (b"TTL", [key]) => match self.entry(key).map(|entry| entry.expires) {
                None => write_integer(out, -2),
                Some(None) => write_integer(out, -1),
                Some(Some(expires)) => write_integer(out, (expires - time::now()).as_secs_f64().round()),
            },
            (b"LPUSH", [key, values @ ..]) if !values.is_empty() => {
                write_integer(out, self.push(key, values)?);
            }
            (b"LRANGE", [key, from, to]) => {
                let (from, to) = (number(from).ok_or(NO_INTEGER)?, number(to).ok_or(NO_INTEGER)?);
                let list = self.list(key)?;
                let range = range(list.as_ref().map_or(0, |list| list.len()), from, to);
                write_array(out, range.len());
                list.iter()
                    .flat_map(|list| list.range(range.clone()))
                    .for_each(|value| write_string(out, Some(value)));
            }
            _ => {
                let (name, count) = (command.escape_ascii(), arguments.len());
                return Err(format!("ERR unknown command '{name}', or none with {count} arguments"));
            }
        }
        Ok(())
    }

    /// What stands under `key` and has not expired.
    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        if self.entries.get(key)?.expires.is_some_and(|expires| expires <= time::now()) {
            self.remove(key);
        }
        self.entries.get_mut(key)
    }

    fn string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::String(string)) => Ok(Some(string)),
            Some(Value::List(_)) => Err(WRONG_TYPE.into()),
            None => Ok(None),
        }
    }

    fn list(&mut self, key: &[u8]) -> Result<Option<&mut VecDeque<Vec<u8>>>, Refusal> {
        match self.entry(key).map(|entry| &mut entry.value) {
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::String(_)) => Err(WRONG_TYPE.into()),
            None => Ok(None),
        }
    }

    fn push(&mut self, key: &[u8], values: &[&[u8]]) -> Result<usize, Refusal> {
        let values = values.iter().map(|value| value.to_vec());
        if let Some(list) = self.list(key)? {
            values.for_each(|value| list.push_front(value));
            return Ok(list.len());
        }
        let list: VecDeque<_> = values.rev().collect();
        let length = list.len();
        self.insert(key, Value::List(list));
        Ok(length)
    }

    fn insert(&mut self, key: &[u8], value: Value) {
        self.entries.insert(key.to_vec(), Entry { value, expires: None });
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        match self.entries.get_mut(key) {
            Some(Entry { value: Value::String(old), expires: None }) => {
                old.clear();
                old.extend_from_slice(value);
            }
            _ => {
                self.remove(key);
                self.insert(key, Value::String(value.to_vec()));
            }
        }
    }

    fn add(&mut self, key: &[u8], by: i64) -> Result<i64, Refusal> {
        let old: i64 = self.string(key)?.map_or(Some(0), number).ok_or(NO_INTEGER)?;
        let new = old.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
        let value = Value::String(new.to_string().into());
        match self.entries.get_mut(key) {
            Some(entry) => entry.value = value,
            None => self.insert(key, value),
        }
        Ok(new)
    }

    /// Whether there is something of which it can be said.
    fn set_expiry(&mut self, key: &[u8], expires: Instant) -> bool {
        let Some(entry) = self.entry(key) else { return false };
        if let Some(old) = entry.expires.replace(expires) {
            self.due.remove(&(old, key.to_vec()));
        }
        self.due.insert((expires, key.to_vec()))
    }

    fn remove(&mut self, key: &[u8]) -> Option<Value> {
        let Entry { value, expires } = self.entries.remove(key)?;
        if let Some(expires) = expires {
            self.due.remove(&(expires, key.to_vec()));
            return (expires > time::now()).then_some(value);
        }
        Some(value)
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Removes what has expired.
    pub fn sweep(&mut self) {
        let now = time::now();
        while self.due.first().is_some_and(|(expires, _)| *expires <= now) {
            self.entries.remove(&self.due.pop_first().expect("it is there").1);
        }
    }
}

/// The time so many seconds, or milliseconds, from now.
fn time_from_now(length: &[u8], millis: bool) -> Option<Instant> {
    let length = number(length)?;
    time::now().checked_add(if millis { Duration::from_millis(length) } else { Duration::from_secs(length) })
}

/// Places in a list, counted from the end if below 0, both included, as a range of what is there.
fn range(length: usize, from: i64, to: i64) -> std::ops::Range<usize> {
    let length = length as i64;
    let place = |place: i64| if place < 0 { (length + place).max(0) } else { place.min(length) };
    let end = if to < -length { 0 } else { (place(to) + 1).min(length) };
    let start = place(from).min(end);
    start as usize..end as usize
}
