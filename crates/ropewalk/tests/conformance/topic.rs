//! `topic`: publish and subscribe, by name and without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::channel::{RecvError as Disconnected, Select, SendError, TrySendError, bounded, never, select};
use ropewalk::topic::{Message, OpenError, Policy, RecvError, RecvTimeoutError, Topic, TryRecvError};
use ropewalk_sync::park::WaitReason::{Select as Selecting, TopicPublish, TopicReceive};

use crate::support::{End, LONG, Numbers, Task, elapse, on_every_plan};

const POLICIES: [Policy; 3] = [Policy::DropOldest, Policy::Block, Policy::Disconnect];

/// A topic with little room, whose publishers wait.
fn narrow(capacity: usize) -> Topic<u32> {
    Topic::builder().capacity(capacity).policy(Policy::Block).build()
}

fn values(messages: impl IntoIterator<Item = Message<u32>>) -> Vec<u32> {
    messages.into_iter().map(Message::into_inner).collect()
}

/// A name that no other run of a test uses: names are those of the whole process.
fn name() -> String {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    format!("conformance {}", RUNS.fetch_add(1, Relaxed))
}

#[test]
fn every_subscriber_gets_the_messages_of_all_publishers_in_one_order() {
    const MESSAGES: u32 = 100;
    on_every_plan(|plans| {
        for policy in POLICIES {
            let capacity = if policy == Policy::Block { 2 } else { 1000 };
            let topic = Topic::builder().capacity(capacity).policy(policy).build();
            let subscribers: Vec<_> = (0..5)
                .map(|_| {
                    let subscription = topic.subscribe();
                    plans.spawn(move || (values(&subscription), subscription.recv(), subscription.missed()))
                })
                .collect();
            let publishers: Vec<_> = (0..3)
                .map(|own| {
                    let topic = topic.clone();
                    plans.spawn(move || {
                        (0..MESSAGES).for_each(|n| assert!(topic.publish(own * MESSAGES + n).is_ok()))
                    })
                })
                .collect();
            publishers.into_iter().for_each(Task::value);
            drop(topic);
            let mut seen: Vec<_> = subscribers.into_iter().map(Task::value).collect();
            assert!(seen.iter().all(|other| *other == seen[0]), "{policy:?}: one order for all");
            let (mut messages, end, missed) = seen.remove(0);
            assert_eq!((end, missed), (Err(RecvError::Closed), 0));
            let mut last = BTreeMap::new();
            for n in &messages {
                assert!(
                    last.insert(n / MESSAGES, *n).is_none_or(|before| before < *n),
                    "as it was published"
                );
            }
            messages.sort_unstable();
            assert!(messages.into_iter().eq(0..3 * MESSAGES), "{policy:?}: each once");
        }
    });
}

#[test]
fn who_comes_late_gets_the_history_and_no_more() {
    on_every_plan(|_| {
        for history in 0..5 {
            let topic = Topic::builder().capacity(3).history(history).build();
            assert_eq!(topic.capacity(), history.max(3));
            for n in 0..3 {
                assert_eq!(topic.publish(n), Ok(0), "nobody is there, and that is no error");
            }
            assert_eq!(topic.len(), history.min(3), "nothing else is kept");
            let late = topic.subscribe();
            let expected: Vec<u32> = (0..3).rev().take(history).rev().collect();
            assert_eq!((late.len(), values(late.try_iter())), (expected.len(), expected.clone()));
            topic.publish(3).unwrap();
            assert_eq!((late.try_recv().as_deref(), late.missed()), (Ok(&3), 0));
            topic.close();
            let last = topic.subscribe();
            let expected: Vec<u32> = (0..4).rev().take(history).rev().collect();
            assert_eq!((values(&last), last.recv()), (expected, Err(RecvError::Closed)));
        }
    });
}

#[test]
fn a_publisher_waits_for_who_has_come_late_too() {
    on_every_plan(|plans| {
        let topic = Topic::builder().capacity(2).policy(Policy::Block).history(2).build();
        for n in 0..10 {
            topic.publish(n).unwrap();
        }
        let late = topic.subscribe();
        assert_eq!(topic.try_publish(10), Err(TrySendError::Full(10)));
        let publishes = topic.clone();
        let publisher = plans.waiting(TopicPublish, move || publishes.publish(10));
        assert_eq!(late.recv().as_deref(), Ok(&8));
        assert_eq!(publisher.value(), Ok(1));
        assert_eq!(values(late.try_iter()), [9, 10]);
    });
}

#[test]
fn a_slow_subscriber_is_told_how_many_it_missed_and_an_iteration_leaves_them_out() {
    on_every_plan(|_| {
        let topic = Topic::builder().capacity(3).build();
        let (slow, iterating, quick) = (topic.subscribe(), topic.subscribe(), topic.subscribe());
        for n in 0..5 {
            assert_eq!(topic.publish(n), Ok(3));
            assert_eq!(quick.try_recv().as_deref(), Ok(&n));
        }
        assert_eq!((topic.len(), slow.len(), quick.len()), (3, 3, 0));
        assert_eq!((slow.missed(), quick.missed()), (2, 0));
        assert_eq!(slow.recv(), Err(RecvError::Lagged(2)));
        assert_eq!(values(slow.try_iter()), [2, 3, 4]);
        assert_eq!((slow.try_recv(), slow.missed()), (Err(TryRecvError::Empty), 2));
        assert_eq!((values(iterating.try_iter()), iterating.missed()), (vec![2, 3, 4], 2));
        assert!(topic.is_empty(), "what all have received is not kept");
        assert_eq!(slow.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(slow.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    });
}

#[test]
fn publishers_are_served_in_the_order_in_which_they_came() {
    on_every_plan(|plans| {
        let topic = narrow(1);
        let (slow, quick) = (topic.subscribe(), topic.subscribe());
        topic.publish(0).unwrap();
        let publishers: Vec<_> = (1..4)
            .map(|n| {
                let topic = topic.clone();
                plans.waiting(TopicPublish, move || topic.publish(n))
            })
            .collect();
        publishers[1].cancel();
        for publisher in &publishers {
            publisher.disturb();
        }
        assert_eq!(values(quick.try_iter()), [0], "the slow one holds the others up");
        assert_eq!(topic.try_publish(9), Err(TrySendError::Full(9)));
        assert!(topic.publish_timeout(9, Duration::ZERO).unwrap_err().is_timeout());
        assert!(topic.publish_deadline(9, Instant::now()).unwrap_err().is_timeout());
        let ends: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(place, publisher)| {
                if place == 1 {
                    return publisher.join();
                }
                assert!(slow.recv().is_ok());
                drop(quick.try_recv());
                publisher.join()
            })
            .collect();
        assert_eq!(ends, [End::Returned(Ok(2)), End::Cancelled, End::Returned(Ok(2))]);
        assert_eq!(slow.recv().as_deref(), Ok(&3), "each was let in for one that both had taken");
    });
}

#[test]
fn the_message_of_a_publisher_that_is_let_in_wakes_who_waits_for_it() {
    on_every_plan(|plans| {
        let topic = narrow(1);
        let (slow, quick) = (topic.subscribe(), topic.subscribe());
        topic.publish(0).unwrap();
        assert_eq!(quick.recv().as_deref(), Ok(&0));
        let publishes = topic.clone();
        let publisher = plans.waiting(TopicPublish, move || publishes.publish(1));
        let waits = plans.waiting(TopicReceive, move || quick.recv().map(Message::into_inner));
        assert_eq!(slow.recv().as_deref(), Ok(&0));
        assert_eq!((waits.value(), publisher.value()), (Ok(1), Ok(2)));
    });
}

#[test]
fn a_subscriber_that_goes_holds_nobody_up() {
    on_every_plan(|plans| {
        let topic = narrow(2);
        let (slow, quick) = (topic.subscribe(), topic.subscribe());
        topic.publish(0).unwrap();
        topic.publish(1).unwrap();
        let publishers: Vec<_> = (2..4)
            .map(|n| {
                let topic = topic.clone();
                plans.waiting(TopicPublish, move || topic.publish(n))
            })
            .collect();
        assert_eq!(values(quick.try_iter()), [0, 1]);
        drop(slow);
        for publisher in publishers {
            assert_eq!(publisher.value(), Ok(1), "both, at once");
        }
        assert_eq!(values(quick.try_iter()), [2, 3]);
        topic.publish(4).unwrap();
        topic.publish(5).unwrap();
        let publishes = topic.clone();
        let publisher = plans.waiting(TopicPublish, move || publishes.publish(6));
        drop(quick);
        assert_eq!((publisher.value(), topic.subscriber_count(), topic.len()), (Ok(0), 0, 0));
    });
}

#[test]
fn a_subscriber_that_is_too_slow_is_disconnected_where_the_policy_says_so() {
    on_every_plan(|_| {
        let topic = Topic::builder().capacity(2).policy(Policy::Disconnect).build();
        let (slow, selecting, quick) = (topic.subscribe(), topic.subscribe(), topic.subscribe());
        for n in 0..3 {
            topic.publish(n).unwrap();
            assert_eq!(quick.recv().as_deref(), Ok(&n));
        }
        assert_eq!(select! { recv(selecting.as_channel()) -> message => message }, Err(Disconnected));
        assert_eq!(selecting.recv(), Err(RecvError::TooSlow));
        assert_eq!(slow.recv(), Err(RecvError::TooSlow));
        assert_eq!(slow.try_recv(), Err(TryRecvError::TooSlow));
        assert_eq!(slow.recv_timeout(LONG), Err(RecvTimeoutError::TooSlow));
        assert_eq!((values(&slow), slow.len(), slow.missed()), (vec![], 0, 1));
        assert_eq!((topic.subscriber_count(), topic.len()), (1, 0));
        drop(slow);
        assert_eq!(topic.subscriber_count(), 1);
    });
}

#[test]
fn a_cancelled_wait_has_published_nothing_and_taken_nothing() {
    on_every_plan(|plans| {
        let topic = narrow(1);
        let subscription = Arc::new(topic.subscribe());
        topic.publish(1).unwrap();
        let publishes = topic.clone();
        let publisher = plans.waiting(TopicPublish, move || publishes.publish(2));
        publisher.cancel();
        assert_eq!(publisher.join(), End::Cancelled);
        assert_eq!(values(subscription.try_iter()), [1]);

        let waits = subscription.clone();
        let subscriber = plans.waiting(TopicReceive, move || waits.recv());
        subscriber.cancel();
        assert_eq!(subscriber.join(), End::Cancelled);
        elapse(|| subscription.recv());
        topic.publish(3).unwrap();
        assert_eq!(values(subscription.try_iter()), [3]);
        topic.publish(4).unwrap();
        elapse(|| topic.publish(5));
        assert_eq!(values(subscription.try_iter()), [4]);
    });
}

#[test]
fn a_destructor_of_a_cancelled_task_hears_of_it_as_an_error() {
    struct Says(Topic<u32>, Arc<AtomicUsize>);
    impl Drop for Says {
        fn drop(&mut self) {
            let told =
                self.0.publish(7) == Err(SendError(7)) && self.0.subscribe().recv() == Err(RecvError::Closed);
            self.1.store(1 + usize::from(told), Relaxed);
        }
    }
    on_every_plan(|plans| {
        let topic = narrow(1);
        let subscription = topic.subscribe();
        topic.publish(1).unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let says = Says(topic.clone(), told.clone());
        let task = plans.waiting(TopicPublish, move || says.0.publish(2));
        task.cancel();
        assert_eq!((task.join(), told.load(Relaxed)), (End::Cancelled, 2));
        assert_eq!(values(subscription.try_iter()), [1]);
    });
}

#[test]
fn a_topic_that_is_closed_ends_for_all() {
    on_every_plan(|plans| {
        let topic = narrow(1);
        let (slow, quick) = (topic.subscribe(), Arc::new(topic.subscribe()));
        topic.publish(1).unwrap();
        assert_eq!(quick.recv().as_deref(), Ok(&1));
        let (publishes, waits, selects) = (topic.clone(), quick.clone(), quick.clone());
        let publisher = plans.waiting(TopicPublish, move || publishes.publish(2));
        let subscriber = plans.waiting(TopicReceive, move || waits.recv());
        let selecting =
            plans.waiting(Selecting, move || select! { recv(selects.as_channel()) -> message => message });
        topic.close();
        topic.close();
        assert_eq!(publisher.value(), Err(SendError(2)), "it comes back");
        assert_eq!(subscriber.value(), Err(RecvError::Closed));
        assert_eq!(selecting.value(), Err(Disconnected));
        assert_eq!(topic.try_publish(3), Err(TrySendError::Disconnected(3)));
        assert!(topic.is_closed());
        assert_eq!((slow.recv().as_deref(), slow.recv()), (Ok(&1), Err(RecvError::Closed)), "what was there");
    });
}

#[test]
fn without_a_name_a_topic_ends_with_its_last_handle_and_with_one_it_does_not() {
    on_every_plan(|plans| {
        let topic = Topic::<u32>::new();
        let (subscription, other) = (topic.subscribe(), topic.clone());
        drop(topic);
        let subscriber = plans.waiting(TopicReceive, move || subscription.recv());
        drop(other);
        assert_eq!(subscriber.value(), Err(RecvError::Closed));

        let name = name();
        let subscription = Topic::<u32>::named(&name).unwrap().subscribe();
        let subscriber = plans.waiting(TopicReceive, move || subscription.recv().map(Message::into_inner));
        assert_eq!(Topic::named(&name).unwrap().publish(5_u32), Ok(1), "somebody came");
        assert_eq!(subscriber.value(), Ok(5));
    });
}

#[test]
fn a_name_is_one_topic_for_all_until_nobody_has_it() {
    on_every_plan(|plans| {
        let name = Arc::new(name());
        let topic = Topic::<u32>::builder().history(1).named(&name).unwrap();
        topic.publish(1).unwrap();
        let its = name.clone();
        let finds = plans.spawn(move || Topic::<u32>::named(&its).unwrap());
        let found = finds.value();
        assert!(found.same_topic(&topic) && found.name() == Some(name.as_str()));
        let error = Topic::<String>::named(&name).unwrap_err();
        let (exists, wanted) = ("u32", "alloc::string::String");
        assert_eq!(error, OpenError::Type { name: name.as_str().into(), exists, wanted });

        let subscription = found.subscribe();
        drop((topic, found));
        let again = Topic::<u32>::named(&name).unwrap();
        assert_eq!(again.subscriber_count(), 1, "a subscription keeps it");
        assert_eq!(values(subscription.try_iter()), [1]);
        drop((subscription, again));
        let other = Topic::<String>::named(&name).expect("the name is free, for any type");
        assert_eq!(other.subscriber_count(), 0);
        other.close();
        let another = Topic::<u32>::named(&name).expect("a closed topic has no name any more");
        other.close();
        assert!(Topic::<u32>::named(&name).unwrap().same_topic(&another), "and takes no other's name away");
    });
}

#[test]
fn who_opens_a_topic_first_need_not_know_how_it_is_to_be() {
    on_every_plan(|plans| {
        let name = name();
        let subscription = Topic::<u32>::named(&name).unwrap().subscribe();
        let plain = Topic::<u32>::named(&name).unwrap();
        assert_eq!((plain.capacity(), plain.policy()), (64, Policy::DropOldest));
        (0..10).for_each(|n| assert_eq!(plain.publish(n), Ok(1)));
        let topic = Topic::<u32>::builder().capacity(2).named(&name).unwrap();
        assert_eq!((topic.capacity(), topic.len(), subscription.missed()), (2, 2, 8), "it has no more room");
        let topic = Topic::<u32>::builder().capacity(2).policy(Policy::Block).named(&name).unwrap();
        assert_eq!(topic.policy(), Policy::Block);
        let publisher = plans.waiting(TopicPublish, move || topic.publish(10));
        let error = Topic::<u32>::builder().capacity(3).named(&name).unwrap_err();
        assert_eq!(error.to_string(), format!("the topic {name:?} has capacity 2, not 3"));
        let error = Topic::<u32>::builder().policy(Policy::DropOldest).named(&name).unwrap_err();
        assert_eq!(error.to_string(), format!("the topic {name:?} has policy Block, not DropOldest"));
        Topic::<u32>::builder().history(3).named(&name).unwrap();
        assert_eq!(publisher.value(), Ok(1), "a history of 3 is room for 3");
        assert_eq!((values(subscription.try_iter()), plain.len()), (vec![8, 9, 10], 3));
    });
}

#[test]
fn a_subscription_is_an_operation_of_a_select() {
    on_every_plan(|plans| {
        let (topic, silent) = (Topic::<u32>::new(), Topic::<u32>::new());
        let (subscription, nothing) = (topic.subscribe(), silent.subscribe());
        let (_sender, receiver) = bounded::<u32>(1);
        let task = plans.waiting(Selecting, move || {
            select! {
                recv(receiver) -> _ => unreachable!(),
                recv(nothing.as_channel()) -> _ => unreachable!(),
                recv(subscription.as_channel()) -> message => message.map(Message::into_inner),
            }
        });
        task.disturb();
        topic.publish(3).unwrap();
        assert_eq!(task.value(), Ok(3));

        let subscription = topic.subscribe();
        topic.publish(4).unwrap();
        topic.publish(5).unwrap();
        let channel = subscription.as_channel();
        assert_eq!((channel.len(), channel.capacity(), channel.is_full()), (2, Some(64), false));
        assert!(channel.same_channel(&channel.clone()) && !channel.same_channel(&never()));
        let mut select = Select::new();
        select.recv(channel);
        assert_eq!(select.try_ready(), Ok(0));
        let operation = select.try_select().unwrap();
        assert_eq!(subscription.len(), 2, "it is promised, not yet taken");
        assert_eq!(values(subscription.try_iter()), [4], "who comes now gets what is not promised: the next");
        assert_eq!(operation.recv(channel).as_deref(), Ok(&5));
        assert!(select.try_select().is_err() && select.try_ready().is_err());
    });
}

#[test]
fn a_select_that_is_cancelled_or_dropped_has_taken_nothing() {
    on_every_plan(|plans| {
        let topic = Topic::<u32>::new();
        let subscription = Arc::new(topic.subscribe());
        let selects = subscription.clone();
        let task = plans.waiting(Selecting, move || {
            select! {
                recv(selects.as_channel()) -> message => message,
                recv(never()) -> message => message,
            }
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        topic.publish(1).unwrap();
        let selects = subscription.clone();
        let task = plans.spawn(move || {
            let mut select = Select::new();
            select.recv(selects.as_channel());
            let promised = select.select();
            // Unwinds with it: it gives back what it was promised.
            std::panic::resume_unwind(Box::new(promised.index()));
        });
        assert_eq!(task.join(), End::<()>::Panicked);
        assert_eq!(values(subscription.try_iter()), [1]);

        topic.publish(2).unwrap();
        let mut select = Select::new();
        select.recv(subscription.as_channel());
        let promised = select.select();
        let waits = subscription.clone();
        let task = plans.waiting(TopicReceive, move || waits.recv().map(Message::into_inner));
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(promised)));
        assert!(dropped.is_err(), "it has to be ended");
        assert_eq!(task.value(), Ok(2), "who waits is told that it was given back");
    });
}

#[test]
fn of_those_who_share_a_subscription_each_message_goes_to_one() {
    const MESSAGES: u32 = 200;
    on_every_plan(|plans| {
        let topic = narrow(3);
        let (shared, alone) = (Arc::new(topic.subscribe()), topic.subscribe());
        let sharers: Vec<_> = (0..4)
            .map(|n| {
                let shared = shared.clone();
                plans.spawn(move || match n % 3 {
                    0 => values(&*shared),
                    1 => {
                        let (mut own, channel) = (Vec::new(), shared.as_channel());
                        while let Ok(message) = select! {
                            recv(channel) -> message => message,
                            recv(never()) -> message => message,
                        } {
                            own.push(*message);
                        }
                        own
                    }
                    _ => values(shared.as_channel().clone()),
                })
            })
            .collect();
        let other = plans.spawn(move || values(alone));
        (0..MESSAGES).for_each(|n| assert_eq!(topic.publish(n), Ok(2)));
        drop(topic);
        let parts: Vec<_> = sharers.into_iter().map(Task::value).collect();
        assert!(parts.iter().all(|part| part.is_sorted()));
        let mut together = parts.concat();
        together.sort_unstable();
        assert!(together.into_iter().eq(0..MESSAGES));
        assert!(other.value().into_iter().eq(0..MESSAGES), "each message goes to every subscription");
    });
}

#[test]
fn messages_are_shared_not_cloned_and_none_is_kept() {
    struct Counted(Arc<()>);
    on_every_plan(|_| {
        let count = Arc::new(());
        let topic = Topic::builder().history(1).build();
        let (first, second) = (topic.subscribe(), topic.subscribe());
        assert!(topic.publish(Counted(count.clone())).is_ok());
        let (one, same) = (first.recv().unwrap(), second.recv().unwrap());
        assert!(std::ptr::eq(&raw const one.0, &raw const same.0));
        assert!(topic.publish(Counted(count.clone())).is_ok());
        drop((one, same, first));
        assert_eq!(Arc::strong_count(&count), 2, "the last is kept");
        assert!(topic.publish(Counted(count.clone())).is_ok());
        assert_eq!(Arc::strong_count(&count), 3, "and what the second has before it");
        drop(second);
        assert_eq!(Arc::strong_count(&count), 2);
        drop(topic);
        assert_eq!(Arc::strong_count(&count), 1);
    });
}

/// Publishers, subscribers that come and go, shared and alone, some cancelled, in one run: a subscriber has a part of the
/// stream without a gap, and the stream goes on.
#[test]
fn nothing_is_missed_while_others_come_and_go_and_are_cancelled() {
    on_every_plan(|plans| {
        let topic = narrow(4);
        let anchor = topic.subscribe();
        let everything = plans.spawn(move || values(&anchor));
        let publishers: Vec<_> = (0..3)
            .map(|own| {
                let topic = topic.clone();
                plans.spawn(move || {
                    for n in 0..200 {
                        topic.publish(own * 1000 + n).unwrap();
                    }
                })
            })
            .collect();
        let mut numbers = Numbers(7);
        let passers: Vec<_> = (0..12)
            .map(|n| {
                let (topic, limit) = (topic.clone(), 1 + numbers.below(60) as usize);
                plans.spawn(move || {
                    let subscription = topic.subscribe();
                    let taken = values(subscription.iter().take(limit));
                    if n % 3 == 0 {
                        // Cancelled here, or later, or done.
                        drop(subscription.iter().last());
                    }
                    taken
                })
            })
            .collect();
        for passer in passers.iter().step_by(3) {
            passer.cancel();
        }
        publishers.into_iter().for_each(Task::value);
        topic.close();
        let everything = everything.value();
        assert_eq!(everything.len(), 600);
        for passer in passers {
            let End::Returned(taken) = passer.join() else { continue };
            let start = taken.first().and_then(|first| everything.iter().position(|n| n == first));
            let part = &everything[start.unwrap_or(0)..][..taken.len()];
            assert_eq!(taken, part, "a part of what there was, without a gap");
        }
        assert_eq!((topic.subscriber_count(), topic.len()), (0, 0));
    });
}
