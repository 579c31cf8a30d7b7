//! File systems of a process's own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::confine::{mount_memory, own_mounts};

/// File systems of the process's own: one that is small, and one that cannot be written to.
pub(crate) struct Mounted {
    pub(crate) small: PathBuf,
    pub(crate) read_only: PathBuf,
}

static MOUNTED: OnceLock<Option<Mounted>> = OnceLock::new();

/// `None` where nothing can be mounted.
pub(crate) fn mounted() -> Option<&'static Mounted> {
    MOUNTED.get().and_then(Option::as_ref)
}

/// Mounts them, for the calling thread and whatever it starts, in this folder; says so where it may not.
pub(crate) fn mount(folder: &Path) {
    let mounted = try_to_mount(folder);
    if let Err(error) = &mounted {
        eprintln!("skipped, without file systems of the process's own: {error}");
    }
    let _ = MOUNTED.set(mounted.ok());
}

fn try_to_mount(folder: &Path) -> Result<Mounted, std::io::Error> {
    let mounted = Mounted { small: folder.join("small"), read_only: folder.join("read-only") };
    std::fs::create_dir(&mounted.small)?;
    std::fs::create_dir(&mounted.read_only)?;
    own_mounts()?;
    mount_memory(&mounted.small, 0, c"size=64k,mode=777")?;
    mount_memory(&mounted.read_only, libc::MS_RDONLY, c"size=64k,mode=777")?;
    Ok(mounted)
}
