//! Channels: capacity, order, disconnection, time limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::channel::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
    bounded, unbounded,
};
use ropewalk_sync::park;
use ropewalk_sync::park::WaitReason::{ChannelReceive, ChannelRendezvous, ChannelSend};

use crate::support::on_every_plan;

const SHORT: Duration = Duration::from_millis(2);

/// Counts how often it is dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_bounded_channel_takes_as_many_messages_as_it_has_room_for() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded(3);
        assert_eq!((sender.capacity(), receiver.capacity()), (Some(3), Some(3)));
        for n in 0..3 {
            assert!(!sender.is_full());
            assert_eq!((sender.len(), receiver.len()), (n, n));
            assert_eq!(sender.try_send(n), Ok(()));
        }
        assert!(sender.is_full() && receiver.is_full());
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!(sender.try_send(4), Ok(()));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 4]);
        assert!(sender.is_empty() && receiver.is_empty());
    });
}

#[test]
fn an_unbounded_channel_is_never_full() {
    on_every_plan(|_| {
        let (sender, receiver) = unbounded();
        assert_eq!((sender.capacity(), receiver.capacity()), (None, None));
        for n in 0..5000 {
            sender.send(n).unwrap();
        }
        assert!(!sender.is_full() && !receiver.is_full());
        assert_eq!(receiver.len(), 5000);
        drop(sender);
        assert!(receiver.into_iter().eq(0..5000));
    });
}

#[test]
fn a_channel_without_capacity_is_empty_and_full() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded::<()>(0);
        assert_eq!(sender.capacity(), Some(0));
        assert!(sender.is_empty() && sender.is_full());
        assert!(receiver.is_empty() && receiver.is_full());
        assert_eq!(sender.try_send(()), Err(TrySendError::Full(())));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_rendezvous_ends_when_the_message_is_taken() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let task = plans.waiting(ChannelRendezvous, move || sender.send(7));
        assert!(receiver.is_empty(), "the message is still its sender's");
        assert!(!task.is_finished());
        assert_eq!(receiver.try_recv(), Ok(7));
        assert_eq!(task.value(), Ok(()));
    });
}

#[test]
fn a_waiting_receiver_is_served_without_a_wait() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = both(capacity);
            let task = plans.waiting(ChannelReceive, move || receiver.recv());
            assert_eq!(sender.try_send(7), Ok(()));
            assert!(sender.is_empty(), "it went straight to the receiver");
            assert_eq!(task.value(), Ok(7));
        }
    });
}

#[test]
fn messages_outlive_their_senders() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded(2);
        let other = sender.clone();
        sender.send(1).unwrap();
        drop(sender);
        other.send(2).unwrap();
        drop(other);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv_timeout(SHORT), Ok(2));
        assert_eq!(receiver.recv(), Err(RecvError));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn without_receivers_sending_gives_the_message_back() {
    on_every_plan(|_| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = both(capacity);
            let other = receiver.clone();
            drop(receiver);
            assert!(!sender.try_send(0).is_err_and(|error| error.is_disconnected()), "one receiver is left");
            drop(other);
            assert_eq!(sender.send(1), Err(SendError(1)));
            assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
            assert_eq!(sender.send_timeout(3, SHORT), Err(SendTimeoutError::Disconnected(3)));
        }
    });
}

#[test]
fn the_last_receiver_takes_the_messages_with_it() {
    on_every_plan(|_| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = unbounded();
        for _ in 0..5 {
            sender.send(Counted(drops.clone())).unwrap();
        }
        drop(receiver.recv());
        assert_eq!(drops.load(Relaxed), 1);
        drop(receiver);
        assert_eq!(drops.load(Relaxed), 5, "a sender is still there, but nobody can receive them");
        drop(sender);
        assert_eq!(drops.load(Relaxed), 5);
    });
}

#[test]
fn waiting_receivers_learn_that_the_senders_are_gone() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = both::<u8>(capacity);
            // More than are woken in one batch.
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let receiver = receiver.clone();
                    plans.waiting(ChannelReceive, move || receiver.recv())
                })
                .collect();
            drop(sender);
            for task in tasks {
                assert_eq!(task.value(), Err(RecvError));
            }
        }
    });
}

#[test]
fn waiting_senders_get_their_messages_back_when_the_receivers_are_gone() {
    on_every_plan(|plans| {
        for (capacity, reason) in [(0, ChannelRendezvous), (1, ChannelSend)] {
            let (sender, receiver) = bounded(capacity);
            if capacity == 1 {
                sender.send(99).unwrap();
            }
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let sender = sender.clone();
                    plans.waiting(reason, move || sender.send(n))
                })
                .collect();
            drop(receiver);
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.value(), Err(SendError(n)));
            }
        }
    });
}

#[test]
fn receivers_are_served_in_the_order_in_which_they_came() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), Some(8), None] {
            let (sender, receiver) = both(capacity);
            let tasks: Vec<_> = (0..5)
                .map(|_| {
                    let receiver = receiver.clone();
                    plans.waiting(ChannelReceive, move || receiver.recv())
                })
                .collect();
            (0..5).for_each(|n| sender.try_send(n).unwrap());
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.value(), Ok(n));
            }
        }
    });
}

#[test]
fn senders_are_served_in_the_order_in_which_they_came() {
    on_every_plan(|plans| {
        for (capacity, reason) in [(0, ChannelRendezvous), (1, ChannelSend), (3, ChannelSend)] {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|n| sender.send(n).unwrap());
            let tasks: Vec<_> = (capacity..capacity + 5)
                .map(|n| {
                    let sender = sender.clone();
                    plans.waiting(reason, move || sender.send(n))
                })
                .collect();
            let total = capacity + 5;
            for n in 0..total {
                if total - n > capacity {
                    assert_eq!(
                        sender.try_send(99),
                        Err(TrySendError::Full(99)),
                        "nobody overtakes those who wait"
                    );
                }
                assert_eq!(receiver.recv(), Ok(n));
            }
            tasks.into_iter().for_each(|task| assert_eq!(task.value(), Ok(())));
            assert!(receiver.is_empty());
        }
    });
}

#[test]
fn a_receive_that_makes_room_lets_one_sender_in() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        let first = sender.clone();
        let first = plans.waiting(ChannelSend, move || first.send(1));
        let second = sender.clone();
        let second = plans.waiting(ChannelSend, move || second.send(2));
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!(first.value(), Ok(()));
        assert!(sender.is_full() && !second.is_finished());
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(second.value(), Ok(()));
        assert_eq!(receiver.try_recv(), Ok(2));
    });
}

#[test]
fn a_send_that_is_late_keeps_its_message_out_of_the_channel() {
    on_every_plan(|_| {
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|n| sender.send(n).unwrap());
            assert_eq!(sender.send_timeout(7, SHORT), Err(SendTimeoutError::Timeout(7)));
            assert_eq!(sender.send_deadline(8, Instant::now()), Err(SendTimeoutError::Timeout(8)));
            assert_eq!(receiver.try_iter().count(), capacity);
        }
    });
}

#[test]
fn a_late_receiver_takes_nothing() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = both(capacity);
            assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
            let other = plans.waiting(ChannelReceive, move || receiver.recv());
            sender.send(1).unwrap();
            assert_eq!(other.value(), Ok(1));
        }
    });
}

#[test]
fn a_deadline_that_has_passed_still_gets_what_is_there() {
    on_every_plan(|_| {
        let past = Instant::now();
        let (sender, receiver) = bounded(1);
        assert_eq!(sender.send_deadline(1, past), Ok(()));
        assert_eq!(receiver.recv_deadline(past), Ok(1));
        assert_eq!(sender.send_timeout(2, Duration::ZERO), Ok(()));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(2));
    });
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let task = plans.waiting(ChannelReceive, move || receiver.recv_timeout(Duration::MAX));
        assert_eq!(sender.send_timeout(1, Duration::MAX), Ok(()));
        assert_eq!(task.value(), Ok(1));
    });
}

#[test]
fn wake_ups_for_no_reason_change_nothing() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let task = plans.waiting(ChannelReceive, move || {
            // One that is pending when the wait begins, and many while it lasts.
            park::Unparker::current().unpark();
            receiver.recv()
        });
        for _ in 0..100 {
            task.disturb();
            task.until_waiting(ChannelReceive);
        }
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(task.value(), Ok(1));
    });
}

#[test]
fn iterators_end_with_the_channel() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(1);
        let producer = plans.spawn(move || (0..100).for_each(|n| sender.send(n).unwrap()));
        assert_eq!((&receiver).into_iter().take(10).sum::<i32>(), 45);
        let mut rest = receiver.iter();
        assert_eq!(rest.by_ref().count(), 90);
        assert_eq!(rest.next(), None);
        assert_eq!(receiver.try_iter().next(), None);
        producer.value();

        let (sender, receiver) = unbounded();
        sender.send(1).unwrap();
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [1],
            "it does not wait for the sender that is left"
        );
        sender.send(2).unwrap();
        drop(sender);
        assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn a_channel_can_travel_through_channels() {
    on_every_plan(|_| {
        // A list of channels, each of which leads to the next.
        let (first, mut receiver) = unbounded::<Link>();
        let mut sender = first;
        for _ in 0..100 {
            let (next_sender, next) = unbounded();
            sender.send(Link(next)).unwrap();
            sender = next_sender;
        }
        drop(sender);
        let mut length = 0;
        while let Ok(Link(next)) = receiver.recv() {
            receiver = next;
            length += 1;
        }
        assert_eq!(length, 100);
    });
}

struct Link(Receiver<Link>);

#[test]
fn a_channel_that_holds_its_own_sender_ends_with_its_receiver() {
    on_every_plan(|_| {
        struct Own(
            #[expect(dead_code, reason = "only dropped")] Sender<Own>,
            #[expect(dead_code, reason = "")] Counted,
        );
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = unbounded();
        sender.send(Own(sender.clone(), Counted(drops.clone()))).unwrap();
        drop(sender);
        assert!(!receiver.is_empty());
        drop(receiver);
        assert_eq!(drops.load(Relaxed), 1);
    });
}

#[test]
fn one_side_tells_its_channel_from_others() {
    on_every_plan(|_| {
        let (sender, receiver) = unbounded::<()>();
        let (other_sender, other_receiver) = unbounded::<()>();
        assert!(sender.same_channel(&sender.clone()) && receiver.same_channel(&receiver.clone()));
        assert!(!sender.same_channel(&other_sender) && !receiver.same_channel(&other_receiver));
    });
}

#[test]
fn messages_may_be_of_any_size() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded::<()>(0);
        let task = plans.spawn(move || (0..100).for_each(|_| sender.send(()).unwrap()));
        assert_eq!(receiver.iter().count(), 100);
        task.value();

        let (sender, receiver) = bounded::<[u64; 1000]>(1);
        let task = plans.spawn(move || (0..100).for_each(|n| sender.send([n; 1000]).unwrap()));
        for (n, message) in receiver.iter().enumerate() {
            assert!(message.iter().all(|&word| word == n as u64));
        }
        task.value();
    });
}

#[test]
fn a_long_queue_keeps_its_order_when_it_is_emptied_and_filled_again() {
    on_every_plan(|_| {
        let (sender, receiver) = unbounded();
        for round in 0..3 {
            (0..3000).for_each(|n| sender.send((round, n)).unwrap());
            assert!(receiver.try_iter().eq((0..3000).map(|n| (round, n))));
        }
        let (sender, receiver) = bounded(3000);
        (0..3000).for_each(|n| sender.try_send(n).unwrap());
        assert!(sender.is_full());
        assert!(receiver.try_iter().eq(0..3000));
    });
}

#[test]
fn errors_speak_as_crossbeams() {
    on_every_plan(|_| {
        type E = Box<dyn std::error::Error + Send + Sync>;
        let texts: [(E, &str, &str); 9] = [
            (Box::new(SendError(1)), "sending on a disconnected channel", "SendError(..)"),
            (Box::new(TrySendError::Full(1)), "sending on a full channel", "Full(..)"),
            (
                Box::new(TrySendError::Disconnected(1)),
                "sending on a disconnected channel",
                "Disconnected(..)",
            ),
            (Box::new(SendTimeoutError::Timeout(1)), "timed out waiting on send operation", "Timeout(..)"),
            (
                Box::new(SendTimeoutError::Disconnected(1)),
                "sending on a disconnected channel",
                "Disconnected(..)",
            ),
            (Box::new(RecvError), "receiving on an empty and disconnected channel", "RecvError"),
            (Box::new(TryRecvError::Empty), "receiving on an empty channel", "Empty"),
            (Box::new(RecvTimeoutError::Timeout), "timed out waiting on receive operation", "Timeout"),
            (Box::new(RecvTimeoutError::Disconnected), "channel is empty and disconnected", "Disconnected"),
        ];
        for (error, display, debug) in texts {
            assert_eq!((error.to_string().as_str(), format!("{error:?}").as_str()), (display, debug));
        }
        assert_eq!(TrySendError::from(SendError(1)), TrySendError::Disconnected(1));
        assert_eq!(SendTimeoutError::from(SendError(1)), SendTimeoutError::Disconnected(1));
        assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
        assert_eq!(RecvTimeoutError::from(RecvError), RecvTimeoutError::Disconnected);
        assert_eq!(TrySendError::Full(5).into_inner() + SendTimeoutError::Timeout(6).into_inner(), 11);
        assert!(TrySendError::Full(1).is_full() && !TrySendError::Full(1).is_disconnected());
        assert!(SendTimeoutError::Timeout(1).is_timeout() && !SendTimeoutError::Timeout(1).is_disconnected());
        assert!(TryRecvError::Empty.is_empty() && RecvTimeoutError::Timeout.is_timeout());
        assert!(
            TryRecvError::Disconnected.is_disconnected() && RecvTimeoutError::Disconnected.is_disconnected()
        );
    });
}

#[test]
fn both_sides_go_where_their_messages_may_go() {
    on_every_plan(|_| {
        fn shared<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
        shared::<Sender<std::cell::Cell<u8>>>();
        shared::<Receiver<std::cell::Cell<u8>>>();
        let (sender, receiver) = unbounded::<()>();
        assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
    });
}

fn both<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity.map_or_else(unbounded, bounded)
}
