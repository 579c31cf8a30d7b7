//! A client that sends bytes and reads replies.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::WATCHDOG;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// Bytes behind the last reply.
    received: Vec<u8>,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The bytes of a payment request.
pub(crate) fn pay(key: &str, from: i64, to: i64, cents: i64) -> Vec<u8> {
    post(&format!(r#"{{"id":"{key}","from":{from},"to":{to},"cents":{cents}}}"#), "")
}

fn post(body: &str, headers: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /payments HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into()
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
        stream.set_write_timeout(Some(WATCHDOG)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, received: Vec::new() }
    }

    /// The socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes it");
    }

    /// Sends bytes to a server that may be gone.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends nothing more.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Sends a request and reads its reply.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }

    /// `GET path`.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// `POST /payments` with a body and more headers.
    pub(crate) fn post(&mut self, body: &str, headers: &str) -> Reply {
        self.ask(post(body, headers))
    }

    /// Makes a payment.
    pub(crate) fn pay(&mut self, key: &str, from: i64, to: i64, cents: i64) -> Reply {
        self.ask(pay(key, from, to, cents))
    }

    /// The balance of an account.
    pub(crate) fn balance(&mut self, account: i64) -> i64 {
        self.get(&format!("/accounts/{account}")).number("balance")
    }

    /// Reads one reply with a body.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("a reply")
    }

    /// Reads the head of a reply to HEAD.
    pub(crate) fn reply_without_body(&mut self) -> Reply {
        self.read(false).expect("a reply")
    }

    /// Reads one reply from a server that may be gone.
    pub(crate) fn try_reply(&mut self) -> io::Result<Reply> {
        self.read(true)
    }

    fn read(&mut self, with_body: bool) -> io::Result<Reply> {
        loop {
            if let Some((mut reply, head)) = parse(&self.received) {
                let length =
                    reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                let end = if with_body { head + length } else { head };
                if self.received.len() >= end {
                    reply.body = self.received[head..end].to_vec();
                    self.received.drain(..end);
                    return Ok(reply);
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// True when the server has closed the connection and nothing was left to read.
    pub(crate) fn is_closed(&mut self) -> bool {
        if !self.received.is_empty() {
            return false;
        }
        match self.stream.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// A reply's head, without its body, and where it ends.
fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).expect("the server speaks HTTP") else {
        return None;
    };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
    let headers =
        response.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
    Some((Reply { status: response.code.expect("a status"), headers, body: Vec::new() }, head))
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A number in the body.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.json()[name].as_i64().unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// Both balances of a payment that was made.
    pub(crate) fn balances(&self) -> (i64, i64) {
        assert_eq!(self.status, 200, "{self:?}");
        (self.number("from_balance"), self.number("to_balance"))
    }

    /// What an error says.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}
