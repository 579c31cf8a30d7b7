//! How one waits for the other side: asleep, awake, or awake for a while.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::available_parallelism;

use ropewalk_sync::park::{self, Interrupt, Wait};

/// How an end of a ring waits.
///
/// | | the other side comes | it costs |
/// |---|---|---|
/// | `Sleep` | a system call, and as long as the kernel takes to wake a thread: some microseconds | nothing while it waits |
/// | `Adaptive` | as `Spin`, if it comes soon; else as `Sleep` | up to some ten microseconds of a CPU for each wait, and less where that seldom helped |
/// | `Spin` | as soon as a line of the cache gets here: about a tenth of a microsecond | all of a CPU while it waits |
///
/// Nobody keeps a CPU from those it waits for: where the process has one CPU, or fewer than tasks of it that spin, who spins
/// lets others run each time that it has looked, and `Adaptive` sleeps at once. A coroutine that spins lets
/// the others of its worker run each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WaitPolicy {
    /// Sleeps until woken.
    Sleep,
    /// Looks for a while, and then sleeps.
    #[default]
    Adaptive,
    /// Looks until it is there.
    Spin,
}

/// Between two chances of an interruption to be heard.
const BURST: u32 = 64;
/// The most looks of `Adaptive`.
const LOOKS_MAX: u32 = 512;
/// It looks so often at least: else it would not notice that the other side has become faster.
const LOOKS_MIN: u32 = 16;
/// Now and then it looks as often as it may, whatever it has learned.
const TRIAL: u32 = 32;

/// How many tasks of this process spin.
static SPINNING: AtomicUsize = AtomicUsize::new(0);

/// How many CPUs the process could use when it first asked.
fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| available_parallelism().map_or(1, NonZero::get))
}

/// Counted as long as it lives.
struct Spinner;

impl Spinner {
    fn new() -> Self {
        SPINNING.fetch_add(1, Relaxed);
        Self
    }

    /// Whether there are not CPUs enough for all that spin, or none for others.
    fn is_crowded(&self) -> bool {
        cpus() == 1 || SPINNING.load(Relaxed) > cpus()
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        SPINNING.fetch_sub(1, Relaxed);
    }
}

/// The policy of one end, and what it has learned.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) policy: WaitPolicy,
    /// How many looks it took of late: a moving average, as of glibc's adaptive mutex.
    usual: u32,
    waits: u32,
}

impl Patience {
    pub(super) fn new(policy: WaitPolicy) -> Self {
        Self { policy, usual: LOOKS_MIN, waits: 0 }
    }

    /// Looks for as long as the policy says; `None`: sleep now.
    ///
    /// # Errors
    /// The interruption, not yet delivered.
    ///
    /// # Waits
    /// Lets others run in between.
    pub(super) fn spin<R>(
        &mut self,
        wait: &Wait,
        mut look: impl FnMut() -> Option<R>,
    ) -> Result<Option<R>, Interrupt> {
        let limit = match self.policy {
            WaitPolicy::Sleep => return Ok(None),
            WaitPolicy::Adaptive => Some(self.limit()),
            WaitPolicy::Spin => None,
        };
        let spinner = Spinner::new();
        let mut looks = 0;
        loop {
            let is_crowded = spinner.is_crowded();
            if limit.is_some_and(|limit| is_crowded || looks >= limit) {
                self.learn(looks, false);
                return Ok(None);
            }
            let burst = if is_crowded || park::is_coroutine() { 1 } else { BURST };
            for _ in 0..burst {
                if let Some(found) = look() {
                    self.learn(looks, true);
                    return Ok(Some(found));
                }
                looks = looks.saturating_add(1);
                std::hint::spin_loop();
            }
            if !park::linger(wait, is_crowded)? {
                return Ok(None);
            }
        }
    }

    fn limit(&mut self) -> u32 {
        self.waits = self.waits.wrapping_add(1);
        if self.waits.is_multiple_of(TRIAL) {
            return LOOKS_MAX;
        }
        (2 * self.usual).clamp(LOOKS_MIN, LOOKS_MAX)
    }

    fn learn(&mut self, looks: u32, has_helped: bool) {
        let looks = if has_helped { looks.min(LOOKS_MAX) } else { 0 };
        self.usual = (7 * self.usual + looks) / 8;
    }
}
