//! Guests: crates that know nothing of Ropewalk, run on it. Each is a short program in `examples/`; a test of the same name
//! holds it to the real thing. `README.md` lists them. Here is what several of them share.

pub mod servers;
pub mod watchdog;
