//! Two processes: what both do, where they run, and what it took.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::frame::runner::{allowed_cpus, pin_thread};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Pattern {
    RoundTrip,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wake {
    Spinning,
    Sleeping,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) pattern: Pattern,
    /// Of a message, in bytes: eight at least.
    pub(super) size: usize,
    pub(super) wake: Wake,
    pub(super) cpus: usize,
}

impl Course {
    /// For how many messages there is room.
    pub(super) fn room(self) -> usize {
        if self.size > 4096 { 8 } else { 64 }
    }
}

/// Elapsed, and of the CPUs in both processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
}

/// One side of a way for messages to another process. The number stands at both ends of the message.
pub(super) trait Way {
    fn send(&mut self, number: u64);
    /// The number of the next message, whose ends are the same.
    fn receive(&mut self) -> u64;
}

const NUMBER: usize = size_of::<u64>();

/// Writes the number at both ends.
pub(super) fn stamp(message: &mut [u8], number: u64) {
    let end = message.len() - NUMBER;
    message[..NUMBER].copy_from_slice(&number.to_ne_bytes());
    message[end..].copy_from_slice(&number.to_ne_bytes());
}

/// The number that stands at both ends.
pub(super) fn number_of(message: &[u8]) -> u64 {
    let (first, last) = (message.first_chunk::<NUMBER>(), message.last_chunk::<NUMBER>());
    assert_eq!(first, last, "half of a message");
    u64::from_ne_bytes(*first.expect("it is long enough"))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A tenth of it first, unmeasured, on both sides.
fn parts(operations: u64) -> [u64; 2] {
    [(operations / 10).max(1), operations]
}

/// The side that begins, on the first CPU: how long the messages took, and this process's part of the CPU time.
pub(super) fn lead(course: Course, operations: u64, way: &mut impl Way) -> Cost {
    pin_thread(allowed_cpus()[0]);
    let mut cost = Cost { elapsed: Duration::ZERO, cpu: Duration::ZERO };
    for part in parts(operations) {
        let (began, cpu) = (Instant::now(), cpu_time());
        match course.pattern {
            Pattern::RoundTrip => {
                for number in 0..part {
                    way.send(number);
                    assert_eq!(way.receive(), number);
                }
            }
            Pattern::Stream => {
                (0..part).for_each(|number| way.send(number));
                assert_eq!(way.receive(), part);
            }
        }
        cost = Cost { elapsed: began.elapsed(), cpu: cpu_time() - cpu };
    }
    cost
}

/// The other side, on the last CPU of the table: this process's part of the CPU time.
pub(super) fn follow(course: Course, operations: u64, way: &mut impl Way) -> Duration {
    let cpus = allowed_cpus();
    pin_thread(cpus[course.cpus.min(cpus.len()) - 1]);
    let mut cpu = Duration::ZERO;
    for part in parts(operations) {
        let began = cpu_time();
        for number in 0..part {
            assert_eq!(way.receive(), number);
            if course.pattern == Pattern::RoundTrip {
                way.send(number);
            }
        }
        if course.pattern == Pattern::Stream {
            way.send(part);
        }
        cpu = cpu_time() - began;
    }
    cpu
}

/// For those who know nothing of Ropewalk: a copy of this program, which has one thread here, by fork(2). Each side makes its own
/// end of the way, and begins when both have one.
pub(super) fn forked<W: Way>(
    course: Course,
    operations: u64,
    leading: impl FnOnce() -> W,
    following: impl FnOnce() -> W,
) -> Cost {
    let (mut from_child, mut to_parent) = std::io::pipe().expect("a pipe");
    // SAFETY: this program has one thread, so the copy may do whatever it wants.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no process: {}", std::io::Error::last_os_error());
    // SAFETY: it takes a number. Nobody waits for ever for a side that has failed.
    unsafe { libc::alarm(60) };
    if child == 0 {
        drop((leading, from_child));
        let cpu = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut way = following();
            to_parent.write_all(&[1]).expect("the parent reads");
            follow(course, operations, &mut way)
        }));
        let told = cpu.is_ok_and(|cpu| to_parent.write_all(&(cpu.as_nanos() as u64).to_ne_bytes()).is_ok());
        // SAFETY: it does not return; what the copy has of the parent's is not dropped twice.
        unsafe { libc::_exit(i32::from(!told)) };
    }
    drop((following, to_parent));
    let mut way = leading();
    from_child.read_exact(&mut [0]).expect("the other side is ready");
    let mut cost = lead(course, operations, &mut way);
    let mut cpu = [0; NUMBER];
    from_child.read_exact(&mut cpu).expect("the other side has come through");
    // SAFETY: our own child, which nobody else waits for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    cost.cpu += Duration::from_nanos(u64::from_ne_bytes(cpu));
    cost
}
