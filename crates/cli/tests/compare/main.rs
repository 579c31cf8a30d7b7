//! `ropewalk compare` and `ropewalk load` from the outside: the real binary, its output, its files, its exit codes.

mod support;

mod comparing;
mod ending;
mod failing;
mod limits;
mod loading;
mod tampering;
mod usage;
