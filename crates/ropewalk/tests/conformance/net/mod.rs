//! Programs for std's sockets run with changed imports only: the very same source is compiled three times, with std, with
//! coroutines and with Ropewalk's threads for `thread`, and with our sockets for std's.

use ropewalk::Runtime;

use crate::support::guarded;

#[path = "."]
mod on_std {
    mod imports {
        pub(super) use std::os::unix::net as unix;
        pub(super) use std::{net, thread};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

#[path = "."]
mod on_coroutines {
    mod imports {
        pub(super) use ropewalk::net::unix;
        pub(super) use ropewalk::{coroutine as thread, net};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

#[path = "."]
mod on_threads {
    mod imports {
        pub(super) use ropewalk::net::unix;
        pub(super) use ropewalk::{net, thread};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

fn run(on_std: fn(), on_coroutines: fn(), on_threads: fn()) {
    guarded(on_std);
    for program in [on_coroutines, on_threads] {
        for workers in [1, 2] {
            guarded(|| {
                Runtime::builder().workers(workers).build().expect("a runtime can be built").run(program);
            });
        }
    }
}

#[test]
fn connections_that_come_one_by_one_and_all_at_once() {
    run(on_std::program::connections, on_coroutines::program::connections, on_threads::program::connections);
}

#[test]
fn clones_of_a_connection_and_of_a_listener() {
    run(on_std::program::clones, on_coroutines::program::clones, on_threads::program::clones);
}

#[test]
fn ends_of_a_connection() {
    run(on_std::program::ends, on_coroutines::program::ends, on_threads::program::ends);
}

#[test]
fn options_limits_and_modes() {
    run(on_std::program::options, on_coroutines::program::options, on_threads::program::options);
}

#[test]
fn datagrams() {
    run(on_std::program::datagrams, on_coroutines::program::datagrams, on_threads::program::datagrams);
}

#[test]
fn unix_streams() {
    run(
        on_std::program::unix_streams,
        on_coroutines::program::unix_streams,
        on_threads::program::unix_streams,
    );
}

#[test]
fn unix_datagrams() {
    run(
        on_std::program::unix_datagrams,
        on_coroutines::program::unix_datagrams,
        on_threads::program::unix_datagrams,
    );
}

#[test]
fn a_chat_room() {
    assert_eq!(on_std::program::chat(5, 20), 5 * 5 * 20);
    run_chat(on_threads::program::chat, 5);
    run_chat(on_coroutines::program::chat, 30);
}

fn run_chat(chat: fn(usize, usize) -> usize, people: usize) {
    guarded(|| {
        let heard =
            Runtime::builder().workers(2).build().expect("a runtime can be built").run(|| chat(people, 20));
        assert_eq!(heard, people * people * 20);
    });
}
