//! A dump as text, for a terminal of 80 columns.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::{
    Blocked, Deadlock, Dump, Plan, StackTrace, Standstill, State, TaskId, TaskInfo, WaitReason, WorkerInfo,
};

/// How many characters a line has, where they can be cut.
const WIDTH: usize = 80;
/// How many numbers, or ranges of numbers, are listed.
const RANGES_MAX: usize = 6;
/// Of how many tasks of a deadlock it is said what they wait for.
const MEMBERS_MAX: usize = 20;
/// And how many are shown with their stacks.
const MEMBER_STACKS_MAX: usize = 6;
/// How many threads are named.
const STRANGERS_MAX: usize = 6;
/// How many calls of a stack are shown.
const CALLS_MAX: usize = 20;

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |plan| self.tasks.iter().filter(|task| task.plan == plan).count();
        writeln!(
            f,
            "Ropewalk: {} and {} on {}",
            counted(count(Plan::Coroutine), "coroutine"),
            counted(count(Plan::Thread), "thread"),
            counted(self.workers.len(), "worker"),
        )?;
        for worker in self.workers.iter().filter(|worker| worker.unlisted > 0) {
            write_silent(f, worker)?;
        }
        if let Some(standstill) = &self.standstill {
            write!(f, "\n{standstill}")?;
        }
        let mut shown = HashSet::new();
        for deadlock in &self.deadlocks {
            writeln!(f)?;
            self.write_deadlock(f, deadlock, &mut shown)?;
        }
        let mut groups = groups(self.tasks.iter().filter(|task| !shown.contains(&task.id)));
        groups.sort_by_key(|group| (std::cmp::Reverse(group.tasks.len()), group.tasks[0].id));
        for group in &groups {
            writeln!(f)?;
            self.write_group(f, group)?;
        }
        Ok(())
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.tasks();
        let limit = if self.has_deadline() { " (a deadline ends it)" } else { "" };
        match tasks.len() {
            1 => writeln!(f, "Deadlock{limit}: a task waits for itself")?,
            count => writeln!(f, "Deadlock{limit}: {count} tasks wait for each other")?,
        }
        let named = |place: usize| match &self.waits[place].0 {
            Some(name) => format!("{} ({name})", tasks[place]),
            None => tasks[place].to_string(),
        };
        for place in 0..tasks.len().min(MEMBERS_MAX) {
            let next = (place + 1) % tasks.len();
            let other = if place == next { "itself".to_owned() } else { named(next) };
            let reason = self.waits[place].1;
            let (mark, how) = match reason {
                WaitReason::Join | WaitReason::Blocking => (':', other),
                WaitReason::ScopeEnd | WaitReason::RuntimeEnd => (',', format!("of which {other} is one")),
                WaitReason::OnceWait => (',', format!("made by {other}")),
                _ => (',', format!("held by {other}")),
            };
            let line = format!("  {} is {reason}{mark}", named(place));
            if line.chars().count() + 1 + how.chars().count() <= WIDTH {
                writeln!(f, "{line} {how}")?;
            } else {
                writeln!(f, "{}\n    {}", shortened(&line, WIDTH), shortened(&how, WIDTH - 4))?;
            }
        }
        if tasks.len() > MEMBERS_MAX {
            writeln!(f, "  and so on: {} tasks more", tasks.len() - MEMBERS_MAX)?;
        }
        if self.behind().is_empty() {
            return Ok(());
        }
        let behind: Vec<u64> = self.behind().iter().map(|id| id.0).collect();
        write_entry(f, "behind", &format!("{}, waiting for those", ranges(&behind)))
    }
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        write!(f, "Standstill: {}", counted(waiting, "task"))?;
        f.write_str(if waiting == 1 { " waits" } else { " wait" })?;
        writeln!(f, ", and none for time, input or another process")?;
        let but = self.looker().map_or_else(String::new, |task| format!(" but task {task}, which looks"));
        if self.strangers().is_empty() {
            return writeln!(f, "  nobody can wake any{but}");
        }
        writeln!(f, "  nobody known can wake any{but}; other threads might:")?;
        let names: Vec<&str> = self.strangers().iter().take(STRANGERS_MAX).map(String::as_str).collect();
        let more = self.strangers().len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(f, "  {}", shortened(&format!("{}{more}", names.join(", ")), WIDTH - 2))
    }
}

/// Tasks that are alike.
struct Group<'a> {
    tasks: Vec<&'a TaskInfo>,
}

fn groups<'a>(tasks: impl Iterator<Item = &'a TaskInfo>) -> Vec<Group<'a>> {
    let mut groups: HashMap<_, Group<'_>> = HashMap::new();
    for task in tasks {
        let state = match task.state {
            State::New => (0, None),
            State::Ready => (1, None),
            State::Running => (2, None),
            State::Blocked(Blocked { reason, .. }) => (3, Some(reason)),
            State::Stopped => (4, None),
            State::Dead(_) => (5, None),
        };
        let place = task.spawned_at.map(|place| (place.file(), place.line(), place.column()));
        let key = (task.plan, state, place, task.stack.as_ref());
        groups.entry(key).or_insert_with(|| Group { tasks: Vec::new() }).tasks.push(task);
    }
    groups.into_values().collect()
}

impl Dump {
    /// Who of a deadlock waits for whom, and then the tasks themselves, which are added to `shown`.
    fn write_deadlock(
        &self,
        f: &mut fmt::Formatter<'_>,
        deadlock: &Deadlock,
        shown: &mut HashSet<TaskId>,
    ) -> fmt::Result {
        write!(f, "{deadlock}")?;
        let tasks = deadlock.tasks().iter().take(MEMBER_STACKS_MAX);
        for task in tasks.filter_map(|task| self.task(*task)) {
            shown.insert(task.id);
            writeln!(f)?;
            self.write_group(f, &Group { tasks: vec![task] })?;
        }
        Ok(())
    }

    fn write_group(&self, f: &mut fmt::Formatter<'_>, group: &Group<'_>) -> fmt::Result {
        let first = group.tasks[0];
        let plan = match first.plan {
            Plan::Coroutine => "coroutine",
            Plan::Thread => "thread",
        };
        write!(f, "{}", counted(group.tasks.len(), plan))?;
        match first.state {
            State::New => writeln!(f, " New")?,
            State::Ready => writeln!(f, " Ready")?,
            State::Running => writeln!(f, " Running")?,
            State::Blocked(Blocked { reason, .. }) => self.write_blocked(f, group, reason)?,
            State::Stopped => writeln!(f, " Stopped")?,
            State::Dead(_) => writeln!(f, " Dead")?,
        }
        write_entry(f, "task", &self.identities(&group.tasks))?;
        if let Some(place) = first.spawned_at {
            let parents: Vec<u64> =
                group.tasks.iter().filter_map(|task| task.parent).map(|id| id.0).collect();
            let by = if parents.is_empty() {
                String::new()
            } else {
                format!(" by {}", self.tasks_named(&parents))
            };
            write_entry(f, "spawned", &format!("at {}:{}{by}", place.file(), place.line()))?;
        }
        let workers: Vec<u64> = group.tasks.iter().filter_map(|task| task.worker).map(u64::from).collect();
        if !workers.is_empty() {
            write_entry(f, "worker", &ranges(&workers))?;
        }
        match &first.stack {
            Some(stack) => write_stack(f, stack),
            None => Ok(()),
        }
    }

    fn write_blocked(
        &self,
        f: &mut fmt::Formatter<'_>,
        group: &Group<'_>,
        reason: WaitReason,
    ) -> fmt::Result {
        let blocked: Vec<Blocked> = group.tasks.iter().filter_map(|task| task.blocked()).collect();
        let times = || blocked.iter().map(|blocked| self.since(blocked.since));
        let shortest = duration(times().min().unwrap_or_default());
        let longest = duration(times().max().unwrap_or_default());
        let range = if shortest == longest { shortest } else { format!("{shortest} to {longest}") };
        writeln!(f, " Blocked for {range}: {reason}")?;
        let mut objects: Vec<usize> = group.tasks.iter().flat_map(|task| task.objects()).copied().collect();
        objects.sort_unstable();
        objects.dedup();
        let on: Vec<u64> = blocked.iter().filter_map(|blocked| blocked.on).map(|id| id.0).collect();
        let object = match objects.as_slice() {
            [] => String::new(),
            [one] => format!("{one:#x}"),
            few if group.tasks.len() == 1 && few.len() <= 4 => {
                few.iter().map(|object| format!("{object:#x}")).collect::<Vec<_>>().join(", ")
            }
            many => format!("{} different objects", many.len()),
        };
        match (reason, on.as_slice()) {
            (_, []) if object.is_empty() => Ok(()),
            (_, []) => write_entry(f, "for", &object),
            (WaitReason::Join, on) => write_entry(f, "for", &self.tasks_named(on)),
            (WaitReason::Blocking, on) => write_entry(f, "by", &self.tasks_named(on)),
            (WaitReason::OnceWait, on) => {
                write_entry(f, "for", &format!("{object}, made by {}", self.tasks_named(on)))
            }
            (_, on) => {
                let is_listed = on.iter().any(|id| self.task(TaskId(*id)).is_some());
                let not_listed = if is_listed { "" } else { ", which is not listed" };
                write_entry(f, "for", &format!("{object}, held by {}{not_listed}", self.tasks_named(on)))
            }
        }
    }

    fn since(&self, moment: Instant) -> Duration {
        self.taken_at.saturating_duration_since(moment)
    }

    /// The numbers of tasks, with their names where they have one and are few.
    fn identities(&self, tasks: &[&TaskInfo]) -> String {
        let names: BTreeSet<&str> = tasks.iter().filter_map(|task| task.name()).collect();
        let ids: Vec<u64> = tasks.iter().map(|task| task.id.0).collect();
        match (names.len(), names.first()) {
            (1, Some(name)) => format!("{} ({name})", ranges(&ids)),
            (0, _) => ranges(&ids),
            (count, Some(name)) => format!("{} ({name} and {} more names)", ranges(&ids), count - 1),
            (_, None) => ranges(&ids),
        }
    }

    /// As [`identities`](Self::identities), of tasks that may have ended.
    fn tasks_named(&self, ids: &[u64]) -> String {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [id] => match self.tasks.iter().find(|task| task.id.0 == *id).and_then(TaskInfo::name) {
                Some(name) => format!("{id} ({name})"),
                None => id.to_string(),
            },
            many => ranges(many),
        }
    }
}

impl TaskInfo {
    fn blocked(&self) -> Option<Blocked> {
        match self.state {
            State::Blocked(blocked) => Some(blocked),
            _ => None,
        }
    }
}

fn write_silent(f: &mut fmt::Formatter<'_>, worker: &WorkerInfo) -> fmt::Result {
    let WorkerInfo { number, unlisted, .. } = worker;
    write!(f, "Worker {number} does not answer: ")?;
    if let Some(task) = worker.running {
        write!(f, "it runs task {task}; ")?;
    }
    writeln!(f, "{} that have not started are not listed", counted(*unlisted, "coroutine"))
}

fn write_entry(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {label:<8} {}", shortened(text, WIDTH - 11))
}

fn write_stack(f: &mut fmt::Formatter<'_>, stack: &StackTrace) -> fmt::Result {
    let frames = stack.frames();
    for frame in frames.iter().take(CALLS_MAX) {
        writeln!(f, "    {}", shortened(&frame.function, WIDTH - 4))?;
        if let Some(place) = frame.place() {
            writeln!(f, "        at {}", end_of(&place, WIDTH - 11))?;
        }
    }
    if frames.len() > CALLS_MAX || stack.is_cut() {
        writeln!(f, "    ..")?;
    }
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The beginning of a text that is too long.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut beginning: String = text.chars().take(width - 2).collect();
    beginning.push_str("..");
    beginning
}

/// The end of a text that is too long.
fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(length - (width - 2)).collect();
    format!("..{end}")
}

/// Numbers, with runs of them as ranges.
fn ranges(numbers: &[u64]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let mut text: Vec<String> = runs
        .iter()
        .take(RANGES_MAX)
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    if runs.len() > RANGES_MAX {
        let left: u64 = runs[RANGES_MAX..].iter().map(|(first, last)| last - first + 1).sum();
        text.push(format!("and {left} more"));
    }
    text.join(", ")
}

/// A duration with two digits or so.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_numbers_are_ranges_and_the_list_is_bounded() {
        assert_eq!(ranges(&[3, 1, 2, 9, 7, 8, 8]), "1-3, 7-9");
        assert_eq!(ranges(&[5, 6, 8]), "5, 6, 8");
        let odd: Vec<u64> = (0..20).map(|n| 2 * n + 1).collect();
        assert_eq!(ranges(&odd), "1, 3, 5, 7, 9, 11, and 14 more");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let texts = [7, 1_250, 61_000, 3_720_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(texts, ["7 ms", "1.2 s", "1 min 1 s", "1 h 2 min"]);
    }

    #[test]
    fn long_texts_lose_their_end_and_long_paths_their_beginning() {
        assert_eq!(shortened("coroutine", 6), "coro..");
        assert_eq!(end_of("src/main.rs:10", 8), "...rs:10");
        assert_eq!(shortened("short", 6), "short");
    }
}
