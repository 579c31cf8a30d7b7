//! What can be written for a flag in a file: found in how clap reads it.

use std::any::TypeId;
use std::num::NonZeroUsize;

use clap::{Arg, ArgAction};

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There or not there.
    Switch,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// Text: a path, an address, one of several words.
    Text,
    /// Text or a number, as a size is: 4096 or "4K".
    Quantity,
}

impl Kind {
    /// What `arg` takes, or each element of its list.
    pub(super) fn of(arg: &Arg) -> Self {
        if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
            return Self::Switch;
        }
        let id = arg.get_value_parser().type_id();
        let is = |types: &[TypeId]| types.iter().any(|one| id == *one);
        let integers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<i64>(),
            TypeId::of::<NonZeroUsize>(),
        ];
        if is(&integers) {
            Self::Integer
        } else if is(&[TypeId::of::<f64>()]) {
            Self::Number
        } else if is(&[TypeId::of::<String>(), TypeId::of::<std::path::PathBuf>()])
            || arg.get_value_parser().possible_values().is_some()
        {
            Self::Text
        } else {
            Self::Quantity
        }
    }

    /// The kind in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Quantity => "a text or a number",
        }
    }
}

/// Whether `arg` takes several values.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}
