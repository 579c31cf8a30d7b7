//! Two tasks on one CPU that give it to each other: there and back is two switches.
//!
//! One of the two is the caller, which counts and times; what the other is, is the plan.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use ropewalk::net::UnixStream;
use ropewalk::{Runtime, coroutine, process, thread};

use super::touch::WorkingSet;
use crate::costs::cell::{How, Plan};

/// What the caller does with the other one: it is given a function that goes there and back so often.
type Lead<'a, T> = dyn FnOnce(&mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<T> + Send + 'a;

/// Starts the other task, lets `lead` play with it, and ends it. Both touch so much memory after every switch.
pub(super) fn duel<T: Send>(plan: Plan, how: How, working_set: u32, lead: Box<Lead<'_, T>>) -> io::Result<T> {
    match (how, plan) {
        (How::Own, Plan::Coroutine) => single_worker(|| yielding(working_set, lead)),
        (How::Own, Plan::Thread) => parking(working_set, lead),
        (How::Socket, Plan::Coroutine) => single_worker(|| {
            let (near, far) = UnixStream::pair()?;
            let other = coroutine::spawn_local(move || follow(far, working_set));
            let led = over_socket(near, working_set, lead);
            other.join().map_err(io::Error::from)??;
            led
        }),
        (How::Socket, Plan::Thread) => {
            let (near, far) = UnixStream::pair()?;
            let other = thread::Builder::new().spawn(move || follow(far, working_set))?;
            let led = over_socket(near, working_set, lead);
            other.join().map_err(io::Error::from)??;
            led
        }
        (How::Socket, Plan::Process) => {
            let (near, far) = UnixStream::pair()?;
            let follow = |(far, set)| follow(far, set).map_err(|error: io::Error| error.to_string());
            let other = process::spawn(follow, (far, working_set))?;
            let led = over_socket(near, working_set, lead);
            other.join().map_err(io::Error::from)?.map_err(io::Error::other)?;
            led
        }
        (How::Own, Plan::Process) | (How::KernelYield, _) => {
            Err(io::Error::other("there is no such way to switch"))
        }
    }
}

/// Runs `f` as the first coroutine of a runtime with one worker.
fn single_worker<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    Runtime::builder().workers(1).build()?.run(f)
}

/// The caller's side of a connection. The other one ends when this is over.
fn over_socket<T>(mut near: UnixStream, working_set: u32, lead: Box<Lead<'_, T>>) -> io::Result<T> {
    let mut set = WorkingSet::new(working_set);
    let mut byte = [0];
    lead(&mut |times| {
        for _ in 0..times {
            near.write_all(&byte)?;
            near.read_exact(&mut byte)?;
            set.touch();
        }
        Ok(())
    })
}

/// The other side: gives back every byte until there are no more.
fn follow(mut far: UnixStream, working_set: u32) -> io::Result<()> {
    let mut set = WorkingSet::new(working_set);
    let mut byte = [0];
    while far.read(&mut byte)? > 0 {
        set.touch();
        far.write_all(&byte)?;
    }
    Ok(())
}

/// Two coroutines that yield.
fn yielding<T>(working_set: u32, lead: Box<Lead<'_, T>>) -> io::Result<T> {
    let over = Rc::new(Cell::new(false));
    let seen = Rc::clone(&over);
    let other = coroutine::spawn_local(move || {
        let mut set = WorkingSet::new(working_set);
        while !seen.get() {
            set.touch();
            coroutine::yield_now();
        }
    });
    let mut set = WorkingSet::new(working_set);
    let led = lead(&mut |times| {
        for _ in 0..times {
            coroutine::yield_now();
            set.touch();
        }
        Ok(())
    });
    over.set(true);
    other.join().map_err(io::Error::from)?;
    led
}

const LEADER: u32 = 0;
const OTHER: u32 = 1;
const OVER: u32 = 2;

/// Two threads that unpark each other. The token of std's `park` may be there for another reason, so a word says whose
/// turn it is; its ordering is of no matter, since `unpark` and `park` order what they pass.
fn parking<T>(working_set: u32, lead: Box<Lead<'_, T>>) -> io::Result<T> {
    let turn = AtomicU32::new(LEADER);
    let wait_until = |wanted: fn(u32) -> bool| {
        loop {
            let turn = turn.load(SeqCst);
            if wanted(turn) {
                return turn;
            }
            std::thread::park();
        }
    };
    let leader = std::thread::current();
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, || {
            let mut set = WorkingSet::new(working_set);
            while wait_until(|turn| turn != LEADER) != OVER {
                set.touch();
                turn.store(LEADER, SeqCst);
                leader.unpark();
            }
        })?;
        let mut set = WorkingSet::new(working_set);
        let led = lead(&mut |times| {
            for _ in 0..times {
                turn.store(OTHER, SeqCst);
                other.thread().unpark();
                wait_until(|turn| turn == LEADER);
                set.touch();
            }
            Ok(())
        });
        turn.store(OVER, SeqCst);
        other.thread().unpark();
        led
    })
}
