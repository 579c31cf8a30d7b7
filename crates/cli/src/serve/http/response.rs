//! Responses, appended to the bytes that a connection will send with its next write.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::status::Status;

/// Sent when a client waits for it before it sends the body.
pub(in crate::serve) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Spaces in front of a body's length: it is written after the body, and a header field's value
/// may have spaces in front. Bodies here have far fewer than 10^7 bytes.
const LENGTH_WIDTH: usize = 7;

/// The length of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_LEN: usize = 29;

/// What becomes of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Persistence {
    /// It is kept, which HTTP/1.1 takes for granted.
    Keep,
    /// It is kept, and HTTP/1.0 must be told.
    KeepOld,
    /// It is closed.
    Close,
}

impl Persistence {
    /// The header line that says so.
    fn header(self) -> &'static str {
        match self {
            Self::Keep => "",
            Self::KeepOld => "Connection: keep-alive\r\n",
            Self::Close => "Connection: close\r\n",
        }
    }
}

/// A connection's responses.
pub(in crate::serve) struct Reply {
    bytes: Vec<u8>,
    /// The second that `date` shows, since 1970.
    second: u64,
    /// Formatting a date costs more than all the rest: once a second is enough.
    date: [u8; DATE_LEN],
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct ReplyHead {
    /// The status.
    pub(in crate::serve) status: Status,
    /// More header lines, each with its line end.
    pub(in crate::serve) headers: &'static str,
    /// What becomes of the connection.
    pub(in crate::serve) persistence: Persistence,
    /// The request was HEAD: the length is told, the body is not sent.
    pub(in crate::serve) omit_body: bool,
}

impl Reply {
    /// No responses.
    pub(in crate::serve) fn new() -> Self {
        Self { bytes: Vec::new(), second: u64::MAX, date: [b' '; DATE_LEN] }
    }

    /// The responses to be sent.
    pub(in crate::serve) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// They were sent. The room is kept for the next ones unless it is large.
    pub(in crate::serve) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(512);
    }

    /// Appends bytes as they are.
    pub(in crate::serve) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a response whose JSON body `write_body` appends.
    pub(in crate::serve) fn respond(&mut self, head: ReplyHead, write_body: impl FnOnce(&mut Vec<u8>)) {
        self.refresh_date();
        for part in [
            "HTTP/1.1 ",
            head.status.text(),
            "\r\nContent-Type: application/json\r\n",
            head.headers,
            head.persistence.header(),
            "Date: ",
        ] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.extend_from_slice(&self.date);
        self.bytes.extend_from_slice(b"\r\nContent-Length: ");
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[b' '; LENGTH_WIDTH]);
        self.bytes.extend_from_slice(b"\r\n\r\n");
        let body_at = self.bytes.len();
        write_body(&mut self.bytes);
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.bytes.len() - body_at).as_bytes();
        let end = length_at + LENGTH_WIDTH;
        self.bytes[end - digits.len()..end].copy_from_slice(digits);
        if head.omit_body {
            self.bytes.truncate(body_at);
        }
    }

    /// Formats the date anew when the second has changed.
    fn refresh_date(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != self.second {
            self.second = now;
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
            for (to, from) in self.date.iter_mut().zip(date.bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Persistence, Reply, ReplyHead, Status};

    #[test]
    fn a_response_can_be_read_back() {
        let mut reply = Reply::new();
        let head = ReplyHead {
            status: Status::METHOD_NOT_ALLOWED,
            headers: "Allow: POST\r\n",
            persistence: Persistence::Close,
            omit_body: false,
        };
        reply.respond(head, |out| out.extend_from_slice(br#"{"error":"no"}"#));
        reply.respond(ReplyHead { omit_body: true, ..head }, |out| out.extend_from_slice(b"{}"));

        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut fields);
        let status = response.parse(reply.bytes()).expect("well-formed");
        let len = status.unwrap();
        assert_eq!(response.code, Some(405));
        let field = |name: &str| {
            let found = response.headers.iter().find(|field| field.name == name);
            found.and_then(|field| std::str::from_utf8(field.value).ok())
        };
        assert_eq!(field("Allow"), Some("POST"));
        assert_eq!(field("Connection"), Some("close"));
        assert_eq!(field("Content-Length"), Some("14"));
        assert!(field("Date").is_some_and(|date| httpdate::parse_http_date(date).is_ok()));
        let rest = &reply.bytes()[len..];
        assert!(rest.starts_with(br#"{"error":"no"}HTTP/1.1 405"#));
        assert!(rest.ends_with(b"Content-Length:       2\r\n\r\n"), "HEAD: a length and no body");
    }
}
