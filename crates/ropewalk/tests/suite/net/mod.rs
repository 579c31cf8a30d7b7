//! TCP: std's behaviour, from coroutines and threads, on both drivers.

mod basics;
mod cancel;
mod descriptors;
mod limits;
mod runtimes;
mod sharing;
