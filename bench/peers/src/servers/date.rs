//! The Date header, as every server of HTTP that has a clock sends it (RFC 9110, section 6.6.1), made once a second.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

thread_local! {
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Appends the current date.
pub(super) fn append(to: &mut Vec<u8>) {
    DATE.with_borrow_mut(|(made, text)| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if *made != now {
            *made = now;
            text.clear();
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(now));
            write!(text, "{date}").expect("a String grows");
        }
        to.extend_from_slice(text.as_bytes());
    });
}
