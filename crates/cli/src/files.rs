//! Files that results are written to.

use std::fs;
use std::path::Path;

/// Whether `path` can be a file: asked before anything is measured.
///
/// # Errors
/// In words: it is a directory, or would be in one that does not exist.
pub(crate) fn check_writable(path: &Path) -> Result<(), String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_dir() || parent.is_some_and(|parent| !parent.is_dir()) {
        return Err(format!("{} cannot be written: no such directory", path.display()));
    }
    Ok(())
}

/// Writes `bytes` to the file, which is made or emptied first.
///
/// # Errors
/// What the system says, with the file's name.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
