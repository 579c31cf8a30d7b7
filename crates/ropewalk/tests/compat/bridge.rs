//! `compat::tokio::run`: a future on tokio's own threads.

use std::future::pending;
use std::sync::mpsc::channel;
use std::time::Duration;

use ropewalk::compat::tokio::{handle, run};
use ropewalk::inspect::State;
use ropewalk::timeout;

use super::plan::on_every_plan;
use super::until;

#[test]
fn a_future_that_insists_on_tokio_is_run_by_tokio() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| {
            run(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let thread = std::thread::current().name().unwrap().to_owned();
                tokio::spawn(async move { thread }).await.unwrap()
            })
        });
        assert_eq!(task.join().unwrap(), "ropewalk-tokio");
    });
}

#[test]
fn a_panic_arrives_where_it_is_run() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| run(async { panic!("in tokio") }));
        assert_eq!(task.join().unwrap_err().downcast::<&str>().unwrap(), "in tokio");
    });
}

/// Tells when it is dropped, by hanging up.
#[test]
fn a_cancel_and_a_timeout_end_the_future() {
    on_every_plan(|plan| {
        let (kept, dropped) = channel::<()>();
        let task = plan.spawn(move || {
            run(async move {
                let _kept = kept;
                pending::<()>().await;
            });
        });
        until(|| matches!(task.task().state(), State::Blocked(_)));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert!(dropped.recv().is_err(), "tokio has dropped it");

        let (kept, dropped) = channel::<()>();
        let late = plan.spawn(move || {
            timeout(Duration::from_millis(1), || {
                run(async move {
                    let _kept = kept;
                    pending::<()>().await;
                });
            })
        });
        assert!(late.join().unwrap().is_err());
        assert!(dropped.recv().is_err());
    });
}

#[test]
fn what_is_spawned_there_can_be_awaited() {
    on_every_plan(|plan| {
        let task = plan.spawn(|| ropewalk::future::block_on(handle().spawn(async { 42 })).unwrap());
        assert_eq!(task.join().unwrap(), 42);
    });
}
