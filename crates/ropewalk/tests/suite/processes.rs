//! Functions in processes of their own: what goes in and out, every way to end, and that nothing is left behind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::{self, Descriptor, Exit};
use ropewalk::{JoinHandle, blocking, coroutine};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::support::child::{Child, case, test_name};
use crate::support::net::listener;
use crate::support::process::cloexec_pipe;
use crate::support::{LONG, guarded, on_every_plan, runtime};

fn fib(n: u32) -> u64 {
    if n < 2 { n.into() } else { fib(n - 1) + fib(n - 2) }
}

/// How a process ended that did not return.
fn exit_of<T: std::fmt::Debug>(handle: JoinHandle<T>) -> Exit {
    let error = handle.join().expect_err("it does not return");
    error.exit().unwrap_or_else(|| panic!("it ran: {error}")).clone()
}

#[test]
fn a_function_runs_in_a_process_of_its_own() {
    on_every_plan(|plan| {
        let handle =
            plan.spawn(|| process::spawn(|n| (std::process::id(), fib(n)), 20).unwrap()).join().unwrap();
        let (id, value) = handle.join().unwrap();
        assert_eq!(value, 6765);
        assert_ne!(id, std::process::id());
    });
}

#[test]
fn a_process_has_memory_of_its_own() {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    guarded(|| {
        WRITTEN.store(1, SeqCst);
        let seen = process::spawn(|value| (WRITTEN.swap(value, SeqCst), WRITTEN.load(SeqCst)), 7).unwrap();
        assert_eq!(seen.join().unwrap(), (0, 7), "it begins anew, and has its own");
        assert_eq!(WRITTEN.load(SeqCst), 1);
    });
}

#[test]
fn a_thread_that_was_not_spawned_here_can_spawn_one() {
    guarded(|| assert_eq!(process::spawn(fib, 10).unwrap().join().unwrap(), 55));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Order {
    Nothing,
    Words { by: String, words: Vec<String> },
    Number(i128),
}

#[test]
fn arguments_and_results_are_whatever_serde_can_serialize() {
    guarded(|| {
        let orders = vec![
            Order::Nothing,
            Order::Words { by: "绳".into(), words: vec!["rope".into(), String::new()] },
            Order::Number(i128::MIN),
        ];
        let back = process::spawn(|orders: Vec<Order>| orders, orders.clone()).unwrap();
        assert_eq!(back.join().unwrap(), orders);
    });
}

#[test]
fn a_message_may_be_much_larger_than_a_socket_holds() {
    guarded(|| {
        let long: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let back = process::spawn(
            |mut bytes: Vec<u8>| {
                bytes.reverse();
                bytes
            },
            long.clone(),
        )
        .unwrap()
        .join()
        .unwrap();
        assert!(back.iter().rev().eq(&long), "it came back reversed");
    });
}

#[test]
fn descriptors_travel_in_arguments_and_results() {
    guarded(|| {
        // More than the kernel takes in one packet.
        let (read, write) = cloexec_pipe();
        let many: Vec<Descriptor> = (0..300).map(|_| write.try_clone().unwrap().into()).collect();
        drop(write);
        let back = process::spawn(
            |many: Vec<Descriptor>| {
                for (n, descriptor) in many.iter().enumerate() {
                    rustix::io::write(descriptor, &[n as u8]).unwrap();
                }
                many.into_iter().next().unwrap()
            },
            many,
        );
        let last: OwnedFd = back.unwrap().join().unwrap().into();
        rustix::io::write(&last, b"end").unwrap();
        drop(last);
        let mut all = Vec::new();
        File::from(read).read_to_end(&mut all).unwrap();
        let expected: Vec<u8> = (0..300).map(|n| n as u8).chain(*b"end").collect();
        assert_eq!(all, expected);
    });
}

#[test]
fn a_listener_and_a_connection_are_handed_over() {
    on_every_plan(|_| {
        let (listener, address) = listener();
        let accept = |listener: TcpListener| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"from the child, ").unwrap();
            stream
        };
        let server = process::spawn(accept, listener).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        server.join().unwrap().write_all(b"from the parent").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "from the child, from the parent");
    });
}

#[test]
fn a_descriptor_cannot_be_written_down_elsewhere() {
    let descriptor = Descriptor::from(OwnedFd::from(File::open("/dev/null").unwrap()));
    let error = serde_json::to_string(&descriptor).unwrap_err();
    assert!(error.to_string().contains("only in messages"), "{error}");
}

#[test]
fn an_argument_that_cannot_be_sent_is_refused_at_once() {
    #[derive(Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        inner: std::collections::BTreeMap<String, u8>,
    }

    let error =
        process::spawn(|flat: Flat| flat.inner.len(), Flat { inner: [("a".into(), 1)].into() }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_result_that_cannot_be_sent_is_told_by_join() {
    #[derive(Debug, Deserialize)]
    struct Stubborn;

    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it does not want to"))
        }
    }

    guarded(|| {
        let error = process::spawn(|()| Stubborn, ()).unwrap().join().unwrap_err();
        assert!(error.exit().is_none() && error.to_string().contains("the result cannot be sent"), "{error}");
    });
}

#[test]
fn a_panic_arrives_with_its_message_and_backtrace() {
    guarded(|| {
        fn the_place(n: u32) {
            panic!("expected: {n}");
        }
        let error = process::spawn(the_place, 7).unwrap().join().unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        let Some(Exit::Panicked { message, backtrace }) = error.exit() else { panic!("{error}") };
        assert_eq!(message, "expected: 7");
        assert!(backtrace.contains("the_place"), "{backtrace}");
        assert!(error.to_string().ends_with("panicked: expected: 7"), "{error}");
        assert_eq!(error.downcast::<String>().unwrap(), "expected: 7");
    });
}

#[test]
fn every_way_to_die_reaches_the_parent_as_a_value() {
    let signaled = |exit: Exit| match exit {
        Exit::Signaled { signal, .. } => signal,
        other => panic!("it was a signal: {other}"),
    };
    guarded(|| {
        let quiet = || process::Builder::new().stderr(process::Stdio::null());
        let abort = quiet().spawn(|()| std::process::abort(), ()).unwrap();
        assert_eq!(signaled(exit_of::<()>(abort)), Signal::ABORT.as_raw());

        let segv =
            quiet().spawn(|()| kill_process(rustix::process::getpid(), Signal::SEGV).unwrap(), ()).unwrap();
        assert_eq!(signaled(exit_of(segv)), Signal::SEGV.as_raw());

        #[expect(unconditional_recursion, reason = "that is what the test is about")]
        fn deeper(bytes: [u8; 1024]) -> u8 {
            std::hint::black_box(deeper(std::hint::black_box(bytes))) + bytes[0]
        }
        let overflow = quiet().spawn(|()| deeper([0; 1024]), ()).unwrap();
        assert!([Signal::ABORT.as_raw(), Signal::SEGV.as_raw()].contains(&signaled(exit_of(overflow))));

        let kill =
            quiet().spawn(|()| kill_process(rustix::process::getpid(), Signal::KILL).unwrap(), ()).unwrap();
        assert_eq!(signaled(exit_of(kill)), Signal::KILL.as_raw());

        let exit = quiet().spawn(|code| std::process::exit(code), 3).unwrap();
        assert_eq!(exit_of::<()>(exit), Exit::Exited(3));
        let exit = quiet().spawn(|code| std::process::exit(code), 0).unwrap();
        assert_eq!(exit_of::<()>(exit), Exit::Exited(0), "an exit is no return");

        let memory = quiet().memory(1 << 30).spawn(|size| vec![1_u8; size].len(), 4 << 30).unwrap();
        assert_eq!(signaled(exit_of(memory)), Signal::ABORT.as_raw());

        let cpu = quiet().cpu_time(Duration::from_millis(1)).spawn(
            |()| -> () {
                loop {
                    std::hint::spin_loop()
                }
            },
            (),
        );
        assert_eq!(exit_of(cpu.unwrap()), Exit::OutOfCpuTime);
    });
}

/// Waits for ever, after it has said so through `descriptor`.
fn wait_for_ever(descriptor: Descriptor) {
    rustix::io::write(&descriptor, &std::process::id().to_ne_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

/// A process that waits for ever, its number, and what is at its end when all who have the other end are gone.
fn waiting(
    builder: process::Builder,
    f: impl Fn(Descriptor) + Copy + Send + 'static,
) -> (JoinHandle<()>, Pid, File) {
    let (read, write) = cloexec_pipe();
    let handle = builder.spawn(f, write.into()).unwrap();
    let mut file = File::from(read);
    let mut id = [0; 4];
    // A coroutine must not hold up the one that looks after the process.
    blocking(|| file.read_exact(&mut id)).unwrap();
    (handle, Pid::from_raw(i32::from_ne_bytes(id)).unwrap(), file)
}

/// As [`wait_for_ever`], deaf to `SIGTERM`.
fn ignore_terminate(descriptor: Descriptor) {
    let deaf = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, deaf).unwrap();
    wait_for_ever(descriptor);
}

/// Until nobody has the other end of a pipe any more.
fn assert_end(mut file: File) {
    assert_eq!(blocking(|| file.read(&mut [0])).unwrap(), 0, "all who had the other end are gone");
}

#[test]
fn a_kill_from_outside_is_told_as_it_was() {
    guarded(|| {
        let (handle, pid, file) = waiting(process::Builder::new(), wait_for_ever);
        kill_process(pid, Signal::KILL).unwrap();
        assert_eq!(exit_of(handle), Exit::Signaled { signal: 9, core_dumped: false });
        assert_end(file);
    });
}

#[test]
fn a_cancel_ends_a_process() {
    on_every_plan(|_| {
        let (handle, _, file) = waiting(process::Builder::new().kill_deadline(LONG), wait_for_ever);
        handle.cancel();
        let error = handle.join().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_end(file);
    });
}

#[test]
fn a_process_that_is_deaf_to_a_cancel_is_killed_after_its_deadline() {
    guarded(|| {
        let builder = process::Builder::new().kill_deadline(Duration::from_millis(50));
        let (handle, _, file) = waiting(builder, ignore_terminate);
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_end(file);
    });
}

#[test]
fn a_timeout_around_the_join_leaves_the_process_and_a_timeout_of_join_gives_the_handle_back() {
    guarded(|| {
        let (handle, _, file) = waiting(process::Builder::new(), wait_for_ever);
        let handle = handle.join_timeout(Duration::from_millis(1)).expect_err("it goes on");
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_end(file);
    });
}

#[test]
fn what_a_cancelled_process_has_started_is_killed_with_it() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let body = |descriptor: Descriptor| {
            let own = OwnedFd::from(descriptor);
            // A program of somebody else's, deaf to SIGTERM, that holds the descriptor as its standard output.
            let deaf = "trap '' TERM; echo ready; while :; do sleep 3600; done";
            let program = std::process::Command::new("/bin/sh").args(["-c", deaf]).stdout(own).spawn();
            program.unwrap().wait().unwrap();
        };
        let handle = process::spawn(body, write.into()).unwrap();
        let mut file = File::from(read);
        file.read_exact(&mut [0; 6]).unwrap();
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_end(file);
    });
}

#[test]
fn a_daemon_ends_with_the_task_that_spawned_it() {
    guarded(|| {
        let file = runtime(2).run(|| {
            let task = coroutine::spawn(|| {
                let (handle, _, file) = waiting(process::Builder::new().daemon(true), wait_for_ever);
                drop(handle);
                file
            });
            let file = task.join().unwrap();
            assert_end(file.try_clone().unwrap());
            file
        });
        assert_end(file);
    });
}

#[test]
fn a_runtime_waits_for_its_processes() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        runtime(1).run(|| {
            let say = |descriptor: Descriptor| rustix::io::write(&descriptor, b"done").unwrap();
            drop(process::spawn(say, write.into()).unwrap());
        });
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "done");
    });
}

#[test]
fn a_child_ends_with_its_parent_and_so_do_the_childs_children() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let body = |descriptor: Descriptor| {
            rustix::io::write(&descriptor, &std::process::id().to_ne_bytes()).unwrap();
            process::spawn(wait_for_ever, descriptor).unwrap().join().unwrap();
        };
        let handle = process::spawn(body, write.into()).unwrap();
        let mut file = File::from(read);
        let (mut child, mut grandchild) = ([0; 4], [0; 4]);
        file.read_exact(&mut child).unwrap();
        file.read_exact(&mut grandchild).unwrap();
        assert_ne!(child, grandchild);
        kill_process(Pid::from_raw(i32::from_ne_bytes(child)).unwrap(), Signal::KILL).unwrap();
        assert_eq!(exit_of(handle), Exit::Signaled { signal: 9, core_dumped: false });
        assert_end(file);
    });
}

#[test]
fn environment_directory_and_output_are_the_builders() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let look = |()| {
            println!("printed");
            let mut input = String::new();
            io::stdin().read_to_string(&mut input).unwrap();
            (
                std::env::var("ROPE").ok(),
                std::env::var("PATH").is_ok(),
                std::env::current_dir().unwrap(),
                input,
            )
        };
        let builder = process::Builder::new().env("ROPE", "walk").env_remove("PATH").current_dir("/");
        let handle = builder.stdout(process::Stdio::from(write)).spawn(look, ()).unwrap();
        let seen = handle.join().unwrap();
        assert_eq!(seen, (Some("walk".into()), false, "/".into(), String::new()));
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "printed\n");
        let variables = |()| std::env::vars().collect::<Vec<_>>();
        let bare = process::Builder::new().env_clear().env("A", "b").spawn(variables, ()).unwrap();
        assert_eq!(bare.join().unwrap(), [("A".to_owned(), "b".to_owned())]);
    });
}

#[test]
fn a_process_may_run_coroutines_and_processes_of_its_own() {
    guarded(|| {
        let sum = process::spawn(
            |n: u64| {
                ropewalk::run(|| {
                    let parts: Vec<_> = (0..n).map(|n| coroutine::spawn(move || n)).collect();
                    let inner = process::spawn(fib, 10).unwrap().join().unwrap();
                    inner + parts.into_iter().map(|part| part.join().unwrap()).sum::<u64>()
                })
            },
            100,
        );
        assert_eq!(sum.unwrap().join().unwrap(), 55 + 4950);
    });
}

#[test]
fn a_child_that_closes_its_link_is_lost() {
    guarded(|| {
        let cut = |()| {
            // All but the standard ones: the link is among them.
            for descriptor in 3..100 {
                // SAFETY: none; nobody uses them any more in this process but the link, which is what the test is about.
                unsafe { libc::close(descriptor) };
            }
            loop {
                std::thread::park();
            }
        };
        let handle: JoinHandle<()> = process::spawn(cut, ()).unwrap();
        assert_eq!(exit_of(handle), Exit::Lost);
    });
}

#[test]
fn a_grandchild_that_keeps_the_link_open_does_not_keep_the_parent_waiting() {
    guarded(|| {
        let fork = |descriptor: Descriptor| {
            // SAFETY: the copy does nothing but wait.
            if unsafe { libc::fork() } == 0 {
                wait_for_ever(descriptor);
            }
            std::process::exit(9)
        };
        let (handle, copy, file) = waiting(process::Builder::new(), fork);
        assert_eq!(exit_of(handle), Exit::Exited(9));
        kill_process(copy, Signal::KILL).unwrap();
        assert_end(file);
    });
}

/// Copies this very program, and runs the copy, after `change` has had its way with the file, with this test's case.
fn run_changed_program(test: &str, change: impl FnOnce(&std::path::Path), runs: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("renamed");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    change(&copy);
    for case in runs {
        let mut command = std::process::Command::new(&copy);
        let output =
            command.args([test, "--exact", "--nocapture"]).env("ROPEWALK_TEST_CASE", case).output().unwrap();
        assert!(output.status.success(), "{case}: {output:?}");
    }
}

#[test]
fn a_program_may_be_renamed_stripped_and_removed_while_it_runs() {
    guarded(|| match case().as_deref() {
        None => {
            let strip = |copy: &std::path::Path| match std::process::Command::new("strip").arg(copy).status()
            {
                Ok(status) => assert!(status.success()),
                Err(error) => eprintln!("without strip: {error}"),
            };
            run_changed_program(test_name!(), strip, &["as it is", "removed"]);
        }
        Some("removed") => {
            let own = std::env::current_exe().unwrap();
            assert!(own.ends_with("renamed"));
            assert_eq!(process::spawn(fib, 5).unwrap().join().unwrap(), 5);
            std::fs::remove_file(&own).unwrap();
            std::fs::write(&own, "something else").unwrap();
            assert_eq!(process::spawn(fib, 6).unwrap().join().unwrap(), 8);
        }
        Some(_) => assert_eq!(process::spawn(fib, 7).unwrap().join().unwrap(), 13),
    });
}

#[test]
fn a_name_alone_makes_no_child() {
    use std::os::unix::process::CommandExt;

    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.arg0("ropewalk-child").stdin(std::process::Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("its standard input is no link to its parent"), "{stderr}");
}

#[test]
fn where_somebody_else_reaps_results_arrive_and_other_ends_are_lost() {
    guarded(|| {
        if case().is_none() {
            return Child::new(test_name!(), "SIGCHLD is ignored").run().assert_success();
        }
        // SAFETY: no handler is installed; nobody else in this process waits for children.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        assert_eq!(process::spawn(fib, 10).unwrap().join().unwrap(), 55);
        let exit: JoinHandle<()> = process::spawn(|code| std::process::exit(code), 3).unwrap();
        assert_eq!(exit_of(exit), Exit::Lost);
    });
}
