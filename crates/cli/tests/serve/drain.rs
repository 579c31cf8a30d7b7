//! SIGTERM and SIGINT: finish what is in flight, refuse the rest, exit 0.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rustix::process::Signal;

use crate::support::{Books, Client, Server, on_each_plan, pay, until};

/// A connection of which the server has read the head of a payment, and waits for its body of `length` bytes.
fn in_the_middle(server: &Server, length: usize) -> Client {
    let mut busy = server.connect();
    busy.send(format!(
        "POST /payments HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(busy.reply_without_body().status, 100, "the server has read the head");
    busy
}

on_each_plan! {
    fn what_is_in_flight_is_finished(plan) {
        let mut server = Server::start(plan, &[]);
        let mut idle = server.connect();
        assert_eq!(idle.get("/health").status, 200);
        let mut fresh = server.connect();
        let body = r#"{"id":"flight","from":1,"to":2,"cents":5}"#;
        let mut busy = in_the_middle(&server, body.len());

        server.signal(Signal::TERM);
        assert!(idle.is_closed(), "an idle connection is closed at once");
        assert!(fresh.is_closed(), "also one that never asked");
        assert!(TcpStream::connect(server.address()).is_err(), "nobody new is let in");
        let reply = busy.ask(body);
        assert_eq!((reply.balances(), reply.header("connection")), ((9995, 10_005), Some("close")));
        assert!(busy.is_closed());
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(Books::read(server.database()).payments.len(), 1);
    }

    fn the_drain_has_a_limit(plan) {
        let mut server = Server::start(plan, &["--drain-limit", "0.2"]);
        let mut busy = in_the_middle(&server, 50);
        server.signal(Signal::INT);
        assert!(busy.is_closed());
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(Books::read(server.database()).payments.len(), 0);
    }

    fn a_second_signal_ends_at_once(plan) {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut server = Server::start(plan, &["--drain-limit", "600"]);
            let mut idle = server.connect();
            let _busy = in_the_middle(&server, 50);
            assert_eq!(idle.get("/health").status, 200);
            server.signal(Signal::TERM);
            assert!(idle.is_closed(), "the drain has begun");
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(code));
        }
    }

    fn payments_under_way_are_all_answered(plan) {
        let mut server = Server::start(plan, &["--opening-balance", "1000000000"]);
        let acknowledged: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|user| {
                    let mut client = server.connect();
                    scope.spawn(move || {
                        let mut acknowledged = 0;
                        loop {
                            let key = format!("{user}-{acknowledged}");
                            if client.try_send(pay(&key, 1, 2, 1)).is_err() {
                                return acknowledged;
                            }
                            match client.try_reply() {
                                Ok(reply) => assert_eq!(reply.status, 200),
                                // Sent while the server closed the connection: not in flight yet.
                                Err(_) => return acknowledged,
                            }
                            acknowledged += 1;
                        }
                    })
                })
                .collect();
            let mut watcher = server.connect();
            let enough = || watcher.get("/stats").number("payments_committed") >= 200;
            let watched = catch_unwind(AssertUnwindSafe(|| until("200 payments", enough)));
            // Whatever was seen: the clients pay until the server ends.
            server.signal(Signal::TERM);
            if let Err(panic) = watched {
                resume_unwind(panic);
            }
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        assert_eq!(server.wait().code(), Some(0));
        assert_eq!(Books::read(server.database()).payments.len(), acknowledged, "each is told, each is there");
    }
}
