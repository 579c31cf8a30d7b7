//! The machine on which something was measured: what a reader needs to judge the figures by.

pub(crate) mod limits;

use std::fs;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The machine and the build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Processors that this process may use.
    pub(crate) processors: usize,
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
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            kernel: format!("{name} {release} {architecture}"),
            driver: runtime.driver().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            release_build: !cfg!(debug_assertions),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        })
    }
}

/// The processor's name in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "model name" | "CPU part"))
        .map_or_else(|| "unknown processor".to_owned(), |(_, value)| value.trim().to_owned())
}

/// All memory, by `/proc/meminfo`.
fn memory_bytes(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_the_memory_are_found() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: AMD EPYC\n"), "AMD EPYC");
        assert_eq!(processor(""), "unknown processor");
        assert_eq!(memory_bytes("MemTotal:       1024 kB\nMemFree: 1 kB\n"), 1 << 20);
    }
}
