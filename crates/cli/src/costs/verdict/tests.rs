//! The verdicts on rows with fixed figures.

use super::*;
use crate::costs::cell::{
    Cell, Counter, Cpus, Creation, Creator, Exchange, Guard, How, Memory, Plan, Switch, Worst,
};
use crate::costs::mechanism::Mechanism;
use crate::costs::method::{LONG, SHORT};
use crate::costs::result::Figure;
use crate::costs::sample::{method, row};

fn creation(by: Creator, times: &[f64]) -> Row {
    row(Cell::Creation(Creation { by, together: 1, cpus: Cpus::One }), &[(Figure::TimeNs, times)])
}

fn switch(plan: Plan, how: How, working_set: u32, time: &[f64], touching: &[f64]) -> Row {
    let without: Vec<f64> = time.iter().zip(touching).map(|(time, touching)| time - touching).collect();
    row(
        Cell::Switch(Switch { plan, how, working_set }),
        &[(Figure::TimeNs, time), (Figure::TouchingNs, touching), (Figure::WithoutTouchingNs, &without)],
    )
}

fn memory(plan: Plan, touched: f64, reserved: f64) -> Row {
    let cell = Cell::Memory(Memory { plan, tasks: method().parked(plan) });
    row(cell, &[(Figure::TouchedBytes, &[touched; 3]), (Figure::ReservedBytes, &[reserved; 3])])
}

fn counter(plan: Plan, guard: Guard, cpus: Cpus, time: f64, lost: &[f64]) -> Row {
    let cell = Cell::Counter(Counter { plan, guard, tasks: method().counting, cpus });
    row(cell, &[(Figure::TimeNs, &[time; 3]), (Figure::LostPart, lost)])
}

/// The verdict on the claim that begins so.
#[track_caller]
fn judged(rows: &[Row], claim: &str) -> (Finding, String) {
    let all = verdicts(&method(), rows);
    let found = all.into_iter().find(|verdict| verdict.claim.starts_with(claim));
    let found = found.unwrap_or_else(|| panic!("no claim begins with {claim}"));
    (found.finding, found.text)
}

#[test]
fn without_rows_nothing_is_said() {
    for verdict in verdicts(&method(), &[]) {
        assert_eq!(verdict.finding, Finding::NotMeasured, "{verdict:?}");
    }
    assert_eq!(in_short(&[]), "In short: too little was measured to say.");
}

#[test]
fn creation_is_judged_by_the_ratio_of_the_medians_where_the_spreads_lie_apart() {
    let thread = || creation(Creator::Thread, &[29e3, 30e3, 31e3]);
    for (process, finding, said) in [
        ([1.4e6, 1.5e6, 1.6e6], Finding::Holds, "takes 1.50 ms: 50 times a thread's 30.0 µs"),
        ([890e3, 900e3, 910e3], Finding::Holds, "30 times"),
        ([290e3, 300e3, 310e3], Finding::InPart, "10 times"),
        ([28e3, 32e3, 33e3], Finding::NotHere, "no more than a thread's 30.0 µs within the spread"),
        ([10e3, 10e3, 10e3], Finding::NotHere, "0.33 times"),
    ] {
        let rows = [creation(Creator::Process, &process), thread()];
        let (found, text) = judged(&rows, "To create");
        assert_eq!(found, finding, "{process:?}: {text}");
        assert!(text.contains(said), "{text}");
    }
    let rows = [creation(Creator::Process, &[1.5e6; 3]), thread(), creation(Creator::Coroutine, &[300.0; 3])];
    let (_, text) = judged(&rows, "To create");
    assert!(text.contains("A thread takes 100 times a coroutine's 300 ns"), "{text}");
    let rows = [creation(Creator::Process, &[1.5e6; 3]), creation(Creator::Pool, &[60e3; 3]), thread()];
    let (_, text) = judged(&rows, "To create");
    assert!(
        text.contains("One that waits in a pool runs a function in 60.0 µs, 2.00 times a thread's."),
        "{text}"
    );
}

#[test]
fn one_round_proves_nothing() {
    let rows = [creation(Creator::Process, &[1.5e6]), creation(Creator::Thread, &[30e3])];
    let (found, text) = judged(&rows, "To create");
    assert_eq!(found, Finding::NotMeasured);
    assert!(text.contains("in one round, which proves nothing"), "{text}");
}

#[test]
fn a_switch_is_judged_and_the_order_of_the_plans() {
    let nothing = [0.0; 3];
    let rows = |process: f64, thread: f64, coroutine: f64, park: f64, yields: f64| {
        let spread = |time: f64| [time * 0.99, time, time * 1.01];
        [
            switch(Plan::Process, How::Socket, 0, &spread(process), &nothing),
            switch(Plan::Thread, How::Socket, 0, &spread(thread), &nothing),
            switch(Plan::Coroutine, How::Socket, 0, &spread(coroutine), &nothing),
            switch(Plan::Thread, How::Own, 0, &spread(park), &nothing),
            switch(Plan::Coroutine, How::Own, 0, &spread(yields), &nothing),
        ]
    };
    let five = "To switch between processes takes 5";
    let order = "A switch costs much";
    let usual = rows(2600.0, 2000.0, 1500.0, 1900.0, 10.0);
    let (found, text) = judged(&usual, five);
    assert_eq!(found, Finding::InPart);
    assert!(text.contains("2.60 µs, 1.30 times a thread's 2.00 µs"), "{text}");
    let (found, text) = judged(&usual, order);
    assert_eq!(found, Finding::Holds, "{text}");
    assert!(text.contains("yields in 10.0 ns") && text.contains("190 times that"), "{text}");
    assert_eq!(judged(&rows(10_100.0, 2000.0, 1500.0, 1900.0, 10.0), five).0, Finding::Holds);
    assert_eq!(judged(&rows(1900.0, 2000.0, 1500.0, 1900.0, 10.0), five).0, Finding::NotHere);
    assert_eq!(judged(&rows(2600.0, 2000.0, 2500.0, 1900.0, 10.0), order).0, Finding::InPart);
    assert_eq!(judged(&rows(2600.0, 2000.0, 1500.0, 9.0, 10.0), order).0, Finding::NotHere);
}

#[test]
fn caches_are_void_only_where_touching_takes_ten_times_as_long() {
    let set = method().working_sets[1];
    for (touched, finding) in
        [(1_000.0, Finding::NotHere), (1_600.0, Finding::InPart), (10_000.0, Finding::Holds)]
    {
        // 1 µs of touching, 2 µs of switching, and what touching takes longer after a switch.
        let time = [2_000.0 + touched; 3];
        let rows = [
            switch(Plan::Process, How::Socket, 0, &[2_000.0; 3], &[0.0; 3]),
            switch(Plan::Process, How::Socket, set, &time, &[1_000.0; 3]),
        ];
        let (found, text) = judged(&rows, "With a switch everything");
        assert_eq!(found, finding, "{text}");
        assert!(text.contains("64.0 KiB each in 1.00 µs"), "{text}");
    }
}

#[test]
fn real_time_is_no_matter_of_the_usual_case() {
    let worst = |hog, longest: f64| {
        let cell = Cell::Worst(Worst { plan: Plan::Coroutine, how: How::Own, hog });
        row(cell, &[(Figure::P50Ns, &[20.0; 3]), (Figure::MaxNs, &[longest, 30.0, 30.0])])
    };
    let claim = "Coroutines can be used for hard";
    let (found, text) = judged(&[worst(false, 50.0), worst(true, 4e6)], claim);
    assert_eq!(found, Finding::NotHere);
    assert!(text.contains("in 20.0 ns at the usual") && text.contains("4.00 ms"), "{text}");
    assert_eq!(judged(&[worst(false, 50.0), worst(true, 60.0)], claim).0, Finding::InPart);
}

#[test]
fn memory_touched_is_not_memory_reserved() {
    let (kib, mib, gib) = (1024.0, 1024.0 * 1024.0, 1024.0 * 1024.0 * 1024.0);
    let usual = [memory(Plan::Process, 1.5 * mib, 20.0 * mib), memory(Plan::Thread, 36.0 * kib, 4.0 * mib)];
    let (found, text) = judged(&usual, "A thread takes at least 4 MB");
    assert_eq!(found, Finding::InPart);
    assert!(text.contains("reserves 4.00 MiB") && text.contains("touches 36.0 KiB"), "{text}");
    let (found, text) = judged(&usual, "10,000 threads");
    assert_eq!(found, Finding::InPart);
    assert!(text.contains("reserve 39.1 GiB and touch 352 MiB"), "{text}");
    let (found, text) = judged(&usual, "Processes take more");
    assert_eq!(found, Finding::Holds);
    assert!(text.contains("1.50 MiB, 43 times a thread's 36.0 KiB"), "{text}");
    for (touched, reserved, four, many) in [
        (5.0 * mib, 5.0 * mib, Finding::Holds, Finding::Holds),
        (36.0 * kib, 64.0 * kib, Finding::NotHere, Finding::NotHere),
        (36.0 * kib, 1.1 * gib / 1e3, Finding::NotHere, Finding::InPart),
    ] {
        let rows = [memory(Plan::Thread, touched, reserved)];
        assert_eq!(judged(&rows, "A thread takes").0, four);
        assert_eq!(judged(&rows, "10,000 threads").0, many);
    }
}

#[test]
fn what_is_lost_speaks_for_locks_and_what_is_not_lost_proves_nothing() {
    let none = |plan, cpus, lost: &[f64]| counter(plan, Guard::None, cpus, 1.0, lost);
    let locks = "What threads share";
    let lost = [none(Plan::Thread, Cpus::One, &[0.0, 0.2, 0.1]), none(Plan::Thread, Cpus::All, &[0.5; 3])];
    let (found, text) = judged(&lost, locks);
    assert_eq!(found, Finding::Holds);
    assert!(text.contains("lost up to 20.0 % of their additions on one CPU, up to 50.0 % on all"), "{text}");
    let (found, text) = judged(&[none(Plan::Thread, Cpus::One, &[0.0; 3])], locks);
    assert_eq!(found, Finding::NotMeasured);
    assert!(text.contains("lost none of their additions on one CPU, this time."), "{text}");

    let needless = "Coroutines need no locks";
    let usual = [none(Plan::Coroutine, Cpus::One, &[0.0; 3]), none(Plan::Coroutine, Cpus::All, &[0.3; 3])];
    let (found, text) = judged(&usual, needless);
    assert_eq!(found, Finding::InPart);
    assert!(text.contains("lost none") && text.contains("up to 30.0 %"), "{text}");
    assert_eq!(judged(&[none(Plan::Coroutine, Cpus::One, &[0.0, 1e-9])], needless).0, Finding::NotHere);
}

#[test]
fn the_last_sentence_says_what_was_measured() {
    let rows = [
        creation(Creator::Process, &[1.5e6; 3]),
        creation(Creator::Thread, &[30e3; 3]),
        creation(Creator::Coroutine, &[300.0; 3]),
    ];
    assert_eq!(
        in_short(&rows),
        "In short: to spawn and join a process takes 1.50 ms, a thread 30.0 µs, a coroutine 300 ns."
    );
    let cell = Cell::Memory(Memory { plan: Plan::Process, tasks: 32 });
    let short = Row::of(cell, &[crate::costs::result::Outcome::Impossible("too little memory".into())]);
    assert_eq!(in_short(&[short]), "In short: nothing could be measured: too little memory.");
}

fn message(mechanism: Mechanism, plan: Plan, bytes: u32, times: &[f64]) -> Row {
    let cell = Cell::Ipc(Exchange { mechanism, plan, bytes, cpus: Cpus::One });
    row(cell, &[(Figure::RoundTripNs, times)])
}

#[test]
fn much_data_is_judged_by_what_a_channel_within_a_process_takes() {
    let within = || message(Mechanism::Channel, Plan::Thread, LONG, &[9e3, 10e3, 11e3]);
    let stream = |times: &[f64]| message(Mechanism::UnixStream, Plan::Process, LONG, times);
    let ring = |time| message(Mechanism::RingAdaptive, Plan::Process, LONG, &[time; 3]);
    for (rows, finding, said) in [
        (
            vec![within(), stream(&[0.9e6, 1e6, 1.1e6])],
            Finding::Holds,
            "takes 1.00 ms through a Unix stream, 100 times the 10.0 µs",
        ),
        (
            vec![within(), stream(&[1e6; 3]), ring(900e3)],
            Finding::Holds,
            "it takes 900 µs, 0.90 times the stream's",
        ),
        (
            vec![within(), stream(&[1e6; 3]), ring(100e3)],
            Finding::InPart,
            "it takes 100 µs, 0.10 times the stream's",
        ),
        (vec![within(), stream(&[9e3, 10e3, 12e3])], Finding::NotHere, "no more than the 10.0 µs"),
        (vec![within(), stream(&[1e6])], Finding::NotMeasured, "proves nothing"),
    ] {
        let (found, text) = judged(&rows, "To exchange much data");
        assert_eq!(found, finding, "{text}");
        assert!(text.contains(said), "{text}");
    }
    assert_eq!(judged(&[within()], "To exchange much data").0, Finding::NotMeasured);
}

#[test]
fn the_last_sentence_speaks_of_short_messages() {
    let rows = [
        message(Mechanism::Pipe, Plan::Process, SHORT, &[9e3; 3]),
        message(Mechanism::RingAdaptive, Plan::Process, SHORT, &[2e3; 3]),
        message(Mechanism::Channel, Plan::Coroutine, SHORT, &[150.0; 3]),
    ];
    let expected = "In short: a message there and back between processes takes 9.00 µs through pipes, 2.00 µs through \
                    rings, between coroutines 150 ns through channels.";
    assert_eq!(in_short(&rows), expected);
    assert_eq!(in_short(&rows[1..]), "In short: too little was measured to say.");
}
