//! The machine on which the costs were measured.

use std::fs;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::compare::machine::{memory_bytes, processor};

/// The machine and the build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Memory of the machine.
    pub(crate) memory_bytes: u64,
    /// Kernel name, release and architecture.
    pub(crate) kernel: String,
    /// How coroutines hear from the kernel.
    pub(crate) driver: String,
    /// Version of Ropewalk.
    pub(crate) version: String,
    /// Whether this is an optimised build; figures of another one mean little.
    pub(crate) release_build: bool,
    /// When it began, UTC.
    pub(crate) started: String,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// When no runtime can be built.
    pub(crate) fn inspect() -> std::io::Result<Self> {
        let runtime = ropewalk::Runtime::builder().workers(1).build()?;
        let kernel = rustix::system::uname();
        let [name, release, architecture] =
            [kernel.sysname(), kernel.release(), kernel.machine()].map(|text| text.to_string_lossy());
        Ok(Self {
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            kernel: format!("{name} {release} {architecture}"),
            driver: runtime.driver().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            release_build: !cfg!(debug_assertions),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        })
    }
}
