//! Pools of processes: what tasks get, what happens to workers, and that nothing is left behind.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::process::{Builder, Descriptor, Exit, Pool, Stdio};
use ropewalk::{JoinError, JoinHandle, blocking, coroutine, thread, timeout};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::child::{Child, case, test_name};
use crate::support::process::{assert_settles, cloexec_pipe, descriptors};
use crate::support::{Spot, guarded, on_every_plan, runtime, until};

fn pool(size: usize) -> Pool {
    Pool::builder().size(size).build().unwrap()
}

fn id_of(pool: &Pool) -> u32 {
    pool.call(|()| std::process::id(), ()).unwrap()
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

/// How a task ended that did not return.
fn exit_of<T: std::fmt::Debug>(result: Result<T, JoinError>) -> Exit {
    let error = result.expect_err("it does not return");
    error.exit().unwrap_or_else(|| panic!("it ran: {error}")).clone()
}

/// Says which process it is, and waits for ever.
fn wait_for_ever(descriptor: Descriptor) {
    rustix::io::write(&descriptor, &std::process::id().to_ne_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

/// A task of the pool that waits for ever, its worker, and what is at its end when the worker is gone.
fn waiting(pool: &Pool) -> (JoinHandle<()>, u32, File) {
    let (read, write) = cloexec_pipe();
    let handle = pool.spawn(wait_for_ever, write.into()).unwrap();
    let mut file = File::from(read);
    let mut id = [0; 4];
    blocking(|| file.read_exact(&mut id)).unwrap();
    (handle, u32::from_ne_bytes(id), file)
}

fn assert_end(mut file: File) {
    assert_eq!(blocking(|| file.read(&mut [0])).unwrap(), 0, "all who had the other end are gone");
}

#[test]
fn a_thousand_functions_go_through_a_pool_of_four() {
    guarded(|| {
        let pool = pool(4);
        let squares: Vec<_> =
            (0..1000_u64).map(|n| pool.spawn(|n| (n * n, std::process::id()), n).unwrap()).collect();
        let results: Vec<_> = squares.into_iter().map(|square| square.join().unwrap()).collect();
        assert!(results.iter().enumerate().all(|(n, (square, _))| *square == (n * n) as u64));
        let workers: HashSet<_> = results.iter().map(|(_, worker)| worker).collect();
        assert!(workers.len() <= 4 && !workers.contains(&std::process::id()), "{workers:?}");
        pool.close();
    });
}

#[test]
fn every_plan_can_call_and_spawn() {
    on_every_plan(|plan| {
        let pool = Arc::new(pool(1));
        let own = pool.clone();
        let task = plan.spawn(move || {
            let sum = own.call(|(a, b)| a + b, (1, 2)).unwrap();
            let text = own.spawn(|text: String| text + "walk", "rope".into()).unwrap();
            (sum, text.join().unwrap())
        });
        assert_eq!(task.join().unwrap(), (3, "ropewalk".to_owned()));
    });
}

#[test]
fn descriptors_and_long_values_travel() {
    guarded(|| {
        let pool = pool(1);
        let (read, write) = cloexec_pipe();
        let body = |(descriptor, mut bytes): (Descriptor, Vec<u8>)| {
            bytes.reverse();
            rustix::io::write(&descriptor, &bytes[..4]).unwrap();
            (descriptor, bytes)
        };
        let long: Vec<u8> = (0..500_000_u32).map(|n| n as u8).collect();
        let (back, reversed) = pool.call(body, (write.into(), long.clone())).unwrap();
        assert!(reversed.iter().rev().eq(&long));
        drop(back);
        pool.close();
        let mut text = Vec::new();
        File::from(read).read_to_end(&mut text).unwrap();
        assert_eq!(text, reversed[..4], "and no worker has the descriptor any more");
    });
}

#[test]
fn a_task_that_dies_takes_its_worker_along_and_nobody_else() {
    guarded(|| {
        let pool =
            Pool::builder().size(2).process(|| Ok(Builder::new().stderr(Stdio::null()))).build().unwrap();
        let (other, _, file) = waiting(&pool);
        let first = id_of(&pool);
        assert_eq!(exit_of(pool.call(|code| -> () { std::process::exit(code) }, 3)), Exit::Exited(3));
        let second = id_of(&pool);
        assert_ne!(first, second, "it was replaced");
        assert!(matches!(
            exit_of(pool.call(|()| -> () { std::process::abort() }, ())),
            Exit::Signaled { signal: 6, .. }
        ));
        let kill = |()| kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
        assert!(matches!(exit_of(pool.spawn(kill, ()).unwrap().join()), Exit::Signaled { signal: 9, .. }));
        assert_eq!(pool.call(|n: u32| n + 1, 1).unwrap(), 2);
        assert!(!other.is_finished());
        drop(pool);
        other.cancel();
        assert!(other.join().unwrap_err().is_cancelled());
        assert_end(file);
    });
}

#[test]
fn a_panic_leaves_the_worker_and_one_hook() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let process = move || Ok(Builder::new().stderr(Stdio::from(write.try_clone()?)));
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        let worker = id_of(&pool);
        for n in 0..3 {
            let error = pool.call(|n: u32| -> () { panic!("expected: {n}") }, n).unwrap_err();
            let Some(Exit::Panicked { message, backtrace }) = error.exit() else { panic!("{error}") };
            assert_eq!(*message, format!("expected: {n}"));
            assert!(backtrace.contains("a_panic_leaves_the_worker"), "{backtrace}");
            assert_eq!(error.into_panic().unwrap().downcast_ref::<String>(), Some(&format!("expected: {n}")));
        }
        // A hook that a task leaves behind is not the next one's.
        pool.call(|()| std::panic::set_hook(Box::new(|_| std::process::exit(9))), ()).unwrap();
        assert!(pool.call(|()| -> () { panic!("expected: again") }, ()).unwrap_err().is_panic());
        // One that was caught is not mistaken for a later one without a trace.
        let quiet = |()| -> () {
            let _ = std::panic::catch_unwind(|| panic!("expected: caught"));
        };
        pool.call(quiet, ()).unwrap();
        let raised = pool.call(|()| -> () { std::panic::resume_unwind(Box::new("raised")) }, ()).unwrap_err();
        assert!(matches!(raised.exit(), Some(Exit::Panicked { backtrace, .. }) if backtrace.is_empty()));
        assert_eq!(id_of(&pool), worker);
        // The pool holds the other end of the pipe, too.
        pool.close();
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("expected: ").count(), 5, "each is printed once: {text}");
    });
}

#[test]
fn a_worker_lost_while_idle_is_replaced_and_no_task_notices() {
    on_every_plan(|_| {
        let pool = pool(2);
        for _ in 0..20 {
            signal(id_of(&pool), Signal::KILL);
            assert_eq!(pool.call(|n: u32| n * 2, 21).unwrap(), 42);
        }
    });
}

#[test]
fn a_task_that_its_worker_had_not_taken_is_given_to_another() {
    guarded(|| {
        let pool = Arc::new(pool(1));
        let first = id_of(&pool);
        signal(first, Signal::STOP);
        let (spot, own) = (Spot::new(), pool.clone());
        let task = thread::spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                own.call(|()| std::process::id(), ())
            }
        });
        // It has sent its call, and waits for the answer.
        spot.wait_asleep();
        signal(first, Signal::KILL);
        assert_ne!(task.join().unwrap().unwrap(), first);
    });
}

#[test]
fn a_task_that_had_begun_is_not_given_to_another() {
    guarded(|| {
        let pool = pool(1);
        let (handle, worker, file) = waiting(&pool);
        signal(worker, Signal::KILL);
        assert_eq!(exit_of(handle.join()), Exit::Signaled { signal: 9, core_dumped: false });
        assert_end(file);
        assert_ne!(id_of(&pool), worker);
    });
}

#[test]
fn a_cancelled_task_has_its_worker_killed_and_replaced() {
    on_every_plan(|_| {
        let pool = pool(1);
        let (handle, worker, file) = waiting(&pool);
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_end(file);
        assert_ne!(id_of(&pool), worker);
    });
}

#[test]
fn a_cancelled_task_that_waits_for_a_worker_never_runs() {
    guarded(|| {
        let pool = pool(1);
        let (busy, _, _file) = waiting(&pool);
        let (read, write) = cloexec_pipe();
        let queued = pool.spawn(wait_for_ever, write.into()).unwrap();
        queued.cancel();
        assert!(queued.join().unwrap_err().is_cancelled());
        assert_end(File::from(read));
        busy.cancel();
        assert_eq!(pool.call(|n: u32| n, 5).unwrap(), 5);
    });
}

#[test]
fn a_timeout_around_a_call_kills_the_worker() {
    on_every_plan(|_| {
        let pool = pool(1);
        let (read, write) = cloexec_pipe();
        let late = timeout(Duration::from_millis(200), || pool.call(wait_for_ever, write.into()));
        assert!(late.is_err());
        let mut text = Vec::new();
        blocking(|| File::from(read).read_to_end(&mut text)).unwrap();
        assert!([0, 4].contains(&text.len()), "it had begun or not; it is gone");
        assert_eq!(pool.call(|n: u32| n, 5).unwrap(), 5);
    });
}

#[test]
fn the_deadline_is_each_tasks_own() {
    guarded(|| {
        let process = || Ok(Builder::new().deadline(Duration::from_millis(500)));
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        let (handle, worker, file) = waiting(&pool);
        assert_eq!(exit_of(handle.join()), Exit::DeadlineExceeded);
        assert_end(file);
        assert_ne!(id_of(&pool), worker);
    });
}

#[test]
fn the_limit_of_cpu_time_is_each_tasks_own() {
    use rustix::process::{Resource, getrlimit};

    /// Uses so many milliseconds of CPU time: the worker, and at how many seconds it would be ended.
    fn burn(millis: i64) -> (u32, u64) {
        let used = || {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the kernel writes to `time` only.
            unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
            time.tv_sec * 1000 + time.tv_nsec / 1_000_000
        };
        let start = used();
        while used() - start < millis {
            std::hint::spin_loop();
        }
        (std::process::id(), getrlimit(Resource::Cpu).current.unwrap())
    }

    guarded(|| {
        let process = || Ok(Builder::new().cpu_time(Duration::from_secs(1)));
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        let (worker, first) = pool.call(burn, 700).unwrap();
        let (same, second) = pool.call(burn, 400).unwrap();
        let (still, third) = pool.call(burn, 0).unwrap();
        assert_eq!((same, still), (worker, worker), "none had more than a second, all of them had");
        assert_eq!(first, 2, "rounded up");
        assert!(second >= first && third > first, "{first}, {second}, {third}");
    });
}

#[test]
fn workers_are_replaced_by_tasks_age_and_memory() {
    guarded(|| {
        let by_tasks = Pool::builder().size(1).max_tasks(3).build().unwrap();
        let ids: Vec<_> = (0..9).map(|_| id_of(&by_tasks)).collect();
        assert!(ids.chunks(3).all(|three| three.iter().all(|id| id == &three[0])), "{ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3, "{ids:?}");

        let by_age = Pool::builder().size(1).max_age(Duration::from_millis(50)).build().unwrap();
        let first = id_of(&by_age);
        until(|| id_of(&by_age) != first);

        let by_memory = Pool::builder().size(1).max_memory(200 << 20).build().unwrap();
        let keep = |bytes: usize| {
            std::mem::forget(std::hint::black_box(vec![1_u8; bytes]));
            std::process::id()
        };
        let first = id_of(&by_memory);
        assert_eq!(by_memory.call(keep, 1 << 20).unwrap(), first);
        assert_eq!(by_memory.call(keep, 256 << 20).unwrap(), first);
        assert_ne!(id_of(&by_memory), first, "too much was left in it");
    });
}

#[test]
fn a_full_queue_refuses() {
    guarded(|| {
        let pool = Pool::builder().size(1).queue(2).build().unwrap();
        let (busy, _, _file) = waiting(&pool);
        let queued: Vec<_> = (0..2).map(|n| pool.spawn(|n: u32| n, n).unwrap()).collect();
        let error = pool.spawn(|n: u32| n, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        assert!(error.to_string().contains("2 tasks wait already"), "{error}");
        let refused = pool.call(|n: u32| n, 2).unwrap_err();
        assert!(
            refused.exit().is_none() && refused.to_string().contains("2 tasks wait already"),
            "{refused}"
        );
        busy.cancel();
        let results: Vec<_> = queued.into_iter().map(|task| task.join().unwrap()).collect();
        assert_eq!(results, [0, 1]);
        assert_eq!(pool.call(|n: u32| n, 2).unwrap(), 2);
    });
}

#[test]
fn a_pool_without_workers_says_why_and_recovers() {
    guarded(|| {
        let (attempts, possible) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let process = {
            let (attempts, possible) = (attempts.clone(), possible.clone());
            move || {
                attempts.fetch_add(1, SeqCst);
                match possible.load(SeqCst) {
                    true => Ok(Builder::new()),
                    false => Ok(Builder::new().current_dir("/nowhere")),
                }
            }
        };
        let pool = Pool::builder().size(2).process(process).build().unwrap();
        let error = pool.call(|n: u32| n, 1).unwrap_err();
        assert!(error.to_string().contains("no worker of the pool can be started"), "{error}");
        assert!(attempts.load(SeqCst) >= 4, "it was tried");
        possible.store(true, SeqCst);
        until(|| pool.call(|n: u32| n, 1).is_ok_and(|one| one == 1));
    });
}

#[test]
fn workers_that_cannot_be_what_they_should_are_told_of() {
    guarded(|| {
        // More than the kernel gives anybody (fs.nr_open).
        let process = || Ok(Builder::new().open_files(1 << 40));
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        let error = pool.spawn(|n: u32| n, 1).unwrap().join().unwrap_err();
        assert!(error.exit().is_none() && error.to_string().contains("limit of open files"), "{error}");

        let process = || -> io::Result<Builder> { panic!("expected: the configuration panics") };
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        let error = pool.call(|n: u32| n, 1).unwrap_err();
        assert!(error.to_string().contains("has panicked"), "{error}");
    });
}

#[test]
fn what_cannot_be_sent_is_refused_and_costs_no_worker() {
    guarded(|| {
        let pool = pool(1);
        let worker = id_of(&pool);
        let (read, _write) = cloexec_pipe();
        let many: Vec<Descriptor> = (0..4097).map_while(|_| read.try_clone().ok()).map(Into::into).collect();
        if many.len() == 4097 {
            let error = pool.spawn(|many: Vec<Descriptor>| many.len(), many).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        let wrong =
            pool.call(|text: String| text.parse::<u32>().map_err(|error| error.to_string()), "x".into());
        assert!(wrong.unwrap().unwrap_err().contains("invalid digit"), "an error is a result");
        assert_eq!(id_of(&pool), worker);
    });
}

#[test]
fn what_a_task_has_printed_is_there_when_it_is_joined() {
    guarded(|| {
        let (read, write) = cloexec_pipe();
        let process = move || Ok(Builder::new().stdout(Stdio::from(write.try_clone()?)));
        let pool = Pool::builder().size(1).process(process).build().unwrap();
        pool.call(|()| print!("no newline"), ()).unwrap();
        let mut text = [0; 10];
        File::from(read).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"no newline");
    });
}

#[test]
fn a_dropped_pool_runs_what_it_was_given_and_leaves_nothing() {
    if case().is_none() {
        // Alone: other tests open and close descriptors, too.
        return Child::new(test_name!(), "alone").run().assert_success();
    }
    guarded(|| {
        // One worker: a second one opens its driver when it comes to it.
        runtime(1).run(|| {
            let first = pool(1);
            // It has a worker now, so what is opened once for all of them is open.
            id_of(&first);
            first.close();
            let before = descriptors();
            for _ in 0..3 {
                let pool = pool(2);
                let tasks: Vec<_> = (0..20).map(|n: u32| pool.spawn(|n| n + 1, n).unwrap()).collect();
                drop(pool);
                assert_eq!(tasks.into_iter().map(|task| task.join().unwrap()).sum::<u32>(), 210);
            }
            let pool = pool(3);
            let worker = id_of(&pool);
            pool.close();
            let gone = std::fs::metadata(format!("/proc/{worker}")).is_err();
            assert!(gone, "closed means that its workers have been reaped");
            assert_settles(descriptors, before, "descriptors");
        });
    });
}

#[test]
fn the_end_of_the_runtime_ends_the_workers_of_a_pool_that_outlives_it() {
    guarded(|| {
        let (pool, worker) = runtime(1).run(|| {
            let pool = pool(2);
            let worker = id_of(&pool);
            (pool, worker)
        });
        assert!(std::fs::metadata(format!("/proc/{worker}")).is_err(), "reaped");
        let error = pool.call(|n: u32| n, 1).unwrap_err();
        assert!(error.to_string().contains("the runtime that keeps the pool's workers has ended"), "{error}");
    });
}

#[test]
fn a_worker_may_run_coroutines_and_a_pool_of_its_own() {
    guarded(|| {
        let pool = pool(1);
        let nested = |n: u64| {
            ropewalk::run(|| {
                let inner = Pool::builder().size(1).build().unwrap();
                let twice = coroutine::spawn(move || inner.call(|n: u64| n * 2, n).unwrap());
                twice.join().unwrap()
            })
        };
        assert_eq!((0..3).map(|n| pool.call(nested, n).unwrap()).sum::<u64>(), 6);
    });
}

#[test]
fn a_grandchild_that_keeps_the_link_open_does_not_keep_the_task_waiting() {
    guarded(|| {
        let pool = pool(1);
        let (read, write) = cloexec_pipe();
        let fork = |descriptor: Descriptor| -> () {
            // SAFETY: the copy does nothing but wait.
            if unsafe { libc::fork() } == 0 {
                wait_for_ever(descriptor);
            }
            std::process::exit(9)
        };
        assert_eq!(exit_of(pool.call(fork, write.into())), Exit::Exited(9));
        let mut id = [0; 4];
        let mut file = File::from(read);
        file.read_exact(&mut id).unwrap();
        signal(u32::from_ne_bytes(id), Signal::KILL);
        assert_end(file);
    });
}
