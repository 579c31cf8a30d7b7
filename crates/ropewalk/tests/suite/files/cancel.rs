//! What a cancellation does to an operation on a file.

use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::fs::{self, File, OpenOptions};
use ropewalk::inspect::State;
use ropewalk::sync::Latch;
use ropewalk::{JoinHandle, Runtime, coroutine, thread, timeout};
use rustix::fs::{CWD, FileType, mknodat};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::process::{assert_settles, descriptors};
use crate::support::slow_page::SlowPage;
use crate::support::{PLANS, Plan, Tracker, drivers, guarded, on_driver, until};

/// The task waits for this.
fn until_it_waits<T>(task: &JoinHandle<T>, what: &str) {
    until(|| match task.task().state() {
        State::Blocked(wait) => wait.reason.to_string() == what,
        _ => false,
    });
}

fn fifo(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("fifo");
    mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
    path
}

/// Runs `body` on every driver, for every plan, on a thread that is no worker.
fn everywhere(body: impl Fn(Plan) + Send + Sync + 'static) {
    let body = Arc::new(body);
    for driver in drivers() {
        for plan in PLANS {
            let body = body.clone();
            on_driver(driver, move || body(plan));
        }
    }
}

#[test]
fn an_operation_that_is_under_way_ends_first_and_its_result_wins() {
    for driver in drivers() {
        let Some(page) = SlowPage::new() else { return };
        on_driver(driver, move || {
            let file = Arc::new(File::from(tempfile::tempfile().unwrap()));
            let task = coroutine::spawn({
                let file = file.clone();
                move || {
                    let written = file.write_at(page.bytes(), 0).unwrap();
                    let unwound = catch_unwind(AssertUnwindSafe(|| coroutine::sleep(Duration::MAX))).is_err();
                    (written, unwound)
                }
            });
            page.until_touched();
            until_it_waits(&task, "writing to a file");
            task.cancel();
            // Its worker has heard of it by the time that it has done something else.
            (0..8).for_each(|_| coroutine::spawn(coroutine::yield_now).join().unwrap());
            until_it_waits(&task, "writing to a file");
            page.fill(7);
            let (written, unwound) = task.join().unwrap();
            assert_eq!(written, page.bytes().len(), "the result won");
            assert!(unwound, "and then the cancellation came");
            let mut bytes = vec![0; written];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, page.bytes());
        });
    }
}

#[test]
fn the_neighbours_go_on_while_the_disk_is_slow() {
    for driver in drivers() {
        let Some(page) = SlowPage::new() else { return };
        guarded(move || {
            let runtime = Runtime::builder().workers(1).driver(driver).build().unwrap();
            runtime.run(move || {
                let file = File::from(tempfile::tempfile().unwrap());
                let writer = coroutine::spawn_local(move || file.write_at(page.bytes(), 0).unwrap());
                until_it_waits(&writer, "writing to a file");
                // Nobody but this coroutine, of the same worker, lets it go on.
                ropewalk::blocking(|| page.until_touched());
                page.fill(1);
                assert_eq!(writer.join().unwrap(), page.bytes().len());
            });
        });
    }
}

#[test]
fn a_runtime_ends_though_the_disk_does_not_answer() {
    on_every_driver_alone(test_name!(), |driver| {
        let Some(page) = SlowPage::new() else { return };
        let (tracker, file) = (Tracker::new(), File::from(tempfile::tempfile().unwrap()));
        let limit = Duration::from_millis(50);
        let runtime = Runtime::builder().workers(2).driver(driver).shutdown_limit(limit).build().unwrap();
        runtime.run({
            let value = tracker.value();
            move || {
                drop(Plan::Coroutine.spawn_daemon(move || {
                    let _value = value;
                    file.write_at(page.bytes(), 0).unwrap();
                }));
                ropewalk::blocking(|| page.until_touched());
            }
        });
        assert_eq!(tracker.drops(), 0, "it was left behind with all that the kernel still uses");
        page.fill(9);
        // The kernel ends it, or breaks it off, in its own time, on memory that is still there. And life goes on.
        let runtime = Runtime::builder().workers(1).driver(driver).build().unwrap();
        assert_eq!(runtime.run(|| coroutine::spawn(|| 42).join().unwrap()), 42);
        assert_eq!(tracker.drops(), 0);
    });
}

#[test]
fn one_that_waits_for_the_other_end_of_a_fifo_unwinds_and_leaves_no_descriptor() {
    on_every_driver_alone(test_name!(), |_| {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        drop(File::from(tempfile::tempfile().unwrap()));
        let round = |plan: Plan| {
            let task = plan.spawn({
                let path = path.clone();
                move || File::open(path)
            });
            until_it_waits(&task, "opening a file");
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled(), "{plan:?}");
        };
        PLANS.into_iter().for_each(round);
        let before = descriptors();
        PLANS.into_iter().for_each(round);
        assert_settles(descriptors, before, "nothing was left open");
        // And a coroutine hears of a timeout.
        let timed = coroutine::spawn(move || timeout(Duration::from_millis(1), || File::open(path)).is_err());
        assert!(timed.join().unwrap());
    });
}

#[test]
fn one_that_reads_a_fifo_unwinds_and_the_bytes_are_the_next_ones() {
    everywhere(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        // Both ways, so nobody waits for anybody.
        let mut ours = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let task = plan.spawn({
            let path = path.clone();
            move || File::open(path).unwrap().read(&mut [0; 100])
        });
        until_it_waits(&task, "reading from a file");
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        ours.write_all(b"later").unwrap();
        let mut bytes = [0; 5];
        ours.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"later");
    });
}

#[test]
fn one_that_waits_for_a_lock_unwinds_without_it() {
    everywhere(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locked");
        let holder = File::create_new(&path).unwrap();
        holder.lock().unwrap();
        for shared in [false, true] {
            let task = plan.spawn({
                let path = path.clone();
                move || {
                    let file = File::open(path).unwrap();
                    if shared { file.lock_shared() } else { file.lock() }
                }
            });
            until_it_waits(&task, "locking a file");
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
        }
        holder.unlock().unwrap();
        File::open(&path).unwrap().try_lock().unwrap();
    });
}

#[test]
fn a_lock_is_handed_on() {
    everywhere(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locked");
        let inside = Arc::new(AtomicUsize::new(0));
        File::create_new(&path).unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (path, inside) = (path.clone(), inside.clone());
                plan.spawn(move || {
                    let file = File::open(path).unwrap();
                    for _ in 0..20 {
                        file.lock().unwrap();
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "alone");
                        coroutine::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        file.unlock().unwrap();
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// More than the pool has threads: who holds the lock needs the pool, too.
#[test]
fn those_who_wait_for_a_lock_do_not_keep_others_from_the_pool() {
    on_every_driver_alone(test_name!(), |_| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locked");
        let holder = File::create_new(&path).unwrap();
        holder.lock().unwrap();
        let tasks: Vec<_> = (0..600)
            .map(|_| {
                let path = path.clone();
                coroutine::spawn(move || File::open(path).unwrap().lock_shared().unwrap())
            })
            .collect();
        tasks.iter().for_each(|task| until_it_waits(task, "locking a file"));
        let length = coroutine::spawn(move || fs::metadata(path).unwrap().len());
        assert_eq!(length.join().unwrap(), 0);
        holder.unlock().unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// Cancels that come at any moment of an open, a write and an fsync.
#[test]
fn no_descriptor_and_no_byte_is_lost_to_cancels_at_any_moment() {
    on_every_driver_alone(test_name!(), |_| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        drop(File::create_new(&path).unwrap());
        let before = descriptors();
        let counted = Arc::new(AtomicUsize::new(0));
        for round in 0..200 {
            let go = Arc::new(Latch::new(1));
            let task = coroutine::spawn({
                let (path, go, counted) = (path.clone(), go.clone(), counted.clone());
                move || {
                    go.count_down();
                    let mut file = OpenOptions::new().append(true).open(path).unwrap();
                    loop {
                        let written = file.write(&[1; 100]).unwrap();
                        counted.fetch_add(written, SeqCst);
                        file.sync_data().unwrap();
                    }
                }
            });
            go.wait();
            (0..round * 10).for_each(|_| std::hint::spin_loop());
            (0..round % 4).for_each(|_| thread::yield_now());
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
        }
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            counted.load(SeqCst) as u64,
            "what was written was told"
        );
        assert_settles(descriptors, before, "nothing was left open");
    });
}

#[test]
fn a_destructor_of_a_cancelled_task_writes_to_its_file() {
    everywhere(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let task = plan.spawn({
            let path = path.clone();
            move || {
                let mut file = std::io::BufWriter::new(File::create_new(path).unwrap());
                file.write_all(b"the last words").unwrap();
                coroutine::sleep(Duration::MAX);
            }
        });
        until_it_waits(&task, "sleeping");
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(fs::read_to_string(path).unwrap(), "the last words");
    });
}
