//! The machine on which a comparison was made: what a reader needs to judge the figures by.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::compare::statistics::Spread;

/// The machine, the build and the place of the database.
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
    /// How coroutines hear from the kernel, and why it is not io_uring where it is not.
    pub(crate) driver: String,
    /// Version of Ropewalk.
    pub(crate) version: String,
    /// Whether this is an optimised build; figures of another one mean little.
    pub(crate) release_build: bool,
    /// When the comparison began, UTC.
    pub(crate) started: String,
    /// Where the databases are.
    pub(crate) disk: Disk,
}

/// The file system that holds the databases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// The directory.
    pub(crate) directory: String,
    /// The type of its file system.
    pub(crate) file_system: String,
    /// Median time of writing 4 KiB and syncing it.
    pub(crate) sync_us: f64,
    /// The least such time: what the disk takes when nothing else is in the way.
    pub(crate) sync_least_us: f64,
    /// Whether a sync makes data safe: not in memory.
    pub(crate) durable: bool,
}

impl Machine {
    /// Looks at this machine, with the databases in `directory`.
    ///
    /// # Errors
    /// When `directory` cannot be written, with its name; when no runtime can be built.
    pub(crate) fn inspect(directory: &Path) -> io::Result<Self> {
        let runtime = ropewalk::Runtime::builder().workers(1).build()?;
        let kernel = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        Ok(Self {
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            kernel: format!(
                "{} {} {}",
                text(kernel.sysname()),
                text(kernel.release()),
                text(kernel.machine())
            ),
            driver: runtime.driver().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            release_build: !cfg!(debug_assertions),
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            disk: Disk::inspect(directory)?,
        })
    }
}

impl Disk {
    fn inspect(directory: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!(
                    "cannot use the directory {}: {error}; choose another one with --dir",
                    directory.display()
                ),
            )
        };
        let directory = directory.canonicalize().map_err(named)?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let file_system = file_system(&mounts, &directory).unwrap_or_else(|| "unknown".to_owned());
        let syncs = sync_times_us(&directory).map_err(named)?;
        Ok(Self {
            durable: !matches!(file_system.as_str(), "tmpfs" | "ramfs" | "rootfs"),
            file_system,
            sync_us: syncs.median,
            sync_least_us: syncs.low,
            directory: directory.display().to_string(),
        })
    }
}

/// The processor's name in `/proc/cpuinfo`.
pub(crate) fn processor(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "model name" | "CPU part"))
        .map_or_else(|| "unknown processor".to_owned(), |(_, value)| value.trim().to_owned())
}

/// All memory, by `/proc/meminfo`.
pub(crate) fn memory_bytes(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// The type of the file system that holds `path`: the last mount on the longest prefix of it.
fn file_system(mountinfo: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for line in mountinfo.lines() {
        let Some((mount, source)) = line.split_once(" - ") else { continue };
        let Some(point) = mount.split(' ').nth(4) else { continue };
        let point = unescape(point);
        let kind = source.split(' ').next()?;
        if path.starts_with(&point) && best.as_ref().is_none_or(|(length, _)| point.len() >= *length) {
            best = Some((point.len(), kind.to_owned()));
        }
    }
    best.map(|(_, kind)| kind)
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash in a mount point.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// How many syncs are timed.
const SYNCS: usize = 21;

/// The times of 4 KiB appends with a sync, which is what one commit of the ledger waits for at least.
fn sync_times_us(directory: &Path) -> io::Result<Spread> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Spread::of(times).ok_or_else(|| io::Error::other("no time was measured"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw
31 27 0:28 / /mnt/my\\040disk rw shared:1 - xfs /dev/vdb rw
32 27 0:29 / /dev/shm/deep rw - ext4 /dev/vdc rw
";

    #[test]
    fn the_file_system_is_that_of_the_longest_mount_point() {
        for (path, expected) in [
            ("/home/me", "ext4"),
            ("/dev/shm/x", "tmpfs"),
            ("/dev/shmx", "ext4"),
            ("/mnt/my disk/x", "xfs"),
            ("/dev/shm/deep/x", "ext4"),
        ] {
            assert_eq!(file_system(MOUNTS, Path::new(path)).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn the_processor_and_the_memory_are_found() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: AMD EPYC\n"), "AMD EPYC");
        assert_eq!(processor(""), "unknown processor");
        assert_eq!(memory_bytes("MemTotal:       1024 kB\nMemFree: 1 kB\n"), 1 << 20);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_with_the_flag_to_use() {
        let error = Machine::inspect(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("--dir"), "{error}");
    }

    #[test]
    fn a_sync_takes_some_time() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Machine::inspect(directory.path()).unwrap().disk.sync_us > 0.0);
    }
}
