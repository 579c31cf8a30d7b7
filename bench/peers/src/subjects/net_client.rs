//! The client of all servers: one thread, so many connections, one request on its way on each.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

/// What a window of time has seen.
pub(super) struct Window {
    pub answers: u64,
    pub elapsed: Duration,
    /// From the request to its whole answer, in nanoseconds.
    pub latencies: Histogram<u64>,
}

pub(super) struct Client {
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    answer_length: usize,
}

struct Connection {
    stream: TcpStream,
    /// When the request left that is not answered yet.
    sent: Option<Instant>,
    /// How much of its answer is missing.
    missing: usize,
}

impl Client {
    /// Connects. Every hundredth connection is tried at once: so the server has taken those before it, and no queue of a
    /// listener runs over, which costs a second each.
    ///
    /// # Errors
    /// The server is not there, or its answer is none.
    pub(super) fn connect(server: SocketAddrV4, connections: usize, request: &[u8]) -> io::Result<Self> {
        let mut first = TcpStream::connect(server)?;
        let answer_length = ask_once(&mut first, request)?;
        let mut client = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(connections),
            request: request.to_vec(),
            answer_length,
        };
        for n in 0..connections {
            let mut stream = if n == 0 { first.try_clone()? } else { TcpStream::connect(server)? };
            if n % 100 == 99 || n + 1 == connections {
                ask_once(&mut stream, request)?;
            }
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&client.epoll, &stream, epoll::EventData::new_u64(n as u64), epoll::EventFlags::IN)?;
            client.connections.push(Connection { stream, sent: None, missing: 0 });
        }
        Ok(client)
    }

    /// Sends one request on one connection, and waits for its answer.
    ///
    /// # Errors
    /// The connection ends.
    pub(super) fn ask(&mut self, connection: usize) -> io::Result<()> {
        let connection = &mut self.connections[connection];
        connection.send(&self.request, self.answer_length, Instant::now())?;
        while connection.receive()?.is_none() {
            let mut readable = [rustix::event::PollFd::new(&connection.stream, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut readable, None)?;
        }
        Ok(())
    }

    /// Keeps every connection busy for so long. What is on its way at the end is answered in the next window, and counted
    /// there, but its latency is not.
    ///
    /// # Errors
    /// A connection ends.
    pub(super) fn run(&mut self, duration: Duration) -> io::Result<Window> {
        // To three digits, up to a minute.
        let mut latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds in order");
        let (mut answers, mut events) = (0, Vec::with_capacity(1024));
        let started = Instant::now();
        for connection in &mut self.connections {
            connection.send(&self.request, self.answer_length, started)?;
        }
        let tick = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        loop {
            let now = Instant::now();
            if now - started >= duration {
                return Ok(Window { answers, elapsed: now - started, latencies });
            }
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&tick))?;
            for event in &events {
                let connection = &mut self.connections[event.data.u64() as usize];
                let Some(sent) = connection.receive()? else { continue };
                answers += 1;
                let now = Instant::now();
                if sent >= started {
                    latencies.saturating_record((now - sent).as_nanos() as u64);
                }
                connection.send(&self.request, self.answer_length, now)?;
            }
        }
    }
}

impl Connection {
    /// Unless one is on its way.
    fn send(&mut self, request: &[u8], answer_length: usize, now: Instant) -> io::Result<()> {
        if self.sent.is_none() {
            (self.sent, self.missing) = (Some(now), answer_length);
            // A request fits into the empty buffer of a socket.
            self.stream.write_all(request)?;
        }
        Ok(())
    }

    /// When the request was sent whose answer is whole now.
    fn receive(&mut self) -> io::Result<Option<Instant>> {
        let mut buffer = [0; 1024];
        let room = self.missing.min(buffer.len());
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has hung up")),
            Ok(n) => {
                self.missing -= n;
                Ok(if self.missing == 0 { self.sent.take() } else { None })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Asks and waits; how long the answer is. HTTP says so in its head, echo answers as much as it was asked.
fn ask_once(stream: &mut TcpStream, request: &[u8]) -> io::Result<usize> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let n = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..n]);
        if n == 0 {
            return Err(bad("the server has hung up"));
        }
        let whole = if request.starts_with(b"GET ") { http_length(&answer)? } else { Some(request.len()) };
        if whole.is_some_and(|whole| answer.len() >= whole) {
            return Ok(answer.len());
        }
    }
}

/// None until the head is whole.
fn http_length(answer: &[u8]) -> io::Result<Option<usize>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).map_err(|error| bad(&error.to_string()))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    if response.code != Some(200) {
        return Err(bad("it does not answer 200"));
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length =
        length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    length.map(|length| Some(head + length)).ok_or_else(|| bad("no content length"))
}
