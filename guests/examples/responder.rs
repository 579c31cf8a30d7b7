//! Two services over UDP as one writes them with std: an echo, and a name server that knows some names itself and asks
//! another server for the rest, a thread for each question that is under way.
//!
//! ```sh
//! cargo run --release --manifest-path guests/Cargo.toml --example responder -- echo 127.0.0.1:7007
//! cargo run --release --manifest-path guests/Cargo.toml --example responder -- dns 127.0.0.1:5353 NAMES 127.0.0.53:53
//! dig @127.0.0.1 -p 5353 rope.test
//! ```
//!
//! `NAMES` has a name and its IPv4 address on each line. The messages are those of RFC 1035, section 4; the one question is
//! copied into the answer, as everybody does.
//!
//! `examples/std/responder.rs` is the program; `examples/responder.rs` is the same text with other imports.

use ropewalk::coroutine as thread;
use ropewalk::fs;
use ropewalk::io;
use ropewalk::net::{Ipv4Addr, SocketAddr, UdpSocket};
use ropewalk::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

/// How often another server is asked, and how long each answer may take.
const ATTEMPTS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest datagram without an extension (RFC 1035, section 2.3.4); an echo may be longer.
const LONGEST_MESSAGE: usize = 512;
const LONGEST_DATAGRAM: usize = 65_536;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["echo", address] => echo(&UdpSocket::bind(address)?),
        ["dns", address, names] => NameServer::new(address, names, None)?.serve(),
        ["dns", address, names, other] => {
            let other = other.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            NameServer::new(address, names, Some(other))?.serve()
        }
        _ => {
            eprintln!("usage: responder echo ADDRESS | dns ADDRESS NAMES [OTHER-SERVER]");
            std::process::exit(2);
        }
    }
}

fn echo(socket: &UdpSocket) -> io::Result<()> {
    println!("{}", socket.local_addr()?);
    let mut datagram = vec![0; LONGEST_DATAGRAM];
    loop {
        let (length, from) = socket.recv_from(&mut datagram)?;
        if let Err(error) = socket.send_to(&datagram[..length], from) {
            eprintln!("to {from}: {error}");
        }
    }
}

struct NameServer {
    socket: UdpSocket,
    names: HashMap<String, Ipv4Addr>,
    other: Option<SocketAddr>,
}

impl NameServer {
    fn new(address: &str, names: &str, other: Option<SocketAddr>) -> io::Result<Arc<Self>> {
        let names = fs::read_to_string(names)?
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, address)| Some((name.to_ascii_lowercase(), address.trim().parse().ok()?)))
            .collect();
        Ok(Arc::new(Self { socket: UdpSocket::bind(address)?, names, other }))
    }

    fn serve(self: &Arc<Self>) -> io::Result<()> {
        println!("{}", self.socket.local_addr()?);
        let mut message = [0; LONGEST_MESSAGE];
        loop {
            let (length, from) = self.socket.recv_from(&mut message)?;
            let Some(query) = Query::parse(&message[..length]) else { continue };
            match (self.names.get(&query.name), self.other) {
                (Some(address), _) => self.reply(&query.answer(Some(*address)), from),
                (None, None) => self.reply(&query.answer(None), from),
                (None, Some(other)) => {
                    let server = Arc::clone(self);
                    let asked = thread::Builder::new().spawn(move || match ask(&query.message, other) {
                        Ok(answer) => server.reply(&answer, from),
                        Err(error) => {
                            eprintln!("{}: {other}: {error}", query.name);
                            server.reply(&query.failure(), from);
                        }
                    });
                    if let Err(error) = asked {
                        eprintln!("a question is dropped: {error}");
                    }
                }
            }
        }
    }

    fn reply(&self, message: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.send_to(message, to) {
            eprintln!("to {to}: {error}");
        }
    }
}

/// The answer of another server to the same message.
fn ask(message: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; LONGEST_MESSAGE];
    for _ in 0..ATTEMPTS {
        socket.send(message)?;
        match socket.recv(&mut answer) {
            Ok(length) if length >= 12 && answer[..2] == message[..2] => return Ok(answer[..length].to_vec()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))
}

/// A message with one question.
struct Query {
    message: Vec<u8>,
    /// Where the question ends.
    end: usize,
    name: String,
    /// Whether it asks for an IPv4 address on the internet.
    for_address: bool,
}

impl Query {
    fn parse(message: &[u8]) -> Option<Self> {
        let questions = u16::from_be_bytes([*message.get(4)?, *message.get(5)?]);
        let is_answer = message.get(2)? & 0x80 != 0;
        if questions != 1 || is_answer {
            return None;
        }
        let mut name = String::new();
        let mut at = 12;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&str::from_utf8(message.get(at..at + length)?).ok()?.to_ascii_lowercase());
                    at += length;
                }
                _ => return None, // a pointer has no place in a question
            }
        }
        let kind = message.get(at..at + 4)?;
        Some(Self { message: message.to_vec(), end: at + 4, name, for_address: kind == [0, 1, 0, 1] })
    }

    fn answer(&self, address: Option<Ipv4Addr>) -> Vec<u8> {
        match address {
            None => self.head(3, 0), // no such name
            Some(address) if self.for_address => {
                let mut answer = self.head(0, 1);
                // The name is the one at byte 12; type A, class IN, for 60 seconds, four bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address.octets());
                answer
            }
            Some(_) => self.head(0, 0),
        }
    }

    fn failure(&self) -> Vec<u8> {
        self.head(2, 0)
    }

    /// The header of an answer, and the question.
    fn head(&self, code: u8, answers: u8) -> Vec<u8> {
        let mut head = self.message[..self.end].to_vec();
        head[2] = 0x84 | head[2] & 0x01; // an answer, with authority; whether recursion was wished for
        head[3] = code;
        head[6..12].copy_from_slice(&[0, answers, 0, 0, 0, 0]);
        head
    }
}
