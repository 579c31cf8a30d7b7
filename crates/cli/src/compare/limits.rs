//! Can this machine run so many users under this plan? Asked before the run, so that a limit is a row with its reason
//! and the line that mends it, and not a failure halfway.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::compare::plan::Plan;
use crate::format;
use crate::machine::limits::Limits;
use crate::size::Size;

/// Why the machine cannot run a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Obstacle {
    /// What stands in the way.
    pub(crate) reason: String,
    /// What to do about it; a command line where there is one.
    pub(crate) mend: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; mend: {}", self.reason, self.mend)
    }
}

/// What a cell asks of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    plan: Plan,
    users: u64,
    thread_stack: u64,
    process_users: u64,
}

/// Descriptors, threads and ports that a process needs besides those of the users.
const SPARE: u64 = 128;

/// Memory that a user costs at most on both sides: buffers, sockets, stacks, page tables. Generous: measured are
/// some 50 KiB for a thread, 20 KiB for a coroutine and 550 KiB for a process.
const THREAD_BYTES: u64 = 96 * 1024;
const COROUTINE_BYTES: u64 = 48 * 1024;
const PROCESS_BYTES: u64 = 1024 * 1024;

/// Memory that the two processes take whatever the number of users.
const BASE_BYTES: u64 = 128 * 1024 * 1024;

/// The part of the free memory that may be used: a benchmark must not push the machine into its swap.
const MEMORY_PART: f64 = 0.7;

impl Need {
    /// What so many users under `plan` need.
    pub(crate) fn new(plan: Plan, users: u32, thread_stack: Size, process_users: u32) -> Self {
        Self {
            plan,
            users: users.into(),
            thread_stack: thread_stack.bytes(),
            process_users: process_users.into(),
        }
    }

    /// In the process that has most of them. Where each connection has a process that is the one which starts them: it
    /// has the connection, a descriptor of its process and a control socket.
    fn descriptors(&self) -> u64 {
        let each = if self.plan == Plan::Process { 3 } else { 1 };
        each * self.users + SPARE
    }

    /// In the whole system: the server's and the client's, and those of the processes that serve a connection each, with
    /// the other end of the control socket and both ends of a socket to the ledger.
    fn open_files(&self) -> u64 {
        let each = if self.plan == Plan::Process { 8 } else { 2 };
        each * self.users + 2 * SPARE
    }

    /// Threads; a process has one at least.
    fn threads(&self) -> u64 {
        let one_each = self.plan.is_threads() || self.plan == Plan::Process;
        if one_each { self.users + SPARE } else { SPARE }
    }

    /// A thread's stack and its guard are a mapping each. Coroutines share a few.
    fn mappings(&self) -> u64 {
        if self.plan.is_threads() { 2 * self.users + 1_024 } else { 1_024 }
    }

    fn memory_bytes(&self) -> u64 {
        let each = match self.plan {
            Plan::Process => PROCESS_BYTES,
            Plan::Thread | Plan::Std => THREAD_BYTES,
            Plan::Coroutine | Plan::ProcessCoroutine => COROUTINE_BYTES,
        };
        BASE_BYTES + self.users * each
    }

    fn reserved_bytes(&self) -> u64 {
        let stacks = if self.plan.is_threads() { self.users * self.thread_stack } else { 0 };
        stacks + self.memory_bytes()
    }

    /// The first limit that this need runs into, if any.
    pub(crate) fn obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        self.patience_obstacle()
            .or_else(|| self.descriptor_obstacle(limits))
            .or_else(|| self.thread_obstacle(limits))
            .or_else(|| self.memory_obstacle(limits))
            .or_else(|| self.port_obstacle(limits))
    }

    /// What could be run, and is not unless it is asked for.
    fn patience_obstacle(&self) -> Option<Obstacle> {
        let Self { plan, users, process_users, .. } = *self;
        (plan == Plan::Process && users > process_users).then(|| Obstacle {
            reason: format!(
                "{} processes would take about {} of memory, and some milliseconds each to start",
                format::thousands(users),
                format::bytes(self.memory_bytes() as f64)
            ),
            mend: format!("--process-users {users}"),
        })
    }

    fn descriptor_obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        let need = self.descriptors();
        if limits.descriptors.is_some_and(|have| have < need) {
            return Some(Obstacle {
                reason: format!(
                    "{need} descriptors needed, the hard limit is {}",
                    limits.descriptors.unwrap_or(0)
                ),
                mend: format!("ulimit -n {need} (as root), or docker run --ulimit nofile={need}"),
            });
        }
        let need = self.open_files();
        below(limits.system_files, need).map(|have| Obstacle {
            reason: format!("{need} open files needed, the system has room for {have}"),
            mend: format!("sysctl -w fs.file-max={}", round_up(limits.system_files_max, need)),
        })
    }

    fn thread_obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        let need = self.threads();
        if let Some(have) = below(limits.pids, need) {
            return Some(Obstacle {
                reason: format!("{need} more threads needed, kernel.pid_max leaves {have}"),
                mend: format!("sysctl -w kernel.pid_max={}", round_up(limits.pid_max, need)),
            });
        }
        if let Some(have) = below(limits.threads, need) {
            return Some(Obstacle {
                reason: format!("{need} more threads needed, kernel.threads-max leaves {have}"),
                mend: format!("sysctl -w kernel.threads-max={}", round_up(limits.threads_max, need)),
            });
        }
        if let Some(have) = below(limits.control_group_pids, need) {
            return Some(Obstacle {
                reason: format!("{need} more threads needed, pids.max of the control group leaves {have}"),
                mend: format!(
                    "systemd-run --scope -p TasksMax={need} (the command), or docker run --pids-limit {need}"
                ),
            });
        }
        if let Some(have) = below(limits.user_processes, need) {
            return Some(Obstacle {
                reason: format!("{need} more threads needed, this user may have {have}"),
                mend: format!("ulimit -u {need} (as root)"),
            });
        }
        let mappings = self.mappings();
        below(limits.mappings, mappings).map(|have| Obstacle {
            reason: format!("{mappings} mappings needed, vm.max_map_count is {have}"),
            mend: format!("sysctl -w vm.max_map_count={}", round_up(Some(have), mappings)),
        })
    }

    fn memory_obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        let need = self.memory_bytes();
        let may_use = limits.memory_free.map(|free| (free as f64 * MEMORY_PART) as u64);
        if let Some(have) = below(may_use, need) {
            return Some(Obstacle {
                reason: format!(
                    "about {} of memory needed, 70 % of what is free is {}",
                    mib(need),
                    mib(have)
                ),
                mend: "free some memory or ask for fewer --users".to_owned(),
            });
        }
        let need = self.reserved_bytes();
        below(limits.commit_left, need).map(|have| Obstacle {
            reason: format!(
                "{} of address space needed, vm.overcommit_memory=2 leaves {}",
                mib(need),
                mib(have)
            ),
            mend: "sysctl -w vm.overcommit_memory=0, or a smaller --thread-stack".to_owned(),
        })
    }

    fn port_obstacle(&self, limits: &Limits) -> Option<Obstacle> {
        let need = self.users + SPARE;
        below(limits.ports, need).map(|have| Obstacle {
            reason: format!("{need} ports needed for the users, {have} are in net.ipv4.ip_local_port_range"),
            mend: "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"".to_owned(),
        })
    }
}

/// What there is, if it is less than `need`; a limit that is not known stands in nobody's way.
fn below(have: Option<u64>, need: u64) -> Option<u64> {
    have.filter(|&have| have < need)
}

/// A limit of `present` raised by what is needed, to a round number.
fn round_up(present: Option<u64>, need: u64) -> u64 {
    (present.unwrap_or(0) + need).next_multiple_of(10_000)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with room for everything.
    fn roomy() -> Limits {
        Limits {
            descriptors: Some(1 << 20),
            system_files: Some(1 << 30),
            system_files_max: Some(1 << 30),
            pids: Some(1 << 20),
            pid_max: Some(1 << 22),
            threads: Some(1 << 20),
            threads_max: Some(1 << 20),
            control_group_pids: None,
            user_processes: None,
            mappings: Some(65_530),
            memory_free: Some(16 << 30),
            control_group_memory: None,
            commit_left: None,
            ports: Some(28_232),
        }
    }

    fn obstacle(plan: Plan, users: u32, change: impl FnOnce(&mut Limits)) -> Option<Obstacle> {
        let mut limits = roomy();
        change(&mut limits);
        Need::new(plan, users, Size::from_bytes(4 << 20), 1_000).obstacle(&limits)
    }

    fn assert_obstacle(found: Option<Obstacle>, reason: &str, mend: &str) {
        let found = found.expect("an obstacle");
        assert!(found.reason.contains(reason), "{found}");
        assert!(found.mend.contains(mend), "{found}");
    }

    #[test]
    fn a_roomy_machine_runs_ten_thousand_under_every_plan() {
        for plan in [Plan::Coroutine, Plan::Thread, Plan::ProcessCoroutine, Plan::Std] {
            assert_eq!(obstacle(plan, 10_000, |_| {}), None, "{plan}");
        }
        assert_eq!(obstacle(Plan::Process, 1_000, |_| {}), None);
    }

    #[test]
    fn each_limit_is_named_with_the_line_that_mends_it() {
        let thread = |change: fn(&mut Limits)| obstacle(Plan::Thread, 10_000, change);
        assert_obstacle(
            thread(|limits| limits.descriptors = Some(1_024)),
            "10128 descriptors needed, the hard limit is 1024",
            "ulimit -n 10128",
        );
        assert_obstacle(
            thread(|limits| limits.system_files = Some(20_000)),
            "the system has room for 20000",
            "fs.file-max",
        );
        assert_obstacle(
            thread(|limits| (limits.pids, limits.pid_max) = (Some(500), Some(32_768))),
            "kernel.pid_max leaves 500",
            "kernel.pid_max=50000",
        );
        assert_obstacle(
            thread(|limits| limits.threads = Some(500)),
            "kernel.threads-max leaves 500",
            "kernel.threads-max=",
        );
        assert_obstacle(
            thread(|limits| limits.control_group_pids = Some(100)),
            "pids.max of the control group leaves 100",
            "--pids-limit",
        );
        assert_obstacle(
            thread(|limits| limits.user_processes = Some(4_096)),
            "this user may have 4096",
            "ulimit -u",
        );
        assert_obstacle(
            thread(|limits| limits.mappings = Some(16_384)),
            "vm.max_map_count is 16384",
            "sysctl -w vm.max_map_count=40000",
        );
        assert_obstacle(
            thread(|limits| limits.memory_free = Some(1 << 30)),
            "70 % of what is free is 716 MiB",
            "fewer --users",
        );
        assert_obstacle(
            thread(|limits| limits.commit_left = Some(20 << 30)),
            "vm.overcommit_memory=2 leaves 20480 MiB",
            "--thread-stack",
        );
        assert_obstacle(
            thread(|limits| limits.ports = Some(5_000)),
            "5000 are in net.ipv4.ip_local_port_range",
            "sysctl -w net.ipv4.ip_local_port_range",
        );
    }

    #[test]
    fn processes_need_a_descriptor_a_control_socket_and_memory_each() {
        let process = |change: fn(&mut Limits)| obstacle(Plan::Process, 1_000, change);
        assert_obstacle(
            process(|limits| limits.descriptors = Some(3_000)),
            "3128 descriptors",
            "ulimit -n 3128",
        );
        assert_obstacle(
            process(|limits| limits.system_files = Some(8_000)),
            "8256 open files",
            "fs.file-max",
        );
        assert_obstacle(
            process(|limits| limits.pids = Some(1_000)),
            "kernel.pid_max leaves 1000",
            "pid_max=",
        );
        assert_obstacle(
            process(|limits| limits.control_group_pids = Some(1_000)),
            "pids.max of the control group leaves 1000",
            "--pids-limit 1128",
        );
        assert_obstacle(
            process(|limits| limits.user_processes = Some(900)),
            "this user may have 900",
            "ulimit -u",
        );
        assert_obstacle(
            process(|limits| limits.memory_free = Some(1 << 30)),
            "1128 MiB of memory",
            "fewer --users",
        );
    }

    #[test]
    fn more_processes_than_are_quickly_started_have_to_be_asked_for() {
        assert_obstacle(obstacle(Plan::Process, 1_001, |_| {}), "1,001 processes", "--process-users 1001");
        let asked = Need::new(Plan::Process, 5_000, Size::from_bytes(4 << 20), 5_000);
        assert_eq!(asked.obstacle(&roomy()), None);
    }

    #[test]
    fn limits_on_threads_do_not_stop_coroutines() {
        let found = obstacle(Plan::Coroutine, 10_000, |limits| {
            limits.pids = Some(1_000);
            limits.threads = Some(1_000);
            limits.control_group_pids = Some(1_000);
            limits.mappings = Some(16_384);
            limits.commit_left = Some(8 << 30);
        });
        assert_eq!(found, None);
    }
}
