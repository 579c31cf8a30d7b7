//! The client's side of HTTP/1.1: requests written in one call, replies parsed by `httparse`.

use std::cmp::Ordering;
use std::io::{self, Read, Write};

use ed25519_dalek::{Signer as _, SigningKey};

use crate::load::payments::{Payment, hex};

/// A reply larger than this is not one of the service's.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// How much is read from the socket at a time: every reply of the service fits.
const READ_BYTES: usize = 1024;

/// One connection's buffers over a stream of any plan.
pub(super) struct Connection<S> {
    stream: S,
    host: String,
    request: Vec<u8>,
    body: Vec<u8>,
    reply: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body, complete.
    pub(super) body: &'a [u8],
}

impl<S: Read + Write> Connection<S> {
    /// Wraps a connected stream; `host` goes into the `Host` header.
    pub(super) fn new(stream: S, host: String) -> Self {
        Self { stream, host, request: Vec::new(), body: Vec::new(), reply: Vec::new() }
    }

    /// Prepares `GET path`.
    pub(super) fn prepare_get(&mut self, path: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host)
    }

    /// Prepares `POST /payments`, signed if there is a key.
    pub(super) fn prepare_payment(
        &mut self,
        key: &str,
        payment: Payment,
        signer: Option<&SigningKey>,
    ) -> io::Result<()> {
        let Payment { from, to, cents } = payment;
        self.body.clear();
        write!(self.body, r#"{{"id":"{key}","from":{from},"to":{to},"cents":{cents}}}"#)?;
        self.request.clear();
        write!(
            self.request,
            "POST /payments HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.host,
            self.body.len()
        )?;
        if let Some(signer) = signer {
            let signature = signer.sign(&self.body);
            write!(self.request, "Signature: {}\r\n", hex(&signature.to_bytes()))?;
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(&self.body);
        Ok(())
    }

    /// Sends what was prepared and waits for the reply.
    ///
    /// # Errors
    /// Any error of the socket; `UnexpectedEof` when the server closed instead of answering; `InvalidData` for
    /// something that is not one reply to one request.
    pub(super) fn exchange(&mut self) -> io::Result<Reply<'_>> {
        self.stream.write_all(&self.request)?;
        let head = self.receive()?;
        Ok(Reply { status: head.status, body: &self.reply[head.head_bytes..] })
    }

    /// Reads until exactly one whole reply is there.
    fn receive(&mut self) -> io::Result<Head> {
        self.reply.clear();
        loop {
            let start = self.reply.len();
            self.reply.resize(start + READ_BYTES, 0);
            let read = self.stream.read(&mut self.reply[start..]);
            self.reply.truncate(start + read.as_ref().map_or(0, |&read| read));
            match read {
                Ok(0) => {
                    let what = "the server closed the connection without an answer";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(head) = parse_head(&self.reply)? {
                match self.reply.len().cmp(&(head.head_bytes + head.body_bytes)) {
                    Ordering::Equal => return Ok(head),
                    Ordering::Greater => return Err(invalid("the server sent more than one reply")),
                    Ordering::Less => {}
                }
            }
            if self.reply.len() > REPLY_BYTES_MAX {
                return Err(invalid("the reply is too large"));
            }
        }
    }
}

/// A reply's head.
struct Head {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
}

/// Parses the head of a reply; `None` while it is not whole.
fn parse_head(reply: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(reply) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&format!("the reply is not HTTP: {error}"))),
    };
    let body_bytes = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .filter(|&bytes| bytes <= REPLY_BYTES_MAX)
        .ok_or_else(|| invalid("the reply has no usable Content-Length"))?;
    Ok(Some(Head {
        status: response.code.ok_or_else(|| invalid("the reply has no status"))?,
        head_bytes,
        body_bytes,
    }))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::payments::signing_key;

    /// A stream that answers with given pieces and keeps what was sent.
    struct Script {
        pieces: Vec<&'static [u8]>,
        sent: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.pieces.is_empty() {
                return Ok(0);
            }
            let piece = self.pieces.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.sent.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection(pieces: &[&'static [u8]]) -> Connection<Script> {
        let script = Script { pieces: pieces.to_vec(), sent: Vec::new() };
        let mut connection = Connection::new(script, "127.0.0.1:1".to_owned());
        connection.prepare_get(format_args!("/health")).unwrap();
        connection
    }

    #[test]
    fn a_reply_in_pieces_is_put_together() {
        let mut connection =
            connection(&[b"HTTP/1.1 409 Conf", b"lict\r\ncontent-length: 5\r\n\r\nab", b"cde"]);
        let reply = connection.exchange().unwrap();
        assert_eq!((reply.status, reply.body), (409, &b"abcde"[..]));
        assert_eq!(connection.stream.sent, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for (pieces, expected) in [
            (&[][..], "closed the connection"),
            (&[&b"HTTP/1.1 200 OK\r\n"[..]], "closed the connection"),
            (&[b"SSH-2.0-x\r\n\r\n"], "not HTTP"),
            (&[b"HTTP/1.1 200 OK\r\n\r\n"], "Content-Length"),
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"], "Content-Length"),
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP"], "more than one reply"),
        ] {
            let error = connection(pieces).exchange().unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_payment_carries_its_length_and_its_signature() {
        let mut connection = connection(&[]);
        let payment = Payment { from: 1, to: 2, cents: 250 };
        connection.prepare_payment("k-1", payment, Some(&signing_key(1))).unwrap();
        let text = String::from_utf8(connection.request.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, r#"{"id":"k-1","from":1,"to":2,"cents":250}"#);
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let signature = head.lines().find_map(|line| line.strip_prefix("Signature: ")).unwrap();
        assert_eq!(signature.len(), 128);
    }
}
