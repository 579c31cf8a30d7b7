//! Workers that are held up, and who is told: the monitor.

use std::hint::black_box;
use std::io::{PipeReader, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use ropewalk::inspect::{self, Activity, BlockedWorker};
use ropewalk::{Runtime, TaskId, coroutine};

use super::inspect::{HoldUp, Release};
use super::support::guarded;

/// Short, so that the tests are; that a busy machine makes others late too does no harm.
const LIMIT: Duration = Duration::from_millis(20);

fn monitored() -> Runtime {
    Runtime::builder().workers(1).monitor(LIMIT).build().expect("a runtime can be built")
}

/// What the monitor says of coroutines with this name: other tests have theirs.
fn reports_on(name: &'static str) -> mpsc::Receiver<BlockedWorker> {
    let (tell, told) = mpsc::channel();
    inspect::on_blocked(move |blocked| {
        if blocked.name() == Some(name) {
            let _ = tell.send(blocked.clone());
        }
    });
    told
}

fn functions(blocked: &BlockedWorker) -> Vec<String> {
    let frames = blocked.stack().map(|stack| stack.frames()).unwrap_or_default();
    frames.into_iter().map(|frame| frame.function).collect()
}

#[inline(never)]
fn blocks_in_read(reader: &mut PipeReader) -> u8 {
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("one byte comes");
    black_box(byte[0])
}

#[inline(never)]
fn computes(hold_up: &HoldUp) {
    hold_up.hold();
    hold_up.again();
}

/// Runs `body`, which holds up its worker until `release` is called, again and again until the monitor has shown it in this
/// function, doing that: on a busy machine it may be found on the way there, or answer too late.
fn until_shown(
    name: &'static str,
    activity: Activity,
    function: &'static str,
    body: impl Fn() + Send + 'static,
    release: impl Fn() + Send + 'static,
) -> (BlockedWorker, TaskId) {
    let reports = reports_on(name);
    let (shown, is_shown) = mpsc::channel();
    let releaser = std::thread::spawn(move || {
        loop {
            let blocked = reports.recv().expect("the monitor lives");
            let is_there = functions(&blocked).iter().any(|name| name.ends_with(function));
            let is_enough = is_there && blocked.activity() == Some(activity);
            if is_enough {
                shown.send(blocked).expect("the test waits");
            }
            release();
            if is_enough {
                return;
            }
        }
    });
    let result = monitored().run(|| {
        let task = coroutine::Builder::new().name(name.into()).spawn(move || {
            loop {
                body();
                if let Ok(blocked) = is_shown.try_recv() {
                    return blocked;
                }
                coroutine::yield_now();
            }
        });
        let task = task.expect("it starts");
        let id = task.id();
        (task.join().expect("it returns"), id)
    });
    releaser.join().expect("it was told");
    result
}

#[test]
fn a_call_that_blocks_is_reported_with_the_call_and_the_stack() {
    guarded(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let reader = std::sync::Mutex::new(reader);
        let (blocked, id) = until_shown(
            "reads",
            Activity::InSystemCall(Some("read")),
            "monitor::blocks_in_read",
            move || assert_eq!(blocks_in_read(&mut reader.lock().unwrap()), 7, "the call goes on"),
            move || (&writer).write_all(&[7]).unwrap(),
        );
        assert_eq!(blocked.task(), id);
        assert!(blocked.duration() >= LIMIT);
        assert_eq!(blocked.others(), 1, "the first coroutine");
        let functions = functions(&blocked);
        let own = functions.iter().position(|function| function.ends_with("monitor::blocks_in_read"));
        assert!(own.is_some_and(|own| own > 0), "the call, and who made it: {functions:?}");
        let root = functions.last().unwrap();
        assert!(root.contains("monitor::until_shown"), "up to the coroutine's body: {functions:?}");
        let text = blocked.to_string();
        assert!(
            text.contains(&format!("by coroutine {id} (reads), which sleeps in the system call read")),
            "{text}"
        );
    });
}

#[test]
fn a_loop_is_reported_as_computing() {
    guarded(|| {
        let hold_up = HoldUp::default();
        let release = hold_up.clone();
        let (blocked, id) = until_shown(
            "computes",
            Activity::Computing,
            "monitor::computes",
            move || computes(&hold_up),
            move || drop(Release(release.clone())),
        );
        assert_eq!(blocked.task(), id);
        assert_eq!(blocked.spawned_at().file(), file!());
    });
}

#[test]
fn std_sleeps_its_time_though_it_is_interrupted() {
    guarded(|| {
        let reports = reports_on("sleeps");
        let slept = monitored().run(|| {
            let task = coroutine::Builder::new().name("sleeps".into()).spawn(|| {
                let start = std::time::Instant::now();
                std::thread::sleep(5 * LIMIT);
                start.elapsed()
            });
            task.unwrap().join().unwrap()
        });
        assert!(slept >= 5 * LIMIT);
        // If it was reported at all: on a busy machine the monitor may be as late as that.
        for blocked in reports.try_iter() {
            assert_eq!(blocked.name(), Some("sleeps"));
        }
    });
}

#[test]
fn who_is_held_up_can_be_asked_and_is_reported_once() {
    guarded(|| {
        let reports = reports_on("hog");
        let hold_up = HoldUp::default();
        let release = Release(hold_up.clone());
        let asker = std::thread::spawn(move || {
            let first = reports.recv().unwrap();
            let is_it = |blocked: &BlockedWorker| blocked.task() == first.task();
            // Time for more reports, if there were any.
            loop {
                let blocked = inspect::blocked_workers();
                let now = blocked.iter().find(|blocked| is_it(blocked)).expect("it is still held up");
                assert!(now.duration() >= first.duration(), "since the same moment");
                assert_eq!(now.worker(), first.worker());
                if now.duration() > first.duration() + 5 * LIMIT {
                    break;
                }
                std::thread::yield_now();
            }
            drop(release);
            assert!(reports.try_recv().is_err(), "once");
        });
        monitored().run(|| {
            let hog = coroutine::Builder::new().name("hog".into()).spawn(move || hold_up.hold());
            hog.unwrap().join().unwrap();
        });
        asker.join().unwrap();
        assert!(
            inspect::blocked_workers().iter().all(|blocked| blocked.name() != Some("hog")),
            "it has ended"
        );
    });
}
