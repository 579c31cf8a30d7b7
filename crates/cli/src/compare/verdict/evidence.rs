//! Questions that verdicts ask of the rows.

use crate::compare::plan::Plan;
use crate::compare::result::{Figures, Method, Row};
use crate::statistics::Spread;

/// Below so many users the memory of a task drowns in that of the rest of the process.
pub(super) const USERS_FOR_MEMORY: u32 = 1_000;

/// The rows and how they came about.
pub(super) struct Evidence<'a> {
    /// How the comparison was made.
    pub(super) method: &'a Method,
    rows: &'a [Row],
}

/// Which figure of a row is meant.
pub(super) type Pick = fn(&Figures<Option<Spread>>) -> Option<Spread>;

impl<'a> Evidence<'a> {
    /// Evidence from these rows.
    pub(super) fn new(method: &'a Method, rows: &'a [Row]) -> Self {
        Self { method, rows }
    }

    /// The rows of `plan` that were measured, fewest users first.
    pub(super) fn measured(&self, plan: Plan) -> Vec<&'a Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.plan == plan && row.rounds > 0).collect();
        rows.sort_by_key(|row| row.users);
        rows
    }

    /// The thread plan, or plain std threads in its place, if any of their rows was measured.
    pub(super) fn threads(&self) -> Option<Plan> {
        [Plan::Thread, Plan::Std].into_iter().find(|&plan| !self.measured(plan).is_empty())
    }

    /// The first row of any plan with threads that could not run, by number of users.
    pub(super) fn threads_not_run(&self) -> Option<&'a Row> {
        self.rows
            .iter()
            .filter(|row| row.plan.is_threads() && row.obstacle.is_some())
            .min_by_key(|row| row.users)
    }

    /// Coroutines and threads with equally many users, fewest first.
    pub(super) fn both(&self) -> Vec<(&'a Row, &'a Row)> {
        let Some(threads) = self.threads() else { return Vec::new() };
        let threads = self.measured(threads);
        self.measured(Plan::Coroutine)
            .into_iter()
            .filter_map(|row| Some((row, *threads.iter().find(|other| other.users == row.users)?)))
            .collect()
    }

    /// What one more user costs under `plan`: the difference between the fewest and the most users, divided by
    /// their number. What the process takes anyway falls out.
    pub(super) fn per_user(&self, plan: Plan, pick: Pick) -> Option<f64> {
        let rows = self.measured(plan);
        let (few, many) = (rows.first()?, rows.last()?);
        if many.users < USERS_FOR_MEMORY || many.users < 2 * few.users {
            return None;
        }
        let difference = pick(&many.figures)?.median - pick(&few.figures)?.median;
        Some((difference / f64::from(many.users - few.users)).max(0.0))
    }

    /// What `plan` would take with so many users, from a measured row and the cost of one more user.
    pub(super) fn at_users(&self, plan: Plan, users: u32, pick: Pick) -> Option<f64> {
        let rows = self.measured(plan);
        let nearest = rows.last()?;
        let measured = pick(&nearest.figures)?.median;
        if nearest.users == users {
            return Some(measured);
        }
        let each = self.per_user(plan, pick)?;
        Some(measured + (f64::from(users) - f64::from(nearest.users)) * each)
    }
}
