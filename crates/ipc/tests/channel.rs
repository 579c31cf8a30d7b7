//! Ends that arrive, and packets, from whoever: what does not fit is refused.

use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use ropewalk_ipc::channel::{Receiver, Sender, TryRecvError, channel};
use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_ipc::segment::Segment;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value as another process would get it, as a value of another type.
fn sent<T: Serialize, U: DeserializeOwned>(value: &T) -> std::io::Result<U> {
    let (bytes, descriptors) = encode(value)?;
    decode(Message { bytes, descriptors })
}

#[test]
fn an_end_for_messages_of_another_type_is_refused() {
    let (sender, receiver) = channel::<u32>(4096).unwrap();
    let (there, far) =
        (sent::<_, Sender<u32>>(&sender).unwrap(), sent::<_, Receiver<u32>>(&receiver).unwrap());
    there.send(7).unwrap();
    assert_eq!(far.recv().unwrap(), 7);
    let null = || Descriptor::from(OwnedFd::from(File::open("/dev/null").unwrap()));
    let refused = [
        sent::<_, Sender<String>>(&sender).unwrap_err(),
        sent::<_, Sender<Option<u32>>>(&sender).unwrap_err(),
        sent::<_, Receiver<i32>>(&receiver).unwrap_err(),
        // Of the right type, and no channel.
        sent::<_, Sender<()>>(&(0_u64, null())).unwrap_err(),
        sent::<_, Segment>(&sender).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
}

/// Sends a packet that nobody of Ropewalk would send.
fn send_raw(socket: &OwnedFd, packet: &[u8], descriptor: Option<OwnedFd>) {
    let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    let rights = descriptor.as_ref().map(|descriptor| [descriptor.as_fd()]);
    if let Some(rights) = &rights {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(rights)));
    }
    sendmsg(socket, &[IoSlice::new(packet)], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
}

#[test]
fn a_packet_that_is_no_message_is_told_and_the_next_one_comes() {
    let (sender, receiver) = channel::<String>(128 * 1024).unwrap();
    let socket = encode(&sender).unwrap().1.pop().unwrap();
    let segment =
        |words| encode(&Segment::<std::sync::atomic::AtomicU64>::new(words).unwrap()).unwrap().1.pop();
    let null = || Some(OwnedFd::from(File::open("/dev/null").unwrap()));
    let head = |length: u64| length.to_le_bytes().to_vec();
    let with = |mut head: Vec<u8>, rest: &[u8]| {
        head.extend(rest);
        head
    };
    let cases = [
        (vec![1, 2, 3], None, "too short"),
        (with(head(1), b"\x01a"), None, "longer than it says"),
        (head(u64::MAX), segment(1), "larger than a message can be"),
        (head(1 << 29), None, "the rest of it is missing"),
        (head(8), null(), "no shared memory"),
        (head(9), segment(1), "not as long as it says"),
        (head(7), segment(1), "not as long as it says"),
        // Whole, but no text; a text, and more.
        (with(head(2), b"\x01\xff"), None, "not what was expected"),
        (with(head(3), b"\x01a\0"), None, "left over"),
    ];
    for (packet, descriptor, said) in cases {
        send_raw(&socket, &packet, descriptor);
        let TryRecvError::Failed(error) = receiver.try_recv().unwrap_err() else { panic!("{said}") };
        assert!(
            error.kind() == ErrorKind::InvalidData && error.to_string().contains(said),
            "{said}: {error}"
        );
    }
    sender.send("rope".into()).unwrap();
    assert_eq!(receiver.recv().unwrap(), "rope");
}
