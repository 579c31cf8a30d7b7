//! Edge cases beside std: what std says of each, ours says, the same kind of error with the same number.
//!
//! A case is one function in a file that is compiled twice, with std's imports and with ours. It runs with std on a thread, and
//! with ours in a coroutine and in a thread, on every driver; and what it says is compared, with each other and with
//! `docs/as-std.md`. All of it in a process of its own, without privileges and with few descriptors.

mod mounts;
mod table;

use std::io;
use std::os::unix::fs::PermissionsExt;

use self::table::Exception;
use crate::support::child::{self, Child, test_name};

/// A case: its name, and what it does; what that says is compared.
pub(crate) type Case = (&'static str, fn() -> String);

/// What an operation said, without what differs from run to run.
pub(crate) fn said<T: std::fmt::Debug>(outcome: io::Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}").replace("()", "ok"),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("{:?} ({number})", error.kind()),
            None => format!("{:?}", error.kind()),
        },
    }
}

#[path = "."]
mod sockets_of_std {
    mod imports {
        pub(super) use std::net;
        pub(super) use std::os::unix::net as unix;
    }

    #[path = "sockets.rs"]
    pub(super) mod cases;
}

#[allow(clippy::duplicate_mod, reason = "one source, compiled with two imports")]
#[path = "."]
mod sockets_of_ropewalk {
    mod imports {
        pub(super) use ropewalk::net;
        pub(super) use ropewalk::net::unix;
    }

    #[path = "sockets.rs"]
    pub(super) mod cases;
}

/// Where a coroutine says something else, and why.
const SOCKET_EXCEPTIONS: &[Exception] = &[(
    "TCP read into an empty buffer: nothing is there, with a limit; then something is",
    "WouldBlock (11), then 0",
    "the limit has passed, and it says so; the kernel's own call, in which a thread waits, gives 0 instead",
)];

#[test]
fn sockets_say_what_stds_say() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    table::give_up_privileges();
    let rows =
        table::rows(&sockets_of_std::cases::cases(), &sockets_of_ropewalk::cases::cases(), SOCKET_EXCEPTIONS);
    assert!(rows.len() >= 50, "only {} cases", rows.len());
    table::assert_on_page("Sockets", &rows);
}

#[allow(
    clippy::nonsensical_open_options,
    clippy::suspicious_open_options,
    reason = "what std says of nonsense is compared, too"
)]
#[path = "."]
mod files_of_std {
    mod imports {
        pub(super) use std::{fs, io};
    }

    #[path = "files.rs"]
    pub(super) mod cases;
}

#[allow(clippy::duplicate_mod, reason = "one source, compiled with two imports")]
#[path = "."]
mod files_of_ropewalk {
    mod imports {
        pub(super) use ropewalk::{fs, io};
    }

    #[path = "files.rs"]
    pub(super) mod cases;
}

#[test]
fn files_say_what_stds_say() {
    let folder = tempfile::tempdir().unwrap();
    if child::case().is_none() {
        // What the cases leave behind, they leave in here.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let folder = folder.path().to_str().unwrap();
        return Child::new(test_name!(), "").env("TMPDIR", folder).run().assert_success();
    }
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    mounts::mount(folder.path());
    table::give_up_privileges();
    let rows = table::rows(files_of_std::cases::CASES, files_of_ropewalk::cases::CASES, &[]);
    assert!(rows.len() >= 40, "only {} cases", rows.len());
    table::assert_on_page("Files", &rows);
}
