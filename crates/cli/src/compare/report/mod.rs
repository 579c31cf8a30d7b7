//! The report: one HTML file that needs nothing else, with the result in a sentence, plots, tables, verdicts, and how
//! to repeat it.

mod figures;
mod page;
mod plot;
mod rows;

pub(crate) use page::page;
