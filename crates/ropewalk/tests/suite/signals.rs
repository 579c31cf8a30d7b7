//! Signals as values, to the process and to one thread. Each test has a process of its own: what it does at a signal is the
//! process's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{TryRecvError, select, unbounded};
use ropewalk::inspect::State;
use ropewalk::signal::{Signal, Signals, ThreadSignals, ctrl_c};
use ropewalk::{JoinHandle, coroutine, thread, timeout};
use rustix::process::{getpid, kill_process};

use crate::support::child::{Child, case, test_name};
use crate::support::{LONG, Plan, guarded, on_every_pair, on_every_plan, runtime, until};

/// Sends a signal to this process, as `kill` does.
fn kill(signal: Signal) {
    let signal = rustix::process::Signal::from_named_raw(signal.as_raw()).expect("a signal with a name");
    kill_process(getpid(), signal).unwrap();
}

/// Lets a task go on until it waits.
fn until_blocked<T>(handle: &JoinHandle<T>) {
    until(|| matches!(handle.task().state(), State::Blocked(_)));
}

#[test]
fn they_come_to_whoever_waits() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_pair(|plan| {
        let mut signals = Signals::new([Signal::USR1, Signal::TERM]).unwrap();
        let task = plan.spawn(move || (signals.next(), signals.recv(), signals));
        until_blocked(&task);
        kill(Signal::USR1);
        until_blocked(&task);
        kill(Signal::TERM);
        let (first, second, signals) = task.join().unwrap();
        // It may not have waited for the second one again when that came: then they come together, in any order.
        let mut both = [first.unwrap(), second.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [Signal::USR1, Signal::TERM]);
        assert_eq!(signals.receiver().try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_select_and_a_timeout_wait_for_them_too() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_pair(|plan| {
        let signals = Signals::new([Signal::HUP]).unwrap();
        assert!(timeout(Duration::from_millis(1), || signals.recv()).is_err());
        let (sender, orders) = unbounded::<u32>();
        let task = plan.spawn(move || {
            let mut sum = 0;
            loop {
                select! {
                    recv(orders) -> order => sum += order.unwrap(),
                    recv(signals.receiver()) -> signal => break (sum, signal),
                }
            }
        });
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        until(|| sender.is_empty());
        kill(Signal::HUP);
        assert_eq!(task.join().unwrap(), (3, Ok(Signal::HUP)));
    });
}

#[test]
fn who_is_cancelled_takes_none_with_it() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_pair(|plan| {
        let signals = Arc::new(Signals::new([Signal::USR2]).unwrap());
        let [cancelled, other] = [(); 2].map(|()| {
            let signals = signals.clone();
            let task = plan.spawn(move || signals.recv());
            until_blocked(&task);
            task
        });
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
        kill(Signal::USR2);
        assert_eq!(other.join().unwrap(), Ok(Signal::USR2));
    });
}

#[test]
fn each_stream_gets_each_of_its_kinds_and_keeps_one() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let one = Signals::new([Signal::USR1]).unwrap();
        let both = Signals::new([Signal::USR1, Signal::USR2]).unwrap();
        let receiver = Signals::new([Signal::USR1]).unwrap().receiver().clone();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected), "it has gone");
        for _ in 0..1000 {
            kill(Signal::USR1);
            assert!(one.receiver().len() <= 1 && both.receiver().len() <= 1);
        }
        kill(Signal::USR2);
        let mut seen = [both.recv().unwrap(), both.recv().unwrap()];
        while seen[0] == seen[1] {
            // One of the thousand came after the first was taken.
            seen[1] = both.recv().unwrap();
        }
        seen.sort_unstable();
        assert_eq!(seen, [Signal::USR1, Signal::USR2]);
        assert_eq!(one.recv(), Ok(Signal::USR1));
    });
}

#[test]
fn without_a_stream_a_signal_ends_the_process_as_ever() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_killed_by(rustix::process::Signal::TERM);
    }
    guarded(|| {
        runtime(2).run(|| {
            let _other = Signals::new([Signal::HUP]).unwrap();
            kill(Signal::TERM);
            coroutine::sleep(LONG);
        });
    });
}

#[test]
fn the_end_of_a_stream_does_not_bring_the_old_end_back_and_others_are_called() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGTERM, flag.clone()).unwrap();
        drop(Signals::new([Signal::TERM, Signal::USR1]).unwrap());
        kill(Signal::TERM);
        kill(Signal::USR1);
        until(|| flag.load(SeqCst));
        let again = Signals::new([Signal::USR1]).unwrap();
        kill(Signal::USR1);
        assert_eq!(again.recv(), Ok(Signal::USR1));
    });
}

#[test]
fn a_ctrl_c_is_waited_for() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_plan(|plan: Plan| {
        let task = plan.spawn(ctrl_c);
        until_blocked(&task);
        kill(Signal::INT);
        task.join().unwrap().unwrap();
    });
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGURG] {
            // The kernel refuses a look at the first two.
            let Some(signal) = Signal::from_raw(number) else { continue };
            let error = Signals::new([Signal::USR1, signal]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().starts_with(&signal.to_string()), "{error}");
            assert_eq!(ThreadSignals::new([signal]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(Signal::real_time(0).unwrap().as_raw(), libc::SIGRTMIN());
        assert_eq!(Signal::real_time(200), None);
        let named = Signal::real_time(1).unwrap().to_string();
        assert!(named.starts_with("signal ") || named.starts_with("SIG"), "{named}");
    });
}

#[test]
fn threads_wake_each_other_by_signals() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_plan(|plan| {
        let (tell, told) = unbounded();
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let tell = tell.clone();
                let sleeper = thread::spawn(move || {
                    let signals = ThreadSignals::new([Signal::USR1, Signal::USR2]).unwrap();
                    tell.send(()).unwrap();
                    let first = signals.recv().unwrap();
                    tell.send(()).unwrap();
                    (first, signals.recv().unwrap())
                });
                told.recv().unwrap();
                sleeper
            })
            .collect();
        let tasks: Vec<_> = sleepers.iter().map(JoinHandle::task).collect();
        let wakes = plan.spawn(move || {
            // In the other order; and each has its own.
            for (task, signal) in tasks.iter().rev().zip([Signal::USR1, Signal::USR2, Signal::USR1]) {
                task.send_signal(signal).unwrap();
            }
            tasks.iter().for_each(|_| told.recv().unwrap());
            tasks.iter().for_each(|task| task.send_signal(Signal::USR2).unwrap());
            tasks
        });
        let tasks = wakes.join().unwrap();
        let mut heard: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        heard.reverse();
        let [one, two] = [Signal::USR1, Signal::USR2];
        assert_eq!(heard, [(one, two), (two, two), (one, two)]);
        for task in tasks {
            assert_eq!(task.send_signal(Signal::USR1).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    });
}

#[test]
fn signals_to_a_thread_are_its_own_and_end_with_their_value() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    on_every_plan(|_| {
        let thread = thread::spawn(|| {
            let signals = ThreadSignals::new([Signal::USR1]).unwrap();
            let late = signals.recv_timeout(Duration::from_millis(1)).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
            assert!(timeout(Duration::from_millis(1), || signals.recv()).is_err());
            let own = thread::current();
            own.send_signal(Signal::USR1).unwrap();
            own.send_signal(Signal::USR1).unwrap(); // the kernel keeps one
            assert_eq!(signals.recv_timeout(LONG).unwrap(), Signal::USR1);
            assert!(signals.recv_timeout(Duration::ZERO).is_err());
            own.send_signal(Signal::USR1).unwrap();
            drop(signals); // and what was not taken strikes nobody
            // A thread that is cancelled while it waits takes its mask along.
            let signals = ThreadSignals::new([Signal::USR2]).unwrap();
            let _ = signals.recv();
        });
        until_blocked(&thread);
        thread.cancel();
        assert!(thread.join().unwrap_err().is_cancelled());
        let refused = coroutine::spawn(|| ThreadSignals::new([Signal::USR1]).map(drop).unwrap_err().kind());
        let task = refused.task();
        assert_eq!(task.send_signal(Signal::USR1).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(refused.join().unwrap(), io::ErrorKind::Unsupported);
    });
}
