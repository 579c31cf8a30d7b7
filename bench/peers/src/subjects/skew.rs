//! Unequal work: what the many light ones suffer from the few heavy ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ropewalk::coroutine;

use super::latency;
use super::net::{ECHO, Row, needs};
use super::net_client::Client;
use super::net_server::{Kind, Running};
use crate::frame::runner::allowed_cpus;
use crate::frame::table::{Column, Contender, Role, Sample, Subject, Table, go};
use crate::rivals::{on_ropewalk, spawn_may, tokio_workers};
use crate::servers::{Server, raise_descriptors};

pub(crate) fn subject() -> Subject {
    let table = |name, title: &str, columns, operations, contenders| Table {
        name,
        title: title.into(),
        operations,
        cpus: 2,
        warm: false,
        rounds: usize::MAX,
        columns,
        contenders,
    };
    Subject {
        name: "skew",
        about: "tasks: for 400 ms a thread that is not a worker starts a task every 50 us, whether or not the last one has run; one \
                in a hundred computes for 1 ms, the others nothing: from when a light one was due until it has run. \
                connections: echo with 96 connections that ask by turns, one every 200 us, while 4 others ask as fast as they \
                are answered: from when a quiet one's message was due until its answer. Runtimes have two workers, and \
                server and clients share both CPUs. Ropewalk's started coroutines stay on their worker; tokio's and Go's \
                tasks move.",
        tables: vec![
            table("tasks", "1 % heavy tasks; 2 CPUs", &COLUMNS[..3], 400, tasks()),
            table("connections", "4 hot connections of 100; 2 CPUs", COLUMNS, 500, connections()),
        ],
    }
}

const COLUMNS: &[Column] = &[
    Column { key: "p99_us", head: "p99 us" },
    Column { key: "p50_us", head: "p50" },
    Column { key: "p999_us", head: "p99.9" },
    Column { key: "hot", head: "hot per s" },
];

fn tasks() -> Vec<Contender> {
    let new = |name, role, run: fn(u64) -> Sample| Contender::new(name, role, run);
    vec![
        new("ropewalk", Role::Ours, |n| {
            on_ropewalk(2, move || {
                let starter =
                    ropewalk::thread::spawn(move || start_every(n, |body| drop(coroutine::spawn(body))));
                starter.join().expect("it returns")
            })
        }),
        new("tokio", Role::Rival, |n| {
            let runtime = tokio_workers(2);
            start_every(n, |body| drop(runtime.spawn(async move { body() })))
        }),
        new("may", Role::Rival, |n| {
            may::config().set_workers(2).set_stack_size(0x2000);
            start_every(n, |body| drop(spawn_may(body)))
        }),
        go("Go", "skew", 2),
        new("threads", Role::Rival, |n| start_every(n, |body| drop(std::thread::spawn(body)))),
    ]
}

/// Starts tasks at their times for so many milliseconds, waits for them, and tells how late the light ones ran.
fn start_every(milliseconds: u64, start: impl Fn(Box<dyn FnOnce() + Send>)) -> Sample {
    const EVERY: Duration = Duration::from_micros(50);
    let count = milliseconds * 20;
    let late: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
    let cpu = latency::cpu_time();
    let started = Instant::now();
    for n in 0..count {
        let due = started + EVERY * n as u32;
        let ahead = due.saturating_duration_since(Instant::now());
        if ahead > Duration::from_micros(60) {
            std::thread::sleep(ahead);
        }
        let late = late.clone();
        start(Box::new(move || {
            if n % 100 == 99 {
                latency::spin(Duration::from_millis(1));
            }
            let nanos = due.elapsed().as_nanos() as u64;
            late[n as usize].store(nanos.max(1), Ordering::Release);
        }));
    }
    while late.iter().any(|nanos| nanos.load(Ordering::Acquire) == 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let light = late.iter().enumerate().filter(|(n, _)| n % 100 != 99);
    let light = light.map(|(_, nanos)| Duration::from_nanos(nanos.load(Ordering::Relaxed))).collect();
    latency::describe(light, latency::cpu_time() - cpu)
}

fn connections() -> Vec<Contender> {
    use Role::{Ours, Rival};
    let rows: Vec<Row> = vec![
        ("ropewalk, io_uring", Ours, Kind::Driven(Server::RopewalkEcho, "uring")),
        ("ropewalk, epoll", Ours, Kind::Driven(Server::RopewalkEcho, "epoll")),
        ("tokio", Rival, Kind::Own(Server::TokioWorkersEcho)),
        ("may", Rival, Kind::Own(Server::MayEcho)),
        ("monoio", Rival, Kind::Own(Server::MonoioEcho)),
        ("Go", Rival, Kind::Go("echo")),
        ("threads", Rival, Kind::Own(Server::ThreadsEcho)),
    ];
    let contender = |(name, role, kind): Row| {
        let mut contender =
            Contender::new(name, role, move |n| hot_and_quiet(kind, Duration::from_millis(n)));
        contender.needs = needs(kind);
        contender
    };
    rows.into_iter().map(contender).collect()
}

fn hot_and_quiet(kind: Kind, duration: Duration) -> Sample {
    const HOT: usize = 4;
    const QUIET: usize = 96;
    const EVERY: Duration = Duration::from_micros(200);
    raise_descriptors();
    let mut both = allowed_cpus();
    both.truncate(2);
    let server = Running::start(kind, &both);
    let mut quiet = Client::connect(server.address, QUIET, ECHO).expect("it answers");
    let mut hot = Client::connect(server.address, HOT, ECHO).expect("it answers");
    let over = AtomicBool::new(false);
    std::thread::scope(|s| {
        let heat = s.spawn(|| {
            let (mut answers, started) = (0, Instant::now());
            while !over.load(Ordering::Relaxed) {
                answers += hot.run(Duration::from_millis(10)).expect("it answers").answers;
            }
            answers as f64 / started.elapsed().as_secs_f64()
        });
        let mut latencies = Vec::new();
        let started = Instant::now();
        for n in 0.. {
            let due = started + EVERY * n;
            // Who starves the quiet ones has shown it after twice the time.
            if due > started + duration || started.elapsed() > 2 * duration {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            quiet.ask(n as usize % QUIET).expect("it answers");
            latencies.push(due.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        let mut figures = latency::describe(latencies, Duration::ZERO);
        figures.insert("hot".into(), heat.join().expect("it returns"));
        figures
    })
}
