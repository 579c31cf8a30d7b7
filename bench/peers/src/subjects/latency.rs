//! What the subjects about latency share: quantiles, CPU time, and computing for a while.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::frame::table::{Column, Sample, sample};

/// The slowest of a hundred decides.
pub(super) const LATE: &[Column] = &[
    Column { key: "p99_us", head: "p99 us" },
    Column { key: "p50_us", head: "p50" },
    Column { key: "p999_us", head: "p99.9" },
    Column { key: "cpu_ms", head: "CPU ms" },
];

/// For wake-ups one at a time: the ordinary one decides, and what it burns stands beside it.
pub(super) const WAKE: &[Column] = &[
    Column { key: "p50_us", head: "p50 us" },
    Column { key: "p99_us", head: "p99" },
    Column { key: "p999_us", head: "p99.9" },
    Column { key: "cpu_us", head: "CPU us each" },
];

/// What this process has run, user and system.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(super) fn spin(duration: Duration) {
    let started = Instant::now();
    while started.elapsed() < duration {
        std::hint::spin_loop();
    }
}

pub(super) fn with_cpu(body: impl FnOnce() -> Vec<Duration>) -> Sample {
    let before = cpu_time();
    let latencies = body();
    describe(latencies, cpu_time() - before)
}

pub(super) fn describe(mut latencies: Vec<Duration>, cpu: Duration) -> Sample {
    assert!(!latencies.is_empty(), "nothing was measured");
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (part * latencies.len() as f64) as usize;
        latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1e6
    };
    let cpu = cpu.as_secs_f64();
    sample([
        ("p50_us", at(0.5)),
        ("p99_us", at(0.99)),
        ("p999_us", at(0.999)),
        ("cpu_ms", cpu * 1e3),
        ("cpu_us", cpu * 1e6 / latencies.len() as f64),
    ])
}
