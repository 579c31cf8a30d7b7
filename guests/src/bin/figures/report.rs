//! The table.

use crate::load::Sample;

/// One contender's rounds.
pub(crate) struct Row {
    name: &'static str,
    /// Why there is none, where there is none.
    pub(crate) samples: Vec<Result<Sample, String>>,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, samples: Vec::new() }
    }

    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().flatten().map(figure).collect())
    }
}

/// The row that the others are compared with.
const BASE: &str = "tokio";

/// Prints the medians of all rounds. The ratio is that of CPU seconds, by pairs: each round beside the base's.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "  {:24}{:>12}{:>16}{:>10}{:>10}  CPU/{BASE}",
        "", "requests/s", "CPU s/million", "p50 ms", "p99 ms"
    );
    let base = rows.iter().find(|row| row.name == BASE);
    for row in rows {
        if row.samples.iter().flatten().next().is_none() {
            let why = row.samples.iter().find_map(|sample| sample.as_ref().err());
            println!("  {:24}absent: {}", row.name, why.map_or("not run", String::as_str));
            continue;
        }
        print!("  {:24}{:>12.0}", row.name, row.median(|sample| sample.per_second));
        print!("{:>16.2}", row.median(Sample::per_million));
        print!("{:>10.2}", row.median(|sample| sample.half.as_secs_f64() * 1e3));
        print!("{:>10.2}", row.median(|sample| sample.most.as_secs_f64() * 1e3));
        let pairs = base.into_iter().flat_map(|base| row.samples.iter().zip(&base.samples));
        let ratios: Vec<f64> = pairs
            .filter_map(|(own, base)| {
                Some(own.as_ref().ok()?.per_million() / base.as_ref().ok()?.per_million())
            })
            .collect();
        match (ratios.iter().copied().reduce(f64::min), ratios.iter().copied().reduce(f64::max)) {
            (Some(least), Some(most)) => println!("  {:.2} ({least:.2}-{most:.2})", median(ratios)),
            _ => println!("  -"),
        }
        for error in row.samples.iter().filter_map(|sample| sample.as_ref().err()) {
            println!("  {:24}a round failed: {error}", "");
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
