//! The protocol: connections, versions, bodies and limits.

use crate::support::{Server, on_each_plan};

/// A payment's body, and the same in two chunks.
const BODY: &str = r#"{"id":"a","from":1,"to":2,"cents":5}"#;

on_each_plan! {
    fn connections_are_kept_as_the_version_says(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        for _ in 0..3 {
            let reply = client.get("/health");
            assert_eq!((reply.status, reply.header("connection")), (200, None));
        }
        let reply = client.ask("GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(client.is_closed());

        let mut old = server.connect();
        let reply = old.ask("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((reply.status, reply.header("connection")), (200, Some("keep-alive")));
        let reply = old.ask("GET /health HTTP/1.0\r\n\r\n");
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(old.is_closed());
    }

    fn what_was_announced_to_close_is_closed_at_once(plan) {
        let server = Server::start(plan, &[]);
        // Often: whether the end is delivered must not depend on what the server does next.
        for _ in 0..50 {
            let mut client = server.connect();
            assert_eq!(client.get("/health").status, 200);
            assert_eq!(client.ask("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
            assert!(client.is_closed());
        }
    }

    fn head_is_get_without_the_body(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        let get = client.get("/accounts/7");
        client.send("HEAD /accounts/7 HTTP/1.1\r\nHost: test\r\n\r\n");
        let head = client.reply_without_body();
        assert_eq!((head.status, head.header("content-length")), (200, get.header("content-length")));
        assert_eq!(client.get("/accounts/7").body, get.body, "nothing was left on the connection");
    }

    fn chunked_bodies_are_decoded(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        let (left, right) = BODY.split_at(7);
        let head = "POST /payments HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!(
            "{head}{:x};extension=1\r\n{left}\r\n{:X}\r\n{right}\r\n0\r\nTrailer: x\r\n\r\n",
            left.len(), right.len()
        );
        assert_eq!(client.ask(&request).balances(), (9995, 10_005));
        // However it is cut.
        for at in [1, head.len() - 1, head.len(), head.len() + 3, head.len() + 20, request.len() - 1] {
            client.send(&request[..at]);
            // Let what was sent arrive by itself: the reply to another connection comes after it.
            assert_eq!(server.connect().get("/health").status, 200);
            assert_eq!(client.ask(&request[at..]).balances(), (9995, 10_005), "cut at {at}");
        }
        let reply = client.ask(format!("{head}x\r\n"));
        assert_eq!(reply.status, 400);
        assert!(client.is_closed());
    }

    fn a_client_may_wait_before_it_sends_the_body(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        let head = |path: &str, length: usize| {
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
        };
        client.send(head("/payments", BODY.len()));
        assert_eq!(client.reply_without_body().status, 100);
        assert_eq!(client.ask(BODY).status, 200);
        // Together at once: nobody waits, so nobody is told to go on.
        assert_eq!(client.ask(head("/payments", BODY.len()) + BODY).status, 200);
        // What will be refused need not be sent.
        for (path, length, status) in [("/payments", 65_537, 413), ("/nowhere", 5, 404)] {
            let mut client = server.connect();
            assert_eq!(client.ask(head(path, length)).status, status);
            assert!(client.is_closed());
        }
    }

    fn limits_of_header_and_body_hold_to_the_byte(plan) {
        let server = Server::start(plan, &[]);
        let request = |header: usize| {
            let (start, end) = ("GET /health HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n");
            format!("{start}{}{end}", "x".repeat(header - start.len() - end.len()))
        };
        assert_eq!(server.connect().ask(request(8192)).status, 200);
        let mut client = server.connect();
        assert_eq!(client.ask(request(8193)).status, 431);
        assert!(client.is_closed());
        let many = "a: b\r\n".repeat(100);
        assert_eq!(server.connect().ask(format!("GET / HTTP/1.1\r\n{many}\r\n")).status, 431);

        let body = |length: usize| format!("{BODY}{}", " ".repeat(length - BODY.len()));
        let mut client = server.connect();
        assert_eq!(client.post(&body(65_536), "").status, 200);
        assert_eq!(client.post(&body(65_537), "").status, 413);
        assert!(client.is_closed());
        let mut client = server.connect();
        let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
        let head = "POST /payments HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(client.ask(format!("{head}{chunk}{chunk}1\r\n \r\n0\r\n\r\n")).status, 413);
        assert!(client.is_closed());

        let server = Server::start(plan, &["--header-limit", "64", "--body-limit", "10"]);
        assert_eq!(server.connect().ask(request(65)).status, 431);
        assert_eq!(server.connect().post(BODY, "").status, 413);
    }

    fn what_is_not_understood_is_refused(plan) {
        let server = Server::start(plan, &[]);
        for (request, status) in [
            ("\u{16}\u{3}\u{1}\u{2}", 400),
            ("hello\r\n\r\n", 400),
            ("GET /health HTTP/1.1\r\n\r\n", 400),
            ("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
            ("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            ("GET /health HTTP/2.0\r\n\r\n", 505),
        ] {
            let mut client = server.connect();
            let reply = client.ask(request);
            assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{request}");
            assert!(!reply.error().is_empty());
            assert!(client.is_closed(), "{request}");
        }
    }
}
