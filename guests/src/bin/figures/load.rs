//! The load: `wrk`, with one thread.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use crate::Failure;

/// What a server did in one round.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// How long half of the answers took at most.
    pub(crate) half: Duration,
    /// And 99 of 100.
    pub(crate) most: Duration,
    /// The time that the server used of its CPU.
    pub(crate) cpu: Duration,
}

impl Sample {
    /// CPU seconds for a million requests.
    pub(crate) fn per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// Has so many connections ask for `url` without a pause.
pub(crate) fn wrk(url: &str, connections: u32, time: Duration) -> Result<Sample, Failure> {
    let connections = connections.to_string();
    let time = format!("{}s", time.as_secs());
    let output =
        Command::new("wrk").args(["-t1", "-c", &connections, "-d", &time, "--latency", url]).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => "wrk is not installed (Debian: apt-get install wrk)".into(),
        _ => Failure::from(error),
    })?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || text.contains("Socket errors") || text.contains("Non-2xx") {
        return Err(
            format!("wrk: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    read(&text).ok_or_else(|| format!("wrk said what is not understood:\n{text}").into())
}

fn read(text: &str) -> Option<Sample> {
    let lines = || text.lines().map(str::trim);
    let after = |word: &str| lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
    Some(Sample {
        requests: lines().find_map(|line| line.split_once(" requests in "))?.0.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        half: duration(after("50%")?)?,
        most: duration(after("99%")?)?,
        cpu: Duration::ZERO,
    })
}

/// As wrk writes it: `1.23ms`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}
