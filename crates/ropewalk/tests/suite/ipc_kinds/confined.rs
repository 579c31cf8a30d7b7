//! Where a process may do little: as nobody, with 64 MB of shared memory, without message queues' file system and io_uring.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use ropewalk::ipc::Segment;
use ropewalk::{DriverKind, Runtime};

use crate::support::child::{CASE, Child, case, test_name};
use crate::support::confine::{deny_io_uring, mount_memory, own_mounts, this_program_as_nobody, unmount};
use crate::support::guarded;

/// The example that has every way.
#[expect(dead_code, reason = "its `main`")]
#[path = "../../../examples/ipc/main.rs"]
mod ways;

const SHARED_MEMORY: &str = "/dev/shm";
/// Of 80 MB.
const WORDS: usize = 10 << 20;
/// The cases: nobody else's files are there, or perhaps somebody's.
const OWN: &str = "with file systems of its own";
const OTHERS: &str = "with those that there are";

/// Mounts what there is to be, and then runs the test once more, as nobody.
fn confine(test: &'static str) {
    let mounted =
        own_mounts().and_then(|()| mount_memory(Path::new(SHARED_MEMORY), 0, c"size=64m,mode=1777"));
    let case = if mounted.is_ok() { OWN } else { OTHERS };
    if case == OWN {
        unmount(c"/dev/mqueue");
    }
    deny_io_uring(libc::EPERM);
    let mut nobody = this_program_as_nobody();
    let output = nobody.args([test, "--exact", "--nocapture"]).env(CASE, case).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("running 1 test"), "{output:#?}");
}

#[test]
fn every_way_works_where_little_is_allowed() {
    let case = case();
    match case.as_deref() {
        None => {
            return Child::new(test_name!(), "to confine").without("ROPEWALK_DRIVER").run().assert_success();
        }
        Some(OWN | OTHERS) => {}
        Some(_) => return confine(test_name!()),
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    assert_eq!(runtime.driver().kind(), DriverKind::Epoll);
    runtime.run(|| {
        for (name, program) in ways::WAYS {
            guarded(|| program().unwrap_or_else(|error| panic!("{name}: {error}")));
        }
        // Memory without a name is no file of a mounted file system, so that one's size is no bound.
        let segment = Segment::<AtomicU64>::new(WORDS).unwrap();
        assert_eq!(segment.len(), WORDS);
    });
    if case.as_deref() == Some(OWN) {
        let left: Vec<_> = std::fs::read_dir(SHARED_MEMORY).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}
