//! The longest of many switches.

use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use hdrhistogram::Histogram;

use super::duel::duel;
use crate::costs::cell::Worst;
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};

/// Nothing takes longer than this, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// Fewer do not tell what one in 10,000 takes.
const SAMPLES_FOR_P9999: u64 = 10_000;

pub(super) fn measure(worst: Worst, method: &Method) -> io::Result<Figures> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST, 3).map_err(io::Error::other)?;
    let lead = |there_and_back: &mut dyn FnMut(u64) -> io::Result<()>| {
        // What happens only once is over.
        there_and_back(10)?;
        let end = Instant::now() + method.worst_time();
        let mut last = Instant::now();
        while last < end {
            there_and_back(1)?;
            let now = Instant::now();
            histogram.saturating_record(u64::try_from((now - last).as_nanos()).unwrap_or(LONGEST));
            last = now;
        }
        Ok(())
    };
    beside_a_hog(worst.hog, || duel(worst.plan, worst.how, 0, Box::new(lead)))?;
    Ok(figures(&histogram))
}

/// Runs `f` while a thread computes on the same CPU, if there is to be one.
fn beside_a_hog(hog: bool, f: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let over = AtomicBool::new(!hog);
    std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, || {
            while !over.load(Relaxed) {
                spin_loop();
            }
        })?;
        let done = f();
        over.store(true, Relaxed);
        done
    })
}

fn figures(histogram: &Histogram<u64>) -> Figures {
    let at = |part: f64| histogram.value_at_quantile(part) as f64;
    let mut figures = Figures::from([
        (Figure::P50Ns, at(0.5)),
        (Figure::P99Ns, at(0.99)),
        (Figure::MaxNs, histogram.max() as f64),
        (Figure::Samples, histogram.len() as f64),
    ]);
    if histogram.len() >= SAMPLES_FOR_P9999 {
        figures.insert(Figure::P9999Ns, at(0.9999));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_ten_thousand_is_told_only_of_as_many() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST, 3).unwrap();
        histogram.record_n(1_000, 9_999).unwrap();
        assert!(!figures(&histogram).contains_key(&Figure::P9999Ns));
        histogram.record(5_000_000).unwrap();
        let figures = figures(&histogram);
        assert!(figures[&Figure::P9999Ns] < 1_010.0, "{figures:?}");
        assert!(figures[&Figure::MaxNs] >= 5_000_000.0, "{figures:?}");
        assert_eq!(figures[&Figure::Samples], 10_000.0);
    }
}
