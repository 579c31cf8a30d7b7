//! tungstenite on Ropewalk, against tungstenite over std's streams, and node.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/websocket.rs"]
mod websocket;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use ropewalk::channel::{Receiver, unbounded};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::{Command, Stdio};
use ropewalk::sync::Barrier;
use ropewalk::{JoinHandle, blocking, coroutine, scope};
use ropewalk_guests::watchdog::{guarded, raise_descriptor_limit};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Error, Message, WebSocket};
use websocket::{Duplex, connect, next, serve};

/// A server that runs until it is dropped, and what it says of its clients.
struct Running {
    address: SocketAddr,
    reports: Receiver<Error>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (report, reports) = unbounded();
        // A thousand handshakes take their time on a machine that is busy with other work.
        let limit = std::time::Duration::from_secs(3600);
        let serve =
            move || serve(&listener, limit, move |error| report.send(error).expect("somebody listens"));
        Self { address, reports, task: coroutine::spawn(serve) }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    fn client(&self, path: &str) -> WebSocket<Duplex> {
        connect(TcpStream::connect(self.address).unwrap(), &self.url(path)).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

/// Closes from this end, and hears the other's word for it.
fn close<S: Read + Write>(mut socket: WebSocket<S>) {
    socket.close(None).unwrap();
    assert_eq!(next(&mut socket).unwrap(), None);
}

#[test]
fn a_thousand_clients_talk_at_the_same_time() {
    const CLIENTS: usize = 1000;
    raise_descriptor_limit();
    guarded(|| {
        let server = Running::start();
        let all_are_there = Barrier::new(CLIENTS);
        scope(|s| {
            for n in 0..CLIENTS {
                let (server, all_are_there) = (&server, &all_are_there);
                s.spawn(move || {
                    let mut socket = server.client("/echo");
                    all_are_there.wait();
                    for round in 0..3 {
                        let message = Message::binary(vec![(n + round) as u8; 2 * n]);
                        socket.send(message.clone()).unwrap();
                        assert_eq!(next(&mut socket).unwrap(), Some(message));
                    }
                    close(socket);
                });
            }
        });
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());
    });
}

#[test]
fn fragments_pings_and_large_messages_arrive() {
    guarded(|| {
        let server = Running::start();
        let mut socket = server.client("/echo");
        let part = |text: &'static str, opcode, last| {
            Message::Frame(Frame::message(text, OpCode::Data(opcode), last))
        };
        socket.send(part("rope", Data::Text, false)).unwrap();
        socket.send(part(" walk", Data::Continue, false)).unwrap();
        // Between the fragments of a message there may be pings.
        socket.send(Message::Ping("are you there?".into())).unwrap();
        socket.send(part("er", Data::Continue, true)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("are you there?".into()));
        assert_eq!(socket.read().unwrap(), Message::text("rope walker"));

        let large = Message::binary(vec![42; 10 << 20]);
        let mut other = server.client("/echo");
        scope(|s| {
            // Two at a time, each larger than the buffers of all sockets together.
            s.spawn(|| {
                socket.send(large.clone()).unwrap();
                assert!(next(&mut socket).unwrap().as_ref() == Some(&large));
            });
            s.spawn(|| {
                other.send(large.clone()).unwrap();
                assert!(next(&mut other).unwrap().as_ref() == Some(&large));
            });
        });
        close(socket);
        close(other);
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());
    });
}

#[test]
fn each_end_is_told_how_the_other_has_closed() {
    guarded(|| {
        let server = Running::start();
        let mut socket = server.client("/echo");
        let frame = CloseFrame { code: CloseCode::Away, reason: "the shift is over".into() };
        socket.close(Some(frame.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());

        // Whoever goes without a word, or breaks the rules, ends alone.
        drop(server.client("/echo"));
        let report = server.reports.recv().unwrap();
        assert!(matches!(report, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)), "{report}");

        let mut rude = server.client("/echo");
        rude.send(Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true))).unwrap();
        assert!(matches!(server.reports.recv().unwrap(), Error::Utf8(_)));

        let mut greedy = server.client("/echo");
        // Refused by its length, before it has come.
        let huge = Frame::message(vec![0; 17 << 20], OpCode::Data(Data::Binary), true);
        assert!(matches!(greedy.send(Message::Frame(huge)), Err(Error::Io(_))), "the server has gone");
        let report = server.reports.recv().unwrap();
        assert!(matches!(report, Error::Capacity(CapacityError::MessageTooLong { .. })), "{report}");

        let stream = TcpStream::connect(server.address).unwrap();
        let Err(Error::Http(response)) = connect(stream, &server.url("/nowhere")) else { panic!("let in") };
        assert_eq!(response.status(), 404);
    });
}

#[test]
fn a_chat_reads_and_writes_at_the_same_time() {
    const MESSAGES: usize = 200;
    const AT_ONCE: usize = 20; // who is behind by more than the room keeps misses messages
    guarded(|| {
        let server = Running::start();
        let mut speaker = server.client("/chat");
        let mut listeners: Vec<_> = (0..10).map(|_| server.client("/chat")).collect();
        // Who hears himself has been let in, and the others were before him.
        for listener in &mut listeners {
            listener.send(Message::text("here")).unwrap();
            while next(listener).unwrap() != Some(Message::text("here")) {}
        }
        let all_have_heard = &Barrier::new(listeners.len() + 1);
        scope(|s| {
            for listener in listeners {
                s.spawn(move || {
                    let (mut reader, mut writer) =
                        websocket::split(listener, tungstenite::protocol::Role::Client);
                    scope(|s| {
                        // It pings all the time, while it hears what comes.
                        s.spawn(move || {
                            (0..MESSAGES).for_each(|n| {
                                writer.send(Message::Ping(n.to_string().into())).unwrap();
                            })
                        });
                        let (mut heard, mut pongs) = (0, 0);
                        while heard < MESSAGES || pongs < MESSAGES {
                            match reader.read().unwrap() {
                                Message::Text(text) if text == "here" => {}
                                Message::Text(text) => {
                                    assert_eq!(text, format!("message {heard}"));
                                    heard += 1;
                                    if heard % AT_ONCE == 0 {
                                        all_have_heard.wait();
                                    }
                                }
                                Message::Pong(_) => pongs += 1,
                                message => panic!("{message}"),
                            }
                        }
                    });
                });
            }
            s.spawn(move || {
                for n in 0..MESSAGES {
                    let message = Message::text(format!("message {n}"));
                    speaker.send(message.clone()).unwrap();
                    while next(&mut speaker).unwrap().as_ref() != Some(&message) {}
                    if (n + 1) % AT_ONCE == 0 {
                        all_have_heard.wait();
                    }
                }
                close(speaker);
            });
        });
    });
}

#[test]
fn tungstenite_over_a_stream_of_std_is_understood() {
    guarded(|| {
        let server = Running::start();
        let (address, url) = (server.address, server.url("/echo"));
        blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let (mut socket, _) = tungstenite::client::client(url, stream).unwrap();
            for message in [Message::text("hello"), Message::binary(vec![1; 300_000])] {
                socket.send(message.clone()).unwrap();
                assert_eq!(socket.read().unwrap(), message);
            }
            close(socket);
        });
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());
    });
}

#[test]
fn node_is_understood() {
    /// Says two things, hears them, closes, and tells how that went.
    const SCRIPT: &str = r#"
        const socket = new WebSocket(process.argv[1]);
        const heard = [];
        socket.onopen = () => { socket.send("Grüße"); socket.send("x".repeat(100000)); };
        socket.onmessage = (message) => {
            heard.push(message.data.length);
            if (heard.length === 2) socket.close(1000, "enough");
        };
        socket.onclose = (end) => console.log(heard.join(), end.code, end.wasClean);
        socket.onerror = (error) => { console.log("error", error.message); process.exit(1); };
    "#;
    guarded(|| {
        let server = Running::start();
        let mut node = Command::new("node");
        node.args(["--experimental-websocket", "--eval", SCRIPT, &server.url("/echo")]);
        let output = match node.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return eprintln!("skipped: no node"),
            output => output.unwrap(),
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("bad option") || errors.contains("WebSocket is not defined") {
            return eprintln!("skipped: this node knows no WebSocket");
        }
        assert_eq!(String::from_utf8_lossy(&output.stdout), "5,100000 1000 true\n", "{errors}");
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());
    });
}
