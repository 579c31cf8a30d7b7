//! What others have made for it: ipc-channel, iceoryx2.

use std::hint::spin_loop;

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};

use super::pair::{Cost, Course, Wake, Way, forked, number_of, stamp};

/// Of bytes: without serde, and so at its fastest.
struct Bytes {
    sends: IpcBytesSender,
    receives: IpcBytesReceiver,
    message: Vec<u8>,
}

impl Way for Bytes {
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        self.sends.send(&self.message).expect("the other side receives");
    }

    fn receive(&mut self) -> u64 {
        number_of(&self.receives.recv().expect("the other side sends"))
    }
}

pub(super) fn ipc_channel(course: Course, operations: u64) -> Cost {
    let ((to, there), (answer, back)) =
        (bytes_channel().expect("a channel"), bytes_channel().expect("a channel"));
    let message = vec![7; course.size];
    let theirs = message.clone();
    forked(
        course,
        operations,
        move || Bytes { sends: to, receives: back, message },
        move || Bytes { sends: answer, receives: there, message: theirs },
    )
}

/// Publish and subscribe, one of each, in both directions; whoever sleeps does so on an event, of which the other side tells
/// after each message.
struct Iceoryx {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    bells: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    message: Vec<u8>,
    in_place: bool,
    _node: Node<ipc::Service>,
}

impl Iceoryx {
    /// `names`: what it sends to, what it receives from.
    fn new(course: Course, in_place: bool, names: [&str; 2]) -> Self {
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
        let service = |name: &str| {
            let name = ServiceName::new(name).expect("a name");
            let builder = node.service_builder(&name).publish_subscribe::<[u8]>();
            let builder = builder.enable_safe_overflow(false).subscriber_max_buffer_size(course.room());
            builder.max_publishers(1).max_subscribers(1).open_or_create().expect("a service")
        };
        let event = |name: &str| {
            let name = ServiceName::new(&format!("{name}/bell")).expect("a name");
            node.service_builder(&name).event().open_or_create().expect("an event")
        };
        let [to, from] = names;
        let publisher = service(to)
            .publisher_builder()
            .initial_max_slice_len(course.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher");
        let subscriber = service(from).subscriber_builder().create().expect("a subscriber");
        let bells = (course.wake == Wake::Sleeping).then(|| {
            let notifier = event(to).notifier_builder().create().expect("a notifier");
            (notifier, event(from).listener_builder().create().expect("a listener"))
        });
        Self { publisher, subscriber, bells, message: vec![7; course.size], in_place, _node: node }
    }
}

impl Way for Iceoryx {
    fn send(&mut self, number: u64) {
        let mut sample = self.publisher.loan_slice_uninit(self.message.len()).expect("a loan");
        let sample = if self.in_place {
            let slot = sample.payload_mut();
            let end = slot.len() - size_of::<u64>();
            for at in [0, end] {
                let place = &mut slot[at..at + size_of::<u64>()];
                place.iter_mut().zip(number.to_ne_bytes()).for_each(|(place, byte)| {
                    place.write(byte);
                });
            }
            // SAFETY: in memory that the kernel has given any bits are bytes; only those at the ends are looked at.
            unsafe { sample.assume_init() }
        } else {
            stamp(&mut self.message, number);
            sample.write_from_slice(&self.message)
        };
        sample.send().expect("the other side receives");
        if let Some((notifier, _)) = &self.bells {
            notifier.notify().expect("the other side listens");
        }
    }

    fn receive(&mut self) -> u64 {
        loop {
            if let Some(sample) = self.subscriber.receive().expect("the other side sends") {
                if self.in_place {
                    return number_of(sample.payload());
                }
                self.message.copy_from_slice(sample.payload());
                drop(sample);
                return number_of(&self.message);
            }
            match &self.bells {
                Some((_, listener)) => {
                    listener.blocking_wait(|_| {}).expect("the other side tells");
                }
                None => spin_loop(),
            }
        }
    }
}

fn iceoryx2(course: Course, operations: u64, in_place: bool) -> Cost {
    let tag = std::process::id();
    let [there, back] = ["there", "back"].map(|name| format!("ropewalk-peers/{tag}/{name}"));
    let (there, back) = (&there, &back);
    forked(
        course,
        operations,
        || Iceoryx::new(course, in_place, [there, back]),
        || Iceoryx::new(course, in_place, [back, there]),
    )
}

pub(super) fn iceoryx2_copied(course: Course, operations: u64) -> Cost {
    iceoryx2(course, operations, false)
}

pub(super) fn iceoryx2_in_place(course: Course, operations: u64) -> Cost {
    iceoryx2(course, operations, true)
}
