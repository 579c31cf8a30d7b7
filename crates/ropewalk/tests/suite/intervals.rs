//! Intervals, and moments by the runtime's clock: in virtual time, to the nanosecond.

use std::panic::catch_unwind;

use ropewalk::time::{self, Duration, Instant, MissedTickBehavior, interval, interval_at};
use ropewalk::{Clock, Runtime, coroutine, timeout};

use crate::support::{guarded, on_every_plan};

const SECOND: Duration = Duration::from_secs(1);

/// Runs `body` in virtual time.
fn in_virtual_time<T>(body: impl FnOnce() -> T) -> T {
    guarded(|| Runtime::builder().clock(Clock::Virtual).build().unwrap().run(body))
}

/// When, in seconds, the ticks of a period of 10 s come to one who is busy from the second one on for 25 s.
fn ticks_of(behavior: MissedTickBehavior) -> Vec<u64> {
    in_virtual_time(|| {
        let start = Instant::now();
        let mut ticks = interval(10 * SECOND);
        ticks.set_missed_tick_behavior(behavior);
        assert_eq!(ticks.missed_tick_behavior(), behavior);
        let mut seen = Vec::new();
        for number in 0..6 {
            let due = ticks.tick();
            assert!(due <= Instant::now(), "no tick comes early");
            seen.push(start.elapsed().as_secs());
            assert_eq!(start.elapsed().subsec_nanos(), 0, "and none late");
            if number == 1 {
                coroutine::sleep(25 * SECOND);
            }
        }
        seen
    })
}

#[test]
fn missed_ticks_are_made_up_for_put_off_or_skipped() {
    assert_eq!(ticks_of(MissedTickBehavior::Burst), [0, 10, 35, 35, 40, 50]);
    assert_eq!(ticks_of(MissedTickBehavior::Delay), [0, 10, 35, 45, 55, 65]);
    assert_eq!(ticks_of(MissedTickBehavior::Skip), [0, 10, 35, 40, 50, 60]);
}

#[test]
fn an_interval_starts_where_it_is_told_and_can_be_reset() {
    in_virtual_time(|| {
        let start = Instant::now();
        let mut ticks = interval_at(start + SECOND, 10 * SECOND);
        assert_eq!(ticks.period(), 10 * SECOND);
        assert_eq!((ticks.tick(), ticks.tick()), (start + SECOND, start + 11 * SECOND));
        coroutine::sleep(5 * SECOND);
        ticks.reset();
        assert_eq!(ticks.tick(), start + 26 * SECOND);
        ticks.reset_immediately();
        assert_eq!(ticks.tick(), start + 26 * SECOND);
        ticks.reset_at(start + 100 * SECOND);
        assert_eq!(ticks.tick() - start, 100 * SECOND);
        assert_eq!(start.elapsed(), 100 * SECOND);
    });
}

#[test]
fn a_tick_that_somebody_did_not_wait_for_is_the_next_ones() {
    in_virtual_time(|| {
        let start = Instant::now();
        let mut ticks = interval_at(start + 10 * SECOND, SECOND);
        assert!(timeout(SECOND, || ticks.tick()).is_err());
        assert_eq!(ticks.tick(), start + 10 * SECOND);
        // Further away than a clock can say.
        let mut never = interval(Duration::MAX);
        never.tick();
        assert!(timeout(SECOND, || never.tick()).is_err());
    });
}

#[test]
fn in_real_time_ticks_do_not_drift() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let start = Instant::now() + Duration::from_millis(1);
            let mut ticks = interval_at(start, Duration::from_millis(2));
            for number in 0..5 {
                assert_eq!(ticks.tick(), start + number * Duration::from_millis(2));
                assert!(Instant::now() >= start + number * Duration::from_millis(2));
            }
        })
        .join()
        .unwrap();
    });
}

#[test]
fn moments_are_stds_and_now_is_the_runtimes() {
    assert!(catch_unwind(|| interval(Duration::ZERO)).is_err());
    in_virtual_time(|| {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        time::sleep_until(start + 3600 * SECOND);
        assert_eq!(start.elapsed(), 3600 * SECOND);
        assert!(real.elapsed() < 3600 * SECOND);
        let std: std::time::Instant = start.into();
        assert_eq!((Instant::from(std), time::now()), (start, (start + 3600 * SECOND).into()));
        time::sleep_until(std);
        assert_eq!(start - Instant::now(), Duration::ZERO, "as std: not before the beginning");
        assert_eq!(start.checked_duration_since(Instant::now()), None);
        assert_eq!(Instant::now().saturating_duration_since(start), Instant::now() - start);
        let mut moved = start;
        moved += SECOND;
        moved -= SECOND;
        assert_eq!(
            (moved, start.checked_add(SECOND), start.checked_add(Duration::MAX)),
            (start, Some(start + SECOND), None)
        );
    });
}
