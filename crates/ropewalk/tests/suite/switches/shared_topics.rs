//! Topics in memory that processes share.

use ropewalk::ipc::Region;
use ropewalk::ipc::ring::WaitPolicy;
use ropewalk::ipc::topic::{Builder, Topic};

use super::{Prepare, ignore, waiting};

fn builder<'a>() -> Builder<'a, u64> {
    Topic::builder()
}

fn topic() -> Topic<u64> {
    Topic::new().unwrap()
}

/// One that somebody waits for: were publishing to switch, he would run.
fn with_reader(call: impl Fn(&Topic<u64>) + 'static) -> Box<dyn FnOnce()> {
    let topic = topic();
    let mut subscription = topic.subscribe();
    subscription.set_wait_policy(WaitPolicy::Sleep);
    let task = waiting(move || ignore(subscription.recv()));
    Box::new(move || {
        call(&topic);
        ignore(task);
    })
}

/// Where there is somebody who could be let run, a coroutine of this worker waits for just this.
pub(super) const SHARED_TOPICS: &[(&str, Prepare)] = &[
    ("ipc::topic::Builder::capacity", || Box::new(|| ignore(builder().capacity(2)))),
    ("ipc::topic::Builder::history", || Box::new(|| ignore(builder().history(2)))),
    ("ipc::topic::Builder::max_len", || Box::new(|| ignore(builder().max_len(2)))),
    ("ipc::topic::Builder::region", || {
        let region = Region::new(0).unwrap();
        Box::new(move || ignore(builder().region(&region)))
    }),
    ("ipc::topic::Topic::builder", || Box::new(|| ignore(Topic::<u8>::builder()))),
    ("ipc::topic::Topic::subscribe", || {
        let topic = topic();
        Box::new(move || ignore(topic.subscribe()))
    }),
    ("ipc::topic::Topic::publish", || with_reader(|topic| topic.publish(&1).unwrap())),
    ("ipc::topic::Topic::loan", || {
        with_reader(|topic| {
            let mut loan = topic.loan().unwrap();
            loan.write(&1);
            loan.publish();
            drop(topic.loan().unwrap());
        })
    }),
    ("ipc::topic::Topic::close", || with_reader(Topic::close)),
    ("ipc::topic::Topic::is_closed", || {
        let topic = topic();
        Box::new(move || assert!(!topic.is_closed()))
    }),
    ("ipc::topic::Topic::capacity", || {
        let topic = topic();
        Box::new(move || assert_eq!(topic.capacity(), 64))
    }),
    ("ipc::topic::Topic::max_len", || {
        let topic = topic();
        Box::new(move || assert_eq!(topic.max_len(), 1))
    }),
    ("ipc::topic::Topic::region", || {
        let topic = topic();
        Box::new(move || ignore(topic.region().clone()))
    }),
    ("ipc::topic::Subscription::try_recv", || {
        let topic = topic();
        let mut subscription = topic.subscribe();
        Box::new(move || {
            assert!(subscription.try_recv().is_err());
            topic.publish(&1).unwrap();
            assert_eq!(subscription.try_recv(), Ok(1));
        })
    }),
    ("ipc::topic::Subscription::missed", || {
        let subscription = topic().subscribe();
        Box::new(move || assert_eq!(subscription.missed(), 0))
    }),
    ("ipc::topic::Subscription::capacity", || {
        let subscription = topic().subscribe();
        Box::new(move || assert_eq!(subscription.capacity(), 64))
    }),
    ("ipc::topic::Subscription::max_len", || {
        let subscription = topic().subscribe();
        Box::new(move || assert_eq!(subscription.max_len(), 1))
    }),
    ("ipc::topic::Subscription::region", || {
        let subscription = topic().subscribe();
        Box::new(move || ignore(subscription.region().clone()))
    }),
    ("ipc::topic::Subscription::wait_policy", || {
        let subscription = topic().subscribe();
        Box::new(move || assert_eq!(subscription.wait_policy(), WaitPolicy::Adaptive))
    }),
    ("ipc::topic::Subscription::set_wait_policy", || {
        let mut subscription = topic().subscribe();
        Box::new(move || subscription.set_wait_policy(WaitPolicy::Spin))
    }),
];
