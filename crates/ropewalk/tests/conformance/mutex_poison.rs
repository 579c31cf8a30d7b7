//! What poisons a mutex, and what does not.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use ropewalk::coroutine;
use ropewalk::sync::Mutex;
use ropewalk_sync::park::WaitReason::Sleep;

use crate::support::{End, LONG, Plans, elapse, fail, on_every_plan};

/// Locks in its destructor.
struct LockLate(Arc<Mutex<u8>>);

impl Drop for LockLate {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
    }
}

fn panicked(plans: &Plans, body: impl FnOnce() + Send + 'static) {
    assert_eq!(plans.spawn(body).join(), End::Panicked);
}

#[test]
fn a_panic_under_the_lock_poisons_and_every_way_in_tells() {
    on_every_plan(|plans| {
        let mut mutex = Arc::new(Mutex::new(1));
        let other = mutex.clone();
        panicked(plans, move || {
            let _guard = other.lock().unwrap();
            fail();
        });
        assert!(mutex.is_poisoned());
        assert_eq!(*mutex.lock().unwrap_err().into_inner(), 1);
        match mutex.try_lock() {
            Err(std::sync::TryLockError::Poisoned(error)) => assert_eq!(**error.get_ref(), 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 1, poisoned: true, .. }");
        let unshared = Arc::get_mut(&mut mutex).unwrap();
        assert_eq!(unshared.get_mut().map_err(|error| *error.into_inner()), Err(1));
        unshared.clear_poison();
        assert!(!unshared.is_poisoned() && unshared.lock().is_ok() && unshared.get_mut().is_ok());
        assert_eq!(Arc::into_inner(mutex).unwrap().into_inner().unwrap(), 1);
    });
}

#[test]
fn a_cancellation_does_not_poison() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(1));
        let other = mutex.clone();
        let task = plans.waiting(Sleep, move || {
            let _guard = other.lock().unwrap();
            coroutine::sleep(LONG);
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert!(!mutex.is_poisoned() && mutex.lock().is_ok());
    });
}

#[test]
fn an_elapsed_time_limit_does_not_poison() {
    on_every_plan(|_| {
        let mutex = Mutex::new(1);
        elapse(|| {
            let _guard = mutex.lock().unwrap();
            coroutine::sleep(LONG);
        });
        assert!(!mutex.is_poisoned());
    });
}

#[test]
fn a_panic_after_a_time_limit_that_was_caught_poisons() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(1));
        let other = mutex.clone();
        panicked(plans, move || {
            let _guard = other.lock().unwrap();
            elapse(|| coroutine::sleep(LONG));
            fail();
        });
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn a_cancellation_that_is_caught_and_raised_again_does_not_poison() {
    on_every_plan(|plans| {
        let (mutex, inner) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(1)));
        let (other, other_inner) = (mutex.clone(), inner.clone());
        let task = plans.waiting(Sleep, move || {
            let _guard = other.lock().unwrap();
            let payload = catch_unwind(|| coroutine::sleep(LONG)).unwrap_err();
            // Something is locked in between, as any cleanup might.
            *other_inner.lock().unwrap() = 2;
            resume_unwind(payload);
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert!(!mutex.is_poisoned() && !inner.is_poisoned());
    });
}

#[test]
fn a_lock_that_is_taken_while_unwinding_is_not_poisoned() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(0));
        let late = LockLate(mutex.clone());
        panicked(plans, move || {
            let _late = late;
            fail();
        });
        let late = LockLate(mutex.clone());
        let task = plans.waiting(Sleep, move || {
            let _late = late;
            coroutine::sleep(LONG);
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn a_panic_that_is_caught_inside_does_not_poison() {
    on_every_plan(|_| {
        let mutex = Mutex::new(1);
        let guard = mutex.lock().unwrap();
        let inside = catch_unwind(AssertUnwindSafe(|| fail()));
        assert!(inside.is_err());
        drop(guard);
        assert!(mutex.lock().is_ok());
    });
}
