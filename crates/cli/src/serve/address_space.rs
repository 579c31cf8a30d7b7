//! What the kernel says of this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `/proc/self/status`, opened once: it must be readable also when descriptors have run out.
#[derive(Debug)]
pub(super) struct ProcessStatus(File);

impl ProcessStatus {
    /// Opens it.
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/self/status").map(Self)
    }

    /// How much address space is in use, in bytes.
    pub(super) fn address_space(&self) -> io::Result<u64> {
        Ok(self.field("VmSize:")? * 1024)
    }

    /// The number behind a field's name.
    fn field(&self, name: &str) -> io::Result<u64> {
        // The kernel writes it anew for each read from the beginning; it has about 1,500 bytes.
        let mut buffer = [0; 4096];
        let len = self.0.read_at(&mut buffer, 0)?;
        let status = String::from_utf8_lossy(&buffer[..len]);
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("/proc/self/status has no field {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessStatus;

    #[test]
    fn the_process_is_there() {
        let status = ProcessStatus::open().expect("a status");
        assert!(status.address_space().is_ok_and(|bytes| bytes >= 1 << 20));
        assert!(status.field("Nonsense:").is_err());
    }
}
