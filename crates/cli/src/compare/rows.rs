//! Puts the cells of several rounds together: a row for each plan and number of users, and the paired ratios.

use crate::compare::limiter::Limiter;
use crate::compare::plan::Plan;
use crate::compare::result::{Cell, Figures, Measurement, Method, Outcome, Pair, Row};
use crate::statistics::{Interval, Ratio, Spread, median};

/// The plan that the others are compared with: threads, if they are there, else plain std threads.
pub(crate) fn baseline(plans: &[Plan]) -> Option<Plan> {
    [Plan::Thread, Plan::Std].into_iter().find(|plan| plans.contains(plan))
}

/// The rows of a comparison, by users and then by plan; those without any cell are left out.
pub(crate) fn rows(method: &Method, cells: &[Cell]) -> Vec<Row> {
    let mut rows: Vec<Row> = method
        .users
        .iter()
        .flat_map(|&users| method.plans.iter().map(move |&plan| (users, plan)))
        .filter_map(|(users, plan)| row(users, plan, cells))
        .collect();
    let Some(baseline) = baseline(&method.plans) else { return rows };
    for index in 0..rows.len() {
        let row = &rows[index];
        let Some(base) = rows.iter().find(|other| other.users == row.users && other.plan == baseline) else {
            continue;
        };
        if row.plan != baseline {
            let ratio = |pick: fn(&Figures<Option<Spread>>) -> Option<Spread>| {
                Ratio::between(&pick(&row.figures)?, &pick(&base.figures)?)
            };
            let (rate, cpu) = (ratio(|f| f.rate), ratio(|f| f.server_cpu_us));
            rows[index].rate_ratio = rate;
            rows[index].cpu_ratio = cpu;
        }
    }
    rows
}

fn row(users: u32, plan: Plan, cells: &[Cell]) -> Option<Row> {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.users == users && cell.plan == plan).collect();
    if cells.is_empty() {
        return None;
    }
    let measured: Vec<&Measurement> = cells.iter().filter_map(|cell| measurement(cell)).collect();
    let figures: Vec<_> = measured.iter().map(|measurement| &measurement.figures).collect();
    Some(Row {
        users,
        plan,
        rounds: measured.len(),
        figures: Figures::gather(&figures, |values| Spread::of(values.filter_map(|value| *value))),
        rate_ratio: None,
        cpu_ratio: None,
        limiter: most_common(measured.iter().filter_map(|measurement| measurement.limiter)),
        books_balance: (!measured.is_empty())
            .then(|| measured.iter().all(|measurement| measurement.books.balance())),
        unanswered: measured.iter().map(|measurement| measurement.load.answers.missing).sum(),
        obstacle: cells.iter().find_map(|cell| match &cell.outcome {
            Outcome::Impossible(obstacle) => Some(obstacle.clone()),
            _ => None,
        }),
        broken: cells.iter().find_map(|cell| match &cell.outcome {
            Outcome::Broken { reason } => Some(reason.clone()),
            _ => None,
        }),
    })
}

/// What the cell measured, if it did.
pub(crate) fn measurement(cell: &Cell) -> Option<&Measurement> {
    match &cell.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Impossible(_) | Outcome::Broken { .. } => None,
    }
}

/// The part of the processors that other programs took during the measurements: the median over the cells.
pub(crate) fn others(cells: &[Cell], processors: usize) -> Option<f64> {
    let shares = cells.iter().filter_map(|cell| measurement(cell)?.shares?.other_cpu);
    median(shares).map(|share| share / processors.max(1) as f64)
}

fn most_common(limiters: impl Iterator<Item = Limiter>) -> Option<Limiter> {
    let limiters: Vec<Limiter> = limiters.collect();
    let count = |limiter: &Limiter| limiters.iter().filter(|other| *other == limiter).count();
    limiters.iter().copied().max_by_key(|limiter| count(limiter))
}

/// CPU time per request of each other plan against plain std threads, the control, in the same round with as many
/// users; for the thread plan, which must cost the same, also over all numbers of users together. Nothing without
/// the control.
pub(crate) fn pairs(method: &Method, cells: &[Cell]) -> Vec<Pair> {
    let baseline = Plan::Std;
    if !method.plans.contains(&baseline) {
        return Vec::new();
    }
    let cpu = |round, users, plan| {
        let cell = cells.iter().find(|cell| (cell.round, cell.users, cell.plan) == (round, users, plan))?;
        measurement(cell)?.figures.server_cpu_us.filter(|&cpu| cpu > 0.0)
    };
    let ratios = |plan, users: u32| -> Vec<f64> {
        (1..=method.rounds)
            .filter_map(|round| Some(cpu(round, users, plan)? / cpu(round, users, baseline)?))
            .collect()
    };
    let mut pairs = Vec::new();
    for &plan in method.plans.iter().filter(|&&plan| plan != baseline) {
        let pair = |users, ratios| Some(Pair { users, plan, baseline, cpu_ratio: Interval::of(ratios)? });
        pairs.extend(method.users.iter().filter_map(|&users| pair(Some(users), ratios(plan, users))));
        if plan == Plan::Thread && method.users.len() > 1 {
            pairs.extend(pair(None, method.users.iter().flat_map(|&users| ratios(plan, users)).collect()));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::limits::Obstacle;
    use crate::compare::sample;

    #[test]
    fn a_row_is_the_median_of_its_rounds_beside_the_threads() {
        let method = sample::method(&[Plan::Thread, Plan::Coroutine], &[10]);
        let cells = [
            sample::cell(1, 10, Plan::Thread, 100.0, 50.0),
            sample::cell(2, 10, Plan::Thread, 120.0, 60.0),
            sample::cell(3, 10, Plan::Thread, 110.0, 55.0),
            sample::cell(1, 10, Plan::Coroutine, 220.0, 20.0),
            sample::cell(2, 10, Plan::Coroutine, 230.0, 52.0),
            sample::cell(3, 10, Plan::Coroutine, 240.0, 40.0),
        ];
        let rows = rows(&method, &cells);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].figures.rate.unwrap().median, 110.0);
        assert_eq!(rows[0].rate_ratio, None);
        let Some(Ratio::Differs(ratio)) = rows[1].rate_ratio else { panic!("{:?}", rows[1]) };
        assert!((ratio - 230.0 / 110.0).abs() < 1e-9);
        assert_eq!(rows[1].cpu_ratio, Some(Ratio::NoDifference));
        assert_eq!(rows[1].books_balance, Some(true));
    }

    #[test]
    fn what_could_not_run_is_a_row_with_its_reason() {
        let method = sample::method(&[Plan::Thread, Plan::Coroutine], &[10_000]);
        let obstacle = Obstacle { reason: "no room".into(), mend: "make some".into() };
        let cells = [
            Cell {
                round: 1,
                users: 10_000,
                plan: Plan::Thread,
                outcome: Outcome::Impossible(obstacle.clone()),
            },
            sample::cell(1, 10_000, Plan::Coroutine, 220.0, 20.0),
        ];
        let rows = rows(&method, &cells);
        assert_eq!(rows[0].obstacle, Some(obstacle));
        assert_eq!((rows[0].rounds, rows[0].books_balance), (0, None));
        assert_eq!((rows[1].rounds, rows[1].rate_ratio), (1, None));
    }

    #[test]
    fn pairs_compare_within_the_round_so_that_noise_cancels() {
        let method = sample::method(&[Plan::Std, Plan::Thread], &[10, 100]);
        let mut cells = Vec::new();
        // The machine gets three times slower over the rounds; the ratio stays 1.05.
        for (round, slow) in [(1, 1.0), (2, 2.0), (3, 3.0)] {
            for users in [10, 100] {
                cells.push(sample::cell(round, users, Plan::Std, 100.0, 10.0 * slow));
                cells.push(sample::cell(round, users, Plan::Thread, 100.0, 10.5 * slow));
            }
        }
        let pairs = pairs(&method, &cells);
        assert_eq!(
            pairs.iter().map(|pair| (pair.users, pair.plan, pair.baseline)).collect::<Vec<_>>(),
            [
                (Some(10), Plan::Thread, Plan::Std),
                (Some(100), Plan::Thread, Plan::Std),
                (None, Plan::Thread, Plan::Std)
            ]
        );
        for pair in &pairs {
            assert!((pair.cpu_ratio.low - 1.05).abs() < 1e-9 && (pair.cpu_ratio.high - 1.05).abs() < 1e-9);
        }
        assert_eq!(pairs[2].cpu_ratio.values, 6);
    }

    #[test]
    fn one_plan_has_nothing_to_be_compared_with() {
        let method = sample::method(&[Plan::Coroutine], &[10]);
        let cells = [sample::cell(1, 10, Plan::Coroutine, 220.0, 20.0)];
        assert_eq!(rows(&method, &cells)[0].rate_ratio, None);
        assert_eq!(pairs(&method, &cells), []);
    }
}
