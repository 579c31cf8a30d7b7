//! The disk on which a comparison has its databases: what a commit waits for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::statistics::Spread;

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

impl Disk {
    /// Looks at the file system of `directory`, and times it.
    ///
    /// # Errors
    /// When `directory` cannot be written, with its name.
    pub(crate) fn inspect(directory: &Path) -> io::Result<Self> {
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
    fn a_directory_that_is_not_there_is_named_with_the_flag_to_use() {
        let error = Disk::inspect(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("--dir"), "{error}");
    }

    #[test]
    fn a_sync_takes_some_time() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Disk::inspect(directory.path()).unwrap().sync_us > 0.0);
    }
}
