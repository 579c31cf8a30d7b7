//! Subjects, tables, contenders: what there is to measure.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::tools::{self, Tool};

/// What one run of a contender measured: figures by their names.
pub(crate) type Sample = BTreeMap<String, f64>;

/// A question.
pub(crate) struct Subject {
    pub name: &'static str,
    /// What is done, and why it is the same work for all.
    pub about: &'static str,
    pub tables: Vec<Table>,
}

/// One way to ask it.
pub(crate) struct Table {
    pub name: &'static str,
    pub title: String,
    /// How much one run does: operations, tasks, or milliseconds, as the subject says.
    pub operations: u64,
    /// On how many CPUs a contender's process may run.
    pub cpus: usize,
    /// Whether a contender does a tenth of the work first, unmeasured.
    pub warm: bool,
    /// Runs at most, whatever is asked for: for what takes long and hardly varies.
    pub rounds: usize,
    /// The first one decides who is ahead, and less of it is better.
    pub columns: &'static [Column],
    pub contenders: Vec<Contender>,
}

/// A figure that a table shows.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    /// Its name in a [`Sample`].
    pub key: &'static str,
    pub head: &'static str,
}

/// Elapsed time for each operation, and the CPU time that it took.
pub(crate) const TIME: &[Column] =
    &[Column { key: "ns", head: "ns" }, Column { key: "cpu_ns", head: "CPU ns" }];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ours,
    Rival,
    /// What is left without a runtime: nobody's product, and a bound for all.
    Floor,
}

/// A row.
pub(crate) struct Contender {
    pub name: &'static str,
    pub role: Role,
    /// What has to be installed for it.
    pub needs: Option<Tool>,
    pub run: Box<dyn Fn(u64) -> Sample>,
}

impl Table {
    /// One of small operations: they are timed, after a warm-up.
    pub(crate) fn of(
        name: &'static str,
        title: &str,
        cpus: usize,
        operations: u64,
        contenders: Vec<Contender>,
    ) -> Self {
        let title = match cpus {
            1 => format!("{title}; one CPU"),
            _ => format!("{title}; {cpus} CPUs"),
        };
        Self { name, title, operations, cpus, warm: true, rounds: usize::MAX, columns: TIME, contenders }
    }
}

impl Contender {
    pub(crate) fn new(name: &'static str, role: Role, run: impl Fn(u64) -> Sample + 'static) -> Self {
        Self { name, role, needs: None, run: Box::new(run) }
    }
}

pub(crate) fn ours(name: &'static str, run: impl Fn(u64) -> Duration + 'static) -> Contender {
    Contender::new(name, Role::Ours, move |n| timed(n, || run(n)))
}

pub(crate) fn rival(name: &'static str, run: impl Fn(u64) -> Duration + 'static) -> Contender {
    Contender::new(name, Role::Rival, move |n| timed(n, || run(n)))
}

pub(crate) fn floor(name: &'static str, run: impl Fn(u64) -> Duration + 'static) -> Contender {
    Contender::new(name, Role::Floor, move |n| timed(n, || run(n)))
}

/// A case of the program in `go`, with so many CPUs.
pub(crate) fn go(name: &'static str, case: &'static str, cpus: usize) -> Contender {
    let mut contender = Contender::new(name, Role::Rival, move |n| tools::go(case, n, cpus));
    contender.needs = Some(Tool::Go);
    contender
}

/// A case of the program in `boost`.
pub(crate) fn boost(name: &'static str, role: Role, case: &'static str) -> Contender {
    let mut contender = Contender::new(name, role, move |n| tools::boost(case, n));
    contender.needs = Some(Tool::Boost);
    contender
}

/// `run` tells how long its operations took; the CPU time is that of the whole process from its start to its end.
fn timed(operations: u64, run: impl FnOnce() -> Duration) -> Sample {
    let before = clock_gettime(ClockId::ProcessCPUTime);
    let elapsed = run();
    let cpu = clock_gettime(ClockId::ProcessCPUTime) - before;
    let per_operation = |nanos: f64| nanos / operations as f64;
    let cpu = cpu.tv_sec as f64 * 1e9 + cpu.tv_nsec as f64;
    sample([("ns", per_operation(elapsed.as_nanos() as f64)), ("cpu_ns", per_operation(cpu))])
}

pub(crate) fn sample<const N: usize>(figures: [(&str, f64); N]) -> Sample {
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What `words` ask for: subjects, or tables as `subject/table`; everything without any.
pub(crate) fn choose(all: Vec<Subject>, words: &[String]) -> Result<Vec<Subject>, String> {
    if words.is_empty() {
        return Ok(all);
    }
    let is = |word: &str, subject: &Subject, table: &Table| {
        word == subject.name || word.split_once('/') == Some((subject.name, table.name))
    };
    for word in words {
        if !all.iter().any(|subject| subject.tables.iter().any(|table| is(word, subject, table))) {
            let names: Vec<_> = all.iter().map(|subject| subject.name).collect();
            return Err(format!("no subject and no table is called {word}; there are {}", names.join(", ")));
        }
    }
    let wanted = |mut subject: Subject| {
        let mut tables = std::mem::take(&mut subject.tables);
        tables.retain(|table| words.iter().any(|word| is(word, &subject, table)));
        (!tables.is_empty()).then_some(Subject { tables, ..subject })
    };
    Ok(all.into_iter().filter_map(wanted).collect())
}
