//! Processes that have a time limit: what arrives, who is killed, and that a result that came in time counts.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ropewalk::process::{Builder, Descriptor, Exit, Stdio};
use ropewalk::{JoinHandle, blocking};

use crate::support::process::cloexec_pipe;
use crate::support::{LONG, guarded, on_every_plan};

const SHORT: Duration = Duration::from_millis(100);

/// How a process ended that did not return.
fn exit_of<T: std::fmt::Debug>(handle: JoinHandle<T>) -> Exit {
    let error = handle.join().expect_err("it does not return");
    assert!(!error.is_cancelled() && !error.is_panic(), "{error}");
    error.exit().unwrap_or_else(|| panic!("it ran: {error}")).clone()
}

/// A process with the writing end of a pipe as its argument, and the reading end.
fn with_pipe(builder: Builder, f: impl Fn(Descriptor) + Copy + Send + 'static) -> (JoinHandle<()>, File) {
    let (read, write) = cloexec_pipe();
    (builder.spawn(f, write.into()).unwrap(), File::from(read))
}

/// What those who had the other end of a pipe have written, when the last of them has ended.
fn all(mut file: File) -> String {
    let mut text = String::new();
    // A coroutine must not hold up the one that looks after the process.
    blocking(|| file.read_to_string(&mut text)).unwrap();
    text
}

fn wait_for_ever(_: Descriptor) {
    loop {
        std::thread::park();
    }
}

/// As [`wait_for_ever`], deaf to `SIGTERM`.
fn ignore_terminate(descriptor: Descriptor) {
    let deaf = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, deaf).unwrap();
    rustix::io::write(&descriptor, b"deaf").unwrap();
    wait_for_ever(descriptor);
}

/// Cleans up when `SIGTERM` comes, and returns.
fn tidy_up(descriptor: Descriptor) {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM]).unwrap();
    rustix::io::write(&descriptor, b"waiting, ").unwrap();
    signals.forever().next();
    rustix::io::write(&descriptor, b"tidied up").unwrap();
}

#[test]
fn a_process_that_has_not_returned_by_its_deadline_is_killed() {
    on_every_plan(|_| {
        let builder = Builder::new().name("slow".into()).deadline(SHORT).kill_deadline(LONG);
        let (handle, file) = with_pipe(builder, wait_for_ever);
        let error = handle.join().unwrap_err();
        assert_eq!(error.exit(), Some(&Exit::DeadlineExceeded));
        assert!(
            error.to_string().ends_with("('slow') had not returned by its deadline and was killed"),
            "{error}"
        );
        assert_eq!(all(file), "", "it has ended");
    });
}

#[test]
fn a_process_that_computes_is_killed_at_its_deadline_too() {
    guarded(|| {
        let spin = |_: Descriptor| -> () {
            loop {
                std::hint::spin_loop();
            }
        };
        let (handle, file) = with_pipe(Builder::new().deadline(SHORT), spin);
        assert_eq!(exit_of(handle), Exit::DeadlineExceeded);
        assert_eq!(all(file), "");
    });
}

#[test]
fn one_that_is_deaf_is_killed_after_its_kill_deadline() {
    guarded(|| {
        // It says that it is deaf before its deadline passes, or is killed by the first signal: both end it.
        let (handle, file) = with_pipe(Builder::new().deadline(SHORT).kill_deadline(SHORT), ignore_terminate);
        assert_eq!(exit_of(handle), Exit::DeadlineExceeded);
        assert!(["deaf", ""].contains(&all(file).as_str()));
    });
}

#[test]
fn one_that_tidies_up_after_its_deadline_may_do_so_but_is_late_all_the_same() {
    guarded(|| {
        let deadline = Duration::from_secs(2);
        let (handle, file) = with_pipe(Builder::new().deadline(deadline).kill_deadline(LONG), tidy_up);
        assert_eq!(exit_of(handle), Exit::DeadlineExceeded);
        // Unless the machine was so busy that it had not begun.
        assert!(["waiting, tidied up", ""].contains(&all(file).as_str()));
    });
}

#[test]
fn what_a_late_process_has_started_is_killed_with_it() {
    guarded(|| {
        let body = |descriptor: Descriptor| {
            let deaf = "trap '' TERM; echo ready; while :; do sleep 3600; done";
            let output = OwnedFd::from(descriptor);
            let program = std::process::Command::new("/bin/sh").args(["-c", deaf]).stdout(output).spawn();
            program.unwrap().wait().unwrap();
        };
        let (handle, file) = with_pipe(Builder::new().deadline(Duration::from_secs(1)), body);
        assert_eq!(exit_of(handle), Exit::DeadlineExceeded);
        assert!(["ready\n", ""].contains(&all(file).as_str()), "nobody has the other end any more");
    });
}

#[test]
fn a_deadline_far_away_changes_nothing() {
    guarded(|| {
        let far = || Builder::new().deadline(LONG).stderr(Stdio::null());
        assert_eq!(far().spawn(|n: u32| n + 1, 1).unwrap().join().unwrap(), 2);
        assert_eq!(exit_of::<()>(far().spawn(|code| std::process::exit(code), 7).unwrap()), Exit::Exited(7));
        let panics: JoinHandle<()> = far().spawn(|()| panic!("expected"), ()).unwrap();
        assert!(panics.join().unwrap_err().is_panic());
        let never = Builder::new().deadline(Duration::MAX).spawn(|n: u32| n + 1, 2).unwrap();
        assert_eq!(never.join().unwrap(), 3, "a deadline beyond the clock is none");
    });
}

#[test]
fn a_cancel_before_the_deadline_is_a_cancel() {
    guarded(|| {
        let (handle, file) = with_pipe(Builder::new().deadline(LONG), wait_for_ever);
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_eq!(all(file), "");
    });
}

#[test]
fn an_allocation_beyond_the_limit_says_so_on_standard_error() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let builder = Builder::new().memory(1 << 30).stderr(Stdio::from(write));
        let exit = exit_of(builder.spawn(|size| vec![1_u8; size].len(), 4 << 30).unwrap());
        assert!(matches!(exit, Exit::Signaled { signal: libc::SIGABRT, .. }), "{exit}");
        let text = all(File::from(read));
        assert!(text.contains("memory allocation of 4294967296 bytes failed"), "{text}");
    });
}
