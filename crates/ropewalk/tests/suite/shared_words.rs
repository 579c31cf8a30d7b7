//! Waiting for words that processes share: who changes one and says so is heard, in every process, by every kind of task.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use ropewalk::inspect::{self, State, WaitReason};
use ropewalk::ipc::Segment;
use ropewalk::{DriverKind, Runtime, coroutine, process, scope, timeout};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::child::{self, Child, test_name};
use crate::support::{LONG, Plan, guarded, on_every_pair, on_every_plan, runtime, until};

type Words = Segment<AtomicU32>;

#[test]
fn a_change_in_one_process_is_heard_in_another() {
    on_every_plan(|plan| {
        let words = Words::new(2).unwrap();
        let theirs = words.clone();
        let waiter = plan.spawn(move || (theirs.wait(0, 0), theirs[1].load(Relaxed)));
        until(|| matches!(waiter.task().state(), State::Blocked(_)));
        let tell = |words: Words| {
            words[1].store(3, Relaxed);
            words[0].store(1, Release);
            words.notify_all(0);
        };
        process::spawn(tell, words.clone()).unwrap().join().unwrap();
        assert_eq!(waiter.join().unwrap(), (1, 3));
        assert_eq!(words.wait(0, 0), 1, "a word that has changed is not waited for");
    });
}

/// Answers each odd number in the first word with the next even one.
fn answer(words: &Words, rounds: u32) {
    for round in 0..rounds {
        assert_eq!(words.wait(0, 2 * round), 2 * round + 1);
        words[0].store(2 * round + 2, Release);
        words.notify_one(0);
    }
}

fn ask(words: &Words, rounds: u32) {
    for round in 0..rounds {
        words[0].store(2 * round + 1, Release);
        words.notify_one(0);
        assert_eq!(words.wait(0, 2 * round + 1), 2 * round + 2);
    }
}

#[test]
fn no_call_is_lost_between_two_processes() {
    const ROUNDS: u32 = 1000;
    on_every_pair(|plan| {
        let words = Words::new(1).unwrap();
        let as_coroutine = |words: Words| coroutine::spawn(move || answer(&words, ROUNDS)).join().unwrap();
        let as_thread = |words: Words| answer(&words, ROUNDS);
        let there = match plan {
            Plan::Coroutine => process::spawn(as_coroutine, words.clone()),
            Plan::Thread => process::spawn(as_thread, words.clone()),
        };
        ask(&words, ROUNDS);
        there.unwrap().join().unwrap();
    });
}

/// More coroutines than one helper has room for wait for a word each; another process changes all of them.
fn a_crowd_is_served(count: usize) {
    let words = Words::new(count).unwrap();
    scope(|s| {
        let waiters: Vec<_> = (0..count)
            .map(|index| {
                let words = &words;
                s.spawn(move || words.wait(index, 0))
            })
            .collect();
        until(|| waiters.iter().all(|waiter| matches!(waiter.task().state(), State::Blocked(_))));
        let tell = |words: Words| {
            for index in 0..words.len() {
                words[index].store(index as u32 + 1, Release);
                words.notify_one(index);
            }
        };
        process::spawn(tell, words.clone()).unwrap().join().unwrap();
        for (index, waiter) in waiters.into_iter().enumerate() {
            assert_eq!(waiter.join().unwrap(), index as u32 + 1);
        }
    });
}

#[test]
fn more_words_than_one_helper_can_wait_for() {
    guarded(|| runtime(2).run(|| a_crowd_is_served(300)));
}

#[test]
fn one_call_after_the_other_serves_all_whoever_leaves_in_between() {
    on_every_plan(|plan| {
        for _ in 0..50 {
            let words = Words::new(1).unwrap();
            let waiters: Vec<_> = (0..8)
                .map(|_| {
                    let words = words.clone();
                    plan.spawn(move || take_one(&words))
                })
                .collect();
            // Half of them are told to leave while the calls come, and may have been called already.
            for (index, waiter) in waiters.iter().enumerate() {
                words[0].fetch_add(1, Release);
                words.notify_one(0);
                if index % 2 == 0 {
                    waiter.cancel();
                }
            }
            // Who stays gets one; who is cancelled takes one only if it returns.
            let taken = waiters.into_iter().map(|waiter| waiter.join().is_ok() as u32).sum::<u32>();
            assert!(taken >= 4);
            assert_eq!(words[0].load(Acquire), 8 - taken);
        }
    });
}

/// Takes one of what is counted in the first word.
fn take_one(words: &Words) {
    loop {
        let there = words.wait(0, 0);
        if words[0].compare_exchange(there, there.wrapping_sub(1), Acquire, Relaxed).is_ok() {
            return;
        }
    }
}

#[test]
fn a_limit_and_a_timeout_end_the_wait() {
    on_every_pair(|plan| {
        let words = Words::new(1).unwrap();
        let task = plan.spawn(move || {
            assert_eq!(words.wait_timeout(0, 0, Duration::from_millis(2)), None);
            assert!(timeout(Duration::from_millis(2), || words.wait(0, 0)).is_err());
            assert_eq!(words.wait_timeout(0, 5, LONG), Some(0));
        });
        task.join().unwrap();
    });
}

#[test]
fn a_list_of_tasks_shows_what_is_waited_for() {
    on_every_plan(|plan| {
        let words = Words::new(1).unwrap();
        let address = std::ptr::from_ref(&words[0]).addr();
        let theirs = words.clone();
        let waiter = plan.spawn(move || theirs.wait(0, 0));
        until(|| matches!(waiter.task().state(), State::Blocked(_)));
        let dump = inspect::dump();
        let task = dump.task(waiter.id()).expect("it is there");
        let State::Blocked(blocked) = task.state() else { panic!("it waits: {task:?}") };
        assert_eq!(blocked.reason, WaitReason::SharedWord);
        assert_eq!(blocked.object, Some(address));
        words[0].store(1, Release);
        words.notify_all(0);
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn a_ring_sleeps_for_a_coroutine_and_a_helper_where_there_is_none() {
    guarded(|| {
        if child::case().is_none() {
            // By itself: others have helpers.
            return Child::new(test_name!(), "alone").run().assert_success();
        }
        for (driver, helpers) in [(DriverKind::Uring, 0), (DriverKind::Epoll, 1)] {
            let Ok(runtime) = Runtime::builder().driver(driver).workers(1).build() else {
                eprintln!("without {driver}");
                continue;
            };
            if driver == DriverKind::Uring && !kernel_has_futex_requests() {
                eprintln!("the kernel's io_uring does not sleep on words");
                continue;
            }
            runtime.run(move || {
                let words = Words::new(1).unwrap();
                let theirs = words.clone();
                let waiter = coroutine::spawn(move || theirs.wait(0, 0));
                until(|| matches!(waiter.task().state(), State::Blocked(_)));
                assert_eq!(helper_threads(), helpers, "with {driver}");
                words[0].store(1, Release);
                words.notify_one(0);
                assert_eq!(waiter.join().unwrap(), 1);
            });
        }
    });
}

/// Linux 6.7 and later.
fn kernel_has_futex_requests() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
}

fn helper_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "ropewalk-words").count()
}

/// Has the kernel say that it has no futex_waitv(2), as those before 5.16 do.
fn deny_waiting_for_several() {
    let rules = BTreeMap::from([(libc::SYS_futex_waitv, Vec::new())]);
    let denied = SeccompAction::Errno(libc::ENOSYS as u32);
    let here = std::env::consts::ARCH.try_into().expect("an architecture that seccompiler knows");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, here).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("it compiles");
    seccompiler::apply_filter(&program).expect("the kernel takes it");
}

#[test]
fn a_kernel_that_waits_for_one_word_only_serves_as_well() {
    if child::case().is_some() {
        deny_waiting_for_several();
        return guarded(|| Runtime::builder().workers(2).build().unwrap().run(|| a_crowd_is_served(20)));
    }
    Child::new(test_name!(), "denied").run().assert_success();
}
