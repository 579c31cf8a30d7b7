//! Rounds: in each, every contender of a table runs once, in a process of its own.
//!
//! A process of its own, because a runtime leaves threads, caches and a heap behind; and because where code and data come
//! to lie differs from process to process, and is worth some percent (Mytkowicz and others, "Producing wrong data without
//! doing anything obviously wrong", ASPLOS 2009): over the rounds that evens out.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::table::{Contender, Sample, Table, choose};
use super::tools;
use crate::subjects;

/// What a contender that hangs is given.
const LIMIT: Duration = Duration::from_secs(180);

/// A row, measured: for each round a sample, or why there is none.
pub(crate) struct Measured {
    pub absent: Option<String>,
    pub rounds: Vec<Result<Sample, String>>,
}

/// All contenders of a table, interleaved.
pub(crate) fn measure(subject: &str, table: &Table, rounds: usize) -> Vec<Measured> {
    let ready = |contender: &Contender| {
        let absent = contender.needs.and_then(|tool| tools::prepare(tool).err());
        Measured { absent, rounds: Vec::new() }
    };
    let mut measured: Vec<_> = table.contenders.iter().map(ready).collect();
    let name = format!("{subject}/{}", table.name);
    for round in 0..rounds.min(table.rounds) {
        eprint!("\r{name}: round {} of {} ", round + 1, rounds.min(table.rounds));
        for place in 0..table.contenders.len() {
            // Nobody always runs after the same neighbour.
            let place = (place + round) % table.contenders.len();
            // What fails twice without a single result fails for a reason.
            let hopeless =
                measured[place].rounds.len() > 1 && measured[place].rounds.iter().all(Result::is_err);
            if measured[place].absent.is_none() && !hopeless {
                let run = run(&name, table.contenders[place].name, table.cpus);
                measured[place].rounds.push(run);
            }
        }
    }
    eprint!("\r{:60}\r", "");
    measured
}

/// Starts this program for one run and reads what it measured.
fn run(table: &str, contender: &str, cpus: usize) -> Result<Sample, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["one", table, contender]);
    // Who has run out of mappings cannot print one, and hangs.
    command.env("RUST_BACKTRACE", "0");
    let mut child = on_cpus(&first_cpus(cpus), || {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
    })
    .map_err(|error| format!("it does not start: {error}"))?;
    let output = output(&mut child);
    // Also what it has started.
    let group = Pid::from_child(&child);
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait().map_err(|error| error.to_string())?;
    let (stdout, stderr) = output.ok_or_else(|| format!("no result after {} s", LIMIT.as_secs()))?;
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| {
        let said = stderr.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("note:"));
        // The place of a panic and its message.
        let said: Vec<_> = said.collect();
        format!("{status}: {}", said[said.len().saturating_sub(2)..].join(" "))
    })
}

/// What it wrote, once it has closed both; none when that takes too long.
fn output(child: &mut Child) -> Option<(String, String)> {
    let (sender, receiver) = mpsc::channel();
    let read = |mut from: Box<dyn Read + Send>, sender: mpsc::Sender<String>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = from.read_to_end(&mut text);
            let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
        })
    };
    let (errors, error) = mpsc::channel();
    read(Box::new(child.stdout.take().expect("it is piped")), sender);
    read(Box::new(child.stderr.take().expect("it is piped")), errors);
    let until = Instant::now() + LIMIT;
    let stdout = receiver.recv_timeout(LIMIT).ok()?;
    let stderr = error.recv_timeout(until.saturating_duration_since(Instant::now()) + Duration::from_secs(1));
    Some((stdout, stderr.unwrap_or_default()))
}

/// One run, in this process: what the command `one` does.
pub(crate) fn one(table: &str, contender: &str, operations: Option<u64>) -> Result<(), String> {
    let chosen = choose(subjects::all(), &[table.to_owned()])?;
    let [table] = &chosen[0].tables[..] else {
        return Err(format!("{table} is a subject; a table is subject/table"));
    };
    let found = table.contenders.iter().find(|row| row.name == contender);
    let found = found.ok_or_else(|| format!("no row of {} is called {contender}", table.name))?;
    if let Some(tool) = found.needs {
        tools::prepare(tool)?;
    }
    let operations = operations.unwrap_or(table.operations);
    if table.warm {
        (found.run)((operations / 10).max(1));
    }
    let sample = (found.run)(operations);
    println!("{}", serde_json::to_string(&sample).map_err(|error| error.to_string())?);
    // What still runs - a rival's threads, a million tasks - needs no farewell.
    std::process::exit(0)
}

/// The CPUs that this program may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

fn first_cpus(count: usize) -> Vec<usize> {
    allowed_cpus().into_iter().take(count).collect()
}

/// This thread stays on this CPU, where that is allowed.
pub(crate) fn pin_thread(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}

/// Does `body` on these CPUs: what it spawns stays there.
pub(crate) fn on_cpus<T>(cpus: &[usize], body: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    // Where it is forbidden the figures say less, and the report says on how many CPUs.
    let _ = sched_setaffinity(None, &set);
    let done = body();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    done
}
