//! Two processes and messages between them: there and back, and one way, of three sizes, awake and asleep.

mod crates;
mod floors;
mod kernel;
mod ours;
mod pair;

use self::pair::{Course, Pattern, Wake};
use crate::frame::table::{Column, Contender, Role, Sample, Subject, Table, sample};

pub(crate) fn subject() -> Subject {
    let mut tables = Vec::new();
    for pattern in [Pattern::RoundTrip, Pattern::Stream] {
        for size in SIZES {
            tables.push(table(Course { pattern, size, wake: Wake::Spinning, cpus: 2 }));
            tables.push(table(Course { pattern, size, wake: Wake::Sleeping, cpus: 2 }));
            tables.push(table(Course { pattern, size, wake: Wake::Sleeping, cpus: 1 }));
        }
    }
    Subject {
        name: "ipc",
        about: "Messages of 64 bytes, 4 KiB and 1 MiB between two processes, each on a CPU of its own or both on one. A message \
                there and back is one operation, or one that has arrived. 'Copied' is written from the sender's memory and read \
                into the receiver's, all of it; 'in place' is made where the receiver reads it, and both touch only its two ends, \
                so those rows do not do the work of the others: compare like with like. The CPU time is that of both \
                processes. Spinning: nobody sleeps, both CPUs are busy all the time. Sleeping: whoever finds nothing sleeps at once, but \
                for 'adaptive', which is Ropewalk's default. Rings, and iceoryx2, have room for 64 messages, of 1 MiB for 8; a pipe \
                has 1 MiB, a message queue its 10 messages, a socket what is the system's default. Floors have no rules for who dies: a \
                ring of Lamport with cached indices, also with a word to sleep on, and two words that are slept on in turn.",
        tables,
    }
}

const SIZES: [usize; 3] = [64, 4096, 1 << 20];

const COLUMNS: &[Column] =
    &[Column { key: "ns", head: "ns" }, Column { key: "cpu_ns", head: "CPU ns, both" }];

fn table(course: Course) -> Table {
    let Course { pattern, size, wake, cpus } = course;
    let is_large = size > 4096;
    let (name, title, operations) = match (pattern, wake) {
        (Pattern::RoundTrip, Wake::Spinning) => {
            ("trip", "there and back", if is_large { 100 } else { 40_000 })
        }
        (Pattern::RoundTrip, Wake::Sleeping) => ("trip", "there and back", if is_large { 60 } else { 1_000 }),
        (Pattern::Stream, Wake::Spinning) => ("stream", "one way", if is_large { 200 } else { 40_000 }),
        (Pattern::Stream, Wake::Sleeping) => ("stream", "one way", if is_large { 100 } else { 10_000 }),
    };
    let (short, long) = match size {
        64 => ("64", "64 B"),
        4096 => ("4k", "4 KiB"),
        _ => ("1m", "1 MiB"),
    };
    let how = if wake == Wake::Spinning { "spinning" } else { "sleeping" };
    let cpu = if cpus == 1 { "1" } else { "2" };
    let contenders = match size {
        64 => rows::<64>(course),
        4096 => rows::<4096>(course),
        _ => rows::<0>(course),
    };
    Table {
        // One of eighteen, for as long as the program runs.
        name: Box::leak(format!("{name}-{short}-{how}-{cpu}").into_boxed_str()),
        title: format!("{long} {title}, {how}; {}", if cpus == 1 { "one CPU" } else { "2 CPUs" }),
        operations,
        cpus,
        warm: false, // each side does it by itself: another pair of processes would be as cold
        rounds: usize::MAX,
        columns: COLUMNS,
        contenders,
    }
}

/// `N`: the size of a message that goes by value; 0 for one that is too large for that.
fn rows<const N: usize>(course: Course) -> Vec<Contender> {
    let row = |name, role, run: Box<dyn Fn(Course, u64) -> pair::Cost>| {
        Contender::new(name, role, move |n| figures(run(course, n), n))
    };
    let mut rows = Vec::new();
    let mut add = |name, role, run: fn(Course, u64) -> pair::Cost| rows.push(row(name, role, Box::new(run)));
    use Role::{Floor, Ours, Rival};
    add("ropewalk ring, copied", Ours, ours::one_to_one::<N>);
    add("ropewalk ring, in place", Ours, ours::in_place);
    add("ropewalk ring, many to many, copied", Ours, ours::many_to_many::<N>);
    if course.wake == Wake::Sleeping {
        add("ropewalk ring, adaptive, copied", Ours, ours::adaptive::<N>);
        add("ropewalk ipc::channel", Ours, ours::channel);
        add("pipe", Rival, kernel::pipe);
        add("socketpair", Rival, kernel::socketpair);
        add("POSIX message queue", Rival, kernel::message_queue);
        add("ipc-channel", Rival, crates::ipc_channel);
        if course.pattern == Pattern::RoundTrip {
            add("two words, futex, no message", Floor, floors::words);
        }
    }
    add("iceoryx2, copied", Rival, crates::iceoryx2_copied);
    add("iceoryx2, in place", Rival, crates::iceoryx2_in_place);
    add("bare ring, copied", Floor, floors::ring);
    rows
}

fn figures(cost: pair::Cost, operations: u64) -> Sample {
    let each = |time: std::time::Duration| time.as_nanos() as f64 / operations as f64;
    sample([("ns", each(cost.elapsed)), ("cpu_ns", each(cost.cpu))])
}
