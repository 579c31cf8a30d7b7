//! Topics and broadcasts against a model: all messages that were ever published, and a number for each subscriber.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use ropewalk::channel::TrySendError;
use ropewalk::sync::broadcast;
use ropewalk::topic::{Message, Policy, RecvError, Subscription, Topic, TryRecvError};

use super::for_any;

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    Subscribe,
    /// One of the subscribers, whichever this comes to, ..
    Receive(usize),
    /// .. leaves out what it has missed,
    Skip(usize),
    /// .. has as many before it as the model says,
    Count(usize),
    /// .. goes.
    Leave(usize),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Publish),
        2 => Just(Step::Subscribe),
        6 => any::<usize>().prop_map(Step::Receive),
        2 => any::<usize>().prop_map(Step::Skip),
        2 => any::<usize>().prop_map(Step::Count),
        1 => any::<usize>().prop_map(Step::Leave),
    ];
    let end =
        prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![Step::Close, Step::Publish, Step::Subscribe])];
    // What is still there is received at the end.
    let rest = prop::collection::vec(any::<usize>().prop_map(Step::Receive), 0..20);
    (prop::collection::vec(step, 0..80), end, rest).prop_map(|(steps, end, rest)| [steps, end, rest].concat())
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::DropOldest), Just(Policy::Block), Just(Policy::Disconnect)]
}

struct Model {
    room: u64,
    policy: Policy,
    history: u64,
    /// How many messages were published; they are their own numbers.
    published: u64,
    closed: bool,
    subscribers: Vec<Place>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    next: u64,
    missed: u64,
    disconnected: bool,
}

impl Model {
    /// The oldest message that can still be there.
    fn oldest(&self) -> u64 {
        if self.policy == Policy::Block { 0 } else { self.published.saturating_sub(self.room) }
    }

    /// The first message that is kept.
    fn first(&self) -> u64 {
        let places = self.subscribers.iter().filter(|place| !place.disconnected).map(|place| place.next);
        let kept = self.published.saturating_sub(self.history);
        self.oldest().max(places.min().unwrap_or(kept).min(kept))
    }

    fn is_full(&self) -> bool {
        let slowest = self.subscribers.iter().map(|place| place.next).min().unwrap_or(self.published);
        self.policy == Policy::Block && self.published - slowest >= self.room
    }

    fn active(&self) -> usize {
        self.subscribers.iter().filter(|place| !place.disconnected).count()
    }

    fn subscribe(&mut self) {
        let next = self.oldest().max(self.published.saturating_sub(self.history));
        self.subscribers.push(Place { next, ..Place::default() });
    }

    fn receive(&mut self, index: usize, skip: bool) -> Result<u64, TryRecvError> {
        let oldest = self.oldest();
        let place = &mut self.subscribers[index];
        if place.disconnected {
            return Err(TryRecvError::TooSlow);
        }
        let lag = oldest.saturating_sub(place.next);
        place.missed += lag;
        place.next += lag;
        if lag > 0 && self.policy == Policy::Disconnect {
            place.disconnected = true;
            return Err(TryRecvError::TooSlow);
        }
        if lag > 0 && !skip {
            return Err(TryRecvError::Lagged(lag));
        }
        if place.next == self.published {
            return Err(if self.closed { TryRecvError::Closed } else { TryRecvError::Empty });
        }
        place.next += 1;
        Ok(place.next - 1)
    }

    /// How many messages are before it, and how many it has missed.
    fn count(&self, index: usize) -> (usize, u64) {
        let place = self.subscribers[index];
        if place.disconnected {
            return (0, place.missed);
        }
        let lag = self.oldest().saturating_sub(place.next);
        ((self.published - place.next - lag) as usize, place.missed + lag)
    }
}

fn check_topic(capacity: usize, policy: Policy, history: usize, steps: &[Step]) {
    let topic = Topic::builder().capacity(capacity).policy(policy).history(history).build();
    let mut subscriptions: Vec<Subscription<u64>> = Vec::new();
    let mut model = Model {
        room: capacity.max(history) as u64,
        policy,
        history: history as u64,
        published: 0,
        closed: false,
        subscribers: Vec::new(),
    };
    for &step in steps {
        let place = |n: usize, subscriptions: &[_]| n.checked_rem(subscriptions.len());
        match step {
            Step::Publish => {
                let expected = if model.closed {
                    Err(TrySendError::Disconnected(model.published))
                } else if model.is_full() {
                    Err(TrySendError::Full(model.published))
                } else {
                    Ok(model.active())
                };
                assert_eq!(topic.try_publish(model.published), expected);
                model.published += u64::from(expected.is_ok());
            }
            Step::Subscribe => {
                subscriptions.push(topic.subscribe());
                model.subscribe();
            }
            Step::Receive(n) => {
                let Some(index) = place(n, &subscriptions) else { continue };
                let received = subscriptions[index].try_recv().map(Message::into_inner);
                assert_eq!(received, model.receive(index, false));
            }
            Step::Skip(n) => {
                let Some(index) = place(n, &subscriptions) else { continue };
                let received = subscriptions[index].as_channel().try_recv().map(Message::into_inner);
                let expected = model.receive(index, true);
                assert_eq!(received.ok(), expected.ok());
                assert_eq!(
                    received.is_err_and(|error| error.is_empty()),
                    expected == Err(TryRecvError::Empty)
                );
            }
            Step::Count(n) => {
                let Some(index) = place(n, &subscriptions) else { continue };
                assert_eq!((subscriptions[index].len(), subscriptions[index].missed()), model.count(index));
            }
            Step::Leave(n) => {
                let Some(index) = place(n, &subscriptions) else { continue };
                drop(subscriptions.remove(index));
                model.subscribers.remove(index);
            }
            Step::Close => {
                topic.close();
                model.closed = true;
            }
        }
        assert_eq!(topic.len() as u64, model.published - model.first(), "after {step:?}");
        assert_eq!(topic.subscriber_count(), model.active());
    }
}

#[test]
fn a_topic_gives_each_subscriber_what_the_model_says() {
    let input = (1_usize..5, policy(), 0_usize..5, steps());
    for_any(400, &input, |(capacity, policy, history, steps)| check_topic(capacity, policy, history, &steps));
}

fn check_broadcast(capacity: usize, policy: Policy, steps: &[Step]) {
    let (sender, receiver) = broadcast::channel_with(capacity, policy);
    let mut sender = Some(sender);
    let mut receivers: Vec<broadcast::Receiver<u64>> = vec![receiver];
    let mut model = Model {
        room: capacity as u64,
        policy,
        history: 0,
        published: 0,
        closed: false,
        subscribers: Vec::new(),
    };
    model.subscribe();
    for &step in steps {
        let place = |n: usize, receivers: &[_]| n.checked_rem(receivers.len());
        match step {
            Step::Publish => {
                let Some(sender) = &sender else { continue };
                if model.active() == 0 {
                    assert!(sender.send(model.published).is_err(), "nobody is there");
                } else if !model.is_full() {
                    assert_eq!(sender.send(model.published), Ok(model.active()));
                    model.published += 1;
                }
            }
            Step::Subscribe => {
                let Some(sender) = &sender else { continue };
                receivers.push(sender.subscribe());
                model.subscribe();
            }
            Step::Receive(n) | Step::Skip(n) => {
                let Some(index) = place(n, &receivers) else { continue };
                assert_eq!(receivers[index].try_recv(), model.receive(index, false));
            }
            Step::Count(n) => {
                let Some(index) = place(n, &receivers) else { continue };
                assert_eq!(receivers[index].len(), model.count(index).0);
            }
            Step::Leave(n) => {
                let Some(index) = place(n, &receivers) else { continue };
                drop(receivers.remove(index));
                model.subscribers.remove(index);
            }
            Step::Close => {
                sender = None;
                model.closed = true;
            }
        }
        if let Some(sender) = &sender {
            assert_eq!(sender.len() as u64, model.published - model.first(), "after {step:?}");
            assert_eq!(sender.receiver_count(), model.active());
        }
    }
    for (index, receiver) in receivers.iter_mut().enumerate() {
        if model.closed {
            while let Ok(expected) | Err(TryRecvError::Lagged(expected)) = model.receive(index, false) {
                let received = receiver.recv();
                assert!(received == Ok(expected) || received == Err(RecvError::Lagged(expected)));
            }
        }
    }
}

#[test]
fn a_broadcast_gives_each_receiver_what_the_model_says() {
    for_any(400, &(1_usize..5, policy(), steps()), |(capacity, policy, steps)| {
        check_broadcast(capacity, policy, &steps);
    });
}
