//! Edge cases beside std: what std says of each, ours says, the same kind of error with the same number.
//!
//! The cases are one file that is compiled twice, with std's imports and with ours. They run with std, and with ours in a
//! coroutine and in a thread, on every driver, in a process of its own, which has given up its privileges.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::child::{self, Child, test_name};
use crate::support::{PLANS, drivers, on_driver};

/// A case: its name, and what it does; what that says is compared.
pub(crate) type Case = (&'static str, fn() -> String);

#[allow(
    clippy::nonsensical_open_options,
    clippy::suspicious_open_options,
    reason = "what std says of nonsense is compared, too"
)]
#[path = "."]
mod of_std {
    mod imports {
        pub(super) use std::{fs, io};
    }

    #[path = "as_std_cases.rs"]
    pub(super) mod cases;
}

#[allow(clippy::duplicate_mod, reason = "one source, compiled with two imports")]
#[path = "."]
mod of_ropewalk {
    mod imports {
        pub(super) use ropewalk::{fs, io};
    }

    #[path = "as_std_cases.rs"]
    pub(super) mod cases;
}

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

/// For the calling thread and whatever it starts.
fn mount(folder: &Path) -> Result<Mounted, std::io::Error> {
    use std::os::unix::ffi::OsStrExt;

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

/// From now on the process is nobody in particular, and a file that grows too long is an error.
fn give_up_privileges() {
    const NOBODY: u32 = 65_534;
    // SAFETY: numbers only. Without privileges they fail, and there is nothing to give up.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setgroups(0, std::ptr::null());
        libc::setresgid(NOBODY, NOBODY, NOBODY);
        libc::setresuid(NOBODY, NOBODY, NOBODY);
    }
}

#[test]
fn files_say_what_stds_say() {
    if child::case().is_none() {
        // What the cases leave behind, they leave in here.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let folder = folder.path().to_str().unwrap();
        return Child::new(test_name!(), "").env("TMPDIR", folder).run().assert_success();
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let own = mount(folder.path());
    if let Err(error) = &own {
        eprintln!("skipped, without file systems of the process's own: {error}");
    }
    let _ = MOUNTED.set(own.ok());
    give_up_privileges();
    let (std, ours) = (of_std::cases::CASES, of_ropewalk::cases::CASES);
    assert!(std.len() >= 40, "only {} cases", std.len());
    for ((name, case), (_, expected)) in ours.iter().zip(std) {
        let expected = expected();
        for driver in drivers() {
            for plan in PLANS {
                let said = on_driver(driver, move || plan.spawn(case).join().unwrap());
                assert_eq!(said, expected, "{name}, in a {plan:?} on {driver}");
            }
        }
    }
}
