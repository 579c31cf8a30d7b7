//! Who waits for whom, and who does so in a circle.
//!
//! An arrow goes from a task that sleeps to each task that has to do something before it can go on, where that is certain:
//! the holder of a lock, the task that is joined, the children of a scope, the thread that makes a blocking call. Who
//! could send a message, notify a condition or give a permit back is not known, so such waits have no arrow.
//!
//! # A circle that is found has stood
//! 1. First all waits are noted, then the arrows are read, and then the waits of a circle are looked at again. A task that
//!    has been called or has moved meanwhile is in no circle. So between the two looks each of them slept in the wait that
//!    was noted, and did nothing.
//! 2. A task that is joined, a child, and a call that is under way are what they are for as long as the wait for them lasts.
//! 3. If the number of a task stands in a lock's note, it has taken the lock and has not begun to give it back (the
//!    invariant of `ropewalk_sync::holder`). What it did before it fell asleep was visible when the note was read (SYNC:
//!    place.pc), and it did nothing afterwards; so it held the lock. The exception, a task to which the lock was handed and
//!    that does not know yet, has no arrow to itself.
//!
//! So at one moment all arrows of the circle held; and from then on nobody in it can go on before the next one has, unless a
//! cancellation or a deadline ends one of the waits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::park::{Snapshot, WaitReason, Waiter, Waiting};
use ropewalk_sync::{clock, mutex, once, rwlock};
use ropewalk_sys::memory::read_own;

use super::Blocked;
use super::collect::Found;
use crate::plan::pool;
use crate::task::Header;
use crate::task::join::TaskId;

/// One moment, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Since {
    now: Instant,
    coarse: u64,
}

impl Since {
    pub(super) fn now() -> Self {
        Self { now: Instant::now(), coarse: clock::coarse_nanos() }
    }

    pub(super) fn instant(self) -> Instant {
        self.now
    }
}

/// What a task waits for. `started` gives the task that this one has to see the end of, where it waits for the end of one.
pub(super) fn blocked(
    waiter: &Waiter,
    waiting: Waiting,
    since: Since,
    started: impl FnOnce(Waiting) -> Option<u64>,
) -> Blocked {
    let passed = Duration::from_nanos(since.coarse.saturating_sub(waiting.since));
    let on = match waiting.reason {
        WaitReason::Join | WaitReason::Blocking => started(waiting),
        _ => holder(waiter, waiting),
    };
    // What was read at that address belongs to it only if it was waited for all the time.
    let on = on.filter(|_| waiter.waiting() == Some(waiting));
    Blocked {
        reason: waiting.reason,
        since: since.now.checked_sub(passed).unwrap_or(since.now),
        object: Some(waiting.object).filter(|object| *object != 0 && waiting.reason != WaitReason::Select),
        on: on.map(TaskId),
    }
}

/// Who holds the lock that a task waits for, if there still is one, by the note that is so far in it.
fn holder(waiter: &Waiter, waiting: Waiting) -> Option<u64> {
    let offset = match waiting.reason {
        WaitReason::MutexLock => mutex::HOLDER_OFFSET,
        WaitReason::RwLockRead | WaitReason::RwLockWrite => rwlock::HOLDER_OFFSET,
        WaitReason::OnceWait => once::HOLDER_OFFSET,
        _ => return None,
    };
    let mut id = [0; 8];
    let read = read_own(waiting.object.wrapping_add(offset), &mut id);
    let was_handed_it = |id: u64| waiting.comes_back && id == waiter.id();
    Some(u64::from_ne_bytes(id)).filter(|&id| read == 8 && id != 0 && !was_handed_it(id))
}

/// A wait, and where its task stands in it.
pub(super) type Noted = Option<(Waiting, Snapshot)>;

/// Some tasks, by their numbers, and who of them waits for whom.
pub(super) struct WaitFor<'a> {
    pub(super) found: &'a [Found],
    /// What each waits for.
    pub(super) waits: Vec<Noted>,
    /// Those who have to do something first, by their places in `found`.
    arrows: Vec<Vec<usize>>,
}

impl<'a> WaitFor<'a> {
    /// `found` is sorted by the tasks' numbers.
    pub(super) fn look(found: &'a [Found]) -> Self {
        let waits = found.iter().map(|task| task.waiter().standing_wait()).collect();
        let mut wait_for = Self { found, waits, arrows: Vec::new() };
        let owned = wait_for.owned();
        let started = wait_for.started();
        wait_for.arrows = (0..found.len())
            .map(|task| {
                let Some((waiting, _)) = wait_for.waits[task] else { return Vec::new() };
                match waiting.reason {
                    WaitReason::ScopeEnd | WaitReason::RuntimeEnd => {
                        owned.get(&waiting.object).cloned().unwrap_or_default()
                    }
                    WaitReason::Join | WaitReason::Blocking => {
                        started.get(&waiting.object).copied().into_iter().collect()
                    }
                    _ => {
                        let holder = holder(found[task].waiter(), waiting);
                        holder.and_then(|holder| wait_for.place(holder)).into_iter().collect()
                    }
                }
            })
            .collect();
        wait_for
    }

    fn place(&self, id: u64) -> Option<usize> {
        self.found.binary_search_by_key(&id, |task| task.waiter().id()).ok()
    }

    fn is_any(&self, reasons: &[WaitReason]) -> bool {
        self.waits.iter().flatten().any(|(waiting, _)| reasons.contains(&waiting.reason))
    }

    /// The tasks that a scope, or a runtime, waits for, by its address.
    fn owned(&self) -> HashMap<usize, Vec<usize>> {
        let mut owned = HashMap::<_, Vec<usize>>::new();
        if self.is_any(&[WaitReason::ScopeEnd, WaitReason::RuntimeEnd]) {
            for (place, task) in self.found.iter().enumerate() {
                if let Some(owner) = task.header().and_then(Header::waiting_owner) {
                    owned.entry(owner).or_default().push(place);
                }
            }
        }
        owned
    }

    /// The tasks whose end somebody may wait for, and the threads that make blocking calls, by the address of what is
    /// waited for: their headers, and those of the calls.
    fn started(&self) -> HashMap<usize, usize> {
        let mut started = HashMap::new();
        if self.is_any(&[WaitReason::Join]) {
            let header = |task: &Found| Some(std::ptr::from_ref(task.header()?).addr());
            started.extend(
                self.found.iter().enumerate().filter_map(|(place, task)| Some((header(task)?, place))),
            );
        }
        if self.is_any(&[WaitReason::Blocking]) {
            let calls = pool::executing().into_iter();
            started.extend(calls.filter_map(|call| Some((call.object, self.place(call.thread)?))));
        }
        started
    }

    /// What the task at this place waits for.
    pub(super) fn blocked(&self, task: usize, since: Since) -> Option<Blocked> {
        let (waiting, _) = self.waits[task]?;
        let started = |_| Some(self.found[*self.arrows[task].first()?].waiter().id());
        Some(blocked(self.found[task].waiter(), waiting, since, started))
    }

    /// Whether it is known who has to do something before the task goes on.
    pub(super) fn has_arrow(&self, task: usize) -> bool {
        !self.arrows[task].is_empty()
    }

    /// Whether the task has slept all the time since its wait was noted.
    pub(super) fn still_waits(&self, task: usize) -> bool {
        self.waits[task].as_ref().is_some_and(|noted| self.found[task].waiter().still_waits(noted))
    }

    fn named_wait(&self, task: usize) -> Option<(Option<Arc<str>>, WaitReason)> {
        let (waiting, _) = self.waits[task]?;
        Some((self.found[task].name(), waiting.reason))
    }

    /// The circles whose tasks have all slept since then.
    pub(super) fn deadlocks(&self) -> Vec<Deadlock> {
        let id = |&task: &usize| TaskId(self.found[task].waiter().id());
        let is_timed = |&task: &usize| self.waits[task].is_some_and(|(waiting, _)| waiting.is_timed);
        circles(&self.arrows)
            .into_iter()
            .filter(|circle| circle.members.iter().all(|task| self.still_waits(*task)))
            .map(|circle| Deadlock {
                tasks: circle.members.iter().map(id).collect(),
                waits: circle.members.iter().filter_map(|task| self.named_wait(*task)).collect(),
                behind: circle.behind.iter().map(id).collect(),
                is_timed: circle.members.iter().any(is_timed),
            })
            .collect()
    }
}

/// Tasks that wait for each other in a circle: nobody in it can go on before the next one has.
///
/// What is certain is told, and no more: a task in it waits for a lock that the next one has taken, for the next one's end,
/// as its scope, or for a blocking call that the next one makes. That is a fact of the moment at which it was seen, and
/// ends only if one of the waits is broken off: by a cancellation, or by a deadline. (A guard that was carried, in an `Rc`
/// or in a generator, from the task that has locked to another one of its thread is taken to be where it was.)
///
/// Its `Display` is a text for people: who waits for whom, and why.
///
/// What is not told, because nobody can know who would end such a wait: circles over channels, conditions, permits of a
/// semaphore, barriers, latches, futures, and read locks that others hold. If everything waits, a dump
/// [says so](super::Dump::standstill) all the same.
///
/// ```
/// use ropewalk_runtime::{coroutine, inspect, run};
/// use ropewalk_sync::mutex::Mutex;
///
/// static LOCK: Mutex<()> = Mutex::new(());
///
/// run(|| {
///     let twice = coroutine::spawn(|| {
///         let _first = LOCK.lock();
///         let _second = LOCK.lock();
///     });
///     let deadlock = loop {
///         coroutine::yield_now();
///         if let Some(deadlock) = inspect::deadlocks().pop() {
///             break deadlock;
///         }
///     };
///     assert_eq!(deadlock.tasks(), [twice.id()]);
///     println!("{deadlock}"); // "Deadlock: a task waits for itself" and so on
///     twice.cancel();
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    tasks: Vec<TaskId>,
    /// Their names, and what they wait for.
    pub(super) waits: Vec<(Option<Arc<str>>, WaitReason)>,
    behind: Vec<TaskId>,
    is_timed: bool,
}

impl Deadlock {
    /// The tasks in it, from the one with the lowest number: each waits for the next one, and the last for the first. One
    /// alone waits for itself.
    #[must_use]
    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    /// The tasks, by their numbers, that are in no circle themselves and cannot go on before one of this has.
    #[must_use]
    pub fn behind(&self) -> &[TaskId] {
        &self.behind
    }

    /// Whether a deadline ends one of the waits, and so the deadlock.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.is_timed
    }
}

/// A circle of nodes, each with an arrow to the next; and the nodes from which arrows lead there.
#[derive(Debug, PartialEq, Eq)]
struct Circle {
    members: Vec<usize>,
    behind: Vec<usize>,
}

/// Circles of a graph that have no node in common, until there is no other: from each node that is in a circle at all
/// arrows lead to one of them. In time linear in the number of arrows, but for the nodes behind the circles.
fn circles(arrows: &[Vec<usize>]) -> Vec<Circle> {
    let mut sources = vec![Vec::new(); arrows.len()];
    for (node, targets) in arrows.iter().enumerate() {
        targets.iter().for_each(|target| sources[*target].push(node));
    }
    // How many arrows each node has to nodes that are left. One without any is in no circle, and goes.
    let mut left: Vec<usize> = arrows.iter().map(Vec::len).collect();
    let mut is_left = vec![true; arrows.len()];
    let mut leaving: Vec<usize> = (0..arrows.len()).filter(|node| left[*node] == 0).collect();
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        while let Some(node) = leaving.pop() {
            if std::mem::replace(&mut is_left[node], false) {
                for source in &sources[node] {
                    left[*source] -= 1;
                    if left[*source] == 0 {
                        leaving.push(*source);
                    }
                }
            }
        }
        let Some(first) = (start..arrows.len()).find(|node| is_left[*node]) else { break };
        start = first;
        let circle = walk(arrows, &is_left, first);
        leaving.extend(&circle);
        found.push(circle);
    }
    let in_circle: Vec<usize> = found.iter().flatten().copied().collect();
    let circle = |members: Vec<usize>| Circle { behind: behind(&sources, &members, &in_circle), members };
    found.into_iter().map(circle).collect()
}

/// Goes along the arrows, among nodes that are left, until it has come back: the circle, from its lowest node.
fn walk(arrows: &[Vec<usize>], is_left: &[bool], start: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut places = HashMap::new();
    let mut node = start;
    loop {
        if let Some(&place) = places.get(&node) {
            let mut circle = path.split_off(place);
            let lowest =
                circle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(place, _)| place);
            circle.rotate_left(lowest);
            return circle;
        }
        places.insert(node, path.len());
        path.push(node);
        // Who has no such arrow has left.
        let next = arrows[node].iter().find(|target| is_left[**target]);
        node = *next.expect("a node that is left has an arrow to another one");
    }
}

/// The nodes, in order, from which arrows lead to `members`, without those in any circle.
fn behind(sources: &[Vec<usize>], members: &[usize], in_circle: &[usize]) -> Vec<usize> {
    let mut seen: HashSet<usize> = in_circle.iter().copied().collect();
    let mut next = members.to_vec();
    let mut behind = Vec::new();
    while let Some(node) = next.pop() {
        for source in &sources[node] {
            if seen.insert(*source) {
                behind.push(*source);
                next.push(*source);
            }
        }
    }
    behind.sort_unstable();
    behind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arrows: &[&[usize]]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let arrows: Vec<Vec<usize>> = arrows.iter().map(|targets| targets.to_vec()).collect();
        circles(&arrows).into_iter().map(|circle| (circle.members, circle.behind)).collect()
    }

    #[test]
    fn a_graph_without_a_circle_has_none() {
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[&[1], &[2], &[], &[2, 1]]), []);
    }

    #[test]
    fn a_circle_begins_with_its_lowest_node_and_knows_who_is_behind() {
        assert_eq!(of(&[&[0]]), [(vec![0], vec![])]);
        // 0 waits for 4, 4 for 1, 1 and 3 and 2 are the circle, 5 waits for nobody.
        assert_eq!(of(&[&[4], &[3], &[1], &[2], &[1], &[]]), [(vec![1, 3, 2], vec![0, 4])]);
    }

    #[test]
    fn a_circle_behind_another_one_is_found_too() {
        // 0 waits for 1 and 2, 1 for 0; 2 and 3 for each other.
        assert_eq!(of(&[&[2, 1], &[0], &[3], &[2]]), [(vec![2, 3], vec![]), (vec![0, 1], vec![])]);
    }

    #[test]
    fn many_circles_are_found_once_each() {
        let pairs: Vec<Vec<usize>> = (0..1000).map(|node| vec![node ^ 1]).collect();
        let found = circles(&pairs);
        assert_eq!(found.len(), 500);
        assert!(found.iter().all(|circle| circle.members[0] + 1 == circle.members[1]));
    }
}
