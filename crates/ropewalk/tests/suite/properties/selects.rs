//! Tasks that select at random among sends, receives and timers of shared channels, which some of them leave early.
//!
//! In virtual time, on a seeded schedule, one worker: what is found can be found again. And in real time, by coroutines of
//! two workers and threads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use ropewalk::channel::{Receiver, Select, Sender, after, bounded, unbounded};
use ropewalk::time::now;
use ropewalk::topic::{Message, Policy, Subscription, Topic};
use ropewalk::{Clock, JoinHandle, Runtime, Schedule, coroutine, thread};

use super::for_any;

/// One operation of a select, of the channel that this comes to.
#[derive(Clone, Copy, Debug)]
enum Arm {
    Send(usize),
    Receive(usize),
    Topic,
    /// A timer of so many units.
    After(u32),
}

#[derive(Clone, Debug)]
enum Step {
    /// A select, for at most so many units; in order, or by lot.
    Select { arms: Vec<Arm>, limit: u32, biased: bool },
    /// A select that does not wait.
    Try(Vec<Arm>),
    /// Publishes.
    Publish,
    /// Gives up both its sides of a channel.
    Leave(usize),
    /// Lets others run.
    Yield,
}

#[derive(Clone, Debug)]
struct Case {
    /// Their capacities.
    channels: Vec<Option<usize>>,
    /// The steps of each task.
    tasks: Vec<Vec<Step>>,
    seed: u64,
}

fn arm() -> impl Strategy<Value = Arm> {
    prop_oneof![
        4 => any::<usize>().prop_map(Arm::Send),
        4 => any::<usize>().prop_map(Arm::Receive),
        1 => Just(Arm::Topic),
        1 => (0_u32..6).prop_map(Arm::After),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let arms = || prop::collection::vec(arm(), 1..6);
    let step = prop_oneof![
        8 => (arms(), 0_u32..10, any::<bool>())
            .prop_map(|(arms, limit, biased)| Step::Select { arms, limit, biased }),
        2 => arms().prop_map(Step::Try),
        1 => Just(Step::Publish),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => Just(Step::Yield),
    ];
    let capacity = prop_oneof![3 => Just(Some(0)), 2 => Just(Some(1)), 1 => Just(Some(3)), 1 => Just(None)];
    let tasks = prop::collection::vec(prop::collection::vec(step, 1..16), 2..6);
    (prop::collection::vec(capacity, 1..4), tasks, any::<u64>()).prop_map(|(channels, tasks, seed)| Case {
        channels,
        tasks,
        seed,
    })
}

/// What one task has seen: for each channel what it sent and received, in order.
#[derive(Default)]
struct Seen {
    sent: BTreeMap<usize, Vec<u64>>,
    received: BTreeMap<usize, Vec<u64>>,
    published: Vec<u64>,
}

/// A task's handles, and what it has seen.
struct Player {
    /// `None`: it has left.
    channels: Vec<Option<(Sender<u64>, Receiver<u64>)>>,
    topic: Topic<u64>,
    subscription: Subscription<u64>,
    /// All players share this one.
    shared: Receiver<Message<u64>>,
    unit: Duration,
    next: u64,
    seen: Seen,
}

impl Player {
    fn play(mut self, steps: &[Step]) -> Played {
        for step in steps {
            match step {
                Step::Select { arms, limit, biased } => self.select(arms, Some(*limit), *biased),
                Step::Try(arms) => self.select(arms, None, false),
                Step::Publish => {
                    assert!(self.topic.publish(self.next).is_ok());
                    self.seen.published.push(self.next);
                    self.next += 1;
                }
                Step::Leave(n) => {
                    let index = n % self.channels.len();
                    self.channels[index] = None;
                }
                Step::Yield => coroutine::yield_now(),
            }
        }
        (self.seen, self.subscription)
    }

    fn select(&mut self, arms: &[Arm], limit: Option<u32>, biased: bool) {
        let timers: Vec<(Instant, Receiver<Instant>)> = arms
            .iter()
            .map(|arm| if let Arm::After(units) = arm { self.unit * *units } else { Duration::ZERO })
            .map(|duration| (now() + duration, after(duration)))
            .collect();
        let mut select = if biased { Select::new_biased() } else { Select::new() };
        let mut operations = Vec::new();
        for (place, arm) in arms.iter().enumerate() {
            match *arm {
                Arm::Send(n) | Arm::Receive(n) => {
                    let index = n % self.channels.len();
                    let Some((sender, receiver)) = &self.channels[index] else { continue };
                    let _ =
                        if matches!(arm, Arm::Send(_)) { select.send(sender) } else { select.recv(receiver) };
                    operations.push((place, index));
                }
                Arm::Topic => {
                    select.recv(&self.shared);
                    operations.push((place, 0));
                }
                Arm::After(_) => {
                    select.recv(&timers[place].1);
                    operations.push((place, 0));
                }
            }
        }
        let chosen = match limit {
            Some(limit) => select.select_timeout(self.unit * limit).ok(),
            None => select.try_select().ok(),
        };
        let Some(operation) = chosen else { return };
        let (place, index) = operations[operation.index()];
        match arms[place] {
            Arm::Send(_) => {
                let (sender, _) = self.channels[index].as_ref().expect("it takes part in the select");
                operation.send(sender, self.next).expect("this task has a receiver");
                self.seen.sent.entry(index).or_default().push(self.next);
                self.next += 1;
            }
            Arm::Receive(_) => {
                let (_, receiver) = self.channels[index].as_ref().expect("it takes part in the select");
                let message = operation.recv(receiver).expect("this task has a sender");
                self.seen.received.entry(index).or_default().push(message);
            }
            Arm::Topic => {
                let message = *operation.recv(&self.shared).expect("this task has a handle");
                self.seen.received.entry(usize::MAX).or_default().push(message);
            }
            Arm::After(_) => {
                let (due, timer) = &timers[place];
                let moment = operation.recv(timer).expect("time goes on");
                assert!(moment >= *due && now() >= moment, "no timer is early");
            }
        }
    }
}

const MILLION: u64 = 1_000_000;

/// A task of a case.
type Body = Box<dyn FnOnce() -> Played + Send>;
type Played = (Seen, Subscription<u64>);

/// Plays a case; `start` starts a task.
fn play(case: &Case, unit: Duration, mut start: impl FnMut(Body) -> JoinHandle<Played>) {
    let channels: Vec<_> =
        case.channels.iter().map(|capacity| capacity.map_or_else(unbounded::<u64>, bounded)).collect();
    // Enough room for all: only subscribers that select take from the shared subscription.
    let topic = Topic::builder().capacity(1000).policy(Policy::Block).build();
    let shared = topic.subscribe();
    let rest: Vec<_> = channels.iter().map(|(_, receiver)| receiver.clone()).collect();
    // All subscribe before the first publishes.
    let players: Vec<Player> = (0..case.tasks.len() as u64)
        .map(|number| Player {
            channels: channels.iter().cloned().map(Some).collect(),
            topic: topic.clone(),
            subscription: topic.subscribe(),
            shared: shared.as_channel().clone(),
            unit,
            next: number * MILLION,
            seen: Seen::default(),
        })
        .collect();
    let players: Vec<_> = players
        .into_iter()
        .zip(&case.tasks)
        .map(|(player, steps)| {
            let steps = steps.clone();
            start(Box::new(move || player.play(&steps)))
        })
        .collect();
    drop((channels, topic));
    let (seen, subscriptions): (Vec<_>, Vec<_>) =
        players.into_iter().map(|player| player.join().unwrap_or_else(|error| panic!("{error}"))).unzip();

    for (index, rest) in rest.iter().enumerate() {
        let left: Vec<u64> = rest.iter().collect();
        check(&seen, index, seen.iter().filter_map(|seen| seen.sent.get(&index)), left);
    }
    let left: Vec<u64> = shared.iter().map(Message::into_inner).collect();
    check(&seen, usize::MAX, seen.iter().map(|seen| &seen.published), left);
    let mut everything: Vec<Vec<u64>> =
        subscriptions.into_iter().map(|own| own.iter().map(Message::into_inner).collect()).collect();
    everything.dedup();
    assert_eq!(everything.len(), 1, "every subscription has the same");
}

/// What was sent was received once, or is left; from each sender in order.
fn check<'a>(seen: &[Seen], index: usize, sent: impl Iterator<Item = &'a Vec<u64>>, left: Vec<u64>) {
    let parts = seen.iter().filter_map(|seen| seen.received.get(&index)).cloned().chain([left]);
    let parts: Vec<Vec<u64>> = parts.collect();
    for part in &parts {
        let mut last = BTreeMap::new();
        for message in part {
            let before = last.insert(message / MILLION, *message);
            assert!(before.is_none_or(|before| before < *message), "each sender's in order: {part:?}");
        }
    }
    let mut received = parts.concat();
    received.sort_unstable();
    let mut sent: Vec<u64> = sent.flatten().copied().collect();
    sent.sort_unstable();
    assert_eq!(received, sent, "channel {index}: nothing lost, nothing twice");
}

#[test]
fn selects_lose_nothing_on_any_schedule() {
    for_any(300, &case(), |case| {
        let builder =
            Runtime::builder().workers(1).clock(Clock::Virtual).schedule(Schedule::Seeded(case.seed));
        let runtime = builder.build().expect("a runtime can be built");
        runtime.run(|| play(&case, Duration::from_secs(1), coroutine::spawn::<Body, Played>));
    });
}

#[test]
fn selects_of_coroutines_and_threads_lose_nothing() {
    for_any(60, &case(), |case| {
        let runtime = Runtime::builder().workers(2).build().expect("a runtime can be built");
        let mut turn = case.seed;
        runtime.run(|| {
            play(&case, Duration::from_micros(20), |body| {
                turn = turn.rotate_left(1);
                if turn % 2 == 0 { coroutine::spawn(body) } else { thread::spawn(body) }
            });
        });
    });
}
