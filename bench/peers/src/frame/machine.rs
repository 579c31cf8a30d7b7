//! On what it was measured, and with which versions.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;

use super::runner::allowed_cpus;
use super::tools::Tool;

#[derive(Serialize)]
pub(crate) struct Machine {
    pub cpu: String,
    pub cpus: usize,
    pub memory_kib: u64,
    pub kernel: String,
    /// Over the last minute, before anything was measured: far above 0, and the figures mean little.
    pub load: f64,
    /// Which of Ropewalk's drivers work here.
    pub io_uring: bool,
    pub open_files: Option<u64>,
    pub max_map_count: u64,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let number = |text: String| text.split_whitespace().next().and_then(|word| word.parse().ok());
        let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(number);
        let load = read("/proc/loadavg").split_whitespace().next().and_then(|word| word.parse().ok());
        let uring = ropewalk::Runtime::builder().driver(ropewalk::DriverKind::Uring).build();
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cpus: allowed_cpus().len(),
            memory_kib: memory.unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.unwrap_or(0.0),
            io_uring: uring.is_ok(),
            open_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            max_map_count: read("/proc/sys/vm/max_map_count").trim().parse().unwrap_or(0),
        }
    }
}

/// Contenders whose version is in the lock file.
const CRATES: &[&str] = &[
    "async-channel",
    "async-executor",
    "corosensei",
    "crossbeam-channel",
    "flume",
    "generator",
    "httparse",
    "hyper",
    "may",
    "may_minihttp",
    "monoio",
    "parking_lot",
    "ropewalk",
    "tokio",
];

/// Of everything that takes part; what is absent says so.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let mut versions = BTreeMap::new();
    while let Some(line) = lines.next() {
        let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let name = line.strip_prefix("name = ").and_then(quoted);
        if let Some(name) = name.filter(|name| CRATES.contains(&name.as_str())) {
            versions.insert(name, lines.next().and_then(quoted).unwrap_or_default());
        }
    }
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    versions.insert("rustc".into(), rustc.unwrap_or_else(|_| "unknown".into()));
    for tool in Tool::ALL {
        let name = format!("{tool:?}").to_lowercase();
        versions.insert(name, tool.version().unwrap_or_else(|| format!("absent: {}", tool.package())));
    }
    versions
}
