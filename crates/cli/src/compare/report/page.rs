//! The page around the plots.

use std::fmt::Write as _;

use crate::compare::report::figures::{self, capitalised};
use crate::compare::report::rows::rows;
use crate::compare::result::Comparison;
use crate::compare::table;
use crate::format;
use crate::report::svg::escape;
use crate::report::{Page, facts, note};
use crate::verdict::Finding;

/// The whole report.
pub(crate) fn page(comparison: &Comparison) -> String {
    let title = comparison.in_short.trim_start_matches("In short: ");
    let mut page = Page::new(
        "Ropewalk: processes, threads and coroutines compared",
        &format!("Ropewalk {} \u{b7} {}", comparison.machine.version, comparison.machine.started),
        &capitalised(title),
        &lead(comparison),
    );
    page.push(&warnings(comparison));
    page.section("By number of users", &grid(&figures::over_users(comparison)));
    page.push(&note(
        "Dots are medians of the rounds, bars the smallest and largest value. Point at a dot for its figures.",
    ));
    let latencies = figures::latencies(comparison);
    if !latencies.is_empty() {
        page.section("How long an answer takes", &grid(&latencies));
        page.push(&note("All rounds together. A line ends where fewer than ten answers lie beyond."));
    }
    page.section("All figures", &rows(comparison));
    page.section("What the texts say, and what this machine says", &verdicts(comparison));
    page.section("Machine and method", &method(comparison));
    page.section("Repeat it", &repeat(comparison));
    page.finish()
}

fn lead(comparison: &Comparison) -> String {
    let users = comparison.method.users.iter().map(|&users| format::thousands(users.into()));
    let plans = comparison.method.plans.iter().map(|plan| plan.plural());
    format!(
        "{} people at once against the same service on a real database, served by {}. Every payment was checked in the \
         books afterwards.",
        users.collect::<Vec<_>>().join(", "),
        plans.collect::<Vec<_>>().join(", by ")
    )
}

/// What a reader has to know before the first figure.
fn warnings(comparison: &Comparison) -> String {
    let mut html = String::new();
    let mut warn = |class: &str, text: &str| {
        let _ = writeln!(html, "<p class=\"{class}\">{}</p>", escape(text));
    };
    if comparison.rows.iter().any(|row| row.books_balance == Some(false)) {
        warn("warning", "The books do not balance. Nothing below counts.");
    }
    if comparison.interrupted {
        warn("caution", "The run was interrupted; this is what was finished.");
    }
    if !comparison.machine.release_build {
        warn("caution", "Made with a debug build: the figures mean little.");
    }
    if !comparison.disk.durable {
        let file_system = &comparison.disk.file_system;
        warn(
            "caution",
            &format!(
                "The database was on {file_system}, in memory: payments were not durable, and a sync cost nothing."
            ),
        );
    }
    let noise = table::noise(comparison.others);
    if !noise.is_empty() {
        warn("caution", &noise.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    html
}

fn grid(plots: &[String]) -> String {
    let mut grid = "<div class=\"grid\">\n".to_owned();
    for plot in plots {
        let _ = write!(grid, "<figure>\n{plot}</figure>\n");
    }
    grid + "</div>\n"
}

fn verdicts(comparison: &Comparison) -> String {
    let mut html = "<dl class=\"verdicts\">\n".to_owned();
    for verdict in &comparison.verdicts {
        let class = match verdict.finding {
            Finding::Holds => "holds",
            Finding::InPart => "in-part",
            Finding::NotHere => "not-here",
            Finding::NotMeasured => "not-measured",
        };
        let _ = writeln!(
            html,
            "<dt>&ldquo;{}&rdquo;</dt>\n<dd><span class=\"badge {class}\">{}</span> {}</dd>",
            escape(&verdict.claim),
            verdict.finding,
            with_whole_flags(&capitalised(&verdict.text))
        );
    }
    html + "</dl>\n"
}

/// The text escaped, its flags such as `--memory 8G` protected from being broken after a hyphen.
fn with_whole_flags(text: &str) -> String {
    let word = |word: &str| {
        let escaped = escape(word);
        if word.contains("--") { format!("<span class=\"flag\">{escaped}</span>") } else { escaped }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn method(comparison: &Comparison) -> String {
    let Comparison { machine, disk, .. } = comparison;
    facts([
        ("Processor", format!("{}, {} CPUs", machine.processor, machine.processors)),
        ("Memory", format::bytes(machine.memory_bytes as f64)),
        ("Kernel", machine.kernel.clone()),
        ("Coroutines wait on", machine.driver.clone()),
        (
            "Database",
            format!(
                "SQLite, WAL, synced at every commit; in {} on {}, where one sync takes {}",
                disk.directory,
                disk.file_system,
                format::time(disk.sync_us)
            ),
        ),
        ("Method", table::method_line(&comparison.method)),
        (
            "Fairness",
            "The server is fresh, on a fresh database, for every cell; its ledger is a process of its own under every plan. The users are another process, the same \
             program for every plan, and share the machine with the server. Rounds are interleaved, and the plans take \
             turns to go first. The payment clock starts when all users are connected and the warm-up is over; each user \
             pays again when the last payment is answered."
                .to_owned(),
        ),
        (
            "Books",
            "After each cell the ledger is read and held against what the users sent and were told: no cent made or lost, \
             every acknowledged payment there exactly once, nothing there that nobody sent, every refusal justified."
                .to_owned(),
        ),
    ])
}

fn repeat(comparison: &Comparison) -> String {
    let command = escape(&comparison.command);
    let arguments = command.strip_prefix("ropewalk ").unwrap_or(&command);
    format!(
        "<p>In the source tree, with nothing but Rust and a C compiler installed:</p>\n\
         <pre>cargo run --release -- {arguments}</pre>\n\
         <p>Add <code>--json FILE</code> for all figures of every cell.</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::plan::Plan::{Coroutine, Thread};
    use crate::compare::sample;

    fn comparison() -> Comparison {
        let cells = sample::rounds(&[(10, Thread, 5_000.0, 40.0), (10, Coroutine, 10_000.0, 20.0)]);
        sample::comparison(sample::method(&[Thread, Coroutine], &[10]), cells)
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&comparison());
        for foreign in ["http:", "https:", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(page.contains("<h1>With 10 users coroutines made 2.00 times"), "{page}");
        assert!(page.contains("cargo run --release -- compare --plans") || page.contains("-- compare<"));
    }

    #[test]
    fn what_should_worry_a_reader_stands_at_the_top() {
        let mut odd = comparison();
        assert!(!page(&odd).contains("class=\"warning\"") && !page(&odd).contains("class=\"caution\""));
        odd.rows[0].books_balance = Some(false);
        odd.machine.release_build = false;
        odd.disk.durable = false;
        odd.interrupted = true;
        odd.others = Some(0.5);
        assert_eq!(page(&odd).matches("class=\"warning\"").count(), 1);
        assert_eq!(page(&odd).matches("class=\"caution\"").count(), 4);
    }

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let mut odd = comparison();
        odd.machine.processor = "<b>CPU</b>".into();
        odd.rows[0].rounds = 0;
        odd.rows[0].broken = Some("<i>died</i>".into());
        let page = page(&odd);
        assert!(!page.contains("<b>") && !page.contains("<i>"), "{page}");
        assert!(page.contains("not run: &lt;i&gt;died"), "{page}");
    }
}
