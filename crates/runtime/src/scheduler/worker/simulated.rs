//! What a worker does differently where time is virtual or the schedule is seeded.

use std::time::{Duration, Instant};

use ropewalk_sync::clock::{self, LAST};
use ropewalk_sync::park;

use super::Worker;
use crate::scheduler::core::Ready;
use crate::scheduler::schedule::Drawn;

impl Worker {
    /// Nothing to run, and time is virtual: it goes on to the next timer, or to `limit` if that comes before.
    pub(super) fn pass_time(&self, limit: Option<Instant>) {
        // Before the look into the mailbox: what was outside until just now has posted what it had to say.
        let alone = !self.shared.has_outside() && !self.expects_news();
        if !self.ready.borrow().is_empty() || !self.remote.mailbox.fall_asleep(|| false) {
            return;
        }
        self.remote.pulse.rest();
        self.trim(clock::now());
        let timer = self.timers.borrow_mut().next_wanted();
        let until = timer.into_iter().chain(limit.map(clock::nanos)).min().filter(|&at| at < LAST);
        match until {
            Some(at) if alone => clock::advance_to(at),
            until => {
                let now = clock::nanos(clock::now());
                let pause = until.map(|at| Duration::from_nanos(at.saturating_sub(now)));
                clock::block(|| self.turn_driver(pause));
            }
        }
        self.remote.mailbox.wake_up();
        self.looked_at.set(self.turn.get());
        park::note_time();
        self.fire_timers();
    }

    /// What `next` is with a seeded schedule.
    pub(super) fn draw(&self) -> Option<Ready> {
        while let Some(task) = self.fresh.pop() {
            self.ready.borrow_mut().push_unstarted(task);
        }
        loop {
            let drawn = self.ready.borrow_mut().draw();
            match drawn? {
                Drawn::Started(task) => return Some(task),
                Drawn::Unstarted(task) if self.start(&task) => return Some(task),
                // It was counted when it was queued.
                Drawn::Unstarted(_) => self.remote.load.sub(),
            }
        }
    }
}
