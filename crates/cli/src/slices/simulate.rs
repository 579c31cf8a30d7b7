//! The simulation: each task is a coroutine of a runtime in virtual time.
//!
//! A task takes a core, sleeps for as long as a slice of its work takes - in virtual time, to the nanosecond and at once -
//! and gives the core up if somebody is in line. The line is served first come, first served, by hand-over: a core that
//! is given up goes to the first in line and to nobody else. Nothing here computes when anything happens: that comes out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::channel::{self, Receiver, Sender};
use ropewalk::{Clock, Runtime, coroutine, time};

use crate::slices::model::{Parameters, Policy, Run, Segment, TaskTimes, letter};

/// Runs the tasks by `policy` on so many cores.
///
/// # Errors
/// No runtime can be built.
pub(crate) fn simulate(parameters: &Parameters, policy: Policy, cores: usize) -> io::Result<Run> {
    let runtime = Runtime::builder().clock(Clock::Virtual).build()?;
    Ok(runtime.run(|| {
        let machine = Rc::new(Machine::new(parameters, policy, cores));
        let tasks: Vec<_> = (0..parameters.work_ns.len())
            .map(|task| {
                let machine = machine.clone();
                let work = parameters.work_ns[task];
                coroutine::spawn_local(move || machine.compute(task, work))
            })
            .collect();
        let tasks: Vec<TaskTimes> =
            tasks.into_iter().map(|task| task.join().expect("a simulated task does not fail")).collect();
        Run {
            policy,
            cores,
            total_ns: tasks.iter().map(|task| task.finished_ns).max().unwrap_or(0),
            switches: machine.switches.get(),
            in_the_text: parameters.in_the_text(policy, cores),
            tasks,
            segments: machine.segments.take(),
        }
    }))
}

/// The simulated machine. Its tasks share it without a lock: they are coroutines of one worker, and between two waits
/// nobody else runs.
struct Machine {
    start: Instant,
    slice_ns: u64,
    switch_cost_ns: u64,
    /// Which task each core ran last.
    last: RefCell<Vec<Option<usize>>>,
    /// Cores with nothing to do. Nobody is in line then.
    free: RefCell<Vec<usize>>,
    /// Who waits for a core.
    line: RefCell<VecDeque<usize>>,
    /// How each task is given one.
    grants: Vec<(Sender<usize>, Receiver<usize>)>,
    switches: Cell<u64>,
    segments: RefCell<Vec<Segment>>,
}

impl Machine {
    fn new(parameters: &Parameters, policy: Policy, cores: usize) -> Self {
        let cores = policy.uses(cores);
        Self {
            start: time::now(),
            slice_ns: if policy == Policy::Threads { parameters.slice_ns } else { u64::MAX },
            switch_cost_ns: parameters.switch_cost_ns,
            last: RefCell::new(vec![None; cores]),
            // The first core is taken first.
            free: RefCell::new((0..cores).rev().collect()),
            line: RefCell::default(),
            grants: parameters.work_ns.iter().map(|_| channel::bounded(1)).collect(),
            switches: Cell::new(0),
            segments: RefCell::default(),
        }
    }

    /// What a task does.
    fn compute(&self, task: usize, work_ns: u64) -> TaskTimes {
        let mut left = work_ns;
        let mut started_ns = None;
        while left > 0 {
            let core = self.take_core(task);
            started_ns.get_or_insert_with(|| self.now_ns());
            while left > 0 {
                let turn = left.min(self.slice_ns);
                self.spend(core, task, false, turn);
                left -= turn;
                if !self.line.borrow().is_empty() {
                    break;
                }
            }
            self.give_core(core);
        }
        let finished_ns = self.now_ns();
        TaskTimes {
            name: letter(task),
            work_ns,
            started_ns: started_ns.unwrap_or(0),
            finished_ns,
            waited_ns: finished_ns - work_ns,
        }
    }

    /// Waits for a core, and for it to switch to the task.
    fn take_core(&self, task: usize) -> usize {
        let free = self.free.borrow_mut().pop();
        let core = free.unwrap_or_else(|| {
            self.line.borrow_mut().push_back(task);
            self.grants[task].1.recv().expect("the machine keeps both ends")
        });
        let before = self.last.borrow_mut()[core].replace(task);
        if before.is_some_and(|before| before != task) {
            self.switches.set(self.switches.get() + 1);
            self.spend(core, task, true, self.switch_cost_ns);
        }
        core
    }

    fn give_core(&self, core: usize) {
        let next = self.line.borrow_mut().pop_front();
        match next {
            Some(task) => self.grants[task].0.try_send(core).expect("who is in line has no core yet"),
            None => self.free.borrow_mut().push(core),
        }
    }

    /// Has the core do something for a while.
    fn spend(&self, core: usize, task: usize, switch: bool, duration_ns: u64) {
        if duration_ns == 0 {
            return;
        }
        let start_ns = self.now_ns();
        coroutine::sleep(Duration::from_nanos(duration_ns));
        let end_ns = self.now_ns();
        self.segments.borrow_mut().push(Segment { core, task, switch, start_ns, end_ns });
    }

    fn now_ns(&self) -> u64 {
        // A hundred years fit.
        u64::try_from((time::now() - self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}
