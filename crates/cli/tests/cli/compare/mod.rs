//! `ropewalk compare` and `ropewalk load`.

mod comparing;
mod ending;
mod failing;
mod limits;
mod loading;
mod tampering;
mod usage;
