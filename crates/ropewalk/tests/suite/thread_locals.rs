//! What coroutines do to state that belongs to the thread: the holes that `docs/soundness.md` tells of, shown without
//! falling into them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::TryLockError;

use ropewalk::channel::{Receiver, bounded};
use ropewalk::{coroutine, no_suspend, thread};

use crate::support::{LONG, guarded, runtime};

thread_local! {
    /// What a set-and-restore library keeps for the thread. A number, where those have a raw pointer to a local of the
    /// caller of [`set`]: so a stale one can be looked at.
    static KEY: Cell<Option<u32>> = const { Cell::new(None) };
}

/// As `ScopedKey::set` of the crate `scoped-tls`: sets, runs, restores what was there before.
fn set<R>(value: u32, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<u32>);

    impl Drop for Restore {
        fn drop(&mut self) {
            KEY.set(self.0);
        }
    }

    let _restore = Restore(KEY.replace(Some(value)));
    f()
}

/// The locals that are alive: what a raw pointer in the key might point to without harm.
type Alive = Rc<RefCell<HashSet<u32>>>;

struct Local(u32, Alive);

impl Local {
    fn new(number: u32, alive: &Alive) -> Self {
        alive.borrow_mut().insert(number);
        Self(number, alive.clone())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.1.borrow_mut().remove(&self.0);
    }
}

/// Sets the key to a local of its own, and waits inside. Gives what the key held before and after the wait.
fn set_and_wait(number: u32, alive: &Alive, gate: &Receiver<()>) -> [Option<u32>; 2] {
    let local = Local::new(number, alive);
    set(local.0, || {
        let before = KEY.get();
        gate.recv().unwrap();
        [before, KEY.get()]
    })
}

/// The failing sequence. Two coroutines of one worker are not last in, first out, as two calls of one thread are:
///
/// ```text
/// A: set(&a, || wait)    the key was empty, is &a
/// B: set(&b, || wait)    the key was &a,    is &b
/// A goes on              restores: empty; `a` is gone
/// B goes on              restores: &a, which dangles
/// ```
#[test]
fn a_set_and_restore_thread_local_ends_up_with_a_local_that_is_gone() {
    guarded(|| {
        runtime(1).run(|| {
            let alive = Alive::default();
            let coroutines = [1, 2].map(|number| {
                let (open, gate) = bounded(1);
                let alive = alive.clone();
                (open, coroutine::spawn_local(move || set_and_wait(number, &alive, &gate)))
            });
            coroutine::yield_now();
            assert_eq!(KEY.get(), Some(2), "both are inside, the second one came last");
            let [first, second] = coroutines.map(|(open, handle)| {
                open.send(()).unwrap();
                handle.join().unwrap()
            });
            assert_eq!(first, [Some(1), Some(2)], "after its wait the first one sees the other's value");
            assert_eq!(second, [Some(2), None], "and the second one sees none, inside of its own scope");
            let left = KEY.take().expect("what the second one has restored");
            assert_eq!(left, 1);
            assert!(!alive.borrow().contains(&left), "a raw pointer in its place would dangle");
        });
    });
}

#[test]
fn the_same_sequence_is_sound_on_threads() {
    guarded(|| {
        runtime(1).run(|| {
            let threads = [1, 2].map(|number| {
                let (open, gate) = bounded(1);
                let body = move || (set_and_wait(number, &Alive::default(), &gate), KEY.get());
                (open, thread::spawn(body))
            });
            for ((open, handle), number) in threads.into_iter().zip([1, 2]) {
                open.send(()).unwrap();
                assert_eq!(handle.join().unwrap(), ([Some(number), Some(number)], None));
            }
        });
    });
}

#[test]
fn the_same_sequence_is_sound_without_a_wait_inside() {
    guarded(|| {
        runtime(1).run(|| {
            let handles = [1, 2].map(|number| {
                coroutine::spawn_local(move || {
                    let inside = set(number, || KEY.get());
                    coroutine::yield_now();
                    (inside, KEY.get())
                })
            });
            for (handle, number) in handles.into_iter().zip([1, 2]) {
                assert_eq!(handle.join().unwrap(), (Some(number), None));
            }
        });
    });
}

/// The remedy at work: in a region the sequence ends at its first step, with the key as it was. What was wrong in silence
/// is a panic that names the wait and the region.
#[test]
fn a_region_without_switches_catches_the_sequence() {
    guarded(|| {
        runtime(1).run(|| {
            let alive = Alive::default();
            let coroutines = [1, 2].map(|number| {
                let (open, gate) = bounded::<()>(1);
                let alive = alive.clone();
                let body = move || {
                    let local = Local::new(number, &alive);
                    set(local.0, || no_suspend(|| gate.recv()))
                };
                (open, coroutine::spawn_local(body))
            });
            coroutine::yield_now();
            assert_eq!(KEY.get(), None, "each has restored the key before the other ran");
            for (_open, handle) in coroutines {
                let said = handle.join().unwrap_err().downcast::<String>().unwrap();
                assert!(said.contains("must not switch") && said.contains(file!()), "{said}");
            }
            assert_eq!(KEY.get(), None);
        });
    });
}

#[test]
fn state_kept_by_task_instead_of_by_thread_is_sound() {
    thread_local! {
        static BY_TASK: RefCell<HashMap<ropewalk::TaskId, u32>> = RefCell::default();
    }
    guarded(|| {
        runtime(1).run(|| {
            let handles = [1, 2].map(|number| {
                coroutine::spawn_local(move || {
                    let me = coroutine::current().id();
                    BY_TASK.with_borrow_mut(|map| map.insert(me, number));
                    coroutine::yield_now();
                    BY_TASK.with_borrow_mut(|map| map.remove(&me))
                })
            });
            for (handle, number) in handles.into_iter().zip([1, 2]) {
                assert_eq!(handle.join().unwrap(), Some(number));
            }
        });
    });
}

/// A plain thread-local, read and written between two waits, is what `Cell` promises: nobody comes between.
#[test]
fn a_thread_local_between_two_waits_is_undisturbed() {
    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }
    guarded(|| {
        runtime(1).run(|| {
            let handles: Vec<_> = (0..20)
                .map(|_| {
                    coroutine::spawn_local(|| {
                        for _ in 0..100 {
                            let count = COUNT.get();
                            COUNT.set(count + 1);
                            coroutine::yield_now();
                        }
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(COUNT.get(), 2000);
        });
    });
}

/// The guard of a std lock that is held over a wait keeps the lock of its thread: a neighbour that locks it would block
/// the very thread on which alone the holder can go on. Ropewalk's own locks are for that.
#[test]
fn a_std_lock_held_over_a_wait_would_block_the_worker() {
    guarded(|| {
        runtime(1).run(|| {
            let std_lock = Rc::new(std::sync::Mutex::new(()));
            let own_lock = Rc::new(ropewalk::sync::Mutex::new(()));
            let (open, gate) = bounded(0);
            let holder = coroutine::spawn_local({
                let (std_lock, own_lock) = (std_lock.clone(), own_lock.clone());
                move || {
                    let _both = (std_lock.lock().unwrap(), own_lock.lock().unwrap());
                    gate.recv().unwrap();
                }
            });
            coroutine::yield_now();
            assert!(matches!(std_lock.try_lock(), Err(TryLockError::WouldBlock)), "lock would wait for ever");
            let neighbour = coroutine::spawn_local(move || drop(own_lock.lock().unwrap()));
            coroutine::yield_now();
            assert!(!neighbour.is_finished());
            open.send(()).unwrap();
            neighbour.join().unwrap();
            holder.join().unwrap();
        });
    });
}

/// std asks the thread whether it panics. While a neighbour is switched away half unwound the answer is yes, and a guard
/// of a std lock that was taken before and is dropped now takes it for its own panic.
#[test]
fn a_std_lock_is_poisoned_by_a_neighbour_that_is_half_unwound() {
    struct Locks(Rc<ropewalk::sync::Mutex<()>>);

    impl Drop for Locks {
        fn drop(&mut self) {
            drop(self.0.lock());
        }
    }

    guarded(|| {
        runtime(1).run(|| {
            let held = Rc::new(ropewalk::sync::Mutex::new(()));
            let guard = held.lock().unwrap();
            let (std_lock, own_lock) = (std::sync::Mutex::new(()), ropewalk::sync::Mutex::new(()));
            let task = coroutine::spawn_local({
                let held = held.clone();
                move || {
                    let _locks = Locks(held);
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            task.cancel();
            {
                let _both = (std_lock.lock().unwrap(), own_lock.lock().unwrap());
                coroutine::yield_now(); // the task unwinds, and has to switch away for the lock that is held here
            }
            assert!(std_lock.is_poisoned(), "std takes the neighbour's unwind for a panic here");
            assert!(!own_lock.is_poisoned(), "ours asks the task");
            drop(guard);
            assert!(task.join().unwrap_err().is_cancelled());
        });
    });
}
