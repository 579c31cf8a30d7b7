//! On which CPUs and with which priority threads run, and what is said where they must not.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ropewalk::inspect::{Death, State};
use ropewalk::thread::{self, Builder, CpuSet, Priority};
use ropewalk::{JoinError, OnFailure, coroutine};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::child::{Child, case, test_name};
use crate::support::{Tracker, guarded, on_every_pair, runtime};

/// The reason for which a thread has not started.
fn reason(error: &JoinError) -> &io::Error {
    error.source().and_then(|source| source.downcast_ref()).expect("it has not started, for a reason")
}

#[test]
fn a_thread_runs_on_the_cpus_that_it_was_given() {
    on_every_pair(|_| {
        for cpu in thread::affinity().unwrap() {
            let pinned = Builder::new().affinity([cpu]).spawn(thread::affinity).unwrap();
            assert_eq!(pinned.join().unwrap().unwrap(), CpuSet::from([cpu]));
            let late = Builder::new().affinity([cpu]).create(thread::affinity).unwrap().start().unwrap();
            assert_eq!(late.join().unwrap().unwrap(), CpuSet::from([cpu]));
            thread::scope(|s| {
                let child = Builder::new().affinity([cpu]).spawn_scoped(s, thread::affinity).unwrap();
                assert_eq!(child.join().unwrap().unwrap(), CpuSet::from([cpu]));
            });
        }
    });
}

#[test]
fn what_a_thread_sets_is_its_own() {
    guarded(|| {
        let all = thread::affinity().unwrap();
        let one: CpuSet = all.iter().take(1).collect();
        let (expected, before) = (one.clone(), thread::priority().unwrap());
        let other = std::thread::spawn(move || {
            thread::set_affinity(&one).unwrap();
            thread::set_priority(Priority::Normal(19)).unwrap();
            thread::set_priority(Priority::Batch(19)).unwrap();
            let batch = thread::priority().unwrap();
            thread::set_priority(Priority::Idle).unwrap();
            (thread::affinity().unwrap(), batch, thread::priority().unwrap())
        });
        assert_eq!(other.join().unwrap(), (expected, Priority::Batch(19), Priority::Idle));
        assert_eq!((thread::affinity().unwrap(), thread::priority().unwrap()), (all, before));
    });
}

#[test]
fn a_thread_has_the_priority_that_it_was_given() {
    on_every_pair(|_| {
        for priority in [Priority::Normal(19), Priority::Batch(19), Priority::Idle] {
            let thread = Builder::new().priority(priority).spawn(thread::priority).unwrap();
            assert_eq!(thread.join().unwrap().unwrap(), priority);
        }
    });
}

#[test]
fn a_cpu_that_is_not_there_is_named_and_nothing_runs() {
    on_every_pair(|_| {
        let here = thread::affinity().unwrap();
        let with_another: CpuSet = here.iter().chain([8000]).collect();
        for cpus in [CpuSet::from([8000]), with_another, CpuSet::from([1 << 20])] {
            let last = cpus.iter().last().unwrap();
            let (tracker, ran) = (Tracker::new(), Arc::new(AtomicBool::new(false)));
            let (value, runs) = (tracker.value(), ran.clone());
            let body = move || {
                let _value = value;
                runs.store(true, SeqCst);
            };
            let handle = Builder::new().affinity(cpus).spawn(body).unwrap();
            let task = handle.task();
            let error = handle.join().unwrap_err();
            assert_eq!(reason(&error).kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("CPU {last}")), "{error}");
            assert_eq!(task.state(), State::Dead(Death::NotStarted));
            assert_eq!((ran.load(SeqCst), tracker.drops()), (false, 1));
        }
        let nowhere = Builder::new().affinity([]).spawn(|| ()).unwrap().join().unwrap_err();
        assert!(nowhere.to_string().contains("the set is empty"), "{nowhere}");
    });
}

#[test]
fn a_refused_set_changes_nothing() {
    guarded(|| {
        std::thread::spawn(|| {
            let one: CpuSet = thread::affinity().unwrap().iter().take(1).collect();
            thread::set_affinity(&one).unwrap();
            let error =
                thread::set_affinity([*one.iter().collect::<Vec<_>>().first().unwrap(), 8000]).unwrap_err();
            assert!(error.to_string().contains("may not run on CPU 8000: it has CPUs "), "{error}");
            assert_eq!(thread::affinity().unwrap(), one);
            for priority in
                [Priority::Normal(20), Priority::Batch(-21), Priority::Fifo(0), Priority::RoundRobin(100)]
            {
                let error = thread::set_priority(priority).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{priority:?}");
            }
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_child_of_a_scope_that_cannot_start_is_a_failure() {
    on_every_pair(|_| {
        thread::scope_with(OnFailure::Isolate, None, |s| {
            let child = Builder::new().affinity([8000]).spawn_scoped(s, || ()).unwrap();
            assert_eq!(reason(&child.join().unwrap_err()).kind(), io::ErrorKind::InvalidInput);
        });
        let fails =
            || thread::scope(|s| drop(Builder::new().affinity([8000]).spawn_scoped(s, || ()).unwrap()));
        assert!(std::panic::catch_unwind(fails).is_err());
    });
}

#[test]
fn a_coroutine_does_not_change_its_worker() {
    guarded(|| {
        runtime(1).run(|| {
            let before = (thread::affinity().unwrap(), thread::priority().unwrap());
            let place = thread::set_affinity(before.0.iter().take(1)).unwrap_err();
            let rank = thread::set_priority(Priority::Idle).unwrap_err();
            assert_eq!((place.kind(), rank.kind()), (io::ErrorKind::Unsupported, io::ErrorKind::Unsupported));
            assert_eq!((thread::affinity().unwrap(), thread::priority().unwrap()), before);
            // A thread of its own can.
            let idle = coroutine::spawn(|| Builder::new().priority(Priority::Idle).spawn(thread::priority));
            assert_eq!(idle.join().unwrap().unwrap().join().unwrap().unwrap(), Priority::Idle);
        });
    });
}

#[test]
fn a_priority_that_is_refused_names_the_capability_and_the_limit() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

        setrlimit(Resource::Nice, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        setrlimit(Resource::Rtprio, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        // Of this thread, and so of those that it starts.
        let mut own = capabilities(None).unwrap();
        for set in [&mut own.effective, &mut own.permitted, &mut own.inheritable] {
            set.remove(CapabilitySet::SYS_NICE);
        }
        set_capabilities(None, own).unwrap();
        let refused = |priority| {
            let error = Builder::new().priority(priority).spawn(|| ()).unwrap().join().unwrap_err();
            assert_eq!(reason(&error).kind(), io::ErrorKind::PermissionDenied);
            error.to_string()
        };
        let text = refused(Priority::Normal(-5));
        assert!(
            text.contains("needs CAP_SYS_NICE, or an RLIMIT_NICE (`ulimit -e`) of 25 at least, which is 0"),
            "{text}"
        );
        let text = refused(Priority::Fifo(7));
        assert!(text.contains("real-time priority of 7 needs CAP_SYS_NICE, or an RLIMIT_RTPRIO"), "{text}");
        assert!(text.contains("which is 0 here"), "{text}");
        Builder::new().priority(Priority::Normal(19)).spawn(|| ()).unwrap().join().unwrap();
    });
}

#[test]
fn a_set_shows_itself_as_the_kernel_does() {
    let shown = |cpus: &[usize]| cpus.iter().copied().collect::<CpuSet>().to_string();
    assert_eq!(shown(&[]), "");
    assert_eq!(shown(&[3]), "3");
    assert_eq!(shown(&[0, 1, 2, 3, 8, 10, 11]), "0-3,8,10-11");
    let mut set = CpuSet::new();
    assert!(set.is_empty() && set.insert(1) && !set.insert(1) && set.contains(1));
    set.extend([2, 3]);
    assert!(set.remove(2) && !set.remove(2));
    assert_eq!((set.len(), set.iter().collect::<Vec<_>>()), (2, vec![1, 3]));
}
