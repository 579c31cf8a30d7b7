//! Regions in which a coroutine must not switch.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::sync::{Condvar, Mutex, Semaphore};
use ropewalk::{blocking, coroutine, no_suspend, scope, thread, timeout};

use crate::support::child::{self, Child, test_name};
use crate::support::waits::WAITS;
use crate::support::{LONG, Plan, Spot, guarded, on_every_plan, runtime};

/// What a panic said.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).expect("a panic with a text")
}

/// Runs `f` in a region, where it has to be refused a wait, and gives what was said.
#[track_caller]
fn refused<T>(f: impl FnOnce() -> T) -> String {
    let outcome = catch_unwind(AssertUnwindSafe(|| no_suspend(f)));
    let payload = outcome.err().expect("the wait is refused");
    let text = message(&*payload);
    assert!(text.contains("must not switch"), "another panic: {text}");
    text.to_owned()
}

/// As the first coroutine of a runtime with one worker.
fn in_coroutine(body: impl FnOnce() + Send) {
    guarded(|| runtime(1).run(body));
}

#[test]
fn every_wait_that_would_switch_is_refused_and_leaves_nothing_behind() {
    in_coroutine(|| {
        for (name, wait) in WAITS {
            let text = refused(|| wait(&Spot::new()));
            assert!(text.contains(file!()), "{name}: where the region began is missing: {text}");
            coroutine::yield_now(); // the region is over
        }
    });
}

#[test]
fn the_message_names_why_it_waits_and_where_the_region_began() {
    in_coroutine(|| {
        let mutex = Mutex::new(());
        let _held = mutex.lock();
        let mut began = 0;
        let payload = catch_unwind(AssertUnwindSafe(|| {
            began = line!() + 1;
            no_suspend(|| drop(mutex.lock()));
        }));
        let payload = payload.unwrap_err();
        let text = message(&*payload);
        assert!(text.contains("locking a mutex"), "{text}");
        assert!(text.contains(&format!("{}:{began}:", file!())), "{text}");
    });
}

/// The panic itself tells where the wait is: it shows on stderr.
#[test]
fn the_panic_is_at_the_wait() {
    const WAIT: u32 = line!() + 3;
    if child::case().is_some() {
        return in_coroutine(|| {
            let _ = catch_unwind(|| no_suspend(|| coroutine::sleep(LONG)));
        });
    }
    let outcome = Child::new(test_name!(), "").run();
    outcome.assert_success();
    let place = format!("panicked at {}:{WAIT}:", file!());
    assert!(outcome.stderr.contains(&place), "{place} is missing: {}", outcome.stderr);
}

#[test]
fn yielding_blocking_and_scopes_are_refused() {
    in_coroutine(|| {
        assert!(refused(coroutine::yield_now).contains("letting others run"));
        let mut ran = false;
        assert!(refused(|| blocking(|| ran = true)).contains("a blocking call"));
        assert!(refused(|| scope(|_| ran = true)).contains("the children of a scope"));
        assert!(!ran, "what has to be waited for must not begin");
    });
}

#[test]
fn what_need_not_wait_may() {
    in_coroutine(|| {
        let ended = coroutine::spawn(|| 7);
        while !ended.is_finished() {
            coroutine::yield_now();
        }
        let (sender, receiver) = bounded(1);
        no_suspend(|| {
            let (mutex, semaphore) = (Mutex::new(1), Semaphore::new(1));
            *mutex.lock().unwrap() += 1;
            drop(semaphore.acquire());
            sender.send(5).unwrap();
            assert!(sender.try_send(6).is_err());
            assert_eq!(receiver.recv(), Ok(5));
            assert!(receiver.try_recv().is_err());
            // A deadline that is over needs no wait.
            assert!(receiver.recv_timeout(Duration::ZERO).is_err());
            coroutine::sleep(Duration::ZERO);
            assert_eq!(ended.join().unwrap(), 7);
            drop(coroutine::spawn(|| ()));
        });
    });
}

#[test]
fn a_thread_may_wait_in_a_region() {
    on_every_plan(|plan| {
        let (sender, receiver) = unbounded();
        let task = thread::spawn(move || no_suspend(|| receiver.recv().unwrap()));
        plan.spawn(move || sender.send(3).unwrap());
        assert_eq!(task.join().unwrap(), 3);
    });
}

/// In a region nobody else runs, however much is done there; afterwards the budget is due.
#[test]
fn the_budget_is_put_off() {
    in_coroutine(|| {
        let ran = Arc::new(AtomicBool::new(false));
        let neighbour = coroutine::spawn_local({
            let ran = ran.clone();
            move || ran.store(true, SeqCst)
        });
        let mutex = Mutex::new(0);
        no_suspend(|| (0..10_000).for_each(|_| *mutex.lock().unwrap() += 1));
        assert!(!ran.load(SeqCst), "others had a turn in the region");
        drop(mutex.lock());
        assert!(ran.load(SeqCst), "others had no turn after it");
        neighbour.join().unwrap();
    });
}

#[test]
fn regions_nest() {
    in_coroutine(|| {
        let outer = line!() + 1;
        no_suspend(|| {
            let inner = line!() + 1;
            let payload = catch_unwind(|| no_suspend(coroutine::yield_now)).unwrap_err();
            assert!(message(&*payload).contains(&format!(":{inner}:")), "the innermost region is named");
            let payload = catch_unwind(coroutine::yield_now).expect_err("the outer region goes on");
            assert!(message(&*payload).contains(&format!(":{outer}:")));
        });
        coroutine::yield_now();
    });
}

#[test]
fn a_refused_wait_leaves_locks_and_queues_as_they_were() {
    in_coroutine(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let behind = coroutine::spawn_local({
            let mutex = mutex.clone();
            move || *mutex.lock().unwrap() += 1
        });
        coroutine::yield_now();
        refused(|| drop(mutex.lock()));
        drop(guard);
        behind.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 1);

        // A wait for a condition has given its lock away, and ends without it.
        let condvar = Condvar::new();
        let guard = mutex.lock().unwrap();
        refused(|| drop(condvar.wait(guard)));
        drop(mutex.try_lock().expect("the lock is free, and not poisoned"));

        // A receiver that was refused gets no message: the next one does.
        let (sender, receiver) = bounded(0);
        refused(|| receiver.recv());
        let other = coroutine::spawn_local(move || receiver.recv());
        coroutine::yield_now();
        sender.try_send(4).expect("the other one waits for it");
        assert_eq!(other.join().unwrap(), Ok(4));
    });
}

#[test]
fn a_cancelled_task_unwinds_as_cancelled() {
    in_coroutine(|| {
        let task = coroutine::spawn_local(|| {
            coroutine::current().cancel();
            no_suspend(|| coroutine::sleep(LONG));
        });
        assert!(task.join().unwrap_err().is_cancelled());
        let late = timeout(Duration::ZERO, || no_suspend(|| coroutine::sleep(LONG)));
        assert!(late.is_err());
    });
}

/// Does what it is told when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A second panic would abort the process. Neither is the region the thread's: the neighbour that holds the lock waits
/// while the coroutine in the region is switched away.
#[test]
fn a_destructor_of_a_task_that_unwinds_waits_as_ever_and_neighbours_are_free() {
    in_coroutine(|| {
        let mutex = Arc::new(Mutex::new(()));
        let (open, gate) = bounded(0);
        let holder = coroutine::spawn_local({
            let mutex = mutex.clone();
            move || {
                let guard = mutex.lock().unwrap();
                gate.recv().unwrap();
                coroutine::sleep(Duration::from_millis(1));
                drop(guard);
            }
        });
        coroutine::yield_now();
        let task = coroutine::spawn_local(move || {
            no_suspend(|| {
                let _locks = OnDrop(|| drop(mutex.lock()));
                resume_unwind(Box::new("the first panic"));
            });
        });
        coroutine::yield_now();
        open.send(()).unwrap();
        holder.join().expect("its waits are its own");
        let payload = task.join().unwrap_err().into_panic().unwrap();
        assert_eq!(message(&*payload), "the first panic");
    });
}

/// On every plan a region gives what its closure gives, panics too, and is over then.
#[test]
fn a_region_is_over_when_its_closure_is() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            assert_eq!(no_suspend(|| 5), 5);
            let panicked = catch_unwind(|| no_suspend(|| resume_unwind(Box::new(1))));
            assert!(panicked.is_err());
            coroutine::yield_now();
        });
        task.join().unwrap();
    });
    // And outside of all tasks.
    assert_eq!(no_suspend(|| Plan::Coroutine), Plan::Coroutine);
}
