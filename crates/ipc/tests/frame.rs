//! What two sides say first, and what they make of each other.

use ropewalk_ipc::frame::{FrameError, Hello, SUBJECT_MAX, Shape, TEXT_MAX, VERSION};
use ropewalk_ipc::schema;
use serde::de::DeserializeOwned;

fn hello<S: DeserializeOwned, R: DeserializeOwned>(subject: &str) -> Hello {
    Hello {
        subject: subject.into(),
        longest: 1 << 20,
        sends: Shape::new(schema::of::<S>()),
        receives: Shape::new(schema::of::<R>()),
    }
}

#[test]
fn a_hello_arrives_as_it_was_said_and_no_sooner() {
    let hello = hello::<(u32, String), Vec<bool>>("天气");
    let mut bytes = hello.encode();
    let length = bytes.len();
    bytes.extend(b"m\0\0\0\0");
    assert_eq!(Hello::decode(&bytes), Ok(Some((hello, length))));
    for there in 0..length {
        assert_eq!(Hello::decode(&bytes[..there]), Ok(None));
        let missing = Hello::missing(&bytes[..there]).unwrap();
        assert!(missing > 0 && there + missing <= length, "{missing} of {there}");
    }
}

#[test]
fn the_first_byte_that_is_wrong_is_enough() {
    let bytes = hello::<u8, u8>("").encode();
    for (place, byte, expected) in [
        (0, b'R', FrameError::Foreign),
        (7, 0, FrameError::Foreign),
        (8, 2, FrameError::Version(2)),
        (9, 1, FrameError::Version(VERSION | 1 << 8)),
    ] {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        let told = if place < 8 { place + 1 } else { 10 };
        assert_eq!(Hello::decode(&bytes[..told]), Err(expected));
        assert_eq!(Hello::decode(&bytes[..told - 1]), Ok(None));
    }
}

#[test]
fn what_does_not_fit_is_told_with_the_place() {
    let (here, there) = (hello::<u32, Vec<u8>>(""), hello::<Vec<u8>, u32>(""));
    assert_eq!((here.agree(&there), there.agree(&here)), (Ok(()), Ok(())));
    let subject = here.agree(&hello::<Vec<u8>, u32>("weather")).unwrap_err();
    assert!(subject.to_string().contains("\"weather\""), "{subject}");
    let received = here.agree(&hello::<Vec<u16>, u32>("")).unwrap_err();
    assert!(matches!(received, FrameError::Type { sent: false, difference: Some(_) }));
    let text = received.to_string();
    assert!(text.contains("sends") && text.contains("u8 here and u16 there"), "{text}");
    let sent = here.agree(&hello::<Vec<u8>, u64>("")).unwrap_err();
    assert!(matches!(sent, FrameError::Type { sent: true, difference: Some(_) }), "{sent}");
}

#[test]
fn a_type_that_is_too_long_to_be_told_is_compared_all_the_same() {
    let long = |letter: &str| Hello {
        sends: Shape::new(letter.repeat(TEXT_MAX + 1)),
        receives: Shape::new(letter.repeat(TEXT_MAX + 1)),
        ..hello::<(), ()>("")
    };
    let (a, b) = (long("a"), long("b"));
    assert!(a.encode().len() < 100 && a.encode().len() <= Hello::LONGEST);
    assert_eq!(a.agree(&a), Ok(()));
    assert_eq!(a.agree(&b), Err(FrameError::Type { sent: true, difference: None }));
    let named = hello::<(), ()>(&"x".repeat(SUBJECT_MAX));
    assert!(matches!(Hello::decode(&named.encode()), Ok(Some((told, _))) if told == named));
}
