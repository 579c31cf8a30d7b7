//! The limits of this machine and this process, as the kernel tells them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// What is left of everything that many users need. `None` is no limit, or one that cannot be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// Descriptors per process: the hard limit.
    pub(crate) descriptors: Option<u64>,
    /// Files that may still be opened in the whole system.
    pub(crate) system_files: Option<u64>,
    /// `fs.file-max`.
    pub(crate) system_files_max: Option<u64>,
    /// Process and thread ids that are free.
    pub(crate) pids: Option<u64>,
    /// `kernel.pid_max`.
    pub(crate) pid_max: Option<u64>,
    /// Threads that may still be made in the whole system.
    pub(crate) threads: Option<u64>,
    /// `kernel.threads-max`.
    pub(crate) threads_max: Option<u64>,
    /// Threads that may still be made in the control group, or one above it.
    pub(crate) control_group_pids: Option<u64>,
    /// Threads that this user may have; root may have any number.
    pub(crate) user_processes: Option<u64>,
    /// Mappings per process.
    pub(crate) mappings: Option<u64>,
    /// Memory that can be had without swapping, also within the control group.
    pub(crate) memory_free: Option<u64>,
    /// That of the control group alone.
    pub(crate) control_group_memory: Option<u64>,
    /// Address space that may still be promised, when the kernel counts it.
    pub(crate) commit_left: Option<u64>,
    /// Ports for outgoing connections.
    pub(crate) ports: Option<u64>,
}

impl Limits {
    /// The limits as they are now.
    pub(crate) fn read() -> Self {
        let running = read("/proc/loadavg").and_then(|text| tasks_running(&text));
        let left = |max: Option<u64>| Some(max?.saturating_sub(running?));
        let pid_max = number("/proc/sys/kernel/pid_max");
        let threads_max = number("/proc/sys/kernel/threads-max");
        let system_files_max = number("/proc/sys/fs/file-max");
        let files_open = read("/proc/sys/fs/file-nr").and_then(|text| first_number(&text));
        let meminfo = read("/proc/meminfo").unwrap_or_default();
        let groups = control_groups(&read("/proc/self/cgroup").unwrap_or_default());
        let control_group_memory = groups.memory_left();
        Self {
            descriptors: getrlimit(Resource::Nofile).maximum,
            system_files: files_open.and_then(|open| Some(system_files_max?.saturating_sub(open))),
            system_files_max,
            pids: left(pid_max),
            pid_max,
            threads: left(threads_max),
            threads_max,
            control_group_pids: groups.pids_left(),
            user_processes: if rustix::process::geteuid().is_root() {
                None
            } else {
                getrlimit(Resource::Nproc).maximum
            },
            mappings: number("/proc/sys/vm/max_map_count"),
            memory_free: least(meminfo_bytes(&meminfo, "MemAvailable:"), control_group_memory),
            control_group_memory,
            commit_left: commit_left(number("/proc/sys/vm/overcommit_memory"), &meminfo),
            ports: read("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| ports(&text)),
        }
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    // `max` in a control group's file is no number: no limit.
    first_number(&read(path)?)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// The second half of the fourth field of `/proc/loadavg`: how many tasks exist.
fn tasks_running(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn meminfo_bytes(meminfo: &str, field: &str) -> Option<u64> {
    first_number(meminfo.lines().find_map(|line| line.strip_prefix(field))?)?.checked_mul(1024)
}

/// The inactive part of the page cache in a control group's `memory.stat`, both versions, groups below included.
fn inactive_files(stat: &str) -> Option<u64> {
    let field = |name: &str| first_number(stat.lines().find_map(|line| line.strip_prefix(name))?);
    field("total_inactive_file ").or_else(|| field("inactive_file "))
}

/// What may still be promised under strict accounting (`vm.overcommit_memory=2`).
fn commit_left(overcommit: Option<u64>, meminfo: &str) -> Option<u64> {
    if overcommit != Some(2) {
        return None;
    }
    let limit = meminfo_bytes(meminfo, "CommitLimit:")?;
    Some(limit.saturating_sub(meminfo_bytes(meminfo, "Committed_AS:")?))
}

fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (low, high) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (high + 1).checked_sub(low)
}

/// The control groups that limit this process, from the innermost outwards.
#[derive(Debug, Default, PartialEq, Eq)]
struct ControlGroups {
    pids: Vec<PathBuf>,
    memory: Vec<PathBuf>,
}

/// Reads `/proc/self/cgroup`, version 2 (`0::/path`) and version 1 (`8:pids:/path`).
fn control_groups(text: &str) -> ControlGroups {
    let mut groups = ControlGroups::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let root = Path::new("/sys/fs/cgroup");
        let has = |name| controllers.split(',').any(|controller| controller == name);
        let unified = controllers.is_empty();
        let base = if unified { root.to_owned() } else { root.join(controllers) };
        let inner = base.join(path.trim_start_matches('/'));
        let outwards = inner.ancestors().take_while(|group| group.starts_with(&base)).map(Path::to_owned);
        if unified || has("pids") {
            groups.pids.extend(outwards.clone());
        }
        if unified || has("memory") {
            groups.memory.extend(outwards);
        }
    }
    groups
}

impl ControlGroups {
    fn pids_left(&self) -> Option<u64> {
        let left = |group: &PathBuf| {
            Some(number(group.join("pids.max"))?.saturating_sub(number(group.join("pids.current"))?))
        };
        self.pids.iter().filter_map(left).min()
    }

    fn memory_left(&self) -> Option<u64> {
        let left = |group: &PathBuf| {
            let (max, used) = match number(group.join("memory.max")) {
                Some(max) => (max, number(group.join("memory.current"))?),
                None => (
                    number(group.join("memory.limit_in_bytes"))?,
                    number(group.join("memory.usage_in_bytes"))?,
                ),
            };
            // The page cache counts as used, but most of it can be had for the asking.
            let reclaimable = read(group.join("memory.stat")).and_then(|stat| inactive_files(&stat));
            Some(max.saturating_sub(used.saturating_sub(reclaimable.unwrap_or(0))))
        };
        self.memory.iter().filter_map(left).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(tasks_running("0.04 0.19 0.17 1/85 10533"), Some(85));
        assert_eq!(tasks_running("nonsense"), None);
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("7"), None);
        assert_eq!(first_number("max\n"), None);
        let meminfo = "MemAvailable:  100 kB\nCommitLimit: 50 kB\nCommitted_AS: 20 kB\n";
        assert_eq!(meminfo_bytes(meminfo, "MemAvailable:"), Some(102_400));
        assert_eq!(commit_left(Some(2), meminfo), Some(30 * 1024));
        assert_eq!(commit_left(Some(0), meminfo), None);
        assert_eq!(inactive_files("anon 1\ninactive_file 7\n"), Some(7));
        assert_eq!(inactive_files("inactive_file 7\ntotal_inactive_file 9\n"), Some(9));
    }

    #[test]
    fn both_versions_of_control_groups_are_found_up_to_their_root() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let two = control_groups("0::/user.slice/session\n");
        let chain =
            paths(&["/sys/fs/cgroup/user.slice/session", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"]);
        assert_eq!(two, ControlGroups { pids: chain.clone(), memory: chain });
        let one = control_groups("8:pids:/a\n4:memory:/\n3:cpu,cpuacct:/x\n");
        assert_eq!(one.pids, paths(&["/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/pids"]));
        assert_eq!(one.memory, paths(&["/sys/fs/cgroup/memory"]));
    }

    #[test]
    fn this_machine_has_limits_that_can_be_read() {
        let limits = Limits::read();
        assert!(limits.pid_max.is_some() && limits.memory_free.is_some() && limits.mappings.is_some());
    }
}
