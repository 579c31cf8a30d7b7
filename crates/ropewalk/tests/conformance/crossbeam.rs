//! What the documentation of crossbeam-channel promises of timers, clones and lists, and of where channels may go; the rest
//! is beside the behaviours of channels and selects.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::channel::{
    Receiver, RecvTimeoutError, Select, SelectedOperation, Sender, TryRecvError, after, at, bounded, never,
    select, tick, unbounded,
};
use ropewalk_sync::park::WaitReason::{ChannelReceive, Select as Selecting};

use crate::support::{End, Task, let_others_run, on_every_plan, until};

const MILLI: Duration = Duration::from_millis(1);

/// Reads the clock until it shows `moment`.
fn pass(moment: Instant) {
    while Instant::now() < moment {
        let_others_run();
    }
}

#[test]
fn clones_are_handles_of_the_same_stream() {
    on_every_plan(|_| {
        let (first, one) = unbounded();
        let (second, two) = (first.clone(), one.clone());
        let (third, three) = (second.clone(), two.clone());
        for (sender, n) in [(first, 10), (second, 20), (third, 30)] {
            sender.send(n).unwrap();
        }
        assert_eq!([three.recv(), one.recv(), two.recv()], [Ok(10), Ok(20), Ok(30)]);
    });
}

#[test]
fn both_sides_can_be_shared_by_reference() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded(0);
        ropewalk::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(receiver.recv(), Ok(1));
                sender.send(2).unwrap();
            });
            sender.send(1).unwrap();
            assert_eq!(receiver.recv(), Ok(2));
        });
    });
}

#[test]
fn a_message_comes_after_its_time_once_for_all_clones() {
    on_every_plan(|plans| {
        let start = Instant::now();
        let far = after(Duration::from_secs(3600));
        assert_eq!((far.len(), far.capacity(), far.is_empty(), far.is_full()), (0, Some(1), true, false));
        assert_eq!(far.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(far.recv_timeout(MILLI), Err(RecvTimeoutError::Timeout));

        for timer in [after(3 * MILLI), at(start + 3 * MILLI)] {
            let clone = timer.clone();
            let task = plans.spawn(move || clone.recv().unwrap());
            let moment = task.value();
            assert!(moment >= start + 3 * MILLI && Instant::now() >= moment);
            assert_eq!((timer.len(), timer.try_recv()), (0, Err(TryRecvError::Empty)), "there is no second");
            assert_eq!(timer.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout), "and no end");
            assert!(timer.same_channel(&timer.clone()) && !timer.same_channel(&after(MILLI)));
        }
        let due = at(start);
        assert_eq!((due.len(), due.is_full()), (1, true), "the message is there, though nobody has made it");
        let task = plans.waiting(ChannelReceive, move || (far.clone().recv(), far));
        task.cancel();
        assert!(matches!(task.join(), End::Cancelled));
        assert_eq!(due.recv(), Ok(start));
    });
}

#[test]
fn a_ticker_keeps_one_message_and_makes_up_for_none() {
    on_every_plan(|plans| {
        let start = Instant::now();
        let ticker = tick(2 * MILLI);
        assert_eq!((ticker.capacity(), ticker.try_recv()), (Some(1), Err(TryRecvError::Empty)));
        let moments: Vec<Instant> = ticker.iter().take(3).collect();
        for (n, moment) in (1..).zip(&moments) {
            assert!(*moment >= start + n * 2 * MILLI, "no tick is early");
        }
        assert!(moments.is_sorted_by(|before, after| *after - *before >= 2 * MILLI));
        // Nobody looks for several periods.
        pass(Instant::now() + 11 * MILLI);
        assert_eq!((ticker.len(), ticker.is_full()), (1, true));
        let received = Instant::now();
        let kept = ticker.recv().unwrap();
        assert!(kept <= received, "one was kept");
        assert!(
            ticker.recv().unwrap() >= received + 2 * MILLI,
            "the next comes a period after it was received"
        );

        let ticker = tick(MILLI);
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let ticker = ticker.clone();
                plans.spawn(move || ticker.iter().take(4).collect::<Vec<_>>())
            })
            .collect();
        let mut ticks: Vec<Instant> = takers.into_iter().flat_map(Task::value).collect();
        ticks.sort_unstable();
        ticks.dedup();
        assert_eq!(ticks.len(), 12, "each tick goes to one of the clones");
    });
}

#[test]
fn who_waits_for_a_tick_and_wakes_up_late_does_not_put_off_the_next() {
    on_every_plan(|plans| {
        let period = 10 * MILLI;
        let (first, ticker) = loop {
            let ticker = tick(period);
            let waits = ticker.clone();
            let task = plans.spawn(move || waits.recv().unwrap());
            until(|| task.is_waiting(ChannelReceive) || task.is_finished());
            let waited = Instant::now();
            let first = task.value();
            if waited <= first {
                break (first, ticker);
            }
            // It may have come too late to wait: again.
        };
        pass(first + period);
        assert_eq!(ticker.recv(), Ok(first + period));
    });
}

#[test]
fn what_never_comes_is_an_operation_that_is_switched_off() {
    on_every_plan(|_| {
        let nothing = never::<u8>();
        assert_eq!(
            (nothing.len(), nothing.capacity(), nothing.is_empty(), nothing.is_full()),
            (0, Some(0), true, true)
        );
        assert_eq!(nothing.try_recv(), Err(TryRecvError::Empty), "it is not disconnected");
        assert_eq!(nothing.recv_timeout(MILLI), Err(RecvTimeoutError::Timeout));
        assert_eq!(nothing.try_iter().count(), 0);
        let (sender, receiver) = unbounded();
        sender.send(1).unwrap();
        for _ in 0..20 {
            select! {
                recv(nothing) -> _ => unreachable!(),
                recv(receiver) -> message => sender.send(message.unwrap()).unwrap(),
            }
        }
        let start = Instant::now();
        select! {
            recv(nothing) -> _ => unreachable!(),
            default(2 * MILLI) => assert!(start.elapsed() >= 2 * MILLI),
        }
    });
}

#[test]
fn a_list_takes_an_operation_twice_and_an_empty_one_waits_its_time() {
    on_every_plan(|plans| {
        let (sender, receiver) = unbounded();
        let mut select = Select::new();
        assert_eq!((select.recv(&receiver), select.recv(&receiver), select.send(&sender)), (0, 1, 2));
        select.remove(2);
        let mut seen = [0; 2];
        for n in 0..100 {
            sender.send(n).unwrap();
            let operation = select.select();
            seen[operation.index()] += 1;
            assert_eq!(operation.recv(&receiver), Ok(n));
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");

        let start = Instant::now();
        assert!(Select::new().select_timeout(MILLI).is_err() && start.elapsed() >= MILLI);
        assert!(Select::new().ready_timeout(MILLI).is_err() && start.elapsed() >= 2 * MILLI);
        assert!(Select::new().try_select().is_err() && Select::new().try_ready().is_err());
        let task = plans.spawn(|| drop(Select::new().select()));
        assert_eq!(task.join(), End::Panicked, "it would wait for ever");
        let task = plans.spawn(|| Select::new().ready());
        assert_eq!(task.join(), End::Panicked);
        let task = plans.spawn(|| {
            let (_sender, receiver) = unbounded::<u8>();
            let mut select = Select::new();
            select.recv(&receiver);
            select.remove(1);
        });
        assert_eq!(task.join(), End::Panicked, "there is no such operation");
    });
}

#[test]
fn an_operation_is_ended_with_the_side_that_it_was_begun_with() {
    fn begin<'a>(select: &mut Select<'a>, receiver: &'a Receiver<u8>) -> SelectedOperation<'a> {
        select.recv(receiver);
        select.select()
    }
    on_every_plan(|_| {
        let (sender, receiver) = unbounded();
        let clone = receiver.clone();
        sender.send(1).unwrap();
        let operation = begin(&mut Select::new(), &receiver);
        let ended = catch_unwind(AssertUnwindSafe(|| operation.recv(&clone)));
        assert!(ended.is_err(), "a clone is another reference");
        assert_eq!(receiver.try_recv(), Ok(1), "what was promised was given back");
    });
}

#[test]
fn a_select_that_watches_may_be_woken_for_what_another_takes() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(1);
        let (stop, stopped) = bounded::<()>(0);
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let (receiver, stopped) = (receiver.clone(), stopped.clone());
                plans.waiting(Selecting, move || {
                    let mut own = Vec::new();
                    let mut select = Select::new();
                    select.recv(&receiver);
                    select.recv(&stopped);
                    while select.ready() == 0 {
                        own.extend(receiver.try_recv());
                    }
                    own
                })
            })
            .collect();
        (0..50).for_each(|n| sender.send(n).unwrap());
        // Both are ready at the end, so it must be empty before.
        while !sender.is_empty() {
            let_others_run();
        }
        drop(stop);
        let mut received: Vec<u32> = watchers.into_iter().flat_map(Task::value).collect();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..50));
    });
}

#[test]
fn both_sides_may_be_used_across_a_panic_whatever_their_messages_are() {
    fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    unwind_safe::<Sender<Rc<Cell<u8>>>>();
    unwind_safe::<Receiver<Rc<Cell<u8>>>>();
    on_every_plan(|_| {
        let (sender, receiver) = unbounded();
        let panicked = catch_unwind(|| {
            sender.send(1).unwrap();
            std::panic::resume_unwind(Box::new(receiver.recv()));
        });
        assert!(panicked.is_err());
        assert!(sender.send(2).is_ok() && receiver.recv() == Ok(2));
    });
}
