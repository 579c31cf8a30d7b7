//! What a thread keeps, and what generators do to it: locks, thread-locals.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};

use ropewalk::coroutine;
use ropewalk::generator::Generator;
use ropewalk::sync::Mutex;

use crate::support::{LONG, on_every_plan};

/// How a body ends that holds a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Close,
    Throw,
    Return,
    Panic,
}

/// Ends a body that holds `mutex`.
fn end_a_holder(mutex: &Arc<Mutex<()>>, end: End) {
    let mut holder: Generator<(), (), ()> = Generator::new({
        let mutex = mutex.clone();
        move |yielder| {
            let _guard = mutex.lock().unwrap();
            yielder.yield_(());
            if end == End::Panic {
                resume_unwind(Box::new("a panic"));
            }
        }
    });
    holder.next();
    assert!(mutex.try_lock().is_err(), "it is held over the yield");
    match end {
        End::Close => holder.close(),
        End::Throw => drop(holder.throw("an error").unwrap_err()),
        End::Return => drop(holder.next()),
        End::Panic => drop(catch_unwind(AssertUnwindSafe(|| holder.next())).unwrap_err()),
    }
}

#[test]
fn a_lock_that_a_body_holds_is_poisoned_by_a_panic_only() {
    let check = || {
        for (end, poisoned) in
            [(End::Close, false), (End::Throw, false), (End::Return, false), (End::Panic, true)]
        {
            let mutex = Arc::new(Mutex::new(()));
            end_a_holder(&mutex, end);
            assert_eq!(mutex.is_poisoned(), poisoned, "{end:?}");
            assert_eq!(mutex.try_lock().is_ok(), !poisoned, "it is free: {end:?}");
        }
    };
    // On a thread that has never waited, and in tasks.
    std::thread::spawn(check).join().unwrap();
    on_every_plan(move |_| check());
}

#[test]
fn a_lock_that_a_body_holds_is_not_poisoned_by_a_cancel_that_passes_through() {
    on_every_plan(|plan| {
        let mutex = Arc::new(Mutex::new(()));
        let (tell, told) = mpsc::channel();
        let task = plan.spawn({
            let mutex = mutex.clone();
            move || {
                let mut generator: Generator<(), (), ()> = Generator::new(move |_| {
                    let _guard = mutex.lock().unwrap();
                    tell.send(()).unwrap();
                    coroutine::sleep(LONG);
                });
                generator.next();
            }
        });
        told.recv().unwrap();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert!(!mutex.is_poisoned());
    });
}

thread_local! {
    static EARLY: RefCell<Option<Generator<(), (), ()>>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Generator<(), (), ()>>> = const { RefCell::new(None) };
    static USES_ONE: RefCell<Option<UsesOne>> = const { RefCell::new(None) };
}

/// Makes a generator when the thread's destructors run, leaves it in the middle, and tells what it gave.
struct UsesOne(mpsc::Sender<u32>);

impl Drop for UsesOne {
    fn drop(&mut self) {
        let numbers: Generator<(), u32, ()> = Generator::new(|yielder| {
            for n in [40, 2, 1000] {
                yielder.yield_(n);
            }
        });
        self.0.send(numbers.take(2).sum()).expect("somebody asks");
    }
}

/// Tells that it was dropped.
struct Tells(mpsc::Sender<()>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.send(()).expect("somebody asks");
    }
}

#[test]
fn generators_live_as_long_as_their_threads_locals_whatever_the_order() {
    let (give, given) = mpsc::channel();
    let (uses, used) = mpsc::channel();
    std::thread::spawn(move || {
        let make = || {
            let give = give.clone();
            let mut generator: Generator<(), (), ()> = Generator::new(move |yielder| {
                let _tells = Tells(give);
                yielder.yield_(());
            });
            generator.next();
            Some(generator)
        };
        // Registered before the thread has stacks for generators, and after.
        EARLY.with(|slot| drop(slot.borrow_mut()));
        USES_ONE.set(Some(UsesOne(uses)));
        EARLY.set(make());
        LATE.set(make());
    })
    .join()
    .unwrap();
    assert_eq!(given.iter().count(), 2, "both were closed");
    assert_eq!(used.recv().unwrap(), 42);
}

/// `docs/soundness.md`: what is set over a yield and restored afterwards is restored out of order.
#[test]
fn a_set_and_restore_thread_local_over_a_yield_is_restored_out_of_order() {
    thread_local! {
        static KEY: Cell<u32> = const { Cell::new(0) };
    }
    let sets = |value: u32| -> Generator<(), (), ()> {
        Generator::new(move |yielder| {
            let before = KEY.replace(value);
            yielder.yield_(());
            KEY.set(before);
        })
    };
    let (mut a, mut b) = (sets(1), sets(2));
    a.next();
    b.next();
    a.next();
    b.next();
    assert_eq!(KEY.get(), 1, "what `a` had set, which is over");
}
