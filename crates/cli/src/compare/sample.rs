//! Made-up results for the tests of whatever is computed from results.

use crate::compare::books::Books;
use crate::compare::disk::Disk;
use crate::compare::limiter::Limiter;
use crate::compare::measure::Memory;
use crate::compare::plan::Plan;
use crate::compare::result::{Cell, Comparison, Figures, Measurement, Method, Outcome, SCHEMA};
use crate::compare::{rows, verdict};
use crate::load::{Answers, Latencies, Spent, Summary, Window, Work};
use crate::machine::Machine;

/// A method with three rounds of these plans and users.
pub(crate) fn method(plans: &[Plan], users: &[u32]) -> Method {
    Method {
        plans: plans.to_vec(),
        users: users.to_vec(),
        work: Work::Io,
        rounds: 3,
        seed: 1,
        warmup_seconds: 1.0,
        seconds: 5.0,
        payments: 10_000,
        thread_stack_bytes: 4 << 20,
        memory_limit_bytes: None,
        workers: None,
        processes: None,
        process_users: 1_000,
    }
}

/// A measured cell with this rate and CPU per request. Its memory is that of so many tasks: 40 KiB touched and 4 MiB
/// reserved for each thread, 10 KiB and 256 KiB for each coroutine, 1,000 KiB and 20 MiB for each process.
pub(crate) fn cell(round: u32, users: u32, plan: Plan, rate: f64, cpu_us: f64) -> Cell {
    let (touched, reserved) = match plan {
        Plan::Thread | Plan::Std => (40.0 * 1024.0, 4.0 * 1024.0 * 1024.0),
        Plan::Process => (1_000.0 * 1024.0, 20.0 * 1024.0 * 1024.0),
        Plan::Coroutine | Plan::ProcessCoroutine => (10.0 * 1024.0, 256.0 * 1024.0),
    };
    let coroutines = matches!(plan, Plan::Coroutine | Plan::ProcessCoroutine);
    let base = 8.0 * 1024.0 * 1024.0;
    let mut latency_us = Latencies::new();
    for i in 0..10_000_u64 {
        latency_us.record((1_000_000.0 * f64::from(users) / rate * 1_000.0) as u64 + i * 1_000);
    }
    let figures = Figures {
        rate: Some(rate),
        connect_seconds: Some(0.1),
        p50_us: latency_us.quantile_us(0.5),
        p99_us: latency_us.quantile_us(0.99),
        p999_us: latency_us.quantile_us(0.999),
        server_cpu_us: Some(cpu_us),
        ledger_cpu_us: Some(22.0),
        client_cpu_us: Some(12.0),
        kernel_switches: Some(if coroutines { 0.05 } else { 2.1 }),
        coroutine_switches: Some(if coroutines { 2.0 } else { 0.0 }),
        page_faults: Some(0.02),
        touched_bytes: Some(base + touched * f64::from(users)),
        reserved_bytes: Some(base + reserved * f64::from(users)),
    };
    let load = Summary {
        work: Work::Io,
        seed: 1,
        users,
        connected: users,
        connect_seconds: 0.1,
        window: Some(Window {
            seconds: 10_000.0 / rate,
            requests: 10_000,
            latency_us,
            spent: Spent {
                seconds: 10_000.0 / rate,
                requests: 10_000,
                client_cpu_us: 120_000,
                machine_cpu_us: None,
                server: None,
            },
        }),
        processes: Vec::new(),
        answers: Answers { accepted: 9_900, refused: 100, ..Answers::default() },
        trouble: None,
        interrupted: false,
    };
    let measurement = Measurement {
        load,
        memory: Some(Memory::default()),
        books: Books::balanced(9_900, 100),
        shares: None,
        limiter: Some(Limiter::Ledger),
        figures,
    };
    Cell { round, users, plan, outcome: Outcome::Measured(Box::new(measurement)) }
}

/// Three rounds with spreads of 1 % for each (users, plan, rate, CPU).
pub(crate) fn rounds(of: &[(u32, Plan, f64, f64)]) -> Vec<Cell> {
    (1..=3)
        .flat_map(|round| {
            let wobble = 1.0 + (f64::from(round) - 2.0) * 0.01;
            of.iter()
                .map(move |&(users, plan, rate, cpu)| cell(round, users, plan, rate * wobble, cpu * wobble))
        })
        .collect()
}

/// A whole comparison of these cells.
pub(crate) fn comparison(method: Method, cells: Vec<Cell>) -> Comparison {
    let rows = rows::rows(&method, &cells);
    Comparison {
        schema: SCHEMA,
        command: "ropewalk compare".to_owned(),
        machine: Machine {
            processor: "Sample CPU".to_owned(),
            processors: 2,
            memory_bytes: 24 << 30,
            kernel: "Linux 6.18 x86_64".to_owned(),
            driver: "io_uring".into(),
            version: "0.1.0".to_owned(),
            release_build: true,
            started: "2026-11-21T08:00:00Z".to_owned(),
        },
        disk: Disk {
            directory: "/tmp".to_owned(),
            file_system: "ext4".to_owned(),
            sync_us: 850.0,
            sync_least_us: 800.0,
            durable: true,
        },
        pairs: rows::pairs(&method, &cells),
        verdicts: verdict::verdicts(&method, &rows),
        in_short: verdict::in_short(&method, &rows),
        others: None,
        method,
        cells,
        rows,
        interrupted: false,
    }
}
