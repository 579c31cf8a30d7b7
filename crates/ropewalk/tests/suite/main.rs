//! The behaviour of Ropewalk, asserted through the public API of the crate `ropewalk`.
//!
//! The tests run on whatever driver `ROPEWALK_DRIVER` names, else on the one that the runtime chooses; a test about a
//! driver forces it. Nothing here sleeps to wait for something, and whatever can hang has a watchdog: see [`support`].

mod support;

mod as_std;
mod blocking;
mod c_frames;
mod cancel;
mod cancel_rules;
mod cancel_token;
mod commands;
mod copying;
mod crash_matrix;
mod datagrams;
mod detector;
mod die_with_parent;
mod drivers;
mod ends;
mod entries;
mod exit_rule;
mod faults;
mod files;
mod futures;
mod generators;
mod hooks;
mod inspect;
mod intervals;
mod lifetime;
mod litmus;
mod monitor;
mod multitude;
mod net;
mod no_suspend;
mod pipes;
mod pool;
mod process_channels;
mod process_faults;
mod processes;
mod properties;
mod remote;
mod scheduling;
mod scopes;
mod segment;
mod shared;
mod shared_words;
mod signals;
mod spans;
mod standard_streams;
mod stdio;
mod stress;
mod stuck;
mod switches;
mod syscalls;
mod task;
mod tasks;
mod terminal;
mod thread_locals;
mod thread_pool;
mod timeouts;
mod unix;
mod unwinding;
mod virtual_time;
