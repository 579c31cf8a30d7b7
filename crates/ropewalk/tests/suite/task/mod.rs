//! A task from the outside, and what `std::thread` promises of one.

mod local;
mod mirror;
mod scopes;
mod states;
