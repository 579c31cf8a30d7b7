//! What is fuzzed: each function takes any bytes, and must neither panic nor hang nor take memory out of proportion.
//!
//! `fuzz_targets` has a libFuzzer program for each. `crates/ipc/tests/fuzz.rs` runs the same functions over the corpus, and over
//! changes of it, as an ordinary test.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use ropewalk_ipc::channel::{Receiver, Sender, TryRecvError, channel as new_channel};
use ropewalk_ipc::frame::{Decoder, Frame, FrameError, Hello, message_head};
use ropewalk_ipc::link::{Link, Message};
use ropewalk_ipc::message::{Descriptor, decode, encode};
use ropewalk_ipc::segment::Segment;
use ropewalk_ipc::shared::topic::{Subscription, Topic};
use ropewalk_ipc::shared::{Mutex, Region, Semaphore};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};

/// A target, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("hello", hello),
    ("frames", frames),
    ("values", values),
    ("link", link),
    ("packets", packets),
    ("region", region),
    ("topic", topic),
];

/// The beginning of a connection.
pub fn hello(data: &[u8]) {
    // What is known to be missing is never more than what is.
    for length in 0..data.len().min(100) {
        if let Ok(missing @ 1..) = Hello::missing(&data[..length]) {
            assert!(length + missing <= Hello::LONGEST);
            assert!(Hello::decode(&data[..length]).is_ok_and(|hello| hello.is_none()));
        }
    }
    if let Ok(Some((hello, length))) = Hello::decode(data) {
        assert!(length <= data.len());
        assert_eq!(hello.encode(), &data[..length], "it says the same");
        assert_eq!(hello.agree(&hello).is_ok(), hello.sends.fingerprint == hello.receives.fingerprint);
    }
}

/// What follows it: as a whole, and in parts of one byte, two, three, ..
pub fn frames(data: &[u8]) {
    let Some(([low, high], data)) = data.split_first_chunk::<2>() else { return };
    let longest = usize::from(*low) | usize::from(*high) << 8;
    let whole = decode_all(longest, [data]);
    for frame in &whole.0 {
        assert!(!matches!(frame, Frame::Message(message) if message.len() > longest));
    }
    let mut rest = data;
    let parts = (1..).map_while(|count: usize| {
        let (part, after) = rest.split_at(count.min(rest.len()));
        rest = after;
        (!part.is_empty()).then_some(part)
    });
    assert_eq!(decode_all(longest, parts), whole, "however it comes");
    // What was understood is what would have been sent.
    if whole.1.is_ok() {
        let sent: Vec<u8> = whole.0.iter().flat_map(bytes).collect();
        assert_eq!(sent, data);
    }
}

/// The frames of these bytes, and how it ends.
fn decode_all<'a>(
    longest: usize,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut decoder = Decoder::new(longest);
    let mut frames = Vec::new();
    for mut part in parts {
        loop {
            match decoder.decode(&mut part) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut &b"m\0\0\0\0"[..]), Err(error.clone()), "for good");
                    return (frames, Err(error));
                }
            }
        }
        assert!(part.is_empty(), "all was taken");
    }
    let end = decoder.finish();
    (frames, end)
}

fn bytes(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Message(message) => [&message_head(message.len() as u32)[..], message].concat(),
        Frame::End => ropewalk_ipc::frame::END.to_vec(),
        Frame::Stop => ropewalk_ipc::frame::STOP.to_vec(),
    }
}

/// Something of everything that messages can hold.
#[derive(Serialize, Deserialize)]
pub enum Value {
    Nothing,
    Text(String, Option<char>),
    Numbers { bytes: Vec<u8>, number: i128, parts: (f64, u16) },
    Descriptor(Descriptor),
    Ends(Vec<Sender<u32>>, Option<Receiver<String>>),
    Memory(Segment),
    Map(std::collections::BTreeMap<String, bool>),
}

/// Values, with some descriptors.
pub fn values(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let descriptors = (0..first % 4).map(|which| descriptor(first.rotate_left(which.into()), data)).collect();
    let message = Message { bytes: data.to_vec(), descriptors };
    if let Ok(value) = decode::<Value>(message) {
        let (again, descriptors) = encode(&value).expect("what came can be sent");
        // A number may be written in more bytes than it needs.
        assert!(again.len() <= data.len());
        assert!(decode::<Value>(Message { bytes: again, descriptors }).is_ok());
    }
}

/// One of several kinds, the content of which may be these bytes.
fn descriptor(kind: u8, content: &[u8]) -> OwnedFd {
    let null = || std::fs::File::open("/dev/null").expect("it is always there").into();
    match kind % 4 {
        0 => null(),
        1 => sealed(content),
        2 => {
            let (sender, _) = new_channel::<u32>(4096).expect("a descriptor is left");
            sent(&sender)
        }
        _ => {
            let (read, _) = rustix::net::socketpair(
                rustix::net::AddressFamily::UNIX,
                rustix::net::SocketType::STREAM,
                rustix::net::SocketFlags::CLOEXEC,
                None,
            )
            .expect("a descriptor is left");
            read
        }
    }
}

/// Memory that looks like a segment.
fn sealed(content: &[u8]) -> OwnedFd {
    let memory =
        memfd_create("fuzz", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a descriptor is left");
    let mut file = std::fs::File::from(memory);
    file.write_all(content).expect("there is memory");
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).expect("it is new");
    file.into()
}

/// The only descriptor of a value.
fn sent(value: &impl Serialize) -> OwnedFd {
    let (_, mut descriptors) = encode(value).expect("it can be sent");
    descriptors.pop().expect("it holds one")
}

/// Writes the bytes into a socket as packets: a length and a kind of descriptor (0 for none) before each.
fn write_packets(socket: BorrowedFd<'_>, mut data: &[u8]) {
    while let Some(([low, high, kind], rest)) = data.split_first_chunk::<3>() {
        let length = usize::from(*low) | usize::from(*high) << 8;
        let (packet, after) = rest.split_at(length.min(rest.len()));
        data = after;
        let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        let attached = (*kind > 0).then(|| descriptor(*kind - 1, after));
        let rights = attached.as_ref().map(|attached| [attached.as_fd()]);
        if let Some(rights) = &rights {
            ancillary.push(SendAncillaryMessage::ScmRights(rights));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if sendmsg(socket, &[std::io::IoSlice::new(packet)], &mut ancillary, flags).is_err() {
            return;
        }
    }
}

/// What a child says to its parent.
pub fn link(data: &[u8]) {
    let (link, far) = Link::pair().expect("a descriptor is left");
    write_packets(far.as_fd(), data);
    drop(far);
    // All there is, is there: what waits, waits in vain.
    while let Ok(Some(message)) = link.receive(Some(Instant::now())) {
        drop(decode::<Value>(message));
    }
}

/// What comes over a channel of this machine.
pub fn packets(data: &[u8]) {
    let (sender, receiver) = new_channel::<Value>(128 * 1024).expect("a descriptor is left");
    let socket = sent(&sender);
    drop(sender);
    write_packets(socket.as_fd(), data);
    drop(socket);
    loop {
        match receiver.try_recv() {
            Ok(_) | Err(TryRecvError::Failed(_)) => {}
            Err(TryRecvError::Disconnected) => return,
            Err(other) => panic!("the sender is gone, and yet: {other}"),
        }
    }
}

/// A region that somebody else has written, and what may stand in it.
pub fn region(data: &[u8]) {
    let Some((place, content)) = data.split_first_chunk::<2>() else { return };
    let memory = sealed(content);
    let Ok(region) = Region::try_from(memory) else { return };
    let place = u64::from(u16::from_le_bytes(*place));
    let at = |place: u64| {
        let (bytes, descriptors) = encode(&(&region, place)).expect("it can be sent");
        Message { bytes, descriptors }
    };
    if let Ok(mutex) = decode::<Mutex<u64>>(at(place)) {
        drop(mutex.try_lock());
    }
    if let Ok(semaphore) = decode::<Semaphore>(at(place)) {
        drop(semaphore.try_acquire());
    }
    drop(region.processes());
}

/// A topic in whose memory somebody writes what he likes between the calls of others: each step is a call, a place and a
/// number that is written there.
pub fn topic(data: &[u8]) {
    const LENGTH_MAX: usize = 9;
    let region = Region::new(1024).expect("a descriptor is left");
    let words =
        Segment::<AtomicU32>::try_from(region.as_fd().try_clone_to_owned().expect("a descriptor is left"))
            .expect("it is memory");
    let builder = Topic::<[u16]>::builder().capacity(4).history(2).max_len(LENGTH_MAX).region(&region);
    let topic = builder.build().expect("there is room");
    let mut subscription = topic.subscribe();
    let check = |subscription: &mut Subscription<[u16]>| {
        let _ = subscription.try_recv().map(|message| assert!(message.len() <= LENGTH_MAX));
    };
    let (steps, _) = data.as_chunks::<6>();
    for [call, place, number @ ..] in steps {
        // The topic is what stands at the end.
        let place = words.len() - 1 - usize::from(*place).min(words.len() - 1);
        words[place].store(u32::from_le_bytes(*number), Relaxed);
        match call % 8 {
            0 => {}
            1 => _ = topic.publish(&[1, 2, 3]),
            2 => {
                if let Ok(mut loan) = topic.loan() {
                    loan.write_at(3, &[7, 8]);
                    loan.truncate(5);
                }
            }
            3 => check(&mut subscription),
            4 => check(&mut topic.subscribe()),
            5 => {
                let (bytes, descriptors) = encode(&subscription).expect("it can be sent");
                if let Ok(mut theirs) = decode::<Subscription<[u16]>>(Message { bytes, descriptors }) {
                    check(&mut theirs);
                }
            }
            6 => subscription = topic.subscribe(),
            _ => drop(region.processes()),
        }
    }
}
