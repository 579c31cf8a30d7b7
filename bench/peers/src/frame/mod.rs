//! What runs the contenders, compares them, and says what came out.

pub(crate) mod machine;
pub(crate) mod report;
pub(crate) mod runner;
pub(crate) mod statistics;
pub(crate) mod table;
pub(crate) mod tools;
