//! How the kernel schedules the calling thread: on which CPUs, and before whom (sched(7)).

use std::collections::{BTreeSet, btree_set};
use std::fmt;
use std::io;
use std::iter;

use rustix::process::{Resource, getrlimit};

/// As many CPUs as a kernel can be built for (`NR_CPUS`), and the words of a mask of them.
const CPUS_MAX: usize = 8192;
const WORD: usize = usize::BITS as usize;
type Mask = [usize; CPUS_MAX / WORD];

/// A set of CPUs, by the kernel's numbers.
///
/// It shows itself as the kernel's files do.
///
/// ```
/// use ropewalk_sys::scheduling::CpuSet;
///
/// let cpus: CpuSet = (0..4).chain([8]).collect();
/// assert_eq!(cpus.to_string(), "0-3,8");
/// assert!(cpus.contains(8) && cpus.len() == 5);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// No CPU.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Adds one. Whether it was not there.
    pub fn insert(&mut self, cpu: usize) -> bool {
        self.0.insert(cpu)
    }

    /// Takes one out. Whether it was there.
    pub fn remove(&mut self, cpu: usize) -> bool {
        self.0.remove(&cpu)
    }

    /// The CPUs in it, in order.
    pub fn iter(&self) -> iter::Copied<btree_set::Iter<'_, usize>> {
        self.0.iter().copied()
    }

    fn from_mask(mask: &Mask) -> Self {
        (0..CPUS_MAX).filter(|cpu| mask[cpu / WORD] & (1 << (cpu % WORD)) != 0).collect()
    }

    fn to_mask(&self) -> io::Result<Mask> {
        let mut mask = [0; CPUS_MAX / WORD];
        for cpu in self.iter() {
            let word = mask.get_mut(cpu / WORD).ok_or_else(|| invalid(format!("there is no CPU {cpu}")))?;
            *word |= 1 << (cpu % WORD);
        }
        Ok(mask)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl<const N: usize> From<[usize; N]> for CpuSet {
    fn from(cpus: [usize; N]) -> Self {
        cpus.into_iter().collect()
    }
}

impl Extend<usize> for CpuSet {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, cpus: I) {
        self.0.extend(cpus);
    }
}

impl IntoIterator for CpuSet {
    type Item = usize;
    type IntoIter = btree_set::IntoIter<usize>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a CpuSet {
    type Item = usize;
    type IntoIter = iter::Copied<btree_set::Iter<'a, usize>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The CPUs that the calling thread may run on.
///
/// # Errors
/// None that is known.
pub fn affinity() -> io::Result<CpuSet> {
    let mut mask: Mask = [0; CPUS_MAX / WORD];
    // SAFETY: the kernel writes no more than it is told the mask has room for.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<Mask>(), (&raw mut mask).cast()) };
    if result == 0 { Ok(CpuSet::from_mask(&mask)) } else { Err(io::Error::last_os_error()) }
}

fn set_mask(mask: &Mask) -> io::Result<()> {
    // SAFETY: the kernel reads no more than it is told the mask has.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<Mask>(), (&raw const *mask).cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the calling thread run on these CPUs only: on all of them, or nothing changes. (The kernel itself leaves out
/// silently what the cgroup's cpuset does not allow.)
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput), with a text that names the CPUs: none is given, or one of them is not
/// there, or is outside of the cpuset of this process's cgroup.
pub fn set_affinity(cpus: &CpuSet) -> io::Result<()> {
    if cpus.is_empty() {
        return Err(invalid("a thread needs a CPU to run on, and the set is empty".into()));
    }
    let before = affinity()?.to_mask()?;
    let set = cpus.to_mask().and_then(|mask| set_mask(&mask));
    match set {
        Ok(()) if affinity()? == *cpus => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
        _ => {}
    }
    // All that there may be, to name it; and back to what was.
    set_mask(&[usize::MAX; CPUS_MAX / WORD])?;
    let allowed = affinity();
    set_mask(&before)?;
    let allowed = allowed?;
    let missing: CpuSet = cpus.iter().filter(|cpu| !allowed.contains(*cpu)).collect();
    Err(invalid(format!(
        "this process may not run on CPU {missing}: it has CPUs {allowed} (those that are online, in the cpuset of its cgroup)"
    )))
}

/// Before whom a thread runs (sched(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// The usual one (`SCHED_OTHER`), with a nice value from -20 to 19: the lower, the larger its share of a CPU that others
    /// want, too. 0 is the usual value.
    Normal(i32),
    /// As `Normal`, for what only computes (`SCHED_BATCH`): it does not run at once when it wakes.
    Batch(i32),
    /// Only when nobody else wants the CPU (`SCHED_IDLE`).
    Idle,
    /// Before all that is not real-time, for as long as it likes (`SCHED_FIFO`), from 1 to 99, the highest.
    Fifo(u32),
    /// As `Fifo`, by turns with those of its own priority (`SCHED_RR`).
    RoundRobin(u32),
}

impl Priority {
    fn to_attributes(self) -> io::Result<libc::sched_attr> {
        let (policy, nice, priority) = match self {
            Self::Normal(nice) => (libc::SCHED_OTHER, nice, 0),
            Self::Batch(nice) => (libc::SCHED_BATCH, nice, 0),
            Self::Idle => (libc::SCHED_IDLE, 0, 0),
            Self::Fifo(priority) => (libc::SCHED_FIFO, 0, priority),
            Self::RoundRobin(priority) => (libc::SCHED_RR, 0, priority),
        };
        if !(-20..=19).contains(&nice) {
            return Err(invalid(format!("a nice value is from -20 to 19, and not {nice}")));
        }
        if matches!(self, Self::Fifo(_) | Self::RoundRobin(_)) && !(1..=99).contains(&priority) {
            return Err(invalid(format!("a real-time priority is from 1 to 99, and not {priority}")));
        }
        // SAFETY: zeros are a valid sched_attr.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        attributes.size = size_of::<libc::sched_attr>() as u32;
        attributes.sched_policy = policy as u32;
        attributes.sched_nice = nice;
        attributes.sched_priority = priority;
        Ok(attributes)
    }

    /// What it takes, where the kernel has refused it.
    fn explain(self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return error;
        }
        let limit =
            |resource| getrlimit(resource).current.map_or("unlimited".to_owned(), |limit| limit.to_string());
        let text = match self {
            Self::Normal(nice) | Self::Batch(nice) => format!(
                "a nice value of {nice} needs CAP_SYS_NICE, or an RLIMIT_NICE (`ulimit -e`) of {} at least, which is {} here",
                20 - nice,
                limit(Resource::Nice)
            ),
            Self::Fifo(priority) | Self::RoundRobin(priority) => format!(
                "a real-time priority of {priority} needs CAP_SYS_NICE, or an RLIMIT_RTPRIO (`ulimit -r`) of as much at \
                 least, which is {} here; and real-time bandwidth in its cgroup, where the kernel divides that",
                limit(Resource::Rtprio)
            ),
            Self::Idle => format!("the policy SCHED_IDLE is refused: {error}"),
        };
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    }
}

/// The priority of the calling thread.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) for a policy that [`Priority`] does not know (`SCHED_DEADLINE`).
pub fn priority() -> io::Result<Priority> {
    // SAFETY: zeros are a valid sched_attr.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes no more than `size` bytes to the attributes.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(match attributes.sched_policy as i32 {
        libc::SCHED_OTHER => Priority::Normal(attributes.sched_nice),
        libc::SCHED_BATCH => Priority::Batch(attributes.sched_nice),
        libc::SCHED_IDLE => Priority::Idle,
        libc::SCHED_FIFO => Priority::Fifo(attributes.sched_priority),
        libc::SCHED_RR => Priority::RoundRobin(attributes.sched_priority),
        policy => {
            let text = format!("the thread has a scheduling policy of its own: {policy}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    })
}

/// Gives the calling thread this priority, policy and number at once. What it starts from now on inherits it.
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied), with a text that names the capability and the limit;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a number out of range.
pub fn set_priority(priority: Priority) -> io::Result<()> {
    let attributes = priority.to_attributes()?;
    // SAFETY: the kernel reads the attributes, whose size stands in them.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(priority.explain(io::Error::last_os_error())) }
}
