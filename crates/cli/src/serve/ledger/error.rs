//! What can go wrong before the ledger runs.

use std::path::PathBuf;
use std::{fmt, io};

/// Why the ledger could not be started. Each says what to do.
#[derive(Debug)]
pub(in crate::serve) enum LedgerError {
    /// SQLite could not open, create or read the database.
    Open(PathBuf, rusqlite::Error),
    /// The directory of the database could not be synced.
    Directory(PathBuf, io::Error),
    /// The file system cannot hold a write-ahead log.
    NoWal(PathBuf),
    /// A database, but not one of this service.
    Foreign(PathBuf),
    /// All accounts together would hold more than can be counted.
    TooMuchMoney,
    /// The ledger thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(
                f,
                "cannot open the database {}: {error}; --database names a file in a directory that can be written",
                path.display()
            ),
            Self::Directory(path, error) => {
                write!(f, "cannot sync the directory {}: {error}", path.display())
            }
            Self::NoWal(path) => write!(
                f,
                "{} is on a file system without shared memory maps, which SQLite's write-ahead log needs; use --database on a local disk",
                path.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{} is not a database of this service (accounts numbered from 1, layout 1); use another --database",
                path.display()
            ),
            Self::TooMuchMoney => write!(
                f,
                "all accounts together would hold more than 2^63 cents; lower --accounts or --opening-balance"
            ),
            Self::Thread(error) => write!(f, "cannot start the ledger thread: {error}"),
        }
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(_, error) => Some(error),
            Self::Directory(_, error) | Self::Thread(error) => Some(error),
            Self::NoWal(_) | Self::Foreign(_) | Self::TooMuchMoney => None,
        }
    }
}
