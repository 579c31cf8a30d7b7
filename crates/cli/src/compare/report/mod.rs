//! report stub
use crate::compare::result::Comparison;
/// page
pub(crate) fn page(_comparison: &Comparison) -> String {
    String::new()
}
