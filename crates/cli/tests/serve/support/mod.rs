//! A server in a child process, clients that send exactly what they are told, and the books.

mod books;
mod client;
mod server;

pub(crate) use books::Books;
pub(crate) use client::{Client, Reply, pay};
pub(crate) use server::{Server, wait_for_exit};

use std::time::{Duration, Instant};

/// Whatever takes longer than this hangs. No test waits so long for anything that works.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// Asks until the answer is yes, and not for ever: a machine that stands still for a while is no reason to give up
/// after a few questions. The question itself should take its time.
pub(crate) fn until(what: &str, mut question: impl FnMut() -> bool) {
    let (start, mut asked) = (Instant::now(), 0);
    while !question() {
        asked += 1;
        assert!(start.elapsed() < WATCHDOG || asked < 100, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Makes each function a test of its own per plan: `name::std`, `name::process` and so on.
macro_rules! on_each_plan {
    ($($(#[$attribute:meta])* fn $name:ident($plan:ident) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            fn on($plan: &str) $body

            #[test]
            fn std() {
                on("std");
            }

            #[test]
            fn thread() {
                on("thread");
            }

            #[test]
            fn coroutine() {
                on("coroutine");
            }

            #[test]
            fn process() {
                on("process");
            }

            #[test]
            fn process_and_coroutine() {
                on("process+coroutine");
            }
        }
    )*};
}
pub(crate) use on_each_plan;

/// The same for the plans whose connections are all served by the process that was started.
macro_rules! on_each_plan_in_one_process {
    ($($(#[$attribute:meta])* fn $name:ident($plan:ident) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            fn on($plan: &str) $body

            #[test]
            fn std() {
                on("std");
            }

            #[test]
            fn thread() {
                on("thread");
            }

            #[test]
            fn coroutine() {
                on("coroutine");
            }
        }
    )*};
}
pub(crate) use on_each_plan_in_one_process;
