//! A call on its way to a child: which function, and its argument; and how the child answers it.
//!
//! # The wire
//! The argument as a message, then which function, then a byte that says how that is told: [`PLACE`], 8 bytes before it;
//! or [`ENTRY`], before it a number of 4 bytes, and so many bytes before that, which are an [`Address`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entry;
use super::place::Place;
use super::reply::Reply;
use super::report;

const PLACE: u8 = 0;
const ENTRY: u8 = 1;

/// A function of another build: its name, and what it takes and gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) name: String,
    pub(super) schemas: Schemas,
}

/// What argument and result look like in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schemas {
    pub(super) argument: String,
    pub(super) result: String,
}

/// Which function is to be run.
pub(super) enum Function {
    /// Of the same program.
    At(Place),
    /// Of this or another one.
    Named(Address),
}

impl Function {
    /// A call of it, as a message.
    ///
    /// # Errors
    /// The argument cannot be sent.
    pub(super) fn call_with<A: Serialize>(&self, argument: &A) -> io::Result<Message> {
        let (mut bytes, descriptors) = encode(argument)?;
        match self {
            Self::At(place) => {
                bytes.extend_from_slice(&place.to_bytes());
                bytes.push(PLACE);
            }
            Self::Named(address) => {
                let (address, _) = encode(address)?;
                let length = u32::try_from(address.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
                bytes.extend_from_slice(&address);
                bytes.extend_from_slice(&length.to_ne_bytes());
                bytes.push(ENTRY);
            }
        }
        Ok(Message { bytes, descriptors })
    }

    /// Which function a call is of, and its argument.
    ///
    /// # Errors
    /// It is no call.
    fn of_call(mut call: Message) -> io::Result<(Self, Message)> {
        let bytes = &mut call.bytes;
        let function = match bytes.pop() {
            Some(PLACE) => {
                Self::At(Place::from_bytes(*bytes.last_chunk().ok_or(io::ErrorKind::InvalidData)?))
            }
            Some(ENTRY) => {
                let length = u32::from_ne_bytes(*bytes.last_chunk().ok_or(io::ErrorKind::InvalidData)?);
                bytes.truncate(bytes.len() - 4);
                let start = bytes.len().checked_sub(length as usize).ok_or(io::ErrorKind::InvalidData)?;
                let address = Message { bytes: bytes[start..].to_vec(), descriptors: Vec::new() };
                bytes.truncate(start);
                return Ok((Self::Named(decode(address)?), call));
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        bytes.truncate(bytes.len() - 8);
        Ok((function, call))
    }
}

/// Whether a child runs its parent's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    Yes,
    No,
}

/// Does a call, in a child.
///
/// # Errors
/// It is no call.
///
/// # Safety
/// The call came from a process that runs the same program, if it says so: `place`, rule 1.
pub(super) unsafe fn perform(call: Message, same: Same) -> io::Result<Reply> {
    let (function, argument) = Function::of_call(call)?;
    Ok(match (function, same) {
        // SAFETY: the caller's promise.
        (Function::At(place), Same::Yes) => unsafe { place.call(argument) },
        (Function::At(_), Same::No) => Reply::Refused(
            "this is another program than its parent's, where a function cannot be found by its place: call it by a \
             name (`spawn_entry`, `call_entry`)"
                .into(),
        ),
        (Function::Named(address), _) => entry::call(&address, argument),
    })
}

/// Runs `f` with the argument that came, and answers with its result, or with its panic.
pub(super) fn answer<A, R>(argument: Message, f: impl FnOnce(A) -> R) -> Reply
where
    A: DeserializeOwned,
    R: Serialize,
{
    let argument = match decode::<A>(argument) {
        Ok(argument) => argument,
        Err(error) => return Reply::Refused(format!("the argument did not arrive: {error}")),
    };
    let called = report::watch_panics(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let result = f(argument);
            encode(&result)
        }))
    });
    match called {
        Ok(Ok((bytes, descriptors))) => Reply::Returned(Message { bytes, descriptors }),
        Ok(Err(error)) => Reply::Refused(format!("the result cannot be sent: {error}")),
        Err(payload) => Reply::Panicked(report::take(&*payload)),
    }
}

#[cfg(test)]
mod tests {
    use ropewalk_ipc::message::decode;

    use super::{Address, Function, Place, Schemas};

    fn named() -> Function {
        let schemas = Schemas { argument: ": u8\n".into(), result: ": text\n".into() };
        Function::Named(Address { name: "entry".into(), schemas })
    }

    #[test]
    fn what_goes_into_a_call_comes_out_of_it() {
        let call = named().call_with(&7_u8).unwrap();
        let (function, argument) = Function::of_call(call).unwrap();
        let Function::Named(address) = function else { panic!("it has a name") };
        assert_eq!((address.name.as_str(), address.schemas.result.as_str()), ("entry", ": text\n"));
        assert_eq!(decode::<u8>(argument).unwrap(), 7);
        let place = Place::from_bytes((-3_i64).to_ne_bytes());
        let (function, argument) = Function::of_call(Function::At(place).call_with(&"x").unwrap()).unwrap();
        assert!(matches!(function, Function::At(same) if same == place));
        assert_eq!(decode::<String>(argument).unwrap(), "x");
    }

    #[test]
    fn what_is_no_call_is_an_error() {
        let call = named().call_with(&7_u8).unwrap();
        for length in 0..call.bytes.len() {
            let bytes = call.bytes[..length].to_vec();
            let cut = Function::of_call(ropewalk_ipc::link::Message { bytes, descriptors: Vec::new() });
            assert!(!matches!(cut, Ok((Function::Named(_), _))), "{length} bytes");
        }
    }

    /// What another build reads. Who has to change this has to raise `PROTOCOL`, too.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_call_by_name_is_written_as_protocol_1_has_it() {
        assert_eq!(super::super::child::PROTOCOL, 1);
        let bytes = named().call_with(&7_u8).unwrap().bytes;
        assert_eq!(bytes, b"\x07\x05entry\x05: u8\n\x07: text\n\x14\0\0\0\x01");
    }
}
