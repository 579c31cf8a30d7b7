//! Topics over connections: everybody gets everything, who is slow holds up nobody, and knows what he missed.

use std::io::ErrorKind;

use ropewalk::inspect::State;
use ropewalk::ipc::remote::{self, Builder, RecvError, Subscription};
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::topic::{Policy, Topic};
use ropewalk::{JoinHandle, coroutine, process};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::net::{listener, pair};
use crate::support::{on_every_plan, until};

/// A subscription over a connection, and the task that serves it.
fn subscribed<T>(topic: &Topic<T>) -> (Subscription<T>, JoinHandle<std::io::Result<()>>)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let (near, far) = pair();
    let served = topic.clone();
    let small = Builder::new().capacity(1);
    let server = coroutine::spawn({
        let small = small.clone();
        move || small.serve_topic(&served, far)
    });
    let before = topic.subscriber_count();
    let subscription = small.subscribe(topic.name().unwrap_or_default(), near).unwrap();
    // It has subscribed when the topic says so: from then on it gets all.
    until(|| topic.subscriber_count() > before);
    (subscription, server)
}

#[test]
fn every_subscriber_gets_every_message_in_order_and_then_the_end() {
    on_every_plan(|plan| {
        let topic = Topic::<u32>::builder().capacity(1000).build();
        let subscriptions: Vec<_> = (0..3).map(|_| subscribed(&topic)).collect();
        let publishing = plan.spawn({
            let topic = topic.clone();
            move || {
                (0..500).for_each(|n| assert_eq!(topic.publish(n), Ok(3)));
                topic.close();
            }
        });
        for (subscription, server) in subscriptions {
            assert!(subscription.iter().map(Result::unwrap).eq(0..500));
            assert!(subscription.recv().unwrap_err().is_closed());
            assert_eq!(subscription.missed(), 0);
            server.join().unwrap().unwrap();
        }
        publishing.join().unwrap();
    });
}

#[test]
fn who_comes_late_gets_the_history_first() {
    on_every_plan(|_| {
        let topic = Topic::<String>::builder().history(2).build();
        for news in ["one", "two", "three"] {
            topic.publish(news.into()).unwrap();
        }
        let (subscription, server) = subscribed(&topic);
        topic.publish("four".into()).unwrap();
        for news in ["two", "three", "four"] {
            assert_eq!(subscription.recv().unwrap(), news);
        }
        drop(subscription);
        server.join().unwrap().unwrap();
        until(|| topic.subscriber_count() == 0);
    });
}

/// Publishes until it is certain that messages are missed: more than the topic, the queues and the kernel take.
fn flood(topic: &Topic<Vec<u32>>) -> u32 {
    (0..400).for_each(|n| {
        topic.publish(vec![n; 30_000]).unwrap();
        // Who passes them on is to have its chance.
        coroutine::yield_now();
    });
    400
}

#[test]
fn who_is_slow_holds_up_nobody_and_is_told_how_many_it_missed() {
    on_every_plan(|_| {
        let topic = Topic::<Vec<u32>>::builder().capacity(4).build();
        let (subscription, server) = subscribed(&topic);
        let published = flood(&topic);
        topic.close();
        let (mut received, mut missed, mut next) = (0, 0, 0);
        loop {
            match subscription.recv() {
                Ok(message) => {
                    assert!(message.iter().all(|n| *n == next), "{} instead of {next}", message[0]);
                    received += 1;
                    next += 1;
                }
                Err(RecvError::Lagged(count)) => {
                    missed += count;
                    next += count as u32;
                }
                Err(RecvError::Closed) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(missed > 0, "it was not slow");
        assert_eq!((received + missed, next), (u64::from(published), published), "{missed} were missed");
        assert_eq!(subscription.missed(), missed);
        server.join().unwrap().unwrap();
    });
}

#[test]
fn who_is_too_slow_for_the_policy_is_disconnected_and_told() {
    on_every_plan(|_| {
        let topic = Topic::<Vec<u32>>::builder().capacity(4).policy(Policy::Disconnect).build();
        let (subscription, server) = subscribed(&topic);
        flood(&topic);
        let end = loop {
            if let Err(error) = subscription.recv() {
                break error;
            }
        };
        assert!(matches!(end, RecvError::TooSlow), "{end}");
        server.join().unwrap().unwrap();
        assert!(!topic.is_closed());
    });
}

#[test]
fn a_subscriber_that_is_killed_holds_up_nobody() {
    on_every_plan(|_| {
        let (listener, address) = listener();
        let topic = Topic::<Vec<u32>>::builder().capacity(4).history(1).build();
        topic.publish(vec![0]).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        // It reads one, says so, and then nothing any more.
        let read_one = |(port, here): (u16, UnixStream)| -> () {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let subscription = remote::subscribe::<Vec<u32>>("", stream).unwrap();
            subscription.recv().unwrap();
            let (sender, _) = remote::over::<u32, ()>(here).unwrap();
            sender.send(std::process::id()).unwrap();
            loop {
                std::thread::park();
            }
        };
        let process = process::spawn(read_one, (address.port(), far)).unwrap();
        let served = topic.clone();
        let server = coroutine::spawn(move || remote::serve_topic(&served, listener.accept().unwrap().0));
        let (_, heard) = remote::over::<(), u32>(near).unwrap();
        let pid = Pid::from_raw(heard.recv().unwrap() as i32).unwrap();
        let (other, _others) = subscribed(&topic);
        flood(&topic);
        kill_process(pid, Signal::KILL).unwrap();
        let error = server.join().unwrap().unwrap_err();
        let kinds = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert!(process.join().is_err());
        flood(&topic);
        topic.close();
        assert!(other.iter().all(|message| message.is_ok()), "the other one goes on");
    });
}

#[test]
fn another_name_another_type_and_a_policy_that_waits_are_refused() {
    on_every_plan(|_| {
        let named = |name: &str| Topic::<u32>::named(name).unwrap();
        let wrong_name = |theirs: &'static str, ours: &str| {
            let (near, far) = pair();
            let topic = named(theirs);
            let server = coroutine::spawn(move || remote::serve_topic(&topic, far));
            let error = remote::subscribe::<u32>(ours, near).unwrap_err();
            assert!(error.to_string().contains(theirs), "{error}");
            assert!(server.join().unwrap().unwrap_err().to_string().contains(ours));
        };
        wrong_name("remote, prices", "remote, weather");
        let (near, far) = pair();
        let topic = Topic::<u32>::new();
        let server = coroutine::spawn(move || remote::serve_topic(&topic, far));
        let error = remote::subscribe::<String>("", near).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("u32") && error.to_string().contains("text"), "{error}");
        assert!(server.join().unwrap().is_err());
        let waits = Topic::<u32>::builder().policy(Policy::Block).build();
        let error = remote::serve_topic(&waits, pair().0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        // A channel is no topic.
        let (near, far) = pair();
        let channel = coroutine::spawn(move || remote::over::<u32, ()>(far).map(drop));
        assert!(remote::subscribe::<u32>("", near).is_err());
        assert!(channel.join().unwrap().is_err());
    });
}

#[test]
fn a_topic_ends_when_who_serves_it_is_cancelled() {
    on_every_plan(|_| {
        let topic = Topic::<u32>::builder().history(1).build();
        topic.publish(7).unwrap();
        let (subscription, server) = subscribed(&topic);
        assert_eq!(subscription.recv().unwrap(), 7);
        until(|| matches!(server.task().state(), State::Blocked(_)));
        server.cancel();
        assert!(server.join().unwrap_err().is_cancelled());
        assert!(subscription.recv().unwrap_err().is_closed());
        assert!(subscription.try_recv().unwrap_err().is_closed());
    });
}
