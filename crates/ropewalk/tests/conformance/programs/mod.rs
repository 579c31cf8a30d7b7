//! Programs that are written against std run with changed imports only.
//!
//! The very same source is compiled three times: with std, with coroutines and with Ropewalk's threads for `thread`.

use ropewalk::Runtime;

use crate::support::guarded;

#[path = "."]
mod on_std {
    mod imports {
        pub(super) use std::{sync, thread};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

#[path = "."]
mod on_coroutines {
    mod imports {
        pub(super) use ropewalk::{coroutine as thread, sync};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

#[path = "."]
mod on_threads {
    mod imports {
        pub(super) use ropewalk::{sync, thread};
    }

    #[path = "written_for_std.rs"]
    pub(super) mod program;
}

fn run(body: fn()) {
    guarded(|| Runtime::builder().workers(2).build().expect("a runtime can be built").run(body));
}

#[test]
fn a_pipeline_with_back_pressure() {
    run(|| {
        assert_eq!(on_std::program::pipeline(100), 10_100);
        assert_eq!(on_threads::program::pipeline(100), 10_100);
        assert_eq!(on_coroutines::program::pipeline(2_000), 4_002_000);
    });
}

#[test]
fn philosophers_who_take_the_lower_fork_first() {
    run(|| {
        assert_eq!(on_std::program::philosophers(5, 20), 100);
        assert_eq!(on_threads::program::philosophers(5, 20), 100);
        assert_eq!(on_coroutines::program::philosophers(100, 20), 2_000);
        assert_eq!(on_coroutines::program::philosophers(10_000, 2), 20_000);
    });
}

#[test]
fn words_that_are_counted_in_parallel() {
    run(|| {
        let expected = [("rope".to_owned(), 3), ("the".to_owned(), 2), ("walk".to_owned(), 1)];
        for count in [on_std::program::count_words, on_threads::program::count_words] {
            assert_eq!(count(50), expected.clone().map(|(word, count)| (word, count * 50)));
        }
        // One task for each line.
        let counted = on_coroutines::program::count_words(10_000);
        assert_eq!(counted, expected.map(|(word, count)| (word, count * 10_000)));
    });
}
