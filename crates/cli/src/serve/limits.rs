//! The process's own resource limits.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::size::Size;

/// Limits the address space, as on a machine with so much memory.
pub(super) fn limit_memory(memory: Size) -> io::Result<()> {
    let bytes = Some(memory.bytes());
    let limit = Rlimit { current: bytes, maximum: bytes };
    setrlimit(Resource::As, limit).map_err(|errno| {
        let most = getrlimit(Resource::As).maximum.map_or_else(
            || "unlimited".to_owned(),
            |bytes| Size::from_bytes(bytes).to_string(),
        );
        let error = io::Error::from(errno);
        let message = format!(
            "cannot limit the address space to {memory}: {error}; --memory must not be above the hard limit, {most} (ulimit -Hv)"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Raises the limit of open descriptors to what is allowed: a connection is a descriptor, and the
/// ordinary limit of 1,024 is meant for programs that use `select`.
pub(super) fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
