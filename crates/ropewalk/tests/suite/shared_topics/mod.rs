//! Topics in shared memory, between processes: what is published comes to everybody, whoever reads and how; and who is slow,
//! stopped or dead holds up nobody.

mod crashes;
mod deaths;
mod kills;
mod waiting;

use ropewalk::ipc::topic::{RecvError, Subscription, Topic};
use ropewalk::process;

use crate::rings::POLICIES;
use crate::support::messages::{Block, block, number_of};
use crate::support::{Plan, guarded, on_every_pair};

fn topic(capacity: usize, history: usize) -> Topic<Block> {
    Topic::builder().capacity(capacity).history(history).build().unwrap()
}

/// Everything, until the end.
fn all(subscription: &mut Subscription<Block>) -> Vec<u64> {
    subscription.iter().map(number_of).collect()
}

const PUBLISHED: u64 = 300;
/// More than all publish together: nobody misses anything.
const CAPACITY: usize = 4096;

/// By each plan: publishes so many messages, of which each says whose they are.
fn publish_all((mut first, topic): (u64, Topic<Block>)) {
    let tasks = [Plan::Coroutine, Plan::Thread].map(|plan| {
        let topic = topic.clone();
        first += PUBLISHED;
        plan.spawn(move || (first - PUBLISHED..first).for_each(|n| topic.publish(&block(n)).unwrap()))
    });
    drop(topic);
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// By each plan and in each way: everything that comes.
fn receive_all(subscription: Subscription<Block>) -> Vec<Vec<u64>> {
    let tasks = [Plan::Coroutine, Plan::Thread].map(|plan| {
        POLICIES.map(|policy| {
            let mut subscription = subscription.clone();
            subscription.set_wait_policy(policy);
            plan.spawn(move || {
                let got = all(&mut subscription);
                assert_eq!(subscription.missed(), 0);
                got
            })
        })
    });
    tasks.into_iter().flatten().map(|task| task.join().unwrap()).collect()
}

#[test]
fn what_is_published_comes_to_everybody_in_one_order() {
    on_every_pair(|_| {
        let topic = topic(CAPACITY, 0);
        let readers = [(); 2].map(|()| process::spawn(receive_all, topic.subscribe()).unwrap());
        let mut ours = topic.subscribe();
        let publishers = [0, 2 * PUBLISHED].map(|n| process::spawn(publish_all, (n, topic.clone())).unwrap());
        publish_all((4 * PUBLISHED, topic));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let got = all(&mut ours);
        for reader in readers {
            for theirs in reader.join().unwrap() {
                assert_eq!(theirs, got, "all see the same");
            }
        }
        for publisher in 0..6 {
            let of_one = got.iter().filter(|n| *n / PUBLISHED == publisher);
            assert!(of_one.is_sorted(), "the messages of one publisher overtake each other");
        }
        let mut got = got;
        got.sort_unstable();
        assert_eq!(got, (0..6 * PUBLISHED).collect::<Vec<_>>());
    });
}

#[test]
fn what_is_asked_comes_back_whoever_waits_and_how() {
    on_every_pair(|plan| {
        for (number, policy) in (0..).zip(POLICIES) {
            let (there, back) = (topic(4, 0), topic(4, 0));
            let (theirs, mut answers) = (there.subscribe(), back.subscribe());
            answers.set_wait_policy(policy);
            let echo = |(number, mut questions, answers): (u8, Subscription<Block>, Topic<Block>)| {
                questions.set_wait_policy(POLICIES[usize::from(number)]);
                questions.iter().for_each(|question| answers.publish(&question).unwrap());
            };
            let other = process::spawn(echo, (number, theirs, back)).unwrap();
            let ask = plan.spawn(move || {
                for n in 0..200 {
                    there.publish(&block(n)).unwrap();
                    assert_eq!(number_of(answers.recv().unwrap()), n);
                }
                drop(there);
                assert_eq!(answers.recv(), Err(RecvError::Closed));
            });
            ask.join().unwrap();
            other.join().unwrap();
        }
    });
}

#[test]
fn who_comes_late_gets_the_history_wherever_it_comes() {
    guarded(|| {
        let topic = topic(8, 2);
        (0..5).for_each(|n| topic.publish(&block(n)).unwrap());
        let late = |topic: Topic<Block>| {
            let mut subscription = topic.subscribe();
            topic.publish(&block(5)).unwrap();
            drop(topic);
            [(); 3].map(|()| number_of(subscription.recv().unwrap()))
        };
        assert_eq!(process::spawn(late, topic.clone()).unwrap().join().unwrap(), [3, 4, 5]);
        let mut here = topic.subscribe();
        drop(topic);
        assert_eq!(all(&mut here), [4, 5]);
    });
}

#[test]
fn a_subscription_takes_what_is_before_it_to_another_process_and_back() {
    guarded(|| {
        let topic = topic(4, 0);
        let mut here = topic.subscribe();
        (0..3).for_each(|n| topic.publish(&block(n)).unwrap());
        assert_eq!(here.recv().map(number_of), Ok(0));
        let one = |mut there: Subscription<Block>| (number_of(there.recv().unwrap()), there);
        let (n, mut back) = process::spawn(one, here.clone()).unwrap().join().unwrap();
        assert_eq!(n, 1);
        (3..9).for_each(|n| topic.publish(&block(n)).unwrap());
        drop(topic);
        assert_eq!(back.recv(), Err(RecvError::Lagged(3)));
        assert_eq!(all(&mut back), [5, 6, 7, 8]);
        assert_eq!(here.recv(), Err(RecvError::Lagged(4)));
        assert_eq!((all(&mut here), here.missed()), (vec![5, 6, 7, 8], 4));
    });
}
