//! `ropewalk::fs`: what std's does, ours does; who waits for a file lets others run, and can be cancelled.

mod cancel;
mod directories;
mod reading;
