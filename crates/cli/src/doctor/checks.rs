//! What the facts mean for Ropewalk. Each check is a pure function of them.

use ropewalk::DriverKind;
use serde::Serialize;

use super::facts::Facts;
use crate::compare::limits::Need;
use crate::compare::plan::Plan;
use crate::format;
use crate::size::Size;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing is in the way.
    Ok,
    /// It works, but slower, or for fewer.
    Limited,
    /// It does not work.
    Failed,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Failed => "FAILED",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What is here.
    pub(super) found: String,
    /// What that means; empty where it is ok.
    pub(super) meaning: String,
    /// What to do about it: command lines, or settings. One of them is enough.
    pub(super) mends: Vec<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), meaning: String::new(), mends: Vec::new() }
    }

    fn limited(
        name: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        mends: &[&str],
    ) -> Self {
        let mends = mends.iter().map(|&mend| mend.to_owned()).collect();
        Self { name, state: State::Limited, found: found.into(), meaning: meaning.into(), mends }
    }
}

/// So many people at once are the story that `compare` tells.
const PEOPLE: u32 = 10_000;
/// The stack that `compare` gives a thread.
const THREAD_STACK: Size = Size::from_bytes(4 << 20);

/// All checks, in the order in which they are shown.
pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![
        build(facts),
        kernel(facts),
        driver(facts),
        guards(facts),
        mappings(facts),
        process(facts),
        stacks(facts),
        clock(facts),
        cpus(facts),
        descriptors(facts),
        pids(facts),
        memory(facts),
        overcommit(facts),
        huge_pages(facts),
    ];
    let plans = [
        (Plan::Process, "10,000 processes"),
        (Plan::Thread, "10,000 threads"),
        (Plan::Coroutine, "10,000 coroutines"),
    ];
    checks.extend(plans.map(|(plan, name)| people(plan, name, facts)));
    checks
}

fn build(facts: &Facts) -> Check {
    const NAME: &str = "build";
    if facts.release_build {
        return Check::ok(NAME, "optimised");
    }
    Check::limited(
        NAME,
        "debug",
        "This command was built without optimisation: everything works, and its figures mean nothing.",
        &["cargo run --release"],
    )
}

fn kernel(facts: &Facts) -> Check {
    const NAME: &str = "kernel";
    let Some((major, minor)) = facts.kernel else { return Check::ok(NAME, "its release cannot be read") };
    let found = format!("{major}.{minor}");
    if (major, minor) >= (5, 4) {
        return Check::ok(NAME, found);
    }
    Check::limited(
        NAME,
        found,
        "Processes are waited for by descriptors, which a kernel has from 5.4 on (waitid with P_PIDFD).",
        &["a kernel from 5.4 on; from 6.13 on guards of stacks cost no mappings"],
    )
}

fn driver(facts: &Facts) -> Check {
    const NAME: &str = "driver";
    let found = facts.driver.to_string();
    if facts.driver == DriverKind::Uring {
        return Check::ok(NAME, found);
    }
    let reason = facts.driver_reason.as_deref().unwrap_or("no reason was given");
    let mut check = Check::limited(
        NAME,
        found,
        format!(
            "Coroutines wait on epoll, not on io_uring: {reason}. Everything works; a wait takes more system calls."
        ),
        &[],
    );
    check.mends = if facts.driver_forced {
        vec!["unset ROPEWALK_DRIVER".to_owned()]
    } else if facts.uring_disabled.is_some_and(|value| value > 0) {
        vec!["sysctl -w kernel.io_uring_disabled=0".to_owned()]
    } else if facts.kernel.is_some_and(|kernel| kernel < (6, 1)) {
        vec!["a kernel from 6.1 on".to_owned()]
    } else {
        vec!["in a container: docker run --security-opt seccomp=unconfined, or a profile that allows io_uring_*".to_owned()]
    };
    check
}

fn guards(facts: &Facts) -> Check {
    const NAME: &str = "stack guards";
    match (facts.kernel, facts.limits.mappings) {
        (Some(kernel), _) if kernel >= (6, 13) => Check::ok(NAME, "marks in the page tables"),
        (_, None) => Check::ok(NAME, "mappings, without a limit"),
        (_, Some(mappings)) => Check::limited(
            NAME,
            "mappings of their own",
            format!(
                "Before Linux 6.13 the guard of a stack splits a mapping in two, and vm.max_map_count is {}: room for about {} \
                 coroutines.",
                format::thousands(mappings),
                format::thousands(mappings / 2)
            ),
            &["sysctl -w vm.max_map_count=2097152", "a kernel from 6.13 on"],
        ),
    }
}

fn mappings(facts: &Facts) -> Check {
    const NAME: &str = "mappings";
    let Some(mappings) = facts.limits.mappings else { return Check::ok(NAME, "their limit cannot be read") };
    let found = format!("{} a process", format::thousands(mappings));
    // A thread's stack and its guard are one each.
    let need = 2 * u64::from(PEOPLE) + 1_024;
    if mappings >= need {
        return Check::ok(NAME, found);
    }
    let meaning = format!("{} threads need {need} mappings.", format::thousands(PEOPLE.into()));
    Check::limited(NAME, found, meaning, &["sysctl -w vm.max_map_count=65530"])
}

fn process(facts: &Facts) -> Check {
    const NAME: &str = "processes";
    match &facts.process {
        Ok(took) => Check::ok(
            NAME,
            format!("a function ran in one, there and back in {}", format::time(took.as_secs_f64() * 1e6)),
        ),
        Err(error) => Check {
            name: NAME,
            state: State::Failed,
            found: "a function could not be run in one".to_owned(),
            meaning: format!("The plan process, and compare's ledger, do not work here: {error}."),
            mends: Vec::new(),
        },
    }
}

fn stacks(facts: &Facts) -> Check {
    const NAME: &str = "inspection";
    if facts.stacks_readable {
        return Check::ok(NAME, "stacks of waiting tasks can be read");
    }
    Check::limited(
        NAME,
        "stacks cannot be read",
        "inspect::dump shows what each task waits for and since when, but no stacks: a sandbox forbids process_vm_readv, or \
         this build has no unwind tables.",
        &["docker run --cap-add SYS_PTRACE, or a seccomp profile that allows process_vm_readv"],
    )
}

fn clock(facts: &Facts) -> Check {
    const NAME: &str = "clock";
    let Some(source) = facts.clock_source.as_deref() else {
        return Check::ok(NAME, "its source cannot be read");
    };
    // Those that the kernel lets programs read by themselves.
    if matches!(source, "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" | "arch_sys_counter") {
        return Check::ok(NAME, source);
    }
    Check::limited(
        NAME,
        source,
        "To read this clock takes a system call, and timeouts and figures read it often.",
        &["boot with clocksource=tsc, if the processor's counter can be trusted"],
    )
}

fn cpus(facts: &Facts) -> Check {
    const NAME: &str = "CPUs";
    let cpus = facts.cpus as f64;
    match facts.cpu_quota {
        Some(quota) if quota < cpus => Check::limited(
            NAME,
            format!("{}, {} of CPU time", facts.cpus, format::short(quota)),
            "The control group may use less CPU time than there are CPUs: when it is used up, everything stands still for the rest \
             of the period, and long waits appear that no program has caused.",
            &["docker run --cpuset-cpus instead of --cpus, or systemctl set-property UNIT CPUQuota="],
        ),
        _ => Check::ok(NAME, facts.cpus.to_string()),
    }
}

fn descriptors(facts: &Facts) -> Check {
    const NAME: &str = "descriptors";
    let text = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), format::thousands);
    let (soft, hard) = (facts.descriptors_soft, facts.limits.descriptors);
    let found = format!("{}, at most {}", text(soft), text(hard));
    let need = u64::from(PEOPLE) + 128;
    match soft {
        Some(soft) if soft < need => {
            let may = hard.is_none_or(|hard| hard >= need);
            let mend = if may { format!("ulimit -n {need}") } else { format!("ulimit -n {need} (as root)") };
            let meaning = format!(
                "A program that does not raise its soft limit itself can have {} connections; serve, load and compare do raise it.",
                format::thousands(soft)
            );
            Check::limited(NAME, found, meaning, &[&mend, &format!("docker run --ulimit nofile={need}")])
        }
        _ => Check::ok(NAME, found),
    }
}

fn pids(facts: &Facts) -> Check {
    const NAME: &str = "pids";
    let limits = &facts.limits;
    let need = u64::from(PEOPLE) + 128;
    let rooms = [
        (limits.pids, "kernel.pid_max", "sysctl -w kernel.pid_max=4194304"),
        (limits.threads, "kernel.threads-max", "sysctl -w kernel.threads-max=100000"),
        (limits.control_group_pids, "pids.max of the control group", "docker run --pids-limit 20000"),
        (limits.user_processes, "ulimit -u", "ulimit -u 20000 (as root)"),
    ];
    let known = rooms.into_iter().filter_map(|(room, name, mend)| Some((room?, name, mend)));
    let Some((room, name, mend)) = known.min_by_key(|(room, ..)| *room) else {
        return Check::ok(NAME, "no limit");
    };
    let found = format!("room for {}, by {name}", format::thousands(room));
    if room >= need {
        return Check::ok(NAME, found);
    }
    let meaning = format!(
        "Each thread and each process takes one: there is no room for {} at once.",
        format::thousands(PEOPLE.into())
    );
    Check::limited(NAME, found, meaning, &[mend])
}

fn memory(facts: &Facts) -> Check {
    const NAME: &str = "memory";
    let limits = &facts.limits;
    let Some(free) = limits.memory_free else { return Check::ok(NAME, "what is free cannot be read") };
    let of_group = limits.control_group_memory == Some(free);
    let place = if of_group { "left in the control group" } else { "free" };
    let found = format!("{} {place}", format::bytes(free as f64));
    if free >= 1 << 30 {
        return Check::ok(NAME, found);
    }
    let mend = if of_group {
        "docker run --memory 4g, or systemd-run --scope -p MemoryMax=4G (the command)"
    } else {
        "free some memory"
    };
    Check::limited(
        NAME,
        found,
        "10,000 people at once take some hundred MiB as coroutines, up to 1 GiB as threads and 10 GiB as processes.",
        &[mend],
    )
}

fn overcommit(facts: &Facts) -> Check {
    const NAME: &str = "address space";
    if facts.overcommit == Some(2) {
        let left = facts.limits.commit_left.unwrap_or(0);
        return Check::limited(
            NAME,
            format!("{} left of what may be promised", format::bytes(left as f64)),
            "vm.overcommit_memory is 2: a stack counts whole, touched or not, so there is room for fewer coroutines and threads.",
            &["sysctl -w vm.overcommit_memory=0", "smaller stacks: ROPEWALK_STACK=128K"],
        );
    }
    match facts.address_space {
        Some(limit) => Check::limited(
            NAME,
            format::bytes(limit as f64),
            "A limit of addresses (ulimit -v) counts a stack whole, touched or not.",
            &["ulimit -v unlimited"],
        ),
        None => Check::ok(NAME, "no limit"),
    }
}

fn huge_pages(facts: &Facts) -> Check {
    const NAME: &str = "huge pages";
    match facts.huge_pages.as_deref() {
        Some("always") => Check::limited(
            NAME,
            "always",
            "The first touch of a thread's stack may take 2 MiB where 4 KiB would do. Coroutines' stacks ask the kernel not to.",
            &["echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"],
        ),
        other => Check::ok(NAME, other.unwrap_or("none")),
    }
}

fn people(plan: Plan, name: &'static str, facts: &Facts) -> Check {
    match Need::new(plan, PEOPLE, THREAD_STACK, PEOPLE).obstacle(&facts.limits) {
        None => Check::ok(name, "there is room"),
        Some(obstacle) => {
            Check::limited(name, "there is no room", format!("{}.", obstacle.reason), &[&obstacle.mend])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::limits::Limits;

    /// A machine on which nothing is in the way.
    fn fine() -> Facts {
        Facts {
            kernel: Some((6, 18)),
            driver: DriverKind::Uring,
            driver_reason: None,
            driver_forced: false,
            uring_disabled: Some(0),
            process: Ok(Duration::from_millis(1)),
            stacks_readable: true,
            clock_source: Some("tsc".to_owned()),
            cpus: 4,
            cpu_quota: None,
            huge_pages: Some("madvise".to_owned()),
            overcommit: Some(0),
            address_space: None,
            descriptors_soft: Some(1 << 20),
            limits: Limits::default(),
            release_build: true,
        }
    }

    /// What is not ok where `change` is made.
    fn found(change: impl FnOnce(&mut Facts)) -> Vec<Check> {
        let mut facts = fine();
        change(&mut facts);
        all(&facts).into_iter().filter(|check| check.state != State::Ok).collect()
    }

    #[track_caller]
    fn assert_only(checks: &[Check], name: &str, state: State, mend: &str) {
        let [check] = checks else { panic!("{name}: {checks:?}") };
        assert_eq!((check.name, check.state), (name, state));
        assert!(!check.meaning.is_empty(), "{name}");
        assert!(check.mends.iter().any(|line| line.contains(mend)) || mend.is_empty(), "{:?}", check.mends);
    }

    #[test]
    fn where_nothing_is_in_the_way_nothing_is_said() {
        assert!(found(|_| ()).is_empty());
    }

    #[test]
    fn each_obstacle_is_found_alone_and_named_with_its_mend() {
        use State::{Failed, Limited};
        assert_only(&found(|facts| facts.release_build = false), "build", Limited, "--release");
        let epoll = |facts: &mut Facts| {
            facts.driver = DriverKind::Epoll;
            facts.driver_reason = Some("EPERM".to_owned());
        };
        assert_only(&found(epoll), "driver", Limited, "");
        let disabled = |facts: &mut Facts| {
            epoll(facts);
            facts.uring_disabled = Some(2);
        };
        assert_only(&found(disabled), "driver", Limited, "kernel.io_uring_disabled=0");
        let forced = |facts: &mut Facts| {
            disabled(facts);
            facts.driver_forced = true;
        };
        assert_only(&found(forced), "driver", Limited, "unset ROPEWALK_DRIVER");
        let old = |facts: &mut Facts| {
            facts.kernel = Some((6, 12));
            facts.limits.mappings = Some(65_530);
        };
        assert_only(&found(old), "stack guards", Limited, "vm.max_map_count");
        assert_only(&found(|facts| facts.process = Err("no room".to_owned())), "processes", Failed, "");
        assert_only(&found(|facts| facts.stacks_readable = false), "inspection", Limited, "process_vm_readv");
        assert_only(&found(|facts| facts.clock_source = Some("hpet".to_owned())), "clock", Limited, "tsc");
        assert_only(&found(|facts| facts.cpu_quota = Some(1.5)), "CPUs", Limited, "cpuset");
        assert_only(
            &found(|facts| facts.descriptors_soft = Some(1_024)),
            "descriptors",
            Limited,
            "ulimit -n 10128",
        );
        assert_only(
            &found(|facts| facts.overcommit = Some(2)),
            "address space",
            Limited,
            "overcommit_memory=0",
        );
        assert_only(
            &found(|facts| facts.address_space = Some(1 << 33)),
            "address space",
            Limited,
            "ulimit -v",
        );
        assert_only(
            &found(|facts| facts.huge_pages = Some("always".to_owned())),
            "huge pages",
            Limited,
            "madvise",
        );
    }

    #[test]
    fn little_memory_is_told_with_whose_limit_it_is() {
        let checks = found(|facts| facts.limits.memory_free = Some(1 << 29));
        assert_eq!((checks[0].name, checks[0].found.as_str()), ("memory", "512 MiB free"));
        let checks = found(|facts| {
            facts.limits.memory_free = Some(1 << 29);
            facts.limits.control_group_memory = Some(1 << 29);
        });
        assert_eq!(checks[0].found, "512 MiB left in the control group");
        assert!(checks[0].mends[0].contains("--memory"), "{checks:?}");
    }

    #[test]
    fn a_kernel_from_before_descriptors_of_processes_is_told() {
        let checks = found(|facts| facts.kernel = Some((5, 3)));
        assert_eq!((checks[0].name, checks[0].state), ("kernel", State::Limited));
        assert!(checks[0].mends[0].contains("5.4"), "{checks:?}");
    }

    #[test]
    fn a_plan_without_room_has_compares_reason_and_mend() {
        let checks = found(|facts| facts.limits.pids = Some(5_000));
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ["pids", "10,000 processes", "10,000 threads"]);
        assert!(checks.iter().all(|check| check.mends[0].contains("kernel.pid_max")), "{checks:?}");
        let checks = found(|facts| facts.limits.control_group_pids = Some(5_000));
        assert!(checks[0].mends[0].contains("--pids-limit"), "{checks:?}");
        let checks = found(|facts| facts.limits.mappings = Some(20_000));
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ["mappings", "10,000 threads"]);
    }
}
