//! TCP, and what all sockets have in common: std's behaviour, from coroutines and threads, on both drivers.

mod basics;
mod cancel;
mod descriptors;
mod drained;
mod halves;
mod hand_over;
mod limits;
mod nonblocking;
mod options;
mod resolver;
mod runtimes;
mod sharing;
