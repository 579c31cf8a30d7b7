//! `std::sync::mpsc`'s behaviour: what std documents, by its names.

use std::sync::Arc;
use std::time::Duration;

use ropewalk::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError, TrySendError,
    channel, sync_channel,
};
use ropewalk_sync::park::WaitReason::{ChannelReceive, ChannelRendezvous, ChannelSend};

use crate::support::{End, Task, on_every_plan};

#[test]
fn messages_of_all_senders_arrive_each_senders_in_order() {
    on_every_plan(|plans| {
        let (sender, receiver) = channel();
        let tasks = [0, 1, 2].map(|own| {
            let sender: Sender<(usize, u32)> = sender.clone();
            plans.spawn(move || (0..300).for_each(|n| sender.send((own, n)).unwrap()))
        });
        drop(sender);
        let mut next = [0; 3];
        for (from, n) in &receiver {
            assert_eq!(n, next[from]);
            next[from] += 1;
        }
        assert_eq!(next, [300; 3]);
        tasks.into_iter().for_each(Task::value);
        assert_eq!(receiver.recv(), Err(RecvError));
    });
}

#[test]
fn a_channel_without_room_is_a_rendezvous() {
    on_every_plan(|plans| {
        let (sender, receiver) = sync_channel(0);
        assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
        let task = plans.waiting(ChannelRendezvous, move || sender.send(1));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(task.value(), Ok(()));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn a_channel_with_little_room_holds_its_senders_up() {
    on_every_plan(|plans| {
        let (sender, receiver) = sync_channel(1);
        let other: SyncSender<u8> = sender.clone();
        sender.send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        let task = plans.waiting(ChannelSend, move || other.send(3));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(task.value(), Ok(()));
        drop(sender);
        assert_eq!(receiver.into_iter().collect::<Vec<_>>(), [3]);
    });
}

#[test]
fn a_sender_whose_receiver_is_gone_gets_its_message_back() {
    on_every_plan(|plans| {
        let (sender, receiver) = channel();
        drop(receiver);
        assert_eq!(sender.send("back"), Err(SendError("back")));
        let (sender, receiver) = sync_channel(0);
        let other = sender.clone();
        let task = plans.waiting(ChannelRendezvous, move || other.send(1));
        drop(receiver);
        assert_eq!(task.value(), Err(SendError(1)));
        assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
    });
}

#[test]
fn a_receiver_waits_until_a_message_comes_or_none_can_come() {
    on_every_plan(|plans| {
        let (sender, receiver) = channel();
        let receive =
            |receiver: Receiver<u8>| plans.waiting(ChannelReceive, move || (receiver.recv(), receiver));
        let task = receive(receiver);
        sender.send(1).unwrap();
        let (received, receiver) = task.value();
        assert_eq!(received, Ok(1));
        let task = receive(receiver);
        drop(sender);
        assert_eq!(task.value().0, Err(RecvError));
    });
}

#[test]
fn a_receiver_may_wait_for_a_while_only() {
    on_every_plan(|_| {
        let limit = Duration::from_millis(1);
        let (sender, receiver) = channel();
        assert_eq!(receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        drop(sender);
        assert_eq!(receiver.recv_timeout(limit), Ok(1));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2]);
        assert_eq!(receiver.recv_timeout(limit), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn what_is_in_a_channel_goes_with_its_receiver() {
    on_every_plan(|_| {
        let message = Arc::new(());
        let (sender, receiver) = channel();
        (0..3).for_each(|_| sender.send(message.clone()).unwrap());
        drop(receiver);
        assert_eq!(Arc::strong_count(&message), 1);
    });
}

#[test]
fn a_cancelled_receiver_takes_no_message() {
    on_every_plan(|plans| {
        let (sender, receiver) = channel::<u8>();
        let task = plans.waiting(ChannelReceive, move || receiver.iter().count());
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert_eq!(sender.send(1), Err(SendError(1)));
    });
}

#[test]
fn they_look_like_stds() {
    on_every_plan(|_| {
        fn sent<T: Send>() {}
        fn shared<T: Send + Sync>() {}
        shared::<Sender<u8>>();
        shared::<SyncSender<u8>>();
        sent::<Receiver<u8>>();
        let (sender, receiver) = channel::<u8>();
        assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
        assert_eq!(format!("{:?}", sync_channel::<u8>(1).0), "SyncSender { .. }");
        // The errors are std's, so that a `match` on them, or a `From`, goes on to compile.
        let error: std::sync::mpsc::SendError<u8> = SendError(1);
        assert_eq!(error.to_string(), "sending on a closed channel");
    });
}
