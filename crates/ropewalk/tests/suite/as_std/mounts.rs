//! File systems of a process's own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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

fn check(result: i32) -> Result<(), std::io::Error> {
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
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
    let mount = |path: &Path, flags: libc::c_ulong, options: &std::ffi::CStr| {
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: three strings that end, and no data but a string.
        check(unsafe {
            libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast())
        })
    };
    std::fs::create_dir(&mounted.small)?;
    std::fs::create_dir(&mounted.read_only)?;
    // SAFETY: no pointer, but one to a string; nothing of what this thread shares matters to the others.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()))?;
    }
    mount(&mounted.small, 0, c"size=64k,mode=777")?;
    mount(&mounted.read_only, libc::MS_RDONLY, c"size=64k,mode=777")?;
    Ok(mounted)
}
