//! Which coroutine runs next, among those of a worker that can.
//!
//! The fair schedule is first in, first out. The seeded one draws: whatever an order between two waits can bring to
//! light, some seed brings to light, and the same seed does so again. Both keep the one promise that users have
//! ([`RunQueue::push_next`]): who is handed over to runs next.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;

use ropewalk_sync::park::Waiter;
use ropewalk_sys::memory;

use super::core::{FRAME_HEAD, Ready};

/// How a worker chooses, among the coroutines that can run, the one that runs next.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use ropewalk_runtime::{Runtime, Schedule, coroutine};
///
/// let order = |schedule| {
///     let seen = Arc::new(Mutex::new(Vec::new()));
///     Runtime::builder().schedule(schedule).workers(1).build().unwrap().run(|| {
///         for number in 0..8 {
///             let seen = seen.clone();
///             coroutine::spawn(move || seen.lock().unwrap().push(number));
///         }
///     });
///     let order = seen.lock().unwrap().clone();
///     order
/// };
/// assert_eq!(order(Schedule::Fair), [0, 1, 2, 3, 4, 5, 6, 7]);
/// assert_eq!(order(Schedule::Seeded(1)), order(Schedule::Seeded(1)));
/// assert_ne!(order(Schedule::Seeded(1)), order(Schedule::Seeded(2)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// First come, first served: those that have started for some turns, then those that have not.
    #[default]
    Fair,
    /// Any of them, drawn by a generator with this seed: the same seed gives the same order, as long as nothing from
    /// outside takes part, neither real time nor another thread. Such a runtime has one worker.
    Seeded(u64),
}

/// What a worker can run, but for the unstarted coroutines that others may steal.
pub(super) struct RunQueue {
    started: VecDeque<Ready>,
    /// `None`: first in, first out.
    draw: Option<Draw>,
}

struct Draw {
    rng: Rng,
    /// Nobody steals from the only worker.
    unstarted: Vec<Ready>,
    /// The first of the started ones was promised the next turn.
    promised: bool,
}

/// So many in the queue, and what their turns touch does not fit into a processor's second cache. Where it fits, to fetch
/// ahead costs more than it brings.
const COLD: usize = 4096;
/// As much of the end of a stack is touched by every coroutine that goes on after a wait: what it takes back from there,
/// which stands below the place that it has noted, and a few calls above that.
const HOT_END: usize = 256;
const BELOW: usize = 80;

/// Who was drawn.
pub(super) enum Drawn {
    Started(Ready),
    Unstarted(Ready),
}

impl RunQueue {
    pub(super) fn new(schedule: Schedule) -> Self {
        let draw = match schedule {
            Schedule::Fair => None,
            Schedule::Seeded(seed) => {
                Some(Draw { rng: Rng::with_seed(seed), unstarted: Vec::new(), promised: false })
            }
        };
        Self { started: VecDeque::new(), draw }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.started.is_empty() && self.draw.as_ref().is_none_or(|draw| draw.unstarted.is_empty())
    }

    /// It can run.
    pub(super) fn push_back(&mut self, task: Ready) {
        self.started.push_back(task);
    }

    /// It can run, and runs next.
    pub(super) fn push_next(&mut self, task: Ready) {
        self.started.push_front(task);
        if let Some(draw) = &mut self.draw {
            draw.promised = true;
        }
    }

    /// Has one that can run, run next. `false` if it is not here.
    pub(super) fn promote(&mut self, task: &Ready) -> bool {
        let place = self.started.iter().position(|other| Arc::ptr_eq(other, task));
        let Some(task) = place.and_then(|place| self.started.remove(place)) else { return false };
        self.push_next(task);
        true
    }

    /// Fair: the one that has waited longest.
    #[inline(always)]
    pub(super) fn pop_front(&mut self) -> Option<Ready> {
        let task = self.started.pop_front();
        if self.started.len() >= COLD {
            self.prefetch();
        }
        task
    }

    /// In a long queue nobody has run for a while, so nothing of it is in the caches; but it is known who comes next. Each
    /// is fetched in three steps, a turn apart, because each step says where the next one has to look.
    #[cold]
    #[inline(never)]
    fn prefetch(&self) {
        let (first, second, third) = (&self.started[0], &self.started[1], &self.started[2]);
        let waiter: *const Waiter = third.waiter();
        memory::prefetch(waiter.addr(), size_of::<Waiter>());
        memory::prefetch(second.core().frame_address(), FRAME_HEAD);
        if let Some(standing) = first.waiter().standing() {
            memory::prefetch(standing.context.sp - BELOW, HOT_END);
        }
    }

    /// Seeded: takes part in the draw.
    pub(super) fn push_unstarted(&mut self, task: Ready) {
        self.draw.as_mut().expect("a seeded schedule").unstarted.push(task);
    }

    /// Seeded: draws one.
    pub(super) fn draw(&mut self) -> Option<Drawn> {
        let draw = self.draw.as_mut()?;
        if std::mem::take(&mut draw.promised) {
            return self.started.pop_front().map(Drawn::Started);
        }
        let started = self.started.len();
        let all = started + draw.unstarted.len();
        if all == 0 {
            return None;
        }
        let place = draw.rng.usize(..all);
        if place < started {
            self.started.swap_remove_back(place).map(Drawn::Started)
        } else {
            Some(Drawn::Unstarted(draw.unstarted.swap_remove(place - started)))
        }
    }

    /// Seeded: those that have not started.
    pub(super) fn unstarted(&self) -> &[Ready] {
        self.draw.as_ref().map_or(&[], |draw| &draw.unstarted)
    }

    /// Seeded: those that will not start.
    pub(super) fn take_unstarted(&mut self) -> Vec<Ready> {
        self.draw.as_mut().map(|draw| std::mem::take(&mut draw.unstarted)).unwrap_or_default()
    }
}
