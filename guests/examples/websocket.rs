//! WebSockets by tungstenite, over a plain stream: its blocking half, made for a thread per client, with a coroutine per
//! client instead.
//!
//! `cargo run --example websocket` has 100 clients talk to a server of their own.
//! `cargo run --example websocket -- serve 127.0.0.1:9001` serves until it is ended: `/echo` gives back what comes, `/chat`
//! gives it to everybody who is there. To try it, in the console of a browser:
//! `s = new WebSocket("ws://127.0.0.1:9001/chat"); s.onmessage = m => console.log(m.data); s.onopen = () => s.send("hello")`
//!
//! A `WebSocket` is one value that reads and writes, which is all that an echo needs. Who has to send while it waits for
//! what comes - a chat - takes it apart, into a half for each of two coroutines: [`split`].
#![allow(clippy::result_large_err, reason = "tungstenite's are large")]

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::channel::{Receiver, Sender, bounded, select};
use ropewalk::net::{TcpListener, TcpStream, is_transient};
use ropewalk::topic::Topic;
use ropewalk::{OnFailure, coroutine, join_all, scope, scope_with, timeout};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// How long a client may take to shake hands: one that connects and says nothing is not waited for.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long to pause when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(20);
/// How many answers to pings may wait for a client that does not read.
const REPLIES: usize = 16;

/// A stream whose reader writes to it by way of somebody else, once it has been told to whom.
pub struct Duplex {
    stream: Arc<TcpStream>,
    replies: Option<Sender<Vec<u8>>>,
}

impl Read for Duplex {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }
}

impl Write for Duplex {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &self.replies {
            None => (&*self.stream).write(buffer),
            // tungstenite gives whole frames, so what others send does not come between the halves of one.
            Some(replies) => match replies.send(buffer.to_vec()) {
                Ok(()) => Ok(buffer.len()),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The half that sends.
pub struct Writer {
    socket: WebSocket<Duplex>,
    /// What the reader answers by itself: pongs, and the end. Disconnected when the reader has gone; then so should this.
    replies: Receiver<Vec<u8>>,
}

impl Writer {
    /// Sends a message.
    pub fn send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message)
    }

    /// Sends what the reader has answered.
    pub fn pass_on(&mut self, reply: &[u8]) -> io::Result<()> {
        (&*self.socket.get_ref().stream).write_all(reply)
    }
}

/// Takes a connection apart: one coroutine reads, and another writes.
pub fn split(mut reader: WebSocket<Duplex>, role: Role) -> (WebSocket<Duplex>, Writer) {
    let (sender, replies) = bounded(REPLIES);
    let stream = reader.get_ref().stream.clone();
    reader.get_mut().replies = Some(sender);
    let socket = WebSocket::from_raw_socket(Duplex { stream, replies: None }, role, Some(config()));
    (reader, Writer { socket, replies })
}

/// Small buffers for many connections: tungstenite's are 128 KiB each.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4 << 10)
}

/// Shakes hands with a client that has connected, within `limit`: the connection, and the path that was asked for.
pub fn accept(stream: TcpStream, limit: Duration) -> Result<(WebSocket<Duplex>, String), Error> {
    let mut path = String::new();
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        if path == "/echo" || path == "/chat" {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(Some("there are /echo and /chat\n".into()));
        *refusal.status_mut() = tungstenite::http::StatusCode::NOT_FOUND;
        Err(refusal)
    };
    stream.set_nodelay(true)?;
    let stream = Duplex { stream: Arc::new(stream), replies: None };
    let shake = || tungstenite::accept_hdr_with_config(stream, look, Some(config()));
    match timeout(limit, shake).map_err(io::Error::from)? {
        Ok(socket) => Ok((socket, path)),
        Err(HandshakeError::Failure(error)) => Err(error),
        Err(HandshakeError::Interrupted(_)) => Err(Error::Io(io::ErrorKind::WouldBlock.into())),
    }
}

/// Shakes hands with the server that `stream` has been connected to.
pub fn connect(stream: TcpStream, url: &str) -> Result<WebSocket<Duplex>, Error> {
    stream.set_nodelay(true)?;
    let stream = Duplex { stream: Arc::new(stream), replies: None };
    match tungstenite::client::client_with_config(url, stream, Some(config())) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(error)) => Err(error),
        Err(HandshakeError::Interrupted(_)) => Err(Error::Io(io::ErrorKind::WouldBlock.into())),
    }
}

/// The next text or bytes; `None` when the two have closed the connection. Pings are answered on the way, and so is the end.
pub fn next<S: Read + Write>(socket: &mut WebSocket<S>) -> Result<Option<Message>, Error> {
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(Some(message)),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Gives back what comes.
pub fn echo<S: Read + Write>(mut socket: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = next(&mut socket)? {
        socket.send(message)?;
    }
    Ok(())
}

/// Gives what comes to everybody who is there, this client included. Who reads too slowly misses the oldest.
pub fn chat(socket: WebSocket<Duplex>, room: &Topic<Message>) -> Result<(), Error> {
    let (mut reader, mut writer) = split(socket, Role::Server);
    let said = room.subscribe();
    scope(|s| {
        let writing = s.spawn(move || {
            loop {
                select! {
                    recv(said.as_channel()) -> message => {
                        // An error tells how many were missed.
                        if let Ok(message) = message {
                            writer.send(message.into_inner())?;
                        }
                    }
                    recv(writer.replies) -> reply => match reply {
                        Ok(reply) => writer.pass_on(&reply)?,
                        Err(_) => return Ok::<_, Error>(()),
                    },
                }
            }
        });
        while let Some(message) = next(&mut reader)? {
            let _ = room.publish(message);
        }
        drop(reader);
        writing.join().map_err(io::Error::from)?
    })
}

/// Accepts until the listener fails, a coroutine for each client; what goes wrong with one of them is given to `report`.
pub fn serve(listener: &TcpListener, limit: Duration, report: impl Fn(Error) + Sync) -> io::Result<()> {
    let (room, report) = (&Topic::builder().capacity(64).build(), &report);
    scope_with(OnFailure::Isolate, |clients| {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => drop(clients.spawn(move || {
                    let served = accept(stream, limit).and_then(|(socket, path)| match &*path {
                        "/chat" => chat(socket, room),
                        _ => echo(socket),
                    });
                    served.unwrap_or_else(report);
                })),
                Err(error) if is_transient(&error) => coroutine::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}

/// So many clients, each of which says hello, hears it, and closes.
fn crowd(clients: usize) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serve = move || serve(&listener, HANDSHAKE_LIMIT, |error| eprintln!("a client: {error}"));
    let serving = coroutine::Builder::new().daemon(true).spawn(serve)?;
    let clients = join_all((0..clients).map(|n| {
        move || -> Result<(), Error> {
            let mut socket = connect(TcpStream::connect(address)?, &format!("ws://{address}/echo"))?;
            let hello = Message::text(format!("hello, I am {n}"));
            socket.send(hello.clone())?;
            assert_eq!(next(&mut socket)?, Some(hello));
            socket.close(None)?;
            assert_eq!(next(&mut socket)?, None);
            Ok(())
        }
    }));
    let count = clients.len();
    for client in clients {
        client??;
    }
    serving.cancel();
    println!("{count} clients said hello by WebSocket, and heard it");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ropewalk::run(|| match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => crowd(100),
        ["serve", address] => {
            let listener = TcpListener::bind(*address)?;
            println!("ws://{0}/echo, ws://{0}/chat", listener.local_addr()?);
            Ok(serve(&listener, HANDSHAKE_LIMIT, |error| eprintln!("a client: {error}"))?)
        }
        _ => Err("usage: websocket [serve ADDRESS]".into()),
    })
}
