//! How one waits for the other side: asleep, awake, or awake for a while.

use ropewalk_sync::park::{self, Interrupt, Wait};

/// How an end of a ring waits.
///
/// | | the other side comes | it costs |
/// |---|---|---|
/// | `Sleep` | a system call, and as long as the kernel takes to wake a thread: some microseconds | nothing while it waits |
/// | `Adaptive` | as `Spin`, if it comes soon; else as `Sleep` | up to some ten microseconds of a CPU for each wait, and less where that seldom helped |
/// | `Spin` | as soon as a line of the cache gets here: about a tenth of a microsecond | all of a CPU while it waits |
///
/// Nobody keeps a CPU from those it waits for: who spins lets others run every microsecond or two, a coroutine the others of its
/// worker each time that it has looked. `Adaptive` learns from what looking was good for, so it soon
/// sleeps at once where the other side runs on the same CPU, or takes its time.
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

/// Between two chances for others, and for an interruption to be heard: a microsecond or two.
const BURST: u32 = 64;
/// The most looks of `Adaptive`.
const LOOKS_MAX: u32 = 512;
/// It looks so often at least.
const LOOKS_MIN: u32 = 4;
/// As many as it begins with.
const LOOKS_FIRST: u32 = 16;
/// Now and then it looks as often as it may, whatever it has learned: else it would not notice that the other side has become
/// faster.
const TRIAL: u32 = 64;

/// The policy of one end, and what it has learned.
#[derive(Clone, Debug)]
pub(in crate::shared) struct Patience {
    pub(in crate::shared) policy: WaitPolicy,
    /// How many looks it took of late: a moving average, as of glibc's adaptive mutex.
    usual: u32,
    waits: u32,
}

impl Patience {
    pub(in crate::shared) fn new(policy: WaitPolicy) -> Self {
        Self { policy, usual: LOOKS_FIRST / 2, waits: 0 }
    }

    /// Looks for as long as the policy says; `None`: sleep now.
    ///
    /// # Errors
    /// The interruption, not yet delivered.
    ///
    /// # Waits
    /// Lets others run in between.
    pub(in crate::shared) fn spin<R>(
        &mut self,
        wait: &Wait,
        mut look: impl FnMut() -> Option<R>,
    ) -> Result<Option<R>, Interrupt> {
        let limit = match self.policy {
            WaitPolicy::Sleep => return Ok(None),
            WaitPolicy::Adaptive => Some(self.limit()),
            WaitPolicy::Spin => None,
        };
        let most = if park::is_coroutine() { 1 } else { BURST };
        let mut looks = 0;
        while limit.is_none_or(|limit| looks < limit) {
            let burst = limit.map_or(most, |limit| most.min(limit - looks));
            for _ in 0..burst {
                if let Some(found) = look() {
                    self.learn(looks);
                    return Ok(Some(found));
                }
                looks = looks.saturating_add(1);
                std::hint::spin_loop();
            }
            if !park::linger(wait, limit.is_none())? {
                return Ok(None);
            }
        }
        self.usual -= self.usual.div_ceil(8);
        Ok(None)
    }

    fn limit(&mut self) -> u32 {
        self.waits = self.waits.wrapping_add(1);
        if self.waits.is_multiple_of(TRIAL) {
            return LOOKS_MAX;
        }
        (2 * self.usual).clamp(LOOKS_MIN, LOOKS_MAX)
    }

    /// What a trial finds counts at once: the average would take many of them.
    fn learn(&mut self, looks: u32) {
        let looks = looks.min(LOOKS_MAX);
        self.usual = if looks > 2 * self.usual { looks } else { (7 * self.usual + looks) / 8 };
    }
}
