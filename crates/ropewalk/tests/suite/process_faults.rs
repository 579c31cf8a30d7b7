//! What others do to a program that runs Ropewalk - fork it, close its descriptors, take its rights away - and that it
//! ends in an error that says what it is, and never in a wait for ever.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use ropewalk::channel::{self, Sender};
use ropewalk::net::TcpStream;
use ropewalk::{DriverKind, JoinHandle, Runtime, coroutine, process, thread, timeout};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, setrlimit, waitpid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::child::{self, Child, on_every_driver_alone, test_name};
use crate::support::net::pair;
use crate::support::plan::{driver_named, drivers};
use crate::support::process::{assert_settles, children, descriptors};
use crate::support::{LONG, guarded, on_driver, runtime};

/// A process that hangs is ended by `SIGALRM` after this many seconds.
const PATIENCE: u32 = 30;

/// Has `body` run in a copy of this process that fork(2) makes, and tells how the copy ended.
fn in_a_copy(body: impl FnOnce()) -> ExitStatus {
    // SAFETY: none; that a program does this is what the tests are about. What `body` does works in practice, since no
    // other thread holds the allocator's lock for ever: glibc sees to that at a fork.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: both take numbers. Nothing of the copy runs after `_exit`.
            unsafe {
                libc::alarm(PATIENCE);
                let ended = catch_unwind(AssertUnwindSafe(body));
                libc::_exit(if ended.is_ok() { 0 } else { 101 });
            }
        }
        copy => {
            let copy = Pid::from_raw(copy).expect("there was room for a process");
            let (_, status) = waitpid(Some(copy), WaitOptions::empty()).unwrap().expect("it has ended");
            ExitStatus::from_raw(status.as_raw())
        }
    }
}

fn assert_says_copy<T>(result: io::Result<T>) {
    let Err(error) = result else { panic!("a copy can do nothing") };
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("a copy that fork(2) made"), "{error}");
}

fn spawns_are_errors() {
    assert_says_copy(coroutine::Builder::new().spawn(|| ()));
    assert_says_copy(thread::Builder::new().spawn(|| ()));
    assert_says_copy(process::spawn(|()| (), ()));
    assert_says_copy(Runtime::builder().build());
}

#[test]
fn in_a_copy_that_fork_made_spawns_are_errors() {
    on_every_driver_alone(test_name!(), |_| {
        let from_a_thread = in_a_copy(spawns_are_errors);
        assert!(from_a_thread.success(), "{from_a_thread}");
        let from_a_coroutine = coroutine::spawn(|| in_a_copy(spawns_are_errors)).join().unwrap();
        assert!(from_a_coroutine.success(), "{from_a_coroutine}");
        assert_eq!(process::spawn(|n: u32| n + 1, 1).unwrap().join().unwrap(), 2, "the original goes on");
    });
}

/// What a copy may wait for in vain.
struct Surroundings {
    sleeper: Option<JoinHandle<()>>,
    near: TcpStream,
    sender: Sender<()>,
}

type WaitInVain = fn(&mut Surroundings);

/// What both a coroutine and a thread may wait for.
const WAITS: [WaitInVain; 4] = [
    |surroundings| drop(surroundings.sleeper.take().unwrap().join()),
    |_| coroutine::sleep(LONG),
    |surroundings| drop(surroundings.near.read(&mut [0])),
    |surroundings| surroundings.sender.send(()).unwrap(),
];

/// That gives way to nobody in a thread, and to others of the same worker in a coroutine.
const YIELDS: WaitInVain = |_| {
    loop {
        coroutine::yield_now();
    }
};

fn copies_that_wait(waits: &[WaitInVain]) {
    let (near, _far) = pair();
    let (sender, _receiver) = channel::bounded(0);
    let sleeper = coroutine::Builder::new().daemon(true).spawn(|| coroutine::sleep(LONG));
    let mut surroundings = Surroundings { sleeper: Some(sleeper.unwrap()), near, sender };
    for wait in waits {
        // What it takes out of the surroundings it takes out of its copy of them.
        let status = in_a_copy(|| wait(&mut surroundings));
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    }
}

#[test]
fn in_a_copy_that_fork_made_a_wait_ends_the_copy_and_says_why() {
    if let Some(case) = child::case() {
        let (driver, plan) = case.split_once('/').unwrap();
        let body: fn() = match plan {
            "coroutine" => || {
                let waits = [&WAITS[..], &[YIELDS]].concat();
                coroutine::spawn(move || copies_that_wait(&waits)).join().unwrap();
            },
            _ => || copies_that_wait(&WAITS),
        };
        return on_driver(driver_named(driver), body);
    }
    for driver in drivers() {
        for (plan, waits) in [("coroutine", WAITS.len() + 1), ("thread", WAITS.len())] {
            let outcome = Child::new(test_name!(), format!("{driver}/{plan}")).run();
            outcome.assert_success();
            let told =
                outcome.stderr.matches("is impossible: this process is a copy that fork(2) made").count();
            assert_eq!(told, waits, "{plan}: {outcome:#?}");
        }
    }
}

#[test]
fn what_a_copy_drops_goes_on_in_the_original() {
    on_every_driver_alone(test_name!(), |_| {
        let (near, mut far) = pair();
        let watched = coroutine::spawn(move || {
            let mut near = near;
            assert!(timeout(Duration::from_millis(1), || near.read(&mut [0])).is_err());
            near
        });
        let mut near = Some(watched.join().unwrap());
        let dropped = in_a_copy(|| drop(near.take()));
        assert!(dropped.success(), "{dropped}");
        let mut near = near.expect("the copy took its own");
        let (ready, is_ready) = channel::bounded(1);
        let reader = coroutine::spawn(move || {
            ready.send(()).unwrap();
            near.read_exact(&mut [0])
        });
        is_ready.recv().unwrap();
        far.write_all(&[1]).unwrap();
        reader.join().unwrap().unwrap();
    });
}

#[test]
fn a_program_may_fork_before_it_uses_anything_as_a_daemon_does() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        let daemon = in_a_copy(|| {
            let sum = runtime(2).run(|| {
                let process = process::spawn(|n: u32| n + 1, 1).unwrap();
                let (coroutine, thread) = (coroutine::spawn(|| 10), thread::spawn(|| 100));
                process.join().unwrap() + coroutine.join().unwrap() + thread.join().unwrap()
            });
            assert_eq!(sum, 112);
        });
        assert!(daemon.success(), "{daemon}");
    });
}

/// Closes what is not its own: all but the standard descriptors.
fn close_everything() {
    // SAFETY: none; nothing that is closed here is used by anybody else in this process but Ropewalk, which is what the
    // tests are about.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0);
}

#[test]
fn whoever_waits_after_all_descriptors_were_closed_is_told_or_ended() {
    if let Some(case) = child::case() {
        let (driver, place) = case.split_once('/').unwrap();
        let runtime = Runtime::builder().workers(2).driver(driver_named(driver)).build().unwrap();
        return guarded(|| {
            runtime.run(|| {
                let asleep = coroutine::spawn(|| coroutine::sleep(LONG));
                match place {
                    "a coroutine" => close_everything(),
                    "a thread" => thread::spawn(close_everything).join().unwrap(),
                    _ => unreachable!("there are two places"),
                }
                asleep.join().unwrap();
            });
        });
    }
    for driver in drivers() {
        for place in ["a coroutine", "a thread"] {
            let outcome = Child::new(test_name!(), format!("{driver}/{place}")).run();
            outcome.assert_killed_by(Signal::ABORT);
            assert!(outcome.stderr.contains("is cut off from the kernel"), "{place}: {outcome:#?}");
        }
    }
}

#[test]
fn a_thread_that_waits_for_a_descriptor_that_was_closed_has_an_error() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        // Plain threads, without a worker in the process.
        let (mut near, far) = pair();
        close_everything();
        let error = near.read(&mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{error}");
        std::mem::forget((near, far));
    });
}

/// Says why a process could not be started.
#[track_caller]
fn refusal<T: std::fmt::Debug>(spawned: io::Result<JoinHandle<T>>) -> String {
    match spawned.map(JoinHandle::join) {
        Ok(Ok(value)) => panic!("it ran: {value:?}"),
        Ok(Err(error)) => {
            assert!(error.exit().is_none() && !error.is_cancelled(), "{error}");
            error.to_string()
        }
        Err(error) => error.to_string(),
    }
}

fn spawn_something() -> io::Result<JoinHandle<u32>> {
    process::spawn(|n| n + 1, 1)
}

/// Runs this test's case in a copy of the program, at a place where everybody may run it.
fn in_a_program_of_its_own(test: &str, change: impl FnOnce(&mut Command)) -> std::process::Output {
    let directory = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everybody.clone()).unwrap();
    let program = directory.path().join("suite");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, everybody).unwrap();
    let mut command = Command::new(&program);
    command.args([test, "--exact", "--nocapture", "--test-threads=2"]).env("ROPEWALK_TEST_CASE", "inside");
    command.current_dir("/");
    change(&mut command);
    let output = loop {
        match command.output() {
            // A program that another test starts has the file open, as it was for writing, until it is executed.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.unwrap(),
        }
    };
    assert!(output.status.success(), "{output:#?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "{output:#?}");
    output
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user that has no other processes.
const NOBODY_ELSE: u32 = 61_873;

#[test]
fn a_program_without_privileges_has_processes_as_ever() {
    if child::case().is_some() {
        return guarded(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            let nested = process::spawn(|()| spawn_something().unwrap().join().unwrap(), ());
            assert_eq!(nested.unwrap().join().unwrap(), 2);
            let error = process::Builder::new().open_files(1 << 30).spawn(|n: u32| n, 1);
            assert!(refusal(error).contains("is lower already"), "a limit cannot be raised");
        });
    }
    in_a_program_of_its_own(test_name!(), |command| {
        if is_root() {
            command.uid(NOBODY_ELSE).gid(NOBODY_ELSE);
        }
    });
}

#[test]
fn a_program_that_gives_up_its_rights_while_it_runs_goes_on() {
    if child::case().is_some() {
        return guarded(|| {
            assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            // SAFETY: libc's, which change all threads of the process.
            unsafe {
                assert_eq!(libc::setgid(NOBODY_ELSE), 0);
                assert_eq!(libc::setuid(NOBODY_ELSE), 0);
            }
            // The kernel hides much of /proc/self from such a process, but not what it needs for this.
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap();
            let user = process::spawn(|()| rustix::process::geteuid().as_raw(), ()).unwrap();
            assert_eq!(user.join().unwrap(), NOBODY_ELSE);
        });
    }
    if is_root() {
        in_a_program_of_its_own(test_name!(), |_| {});
    } else {
        eprintln!("skipped: only root has rights to give up");
    }
}

#[test]
fn a_program_that_may_not_be_executed_again_says_so() {
    if child::case().is_some() {
        return guarded(|| {
            assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            let own = std::env::current_exe().unwrap();
            std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o644)).unwrap();
            let text = refusal(spawn_something());
            assert!(text.contains("noexec") && text.contains("x bits"), "{text}");
        });
    }
    in_a_program_of_its_own(test_name!(), |_| {});
}

#[test]
fn a_program_on_a_file_system_that_is_mounted_noexec_says_so() {
    if let Some(directory) = child::case() {
        return guarded(move || {
            assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            let remount = Command::new("mount").args(["-o", "remount,noexec", &directory]).status();
            assert!(remount.unwrap().success());
            let text = refusal(spawn_something());
            assert!(text.contains("noexec"), "{text}");
        });
    }
    // A file system of its own, which nobody else sees, and which goes with the program.
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().expect("a path that is text");
    let in_a_mount = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh", place]).env("ROPEWALK_TEST_CASE", place);
        command.arg(std::env::current_exe().unwrap()).arg(test_name!());
        command.output()
    };
    const MOUNT: &str = "mount -t tmpfs none \"$1\"";
    if !in_a_mount(MOUNT).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: nothing can be mounted here");
    }
    let script = format!("{MOUNT} && cp \"$2\" \"$1/suite\" && exec \"$1/suite\" \"$3\" --exact --nocapture");
    let output = in_a_mount(&script).unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "{output:#?}");
}

#[test]
fn without_proc_a_program_says_that_it_cannot_be_run_again() {
    if let Some(case) = child::case() {
        return guarded(|| {
            let empty = tempfile::tempdir().unwrap();
            if case == "after" {
                assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            }
            rustix::process::chroot(empty.path()).unwrap();
            let text = refusal(spawn_something());
            assert!(text.contains("/proc") && text.contains("mount"), "{text}");
        });
    }
    if is_root() {
        for case in ["before", "after"] {
            Child::new(test_name!(), case).run().assert_success();
        }
    } else {
        eprintln!("skipped: only root may change the root directory");
    }
}

/// Has the kernel refuse a system call to this thread and those that it starts.
fn deny(call: i64, errno: i32) {
    let rules = BTreeMap::from([(call, Vec::new())]);
    let here = std::env::consts::ARCH.try_into().expect("an architecture that seccompiler knows");
    let denied = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, here).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("it compiles");
    seccompiler::apply_filter(&program).expect("the kernel takes it");
}

#[test]
fn a_sandbox_that_forbids_to_execute_is_named() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        deny(libc::SYS_execve, libc::EPERM);
        let text = refusal(spawn_something());
        assert!(text.contains("seccomp"), "{text}");
        assert_eq!(coroutine::spawn(|| 42).join().unwrap(), 42, "what needs no process goes on");
    });
}

#[test]
fn a_process_in_a_sandbox_without_io_uring_runs_on_epoll_and_knows_why() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").without("ROPEWALK_DRIVER").run().assert_success();
    }
    guarded(|| {
        deny(libc::SYS_io_uring_setup, libc::EPERM);
        let look = |()| {
            let runtime = runtime(2);
            let driver = runtime.driver().clone();
            assert_eq!(driver.kind(), DriverKind::Epoll);
            let sum = runtime.run(|| coroutine::spawn(|| 1).join().unwrap());
            (sum, driver.reason().unwrap_or_default().to_owned())
        };
        let (sum, reason) = process::spawn(look, ()).unwrap().join().unwrap();
        assert!(sum == 1 && reason.contains("seccomp"), "{reason}");
    });
}

fn limit(resource: Resource, count: u64) {
    setrlimit(resource, Rlimit { current: Some(count), maximum: Some(count) }).unwrap();
}

#[test]
fn where_no_more_processes_are_allowed_a_spawn_says_which_limits_there_are() {
    if child::case().is_some() {
        return guarded(|| {
            assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
            let threads = crate::support::process::threads() as u64;
            limit(Resource::Nproc, threads);
            let text = refusal(spawn_something());
            assert!(text.contains("ulimit -u") && text.contains("pids.max"), "{text}");
            assert_eq!(coroutine::spawn(|| 42).join().unwrap(), 42, "what needs no process goes on");
        });
    }
    if is_root() {
        // The limit is a user's, of all its threads, and root has none.
        in_a_program_of_its_own(test_name!(), |command| {
            command.uid(NOBODY_ELSE + 1).gid(NOBODY_ELSE + 1);
        });
    } else {
        eprintln!("skipped: only root can be another user, who has no other threads");
    }
}

#[test]
fn where_descriptors_run_out_every_spawn_is_run_or_refused_and_none_is_left_behind() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
        // The limit is one of numbers: so that there are no gaps, all below some number are taken.
        let mut fillers = vec![File::open("/dev/null").unwrap()];
        while fillers.last().unwrap().as_raw_fd() < 100 {
            fillers.push(fillers[0].try_clone().unwrap());
        }
        let before = descriptors();
        let (mut ran, mut refused) = (0, 0);
        // Each of the descriptors that a spawn needs is missing once.
        for room in (0..10).rev() {
            setrlimit(Resource::Nofile, Rlimit { current: Some(101 + room), maximum: Some(4096) }).unwrap();
            match spawn_something().map(JoinHandle::join) {
                Ok(Ok(2)) => ran += 1,
                other => {
                    let text = match other {
                        Ok(Ok(_)) => unreachable!("it gives 2"),
                        Ok(Err(error)) => error.to_string(),
                        Err(error) => error.to_string(),
                    };
                    assert!(text.contains("ulimit -n"), "room for {room}: {text}");
                    refused += 1;
                }
            }
        }
        limit(Resource::Nofile, 4096);
        assert!(ran > 0 && refused > 1, "{ran} ran, {refused} were refused");
        assert_settles(descriptors, before, "descriptors");
        assert_settles(children, 0, "children");
        assert_eq!(spawn_something().unwrap().join().unwrap(), 2);
    });
}
