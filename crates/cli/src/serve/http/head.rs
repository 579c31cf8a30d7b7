//! The head of a request: from its first byte to the empty line.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::status::{Refusal, Status};

/// The most header fields in a request.
const FIELD_LIMIT: usize = 64;

/// What the service distinguishes among methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Method {
    /// GET.
    Get,
    /// HEAD: as GET, and the body is left out.
    Head,
    /// POST.
    Post,
    /// Any other.
    Other,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum BodyLength {
    /// So many bytes; 0 when the head says nothing.
    Known(u64),
    /// It comes in chunks.
    Chunked,
}

/// A parsed head. Positions count from the head's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Head {
    /// The method.
    pub(in crate::serve) method: Method,
    /// Where the path stands, without host and query.
    pub(in crate::serve) path: Range<usize>,
    /// The body's length.
    pub(in crate::serve) body: BodyLength,
    /// HTTP/1.0, which must be told that a connection is kept.
    pub(in crate::serve) old: bool,
    /// The client wants to send more requests on this connection.
    pub(in crate::serve) keep_alive: bool,
    /// The client sends the body after a `100 Continue`.
    pub(in crate::serve) expects_continue: bool,
    /// Where the value of the `Signature` field stands.
    pub(in crate::serve) signature: Option<Range<usize>>,
    /// The length of the head with its empty line.
    pub(in crate::serve) len: usize,
}

impl Head {
    /// Parses the head at the beginning of `bytes`; nothing when it is not complete.
    ///
    /// # Errors
    /// What is wrong with it. The rest of the connection cannot be understood then.
    pub(in crate::serve) fn parse(bytes: &[u8], limit: usize) -> Result<Option<Self>, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
        let mut request = httparse::Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(len)) if len <= limit => len,
            Ok(httparse::Status::Partial) if bytes.len() <= limit => return Ok(None),
            Ok(_) => return Err(too_large(limit)),
            Err(error) => return Err(refusal(error)),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(bad("the request line is incomplete"));
        };
        let path = path_of(target);
        let path_start = offset(bytes, path.as_bytes());
        let mut head = Self {
            method: match method {
                "GET" => Method::Get,
                "HEAD" => Method::Head,
                "POST" => Method::Post,
                _ => Method::Other,
            },
            path: path_start..path_start + path.len(),
            body: BodyLength::Known(0),
            old: version == 0,
            keep_alive: version != 0,
            expects_continue: false,
            signature: None,
            len,
        };
        head.read_fields(bytes, request.headers)?;
        Ok(Some(head))
    }

    /// Takes in the header fields that matter here.
    fn read_fields(&mut self, bytes: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
        let (mut length, mut hosts) = (None, 0);
        for field in fields {
            let (name, value) = (field.name, field.value);
            if name.eq_ignore_ascii_case("content-length") {
                let new = content_length(value)?;
                if length.replace(new).is_some_and(|old| old != new) {
                    return Err(bad("two different Content-Length fields"));
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") || self.body == BodyLength::Chunked {
                    return Err(Refusal::new(
                        Status::NOT_IMPLEMENTED,
                        "the only transfer coding known here is `chunked`, once",
                    ));
                }
                self.body = BodyLength::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                if has_token(value, b"close") {
                    self.keep_alive = false;
                } else if self.old && has_token(value, b"keep-alive") {
                    self.keep_alive = true;
                }
            } else if name.eq_ignore_ascii_case("host") {
                hosts += 1;
            } else if name.eq_ignore_ascii_case("expect") {
                self.expects_continue = !self.old && value.eq_ignore_ascii_case(b"100-continue");
            } else if name.eq_ignore_ascii_case("signature") {
                let start = offset(bytes, value);
                self.signature = Some(start..start + value.len());
            }
        }
        match (self.body, length) {
            // What one reader takes for the body another takes for the next request.
            (BodyLength::Chunked, Some(_)) => Err(bad("Content-Length and Transfer-Encoding together")),
            (BodyLength::Chunked, None) if self.old => Err(bad("chunks in an HTTP/1.0 request")),
            _ if hosts > 1 || (hosts == 0 && !self.old) => Err(bad("HTTP/1.1 wants exactly one Host field")),
            (_, Some(length)) => {
                self.body = BodyLength::Known(length);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The path of a request target: without `http://host` in front and `?query` behind.
fn path_of(target: &str) -> &str {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => target,
    };
    path.find('?').map_or(path, |query| &path[..query])
}

/// Where `part` stands in `whole`; 0 for an empty part, which may stand nowhere.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    if part.is_empty() { 0 } else { part.as_ptr().addr() - whole.as_ptr().addr() }
}

/// The value of Content-Length: digits only.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad("Content-Length is not a number"))
}

/// True when the comma-separated list `value` holds `token`.
fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// A 400.
fn bad(message: &'static str) -> Refusal {
    Refusal::new(Status::BAD_REQUEST, message)
}

/// A 431.
fn too_large(limit: usize) -> Refusal {
    let message = format!("the request line and header are larger than {limit} bytes; send less");
    Refusal::new(Status::HEADER_TOO_LARGE, message)
}

/// What the parser found, in words for the client.
fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(
            Status::HEADER_TOO_LARGE,
            format!("more than {FIELD_LIMIT} header fields; send fewer"),
        ),
        httparse::Error::Version => {
            Refusal::new(Status::VERSION, "this service speaks HTTP/1.1 and HTTP/1.0")
        }
        _ => Refusal::new(Status::BAD_REQUEST, format!("this is not an HTTP request: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyLength, Head, Method};

    fn parse(text: &str) -> Result<Option<Head>, &'static str> {
        Head::parse(text.as_bytes(), 8192).map_err(|refusal| refusal.status.text())
    }

    fn complete(text: &str) -> Head {
        parse(text).expect(text).expect("complete")
    }

    #[test]
    fn an_ordinary_head_is_read_and_every_shorter_one_is_incomplete() {
        let text = "POST /payments?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nsignature: ab\r\n\r\n";
        let head = complete(&format!("{text}{{body..."));
        assert_eq!((head.method, head.body), (Method::Post, BodyLength::Known(7)));
        assert_eq!(&text[head.path.clone()], "/payments");
        assert_eq!(head.signature.map(|range| &text[range]), Some("ab"));
        assert!(head.keep_alive && !head.old && !head.expects_continue);
        assert_eq!(head.len, text.len());
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn connections_are_kept_by_the_rules_of_the_version() {
        for (version, connection, keep_alive) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: x, Close\r\n", false),
            ("1.1", "Connection: upgrade\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
        ] {
            let head = complete(&format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n"));
            assert_eq!(head.keep_alive, keep_alive, "{version} {connection}");
        }
    }

    #[test]
    fn targets_with_a_host_or_nothing_are_understood() {
        for (target, path) in [("/a/b?c", "/a/b"), ("http://h:1/x?y", "/x"), ("http://h", ""), ("*", "*")] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(&text[complete(&text).path], path, "{target}");
        }
    }

    #[test]
    fn what_is_wrong_gets_its_status() {
        let many = "a: b\r\n".repeat(65);
        let long = "x".repeat(9000);
        for (text, status) in [
            ("\u{16}\u{3}\u{1}", "400 Bad Request"),
            ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400 Bad Request"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "400 Bad Request",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400 Bad Request",
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
                "501 Not Implemented",
            ),
            ("GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported"),
            (&format!("GET / HTTP/1.1\r\n{many}\r\n"), "431 Request Header Fields Too Large"),
            (&format!("GET /{long}"), "431 Request Header Fields Too Large"),
            (&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "431 Request Header Fields Too Large"),
        ] {
            assert_eq!(parse(text), Err(status), "{text}");
        }
    }
}
