//! What the kernel knows about this process.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ropewalk::coroutine;
use rustix::pipe::PipeFlags;

/// How many descriptors are open, this look's own among them.
pub(crate) fn descriptors() -> usize {
    entries("/proc/self/fd")
}

/// How many threads there are.
pub(crate) fn threads() -> usize {
    entries("/proc/self/task")
}

/// How many children there are, those among them that have ended and were not reaped.
pub(crate) fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted").flatten();
    // A thread may end while one looks.
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.map(|children| children.split_whitespace().count()).sum()
}

/// Looks at a count until it is what it should be, for ten seconds at most: what has ended may still be on its way out. In a
/// coroutine it lets the others of its worker run, who may be those who see to that.
#[track_caller]
pub(crate) fn assert_settles(count: impl Fn() -> usize, expected: usize, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while count() != expected && Instant::now() < deadline {
        coroutine::yield_now();
    }
    assert_eq!(count(), expected, "{what}");
}

/// A pipe that no program inherits which another test starts meanwhile: the end of the reading end would wait for that one.
pub(crate) fn cloexec_pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("there is a descriptor left")
}

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).expect("/proc is mounted").count()
}

/// Raises the limit of open descriptors, if it has to be. `false` if that is not allowed.
pub(crate) fn allow_descriptors(count: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    current.is_none_or(|current| current >= count)
        || maximum.is_none_or(|maximum| maximum >= count)
            && setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).is_ok()
}
