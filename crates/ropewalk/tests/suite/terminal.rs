//! What is typed at a terminal: whom it reaches, and how often.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::process::{self, Command, Exit, forward_terminal_signals};
use rustix::process::{Signal, getpid, kill_process};

use crate::support::child::{Child, case, test_name};
use crate::support::terminal::Terminal;
use crate::support::{guarded, until};

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";

fn count(signal: Signal) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let action = move || _ = counter.fetch_add(1, SeqCst);
    // SAFETY: to add to an atomic is async-signal-safe.
    unsafe { signal_hook::low_level::register(signal.as_raw(), action) }.unwrap();
    count
}

/// Counts the interrupts that it gets: says so at each, and goes on until nobody wants to know.
fn listen((mut orders, mut news): (PipeReader, PipeWriter)) -> u32 {
    let interrupts = count(Signal::INT);
    news.write_all(b".").unwrap();
    let mut byte = [0];
    let mut told = 0;
    while orders.read(&mut byte).unwrap() == 1 {
        until(|| interrupts.load(SeqCst) > told);
        told += 1;
        news.write_all(b".").unwrap();
    }
    interrupts.load(SeqCst)
}

#[test]
fn an_interrupt_reaches_parent_and_children_once() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        let own = count(Signal::INT);
        forward_terminal_signals().unwrap();
        forward_terminal_signals().unwrap(); // and a second call does not double them
        let mut children: Vec<_> = (0..3)
            .map(|_| {
                let (orders, order) = pipe().unwrap();
                let (news, tell) = pipe().unwrap();
                (process::spawn(listen, (orders, tell)).unwrap(), order, news)
            })
            .collect();
        children.iter_mut().for_each(|(_, _, news)| news.read_exact(&mut [0]).unwrap());
        for round in 1..=3 {
            terminal.keyboard.write_all(CTRL_C).unwrap();
            until(|| own.load(SeqCst) == round);
            for (_, order, news) in &mut children {
                order.write_all(b"?").unwrap();
                news.read_exact(&mut [0]).unwrap();
            }
        }
        for (child, order, _) in children {
            drop(order);
            assert_eq!(child.join().unwrap(), 3);
        }
        assert_eq!(own.load(SeqCst), 3);
    });
}

/// A child that is in the middle of something, and can be waited for until it is.
fn busy() -> (ropewalk::JoinHandle<()>, u32, PipeWriter) {
    let (orders, order) = pipe().unwrap();
    let (mut news, tell) = pipe().unwrap();
    let wait = |(mut orders, mut tell): (PipeReader, PipeWriter)| {
        tell.write_all(&std::process::id().to_ne_bytes()).unwrap();
        let _end = orders.read(&mut [0]).unwrap();
    };
    let child = process::spawn(wait, (orders, tell)).unwrap();
    let mut id = [0; 4];
    news.read_exact(&mut id).unwrap();
    (child, u32::from_ne_bytes(id), order)
}

fn state(id: u32) -> char {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    status.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn without_being_asked_nothing_is_passed_on() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        let own = count(Signal::INT);
        let (child, _, order) = busy();
        // A foreign program is in this group, and hears the terminal itself.
        let mut cat = Command::new("cat").stdin(process::Stdio::piped()).spawn().unwrap();
        terminal.keyboard.write_all(CTRL_C).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&cat_end(&mut cat)), Some(libc::SIGINT));
        until(|| own.load(SeqCst) == 1);
        drop(order);
        child.join().unwrap();
    });
}

/// The end of a program whose input stays open.
fn cat_end(cat: &mut process::Child) -> std::process::ExitStatus {
    let _input = cat.stdin.take();
    cat.wait().unwrap()
}

#[test]
fn what_a_process_sends_is_not_passed_on() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        let own = count(Signal::INT);
        forward_terminal_signals().unwrap();
        let (child, _, order) = busy();
        kill_process(getpid(), Signal::INT).unwrap();
        until(|| own.load(SeqCst) == 1);
        drop(order);
        child.join().unwrap();
        // Arrivals are in order, so this one proves that the other was left out.
        let (child, _, _order) = busy();
        terminal.keyboard.write_all(CTRL_C).unwrap();
        let error = child.join().unwrap_err();
        assert!(matches!(error.exit(), Some(Exit::Signaled { signal: libc::SIGINT, .. })), "{error}");
    });
}

#[test]
fn a_child_stops_and_goes_on_with_its_parent() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        let own = count(Signal::TSTP); // instead of stopping
        forward_terminal_signals().unwrap();
        let (child, id, order) = busy();
        terminal.keyboard.write_all(CTRL_Z).unwrap();
        until(|| state(id) == 'T');
        assert_eq!(own.load(SeqCst), 1);
        kill_process(getpid(), Signal::CONT).unwrap(); // as a shell does
        until(|| state(id) != 'T');
        drop(order);
        child.join().unwrap();
    });
}

#[test]
fn a_parent_without_a_handler_dies_as_ever() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_killed_by(Signal::INT);
    }
    guarded(|| {
        let terminal = Terminal::take();
        forward_terminal_signals().unwrap();
        let (child, _, _order) = busy();
        terminal.keyboard.write_all(CTRL_C).unwrap();
        let _ = child.join();
        std::thread::park();
    });
}

#[test]
fn what_is_ignored_stays_ignored() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        // SAFETY: to ignore a signal runs nobody's code.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        let _own = count(Signal::TSTP); // instead of stopping
        forward_terminal_signals().unwrap();
        let (child, id, order) = busy();
        terminal.keyboard.write_all(CTRL_C).unwrap();
        // What is typed comes in order: when this has come, that one has.
        terminal.keyboard.write_all(CTRL_Z).unwrap();
        until(|| state(id) == 'T');
        kill_process(getpid(), Signal::CONT).unwrap();
        drop(order);
        child.join().unwrap();
    });
}
