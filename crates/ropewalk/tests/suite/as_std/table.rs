//! Runs the cases, and compares what they say.

use std::path::Path;

use ropewalk::DriverKind;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::Case;
use crate::support::plan::PLANS;
use crate::support::{Plan, drivers, guarded, on_driver};

/// A case in which a coroutine says something else than std: its name, what it says, and why.
pub(crate) type Exception = (&'static str, &'static str, &'static str);

/// What was said in one case.
#[derive(Debug)]
pub(crate) struct Row {
    case: &'static str,
    std: String,
    ours: String,
}

impl Row {
    fn is_skipped(&self) -> bool {
        self.std.starts_with("skipped")
    }
}

/// Nothing is forbidden to root. With few descriptors it does not take long to have none. And a file that grows too long is
/// to be an error.
pub(crate) fn give_up_privileges() {
    const NOBODY: u32 = 65_534;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: Some(256) }).unwrap();
    // The rings of nobody's processes share a limit, which only root can raise.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    // SAFETY: the calls take numbers, and change who the process is; who is nobody already may not, and need not.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setgroups(0, std::ptr::null());
        libc::setresgid(NOBODY, NOBODY, NOBODY);
        libc::setresuid(NOBODY, NOBODY, NOBODY);
    }
}

/// Runs each case with std, and with ours by every plan on every driver.
///
/// # Panics
/// If ours says something else, and it is none of the exceptions.
pub(crate) fn rows(of_std: &[Case], ours: &[Case], exceptions: &[Exception]) -> Vec<Row> {
    let drivers = drivers();
    let said_by_ours: Vec<_> = drivers.iter().map(|&driver| said_on(driver, ours)).collect();
    let mut complaints = Vec::new();
    let mut rows = Vec::new();
    for (place, &(case, with_std)) in of_std.iter().enumerate() {
        // If it hangs, this was it.
        eprintln!("{case}");
        let std =
            guarded(|| std::thread::spawn(with_std).join()).unwrap_or_else(|_| format!("{case} panics"));
        let exception = exceptions.iter().find(|(name, ..)| *name == case);
        for (driver, cases) in drivers.iter().zip(&said_by_ours) {
            for (plan, said) in PLANS.iter().zip(&cases[place]) {
                let expected = match exception {
                    Some((_, says, _)) if *plan == Plan::Coroutine => says,
                    _ => &*std,
                };
                if said != expected {
                    complaints
                        .push(format!("{case}\n    std says     {std}\n    a {plan:?} on {driver}: {said}"));
                }
            }
        }
        let ours =
            exception.map_or("the same".to_owned(), |(_, says, why)| format!("a coroutine: {says}; {why}"));
        rows.push(Row { case, std, ours });
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    rows
}

/// What ours says of each case, by each plan, in one runtime on this driver.
fn said_on(driver: DriverKind, cases: &[Case]) -> Vec<[String; 2]> {
    let cases = cases.to_vec();
    on_driver(driver, move || {
        let said = cases.into_iter().map(|(case, with_ours)| {
            eprintln!("{case} on {driver}");
            PLANS.map(|plan| plan.spawn(with_ours).join().unwrap_or_else(|error| error.to_string()))
        });
        said.collect()
    })
}

/// Compares the rows with those of this section of `docs/as-std.md`.
///
/// # Panics
/// If they differ; with the rows as they should be.
pub(crate) fn assert_on_page(section: &str, rows: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/as-std.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let begin = page.split_once(&format!("## {section}\n")).map_or("", |(_, rest)| rest);
    let lines = begin.split("\n## ").next().unwrap_or_default().lines();
    let written: Vec<_> =
        lines.filter(|line| line.starts_with("| ") && !line.starts_with("| case |")).collect();
    let line = |row: &Row| format!("| {} | {} | {} |", row.case, row.std, row.ours);
    // What this machine cannot do another one has written.
    let fits = |row: &Row| match row.is_skipped() {
        true => written.iter().any(|line| line.starts_with(&format!("| {} | ", row.case))),
        false => written.contains(&&*line(row)),
    };
    let all = rows.iter().map(line).collect::<Vec<_>>().join("\n");
    assert!(
        rows.len() == written.len() && rows.iter().all(fits),
        "the rows of the section {section} of docs/as-std.md are to be:\n{all}\n"
    );
}
