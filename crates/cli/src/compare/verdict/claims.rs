//! The sentences of the texts, one function each.

use crate::compare::plan::Plan;
use crate::compare::result::Row;
use crate::compare::verdict::evidence::{Evidence, USERS_FOR_MEMORY};
use crate::format;
use crate::load::Work;
use crate::statistics::{Ratio, Spread};
use crate::verdict::{Finding, Verdict};

/// The texts' figures.
const THREAD_BYTES_CLAIMED: f64 = 4e6;
const USERS_CLAIMED: u32 = 10_000;
const SERVER_BYTES: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// CPU time per request has to grow by so much before it is said that switching eats the time.
const GROWTH_THAT_COUNTS: f64 = 1.25;

/// All claims that fit the work that was done.
pub(super) fn all(evidence: &Evidence<'_>) -> Vec<Verdict> {
    let mut verdicts = vec![
        thread_memory(evidence),
        ten_thousand_threads(evidence),
        switching(evidence),
        coroutine_memory(evidence),
        fit_in_the_server(evidence),
        too_heavy(evidence),
        few_users(evidence),
        advantage_grows(evidence),
        processes_with_coroutines(evidence),
    ];
    verdicts.push(match evidence.method.work {
        Work::Cpu => cpu_bound(evidence),
        Work::Io | Work::Mixed | Work::Read => io_bound(evidence),
    });
    verdicts
}

fn verdict(claim: &str, (finding, text): (Finding, String)) -> Verdict {
    Verdict { claim: claim.to_owned(), finding, text }
}

fn not_measured(why: impl Into<String>) -> (Finding, String) {
    (Finding::NotMeasured, why.into())
}

fn needs_memory_rows(plan: &str) -> (Finding, String) {
    not_measured(format!(
        "needs {plan} with two numbers of users, the larger {} or more.",
        format::thousands(USERS_FOR_MEMORY.into())
    ))
}

/// "Each thread takes at least 4 MB."
fn thread_memory(evidence: &Evidence<'_>) -> Verdict {
    let measured = evidence.threads().and_then(|plan| {
        Some((evidence.per_user(plan, |f| f.touched_bytes)?, evidence.per_user(plan, |f| f.reserved_bytes)?))
    });
    let found = match measured {
        None => needs_memory_rows("threads"),
        Some((touched, reserved)) => {
            let text = format!(
                "each thread reserves {} of addresses (--thread-stack sets most of that) and touches {} of memory, \
                 its connection included.",
                format::bytes(reserved),
                format::bytes(touched)
            );
            let finding = if touched >= THREAD_BYTES_CLAIMED {
                Finding::Holds
            } else if reserved >= THREAD_BYTES_CLAIMED {
                Finding::InPart
            } else {
                Finding::NotHere
            };
            (finding, text)
        }
    };
    verdict("A thread takes at least 4 MB of memory.", found)
}

/// "10,000 threads consume 39 GB, but the server has only 8 GB."
fn ten_thousand_threads(evidence: &Evidence<'_>) -> Verdict {
    let claim = "10,000 threads take 39 GB, and the server has only 8.";
    let limit = evidence.method.memory_limit_bytes;
    if let (Some(limit), Some(row)) = (limit, evidence.threads_not_run()) {
        let reason = row.obstacle.as_ref().map_or("", |obstacle| &obstacle.reason);
        let text = format!(
            "with {} of addresses allowed, {} threads could not be had: {reason}.",
            format::bytes(limit as f64),
            format::thousands(row.users.into()),
        );
        return verdict(claim, (Finding::Holds, text));
    }
    let measured = evidence.threads().and_then(|plan| {
        let most = evidence.measured(plan).last()?.users;
        Some((
            evidence.at_users(plan, USERS_CLAIMED, |f| f.touched_bytes)?,
            evidence.at_users(plan, USERS_CLAIMED, |f| f.reserved_bytes)?,
            most,
        ))
    });
    let Some((touched, reserved, most)) = measured else {
        return verdict(claim, needs_memory_rows("threads"));
    };
    let how = if most == USERS_CLAIMED {
        String::new()
    } else {
        format!(" (computed from {})", format::thousands(most.into()))
    };
    let sizes = format!("{} reserved, {} touched{how}", format::bytes(reserved), format::bytes(touched));
    let found = if touched > SERVER_BYTES {
        (Finding::Holds, format!("{sizes}: more than 8 GB of memory."))
    } else if reserved > SERVER_BYTES {
        (
            Finding::InPart,
            format!(
                "{sizes}: they fit into 8 GB of memory; only a limit on addresses, as --memory 8G sets, keeps them out."
            ),
        )
    } else {
        (Finding::NotHere, format!("{sizes}: they fit into 8 GB either way."))
    };
    verdict(claim, found)
}

/// "Too many thread switches take up a great deal of system time."
fn switching(evidence: &Evidence<'_>) -> Verdict {
    let claim = "With too many threads, switching eats the system's time.";
    let ends = evidence.threads().and_then(|plan| {
        let rows = evidence.measured(plan);
        let (few, many) = (*rows.first()?, *rows.last()?);
        (few.users < many.users).then_some((few, many))
    });
    let Some((few, many)) = ends else {
        return verdict(claim, not_measured("needs threads with two numbers of users."));
    };
    let (Some(few_cpu), Some(many_cpu)) = (few.figures.server_cpu_us, many.figures.server_cpu_us) else {
        return verdict(claim, not_measured("the server gave no counters."));
    };
    let noun = evidence.method.work.noun();
    let one = |row: &Row, cpu: Spread| {
        let switches = row.figures.kernel_switches.map_or(0.0, |spread| spread.median);
        format!("{} kernel switches and {} of CPU", format::short(switches), format::time(cpu.median))
    };
    let text = format!(
        "{} threads: {} per {noun}; {}: {}.",
        format::thousands(few.users.into()),
        one(few, few_cpu),
        format::thousands(many.users.into()),
        one(many, many_cpu)
    );
    let finding = match Ratio::between(&many_cpu, &few_cpu) {
        Some(Ratio::Differs(growth)) if growth >= GROWTH_THAT_COUNTS => Finding::Holds,
        Some(Ratio::Differs(_) | Ratio::NoDifference) => Finding::NotHere,
        Some(Ratio::Unjudged(_)) | None => Finding::NotMeasured,
    };
    verdict(claim, (finding, one_round_note(finding, text)))
}

/// A single round's figures are shown, and it is said that they prove nothing.
fn one_round_note(finding: Finding, text: String) -> String {
    if finding == Finding::NotMeasured { format!("{text} One round proves nothing.") } else { text }
}

/// "The memory of a thread is on the MB level; a coroutine needs only KB."
fn coroutine_memory(evidence: &Evidence<'_>) -> Verdict {
    let claim = "A thread's memory is in the MB, a coroutine needs only KB.";
    let Some(coroutine) = evidence.per_user(Plan::Coroutine, |f| f.touched_bytes) else {
        return verdict(claim, needs_memory_rows("coroutines"));
    };
    let kilobytes = coroutine < MEBIBYTE;
    let touched = evidence.threads().and_then(|plan| evidence.per_user(plan, |f| f.touched_bytes));
    let coroutine = format!("a coroutine and its connection touch {}", format::bytes(coroutine));
    let found = match touched {
        None if kilobytes => (Finding::InPart, format!("{coroutine}; threads were not measured.")),
        Some(thread) if kilobytes && thread >= MEBIBYTE => {
            (Finding::Holds, format!("{coroutine}, a thread and its connection {}.", format::bytes(thread)))
        }
        Some(thread) if kilobytes => (
            Finding::InPart,
            format!(
                "{coroutine}, a thread and its connection {}: KB both; the MB of a thread are only reserved.",
                format::bytes(thread)
            ),
        ),
        _ => (Finding::NotHere, format!("{coroutine}.")),
    };
    verdict(claim, found)
}

/// "Replacing threads by coroutines lowers the memory": users that fit in 8 GB.
fn fit_in_the_server(evidence: &Evidence<'_>) -> Verdict {
    let claim = "Coroutines instead of threads: more users fit into 8 GB.";
    let fit = |plan| {
        let of = |bytes: f64| (bytes > 0.0).then(|| SERVER_BYTES / bytes);
        let touched = of(evidence.per_user(plan, |f| f.touched_bytes)?)?;
        let reserved = of(evidence.per_user(plan, |f| f.reserved_bytes)?)?;
        Some((touched, reserved))
    };
    // Two digits: more would claim a precision that a difference of two peaks does not have.
    let round = |users: f64| {
        let unit = 10_f64.powf((users.max(1.0).log10().floor() - 1.0).max(0.0));
        format::thousands(((users / unit).round() * unit) as u64)
    };
    let (threads, coroutines) = (evidence.threads().and_then(fit), fit(Plan::Coroutine));
    let found = match (threads, coroutines) {
        (Some((touched, reserved)), Some((coroutines, coroutines_reserved))) => {
            let text = format!(
                "by memory touched about {} threads or {} coroutines; by addresses reserved {} or {}.",
                round(touched),
                round(coroutines),
                round(reserved),
                round(coroutines_reserved)
            );
            (if coroutines > touched { Finding::Holds } else { Finding::NotHere }, text)
        }
        (None, Some((touched, reserved))) => not_measured(format!(
            "about {} coroutines by memory touched, {} by addresses reserved; threads were not measured.",
            round(touched),
            round(reserved)
        )),
        (Some((touched, reserved)), None) => not_measured(format!(
            "about {} threads by memory touched, {} by addresses reserved; coroutines were not measured.",
            round(touched),
            round(reserved)
        )),
        (None, None) => needs_memory_rows("each plan"),
    };
    verdict(claim, found)
}

/// "Processes are too heavy, hence threads; threads are still too heavy, hence coroutines."
fn too_heavy(evidence: &Evidence<'_>) -> Verdict {
    let claim = "Processes are too heavy, so there are threads; these too, so there are coroutines.";
    let touched = |plan| evidence.per_user(plan, |f| f.touched_bytes);
    let memory = evidence
        .threads()
        .and_then(|threads| Some([touched(Plan::Process)?, touched(threads)?, touched(Plan::Coroutine)?]));
    let Some([process, thread, coroutine]) = memory else {
        return verdict(claim, needs_memory_rows("processes, threads and coroutines"));
    };
    let mut text = format!(
        "each user takes {} of memory with a process, {} with a thread, {} with a coroutine",
        format::bytes(process),
        format::bytes(thread),
        format::bytes(coroutine)
    );
    let falls = process > thread && thread > coroutine;
    let cpu = most_users_of_all(evidence);
    if let Some((users, [process, thread, coroutine])) = &cpu {
        text += &format!(
            "; CPU per {} with {} users: {}, {} and {}",
            evidence.method.work.noun(),
            format::thousands((*users).into()),
            format::time(process.median),
            format::time(thread.median),
            format::time(coroutine.median)
        );
    }
    let lighter = |one: &Spread, other: &Spread| matches!(Ratio::between(one, other), Some(Ratio::Differs(ratio)) if ratio < 1.0);
    let finding = match cpu {
        Some((_, [process, thread, coroutine]))
            if falls && lighter(&thread, &process) && lighter(&coroutine, &thread) =>
        {
            Finding::Holds
        }
        _ if falls => Finding::InPart,
        _ => Finding::NotHere,
    };
    verdict(claim, (finding, text + "."))
}

/// The most users with which processes, threads and coroutines were measured, and the server's CPU time of each.
fn most_users_of_all(evidence: &Evidence<'_>) -> Option<(u32, [Spread; 3])> {
    let threads = evidence.threads()?;
    let cpu = |plan, users| {
        let rows = evidence.measured(plan);
        rows.iter().find(|row| row.users == users)?.figures.server_cpu_us
    };
    evidence.measured(Plan::Process).iter().rev().find_map(|row| {
        let users = row.users;
        Some((users, [cpu(Plan::Process, users)?, cpu(threads, users)?, cpu(Plan::Coroutine, users)?]))
    })
}

/// "A coroutine is run by one thread, so how to use several cores? Several processes with coroutines: all cores are
/// used, and the performance is extremely high."
fn processes_with_coroutines(evidence: &Evidence<'_>) -> Verdict {
    let claim = "To use all cores, several processes with coroutines: that performs best.";
    let (several, one) = (evidence.measured(Plan::ProcessCoroutine), evidence.measured(Plan::Coroutine));
    let common = several
        .iter()
        .rev()
        .find_map(|row| Some((*row, *one.iter().find(|other| other.users == row.users)?)));
    let ratio = common.and_then(|(row, other)| Ratio::between(&row.figures.rate?, &other.figures.rate?));
    let (Some((row, _)), Some(ratio)) = (common, ratio) else {
        return verdict(
            claim,
            not_measured("needs process+coroutine and coroutine with equally many users."),
        );
    };
    let users = format::thousands(row.users.into());
    let noun = evidence.method.work.noun();
    let found = match ratio {
        Ratio::NoDifference => (
            Finding::InPart,
            format!(
                "with {users} users as many {noun}s/s as coroutines in one process, which use all cores, too: \
                 their runtime has a worker thread for each."
            ),
        ),
        Ratio::Differs(ratio) => (
            if ratio > 1.0 { Finding::Holds } else { Finding::NotHere },
            format!(
                "with {users} users {} times the {noun}s/s of coroutines in one process, which use all cores, too.",
                format::ratio(ratio)
            ),
        ),
        Ratio::Unjudged(ratio) => not_measured(format!(
            "with {users} users {} times the {noun}s/s of coroutines in one process. One round proves nothing.",
            format::ratio(ratio)
        )),
    };
    verdict(claim, found)
}

/// "While there are few threads there is no problem."
fn few_users(evidence: &Evidence<'_>) -> Verdict {
    let claim = "With few users it does not matter.";
    let both = evidence.both();
    let Some(&(row, _)) = both.first() else {
        return verdict(claim, needs_both());
    };
    let Some(ratio) = row.rate_ratio else {
        return verdict(claim, needs_both());
    };
    let users = format::thousands(row.users.into());
    let noun = evidence.method.work.noun();
    let found = match ratio {
        Ratio::NoDifference => {
            (Finding::Holds, format!("with {users} users the spreads of {noun}s/s overlap: no difference."))
        }
        Ratio::Differs(ratio) => (
            Finding::NotHere,
            format!(
                "with {users} users coroutines made {} times the threads' {noun}s/s.",
                format::ratio(ratio)
            ),
        ),
        Ratio::Unjudged(ratio) => not_measured(format!(
            "with {users} users coroutines made {} times the threads' {noun}s/s. One round proves nothing.",
            format::ratio(ratio)
        )),
    };
    verdict(claim, found)
}

fn needs_both() -> (Finding, String) {
    not_measured("needs threads and coroutines with equally many users.")
}

/// "The more threads there are, the more obvious the performance advantage of coroutines."
fn advantage_grows(evidence: &Evidence<'_>) -> Verdict {
    let claim = "The more threads, the plainer the advantage of coroutines.";
    let steps: Vec<(u32, Ratio)> =
        evidence.both().into_iter().filter_map(|(row, _)| Some((row.users, row.rate_ratio?))).collect();
    let (Some(&(_, first)), Some(&(_, last))) = (steps.first(), steps.last()) else {
        return verdict(claim, needs_both());
    };
    if steps.len() < 2 {
        return verdict(claim, not_measured("needs both plans with two numbers of users."));
    }
    let text = steps
        .iter()
        .map(|&(users, ratio)| {
            let users = format::thousands(users.into());
            match ratio {
                Ratio::NoDifference => format!("{users} users: no difference"),
                Ratio::Differs(ratio) | Ratio::Unjudged(ratio) => {
                    format!("{users} users: {} times", format::ratio(ratio))
                }
            }
        })
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!("{text} (coroutines' {}s/s against threads').", evidence.method.work.noun());
    let finding = match (first.judged(), last.judged()) {
        (Some(first), Some(last)) if last > 1.0 && last > first => Finding::Holds,
        (Some(first), Some(last)) if last > 1.0 && first > 1.0 => Finding::InPart,
        (Some(_), Some(_)) => Finding::NotHere,
        _ => Finding::NotMeasured,
    };
    verdict(claim, (finding, one_round_note(finding, text)))
}

/// "With much I/O, replacing threads by coroutines improves the system's performance."
fn io_bound(evidence: &Evidence<'_>) -> Verdict {
    let claim = "For I/O-heavy work, coroutines instead of threads perform better.";
    let both = evidence.both();
    let Some((row, rate, text)) = most_users(&both, evidence.method.work) else {
        return verdict(claim, needs_both());
    };
    let cpu = row.cpu_ratio.and_then(Ratio::judged);
    let finding = match rate {
        Ratio::Unjudged(_) => Finding::NotMeasured,
        Ratio::Differs(rate) if rate > 1.0 => Finding::Holds,
        Ratio::NoDifference if cpu.is_some_and(|cpu| cpu < 1.0) => Finding::InPart,
        Ratio::NoDifference | Ratio::Differs(_) => Finding::NotHere,
    };
    verdict(claim, (finding, one_round_note(finding, text)))
}

/// "Coroutines only play their part in I/O-intensive tasks."
fn cpu_bound(evidence: &Evidence<'_>) -> Verdict {
    let claim = "Coroutines only help in I/O-bound work, not where the CPU is busy.";
    let both = evidence.both();
    let Some((_, rate, text)) = most_users(&both, Work::Cpu) else {
        return verdict(claim, needs_both());
    };
    let finding = match rate {
        Ratio::Unjudged(_) => Finding::NotMeasured,
        Ratio::Differs(rate) if rate > 1.0 => Finding::NotHere,
        Ratio::NoDifference | Ratio::Differs(_) => Finding::Holds,
    };
    verdict(claim, (finding, one_round_note(finding, text)))
}

/// Both plans with the most users: the coroutines' row, the ratio of the rates, and both ratios in words.
fn most_users<'a>(both: &[(&'a Row, &'a Row)], work: Work) -> Option<(&'a Row, Ratio, String)> {
    let &(row, threads) = both.last()?;
    let rate = row.rate_ratio?;
    let noun = work.noun();
    let rate_text = match rate {
        Ratio::NoDifference => format!("no difference in {noun}s/s"),
        Ratio::Differs(ratio) | Ratio::Unjudged(ratio) => {
            format!("{} times the threads' {noun}s/s", format::ratio(ratio))
        }
    };
    let cpu_text = match row.cpu_ratio {
        None => String::new(),
        Some(Ratio::NoDifference) => format!(", at the same CPU per {noun}"),
        Some(Ratio::Differs(ratio) | Ratio::Unjudged(ratio)) => {
            format!(", at {} times the threads' CPU per {noun}", format::ratio(ratio))
        }
    };
    let limits = match (row.limiter, threads.limiter) {
        (Some(one), Some(other)) if one == other => format!(" (limited by: {one}, both)"),
        (Some(one), Some(other)) => format!(" (limited by: {one}; threads: {other})"),
        _ => String::new(),
    };
    let users = format::thousands(row.users.into());
    Some((row, rate, format!("with {users} users {rate_text}{cpu_text}{limits}.")))
}
