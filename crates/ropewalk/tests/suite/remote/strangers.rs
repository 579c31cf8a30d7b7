//! Who is at the other end may be anybody: each lie is an error that says what is wrong, and never more than that.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use ropewalk::coroutine;
use ropewalk::ipc::remote::{self, Builder};
use ropewalk::ipc::{Receiver, RecvError, Sender};
use ropewalk::net::TcpStream;

use crate::support::net::pair;
use crate::support::{LONG, on_every_plan};

/// What a peer says first that sends `u32`s and receives nothing: as that of a real one.
fn hello() -> Vec<u8> {
    let (near, mut far) = pair();
    let real = coroutine::spawn(move || remote::over::<u32, ()>(near).map(drop));
    let mut hello = vec![0; 44];
    far.read_exact(&mut hello).unwrap();
    let length = |place: usize| hello[place] as usize | (hello[place + 1] as usize) << 8;
    let mut texts = vec![0; length(32) + length(36) + length(40)];
    far.read_exact(&mut texts).unwrap();
    drop(far);
    assert_eq!(real.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    hello.extend(texts);
    hello
}

/// What `over` says of a peer that says `bytes`, and then nothing more.
fn told(bytes: &[u8]) -> io::Error {
    let (near, mut far) = pair();
    far.write_all(bytes).unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    remote::over::<(), u32>(near).map(drop).unwrap_err()
}

#[test]
fn a_peer_that_says_nothing_is_dropped_when_the_time_is_over() {
    on_every_plan(|_| {
        let (near, mut far) = pair();
        let builder = Builder::new().handshake_timeout(Duration::from_millis(20));
        let error = builder.over::<(), u32>(near).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("20ms"), "{error}");
        // It is closed, not only given up.
        far.read_to_end(&mut Vec::new()).unwrap();

        // One that says a byte now and then, and never all.
        let (near, mut far) = pair();
        let slow = coroutine::Builder::new().daemon(true);
        let hello = hello();
        let slow = slow.spawn(move || {
            for byte in hello.iter().take(20) {
                far.write_all(&[*byte]).unwrap();
                coroutine::sleep(Duration::from_millis(1));
            }
            coroutine::sleep(LONG);
        });
        let error = builder.over::<(), u32>(near).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        slow.unwrap().cancel();
    });
}

#[test]
fn what_is_no_hello_is_refused() {
    on_every_plan(|_| {
        let hello = hello();
        let kind = |bytes: &[u8]| (told(bytes).kind(), told(bytes).to_string());
        let (found, text) = kind(b"GET / HTTP/1.1\r\n\r\n");
        assert!(found == ErrorKind::InvalidData && text.contains("does not speak"), "{text}");
        let (found, text) = kind(&hello[..30]);
        assert!(found == ErrorKind::ConnectionAborted && text.contains("lost"), "{text}");
        let changed = |place: usize, byte: u8| {
            let mut hello = hello.clone();
            hello[place] = byte;
            kind(&hello)
        };
        let (found, text) = changed(8, 9);
        assert!(found == ErrorKind::InvalidData && text.contains("version 9"), "{text}");
        // A subject, a type and a text of 2^24 bytes and more.
        for (place, byte, said) in
            [(33, 255, "too long"), (39, 255, "too long"), (16, 0, "another type"), (10, 1, "zero")]
        {
            let (found, text) = changed(place, byte);
            assert!(found == ErrorKind::InvalidData && text.contains(said), "{text}");
        }
    });
}

/// A receiver whose peer is a test that writes bytes.
fn raw() -> (TcpStream, Sender<()>, Receiver<u32>) {
    let (near, mut far) = pair();
    far.write_all(&hello()).unwrap();
    let (sender, receiver) = remote::over::<(), u32>(near).unwrap();
    (far, sender, receiver)
}

#[test]
fn what_is_no_frame_ends_the_connection_after_what_came_before() {
    on_every_plan(|_| {
        // What a stranger says after a good message, and what is told of it.
        let cases: [(&[u8], &str); 8] = [
            (b"x\0\0\0\0", "unknown kind (0x78)"),
            (b"m\xff\xff\xff\xff", "4294967295 bytes, and 1048576 are the most"),
            (b"m\x01\0\x10\0", "1048577 bytes"),
            (b"e\x01\0\0\0x", "longer than its kind"),
            (b"e\0\0\0\0e\0\0\0\0", "twice"),
            (b"s\0\0\0\0s\0\0\0\0", "twice"),
            (b"e\0\0\0\0m\x01\0\0\0x", "after the end"),
            (b"HTTP/1.1 400", "unknown kind (0x48)"),
        ];
        for (bytes, said) in cases {
            let (mut far, sender, receiver) = raw();
            far.write_all(b"m\x01\0\0\0\x07").unwrap();
            far.write_all(bytes).unwrap();
            assert_eq!(receiver.recv().unwrap(), 7);
            let Err(RecvError::Failed(error)) = receiver.recv() else {
                // That the end was broken has the receiver not heard any more: it had ended.
                assert!(bytes[0] == b'e' && bytes.len() > 6, "{said}");
                continue;
            };
            assert!(error.to_string().contains(said), "{said}: {error}");
            assert!(receiver.recv().unwrap_err().is_disconnected(), "it is told once");
            crate::support::until(|| sender.is_disconnected());
            // The other side sees the end.
            let _ = far.read_to_end(&mut Vec::new());
        }
    });
}

#[test]
fn half_a_message_is_never_received() {
    on_every_plan(|_| {
        let whole = b"m\x01\0\0\0\x07m\x03\0\0\0\xff\xff\x03e\0\0\0\0";
        for length in 0..=whole.len() {
            let (mut far, _sender, receiver) = raw();
            far.write_all(&whole[..length]).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            let messages: Vec<_> = receiver.iter().map_while(Result::ok).collect();
            let expected: &[u32] = match length {
                0..6 => &[],
                6..14 => &[7],
                _ => &[7, 65_535],
            };
            assert_eq!(messages, expected, "of {length} bytes");
            assert!(receiver.recv().unwrap_err().is_disconnected());
        }
        // Whether that was the end is told, too.
        let end = |bytes: &[u8]| {
            let (mut far, _sender, receiver) = raw();
            far.write_all(bytes).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            receiver.recv().unwrap_err()
        };
        assert!(end(b"e\0\0\0\0").is_disconnected());
        for lost in [&b""[..], b"e\0\0", b"m\x01\0\0\0"] {
            let RecvError::Failed(error) = end(lost) else { panic!("it was lost: {lost:?}") };
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
        }
    });
}

#[test]
fn a_message_that_is_none_is_told_and_the_next_one_comes() {
    on_every_plan(|_| {
        let (mut far, _sender, receiver) = raw();
        // Too long for a u32, two values, and none.
        far.write_all(b"m\x06\0\0\0\xff\xff\xff\xff\xff\xffm\x02\0\0\0\x01\x02m\0\0\0\0m\x01\0\0\0\x07")
            .unwrap();
        for _ in 0..3 {
            let Err(RecvError::Failed(error)) = receiver.recv() else { panic!("it was no u32") };
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        }
        assert_eq!(receiver.recv().unwrap(), 7);
    });
}

#[test]
fn a_length_is_no_reason_to_take_memory() {
    on_every_plan(|_| {
        let peak = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmSize")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let (near, mut far) = pair();
        far.write_all(&hello()).unwrap();
        let builder = Builder::new().longest_message(u32::MAX);
        let (_sender, receiver) = builder.over::<(), u32>(near).unwrap();
        let before = peak();
        far.write_all(b"m\xff\xff\xff\xff").unwrap();
        far.write_all(&[0; 100_000]).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(receiver.recv(), Err(RecvError::Failed(_))));
        // In kilobytes. Other tests take some of it, too.
        assert!(peak() < before + 3_000_000, "{} after {before}", peak());
    });
}
