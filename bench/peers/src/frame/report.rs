//! What came out: tables in the terminal while it runs, and all figures as JSON at the end.

use std::path::Path;
use std::time::Instant;

use comfy_table::{Cell, CellAlignment, ContentArrangement, presets};
use serde::Serialize;

use super::machine::{Machine, versions};
use super::runner::Measured;
use super::statistics::{Ratio, Spread, Verdict};
use super::table::{Column, Contender, Role, Sample, Subject, Table};
use super::tools;

/// Everything, as it is written at the end.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    versions: std::collections::BTreeMap<String, String>,
    rounds: usize,
    seconds: f64,
    subjects: Vec<SubjectReport>,
    #[serde(skip)]
    started: Instant,
}

#[derive(Serialize)]
struct SubjectReport {
    name: &'static str,
    about: &'static str,
    tables: Vec<TableReport>,
}

#[derive(Serialize)]
struct TableReport {
    name: &'static str,
    title: String,
    operations: u64,
    cpus: usize,
    /// The figure that decides.
    principal: &'static str,
    best_rival: Option<&'static str>,
    floor: Option<&'static str>,
    seconds: f64,
    contenders: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    role: &'static str,
    absent: Option<String>,
    errors: Vec<String>,
    figures: std::collections::BTreeMap<String, Spread>,
    beside_best_rival: Option<Ratio>,
    beside_floor: Option<Ratio>,
    samples: Vec<Option<Sample>>,
}

impl Report {
    pub(crate) fn begin(rounds: usize) -> Self {
        let (machine, versions) = (Machine::this(), versions());
        println!(
            "{}, {} CPUs, Linux {}, load {:.2}; {rounds} rounds",
            machine.cpu, machine.cpus, machine.kernel, machine.load
        );
        if machine.load > 0.5 {
            println!("The machine is not quiet: these figures compare nothing.");
        }
        for (name, version) in &versions {
            println!("  {name}: {version}");
        }
        Self { machine, versions, rounds, seconds: 0.0, subjects: Vec::new(), started: Instant::now() }
    }

    pub(crate) fn subject(&mut self, subject: &Subject) {
        println!("\n# {}\n{}", subject.name, subject.about);
        self.subjects.push(SubjectReport { name: subject.name, about: subject.about, tables: Vec::new() });
    }

    /// Compares, prints and keeps a table.
    pub(crate) fn table(&mut self, table: &Table, measured: Vec<Measured>) {
        let seconds = self.started.elapsed().as_secs_f64() - self.seconds;
        self.seconds += seconds;
        let report = compare(table, measured, seconds);
        let subject = self.subjects.last_mut().expect("a subject has begun");
        println!("\n## {}/{}: {}", subject.name, table.name, table.title);
        print(table.columns, &report);
        subject.tables.push(report);
    }

    pub(crate) fn end(self, json: Option<&Path>) -> Result<(), String> {
        println!("\n{:.0} s", self.seconds);
        let Some(path) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn compare(table: &Table, measured: Vec<Measured>, seconds: f64) -> TableReport {
    let key = table.columns[0].key;
    let principal: Vec<Vec<Option<f64>>> = measured.iter().map(|row| figure(row, key)).collect();
    let best = |role: Role| {
        let of_role = (0..table.contenders.len()).filter(|row| table.contenders[*row].role == role);
        let median = |row: usize| Spread::of(&present(&principal[row])).map(|spread| (spread.median, row));
        of_role.filter_map(median).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, row)| row)
    };
    let (rival, floor) = (best(Role::Rival), best(Role::Floor));
    let rows = table.contenders.iter().zip(measured).enumerate().map(|(place, (contender, row))| {
        let beside = |other: Option<usize>| {
            let other = other.filter(|other| *other != place)?;
            Ratio::of(&principal[place], &principal[other])
        };
        let (to_rival, to_floor) = (beside(rival), beside(floor));
        describe(contender, row, to_rival, to_floor)
    });
    let name = |row: Option<usize>| row.map(|row| table.contenders[row].name);
    TableReport {
        name: table.name,
        title: table.title.clone(),
        operations: table.operations,
        cpus: table.cpus,
        principal: key,
        best_rival: name(rival),
        floor: name(floor),
        seconds,
        contenders: rows.collect(),
    }
}

fn describe(contender: &Contender, row: Measured, to_rival: Option<Ratio>, to_floor: Option<Ratio>) -> Row {
    let keys: std::collections::BTreeSet<String> =
        row.rounds.iter().flatten().flat_map(|sample| sample.keys().cloned()).collect();
    let spread = |key: String| Spread::of(&present(&figure(&row, &key))).map(|spread| (key, spread));
    Row {
        name: contender.name,
        role: match contender.role {
            Role::Ours => "ours",
            Role::Rival => "rival",
            Role::Floor => "floor",
        },
        figures: keys.into_iter().filter_map(spread).collect(),
        errors: row.rounds.iter().filter_map(|round| round.as_ref().err().cloned()).collect(),
        absent: row.absent,
        beside_best_rival: to_rival,
        beside_floor: to_floor,
        samples: row.rounds.into_iter().map(Result::ok).collect(),
    }
}

/// A figure of a row, round by round.
fn figure(row: &Measured, key: &str) -> Vec<Option<f64>> {
    row.rounds.iter().map(|round| round.as_ref().ok().and_then(|sample| sample.get(key).copied())).collect()
}

fn present(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().flatten().copied().collect()
}

fn print(columns: &[Column], report: &TableReport) {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let heads = ["", columns[0].head, "least - most", "x best rival", "", "x floor"];
    let heads = heads.into_iter().chain(columns[1..].iter().map(|column| column.head));
    table.set_header(heads.map(|head| Cell::new(head).set_alignment(CellAlignment::Right)));
    for row in &report.contenders {
        table.add_row(cells(columns, row, report));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
    for row in report.contenders.iter().filter(|row| !row.errors.is_empty()) {
        println!("  {}: failed {} times: {}", row.name, row.errors.len(), row.errors[0]);
    }
}

fn cells(columns: &[Column], row: &Row, report: &TableReport) -> Vec<String> {
    let mark = match row.role {
        "ours" => "* ",
        "floor" => "- ",
        _ => "  ",
    };
    let mut cells = vec![format!("{mark}{}", row.name)];
    if let Some(absent) = &row.absent {
        cells.push(format!("absent: {absent}"));
        return cells;
    }
    let Some(first) = row.figures.get(columns[0].key) else {
        cells.push("failed".into());
        return cells;
    };
    cells.push(short(first.median));
    cells.push(format!("{} - {}", short(first.least), short(first.most)));
    if report.best_rival == Some(row.name) {
        cells.extend(["1.00 best".into(), String::new()]);
    } else {
        cells.push(row.beside_best_rival.map_or(String::new(), ratio));
        let verdict = row.beside_best_rival.filter(|_| row.role == "ours");
        cells.push(verdict.map_or("", |ratio| word(ratio.verdict)).into());
    }
    cells.push(row.beside_floor.map_or(String::new(), ratio));
    let rest = columns[1..].iter().map(|column| row.figures.get(column.key));
    cells.extend(rest.map(|spread| spread.map_or("-".into(), |spread| short(spread.median))));
    cells
}

fn ratio(ratio: Ratio) -> String {
    match ratio.interval {
        Some((low, high)) => format!("{:.2} ({low:.2}-{high:.2})", ratio.median),
        None => format!("{:.2}", ratio.median),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ahead => "ahead",
        Verdict::Behind => "behind",
        Verdict::Tie => "tie",
        Verdict::TooFewRounds => "too few rounds",
    }
}

/// Three digits that matter, thousands apart.
fn short(value: f64) -> String {
    if value < 100.0 {
        let digits = if value < 1.0 {
            3
        } else if value < 10.0 {
            2
        } else {
            1
        };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// What there is, without measuring it.
pub(crate) fn list(subjects: &[Subject]) {
    for subject in subjects {
        println!("{}\n  {}", subject.name, subject.about.replace('\n', "\n  "));
        for table in &subject.tables {
            println!("  {}/{}: {}", subject.name, table.name, table.title);
            for contender in &table.contenders {
                let absent = contender.needs.and_then(|tool| tools::prepare(tool).err());
                let absent = absent.map_or(String::new(), |why| format!(" (absent: {why})"));
                println!("    {}{absent}", contender.name);
            }
        }
        println!();
    }
}
