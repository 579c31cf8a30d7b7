//! A real PostgreSQL.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ropewalk::process::{Child, Command, Stdio};
use tempfile::TempDir;

use super::{free_address, wait_until};

/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A real PostgreSQL with an empty database `postgres`, whose user `postgres` gives the password [`PASSWORD`](Self::PASSWORD)
/// over TCP (SCRAM-SHA-256) and none over the Unix socket. It does not care for its data in a crash of the machine. Ends
/// when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    address: SocketAddr,
    programs: PathBuf,
    directory: TempDir,
}

impl Postgres {
    /// The password of its user, over TCP.
    pub const PASSWORD: &'static str = "knots and hitches";

    /// Starts one for so many clients; `None`, with a message, where none is installed (Debian: `postgresql`).
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub fn start(max_connections: usize) -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: no PostgreSQL is installed (Debian: apt-get install postgresql)");
            return None;
        };
        let started = Self::try_start(programs, max_connections);
        Some(started.unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}")))
    }

    fn try_start(programs: PathBuf, max_connections: usize) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let password = directory.path().join("password");
        std::fs::write(&password, Self::PASSWORD)?;
        if rustix::process::geteuid().is_root() {
            for path in [directory.path(), &password] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        let made = as_somebody(&programs.join("initdb"), directory.path())
            .args([
                "--pgdata=data",
                "--username=postgres",
                "--pwfile=password",
                "--no-sync",
                "--wal-segsize=1",
            ])
            .args(["--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let address = free_address()?;
        let mut server = as_somebody(&programs.join("postgres"), directory.path());
        server.args(["-D", "data", "-h", "127.0.0.1", "-p", &address.port().to_string(), "-k", "."]);
        let others = ["fsync=off", "shared_buffers=32MB", "dynamic_shared_memory_type=mmap"];
        // Else it does not look whether a client that waits is still there.
        for setting in others.into_iter().chain(["client_connection_check_interval=50ms"]) {
            server.args(["-c", setting]);
        }
        server.args(["-c", &format!("max_connections={max_connections}")]);
        let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).die_with_parent(true).spawn()?;
        wait_until(&mut server, || {
            // It takes connections before it answers them.
            let mut ready = as_somebody(&programs.join("pg_isready"), directory.path());
            ready.args(["--quiet", "--host=127.0.0.1", "--port", &address.port().to_string()]);
            Ok(ready.status()?.success())
        })?;
        Ok(Self { server, address, programs, directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket that it listens on, too.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(format!("data/.s.PGSQL.{}", self.address.port()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not by a kill of ours: its processes are many, and it takes its shared memory back.
        let _ = as_somebody(&self.programs.join("pg_ctl"), self.directory.path())
            .args(["stop", "--silent", "--wait", "--mode=immediate", "--pgdata=data"])
            .status();
        let _ = self.server.wait();
    }
}

/// Where its programs are: Debian keeps them out of `PATH`, by version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_debian = versions.map(|version| version.path().join("bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    of_debian.chain(std::env::split_paths(&in_path)).find(|directory| directory.join("initdb").exists())
}

/// A program of PostgreSQL's, run in `directory` by somebody who is not root.
fn as_somebody(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
