//! Decodes a chunked body in place.
//!
//! The decoded bytes gather at the front of the slice, the bytes between them and what was not
//! looked at yet are dropped once per call: a client that sends its body in chunks of one byte
//! costs a pass over what arrived, not a move per chunk.

use super::status::{Refusal, Status};

/// The longest line with a chunk's size and extensions, in bytes.
const SIZE_LINE_LIMIT: usize = 256;

/// The most bytes of trailer fields, which are skipped.
const TRAILER_LIMIT: usize = 4096;

/// A body being decoded.
#[derive(Debug)]
pub(in crate::serve) struct Chunked {
    state: State,
    /// Bytes of the body so far; they stand at the front.
    decoded: usize,
    /// Bytes of trailer fields so far.
    trailers: usize,
    /// The most bytes the body may have.
    limit: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Data(usize),
    /// The line end after a chunk.
    DataEnd,
    /// Trailer fields, then an empty line.
    Trailers,
}

/// How far a call came.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::serve) enum Progress {
    /// More bytes are needed; those from `from` to `to` can be cut out before.
    More {
        /// The end of what is decoded.
        from: usize,
        /// The beginning of what is not looked at yet.
        to: usize,
    },
    /// The body is complete: it is the first `body` bytes, and ended after `consumed`.
    Done {
        /// The length of the decoded body.
        body: usize,
        /// Where the next request begins.
        consumed: usize,
    },
}

impl Chunked {
    /// A body of at most `limit` bytes.
    pub(in crate::serve) fn new(limit: usize) -> Self {
        Self { state: State::Size, decoded: 0, trailers: 0, limit }
    }

    /// Decodes what is there. `bytes` begins with what was decoded before.
    ///
    /// # Errors
    /// 400 when the chunks are malformed, 413 when the body is too large.
    pub(in crate::serve) fn decode(&mut self, bytes: &mut [u8]) -> Result<Progress, Refusal> {
        let mut at = self.decoded;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Size => match size_line(rest)? {
                    None => break,
                    Some((len, 0)) => {
                        at += len;
                        self.state = State::Trailers;
                    }
                    Some((len, size)) => {
                        let size = usize::try_from(size).unwrap_or(usize::MAX);
                        if size > self.limit - self.decoded {
                            return Err(too_large(self.limit));
                        }
                        at += len;
                        self.state = State::Data(size);
                    }
                },
                State::Data(0) => self.state = State::DataEnd,
                State::Data(_) if rest.is_empty() => break,
                State::Data(left) => {
                    let count = left.min(rest.len());
                    bytes.copy_within(at..at + count, self.decoded);
                    at += count;
                    self.decoded += count;
                    self.state = State::Data(left - count);
                }
                State::DataEnd => {
                    if rest.len() < 2 && b"\r\n".starts_with(rest) {
                        break;
                    }
                    if !rest.starts_with(b"\r\n") {
                        return Err(malformed());
                    }
                    at += 2;
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                        if self.trailers + rest.len() > TRAILER_LIMIT {
                            return Err(malformed());
                        }
                        break;
                    };
                    at += end + 1;
                    if matches!(&rest[..end], b"" | b"\r") {
                        return Ok(Progress::Done { body: self.decoded, consumed: at });
                    }
                    self.trailers += end + 1;
                    if self.trailers > TRAILER_LIMIT {
                        return Err(malformed());
                    }
                }
            }
        }
        Ok(Progress::More { from: self.decoded, to: at })
    }
}

/// Reads a chunk's size: the length of its line and the size; nothing when it is not complete.
fn size_line(bytes: &[u8]) -> Result<Option<(usize, u64)>, Refusal> {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((len, _))) if len > SIZE_LINE_LIMIT => Err(malformed()),
        Ok(httparse::Status::Complete(line)) => Ok(Some(line)),
        Ok(httparse::Status::Partial) if bytes.len() > SIZE_LINE_LIMIT => Err(malformed()),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(malformed()),
    }
}

/// A 400.
fn malformed() -> Refusal {
    Refusal::new(Status::BAD_REQUEST, "the chunks of the body are malformed")
}

/// A 413.
fn too_large(limit: usize) -> Refusal {
    let message = format!("the body is larger than {limit} bytes; send less");
    Refusal::new(Status::CONTENT_TOO_LARGE, message)
}

#[cfg(test)]
mod tests {
    use super::{Chunked, Progress};

    /// Decodes `sent` when it arrives in pieces of `step` bytes: body and what is left.
    fn decode(sent: &[u8], step: usize, limit: usize) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
        let (mut chunked, mut buffer, mut dropped) = (Chunked::new(limit), Vec::new(), 0);
        for piece in sent.chunks(step) {
            buffer.extend_from_slice(piece);
            match chunked.decode(&mut buffer).map_err(|refusal| refusal.status.text())? {
                Progress::More { from, to } => {
                    buffer.drain(from..to);
                    dropped += to - from;
                }
                Progress::Done { body, consumed } => {
                    return Ok(Some((buffer[..body].to_vec(), consumed + dropped)));
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives() {
        let sent = b"5\r\nhello\r\n1;note=x\r\n,\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /next";
        for step in 1..=sent.len() {
            let (body, consumed) = decode(sent, step, 100).expect("well-formed").expect("complete");
            assert_eq!(body, b"hello, world", "in steps of {step}");
            assert_eq!(&sent[consumed..], b"GET /next", "in steps of {step}");
        }
        for end in 0..sent.len() - b"GET /next".len() {
            assert_eq!(decode(&sent[..end], 1, 100), Ok(None), "{end}");
        }
    }

    #[test]
    fn limits_and_malformed_chunks_are_refused() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(300));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(1000));
        for (sent, status) in [
            ("b\r\nhello world\r\n0\r\n\r\n", "413 Content Too Large"),
            ("6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n", "413 Content Too Large"),
            ("ffffffffffffffff\r\nx", "413 Content Too Large"),
            ("fffffffffffffffff\r\nx", "400 Bad Request"),
            ("5\r\nhelloX\r\n", "400 Bad Request"),
            ("x\r\n", "400 Bad Request"),
            ("-1\r\n", "400 Bad Request"),
            (&long, "400 Bad Request"),
            (&trailers, "400 Bad Request"),
        ] {
            assert_eq!(decode(sent.as_bytes(), 7, 10), Err(status), "{sent}");
        }
        assert!(matches!(decode(b"a\r\nhello worl\r\n0\r\n\r\n", 3, 10), Ok(Some(_))));
    }
}
