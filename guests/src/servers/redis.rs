//! A real redis-server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ropewalk::process::{Child, Command, Stdio};
use tempfile::TempDir;

use super::{free_address, wait_until_it_listens};

/// A real redis-server with an empty store that nothing is written to disk of. Ends when it is dropped.
#[derive(Debug)]
pub struct Redis {
    server: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Redis {
    /// Starts one; `None`, with a message, where none is installed (Debian: `redis-server`).
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(redis) => Some(redis),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: no redis-server is installed (Debian: apt-get install redis-server)");
                None
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        }
    }

    fn try_start() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = free_address()?;
        let mut server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--unixsocket", "redis.sock", "--dir", "."])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .die_with_parent(true)
            .spawn()?;
        wait_until_it_listens(address, &mut server)?;
        Ok(Self { server, address, directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket that it listens on, too.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
