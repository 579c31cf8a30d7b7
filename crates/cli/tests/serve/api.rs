//! What each path answers, and that a retry is harmless.

use std::process::Command;

use ed25519_dalek::{Signer, SigningKey};

use crate::support::{Books, Client, Reply, Server, on_each_plan, pay};

/// Sends payments and asserts the status; every error says something.
fn expect(client: &mut Client, body: &str, status: u16) -> Reply {
    let reply = client.post(body, "");
    assert_eq!(reply.status, status, "{body}: {reply:?}");
    if status != 200 {
        assert!(!reply.error().is_empty());
    }
    reply
}

on_each_plan! {
    fn a_payment_moves_money_once(plan) {
        let server = Server::start(plan, &["--accounts", "3", "--opening-balance", "1000"]);
        let mut client = server.connect();
        assert_eq!(client.pay("a", 1, 2, 250).balances(), (750, 1250));
        assert_eq!(client.pay("a", 1, 2, 250).balances(), (750, 1250), "a retry");
        assert_eq!((client.balance(1), client.balance(2), client.balance(3)), (750, 1250, 1000));
        assert_eq!(client.pay("b", 2, 1, 1250).balances(), (0, 2000));
        assert_eq!(client.pay("a", 1, 2, 250).balances(), (750, 1250), "the first answer, for ever");
        // Refused payments are not stored: a retry is decided anew.
        assert_eq!(client.pay("c", 2, 3, 1).status, 409);
        assert_eq!(client.pay("d", 1, 2, 1).balances(), (1999, 1));
        assert_eq!(client.pay("c", 2, 3, 1).balances(), (0, 1001));
        let stopped = server.stop();
        assert_eq!(Books::read(stopped.database()).payments.len(), 4);
    }

    fn every_mistake_has_its_status(plan) {
        let server = Server::start(plan, &["--accounts", "3", "--opening-balance", "1000"]);
        let mut client = server.connect();
        expect(&mut client, r#"{"id":"a","from":1,"to":2,"cents":5}"#, 200);
        expect(&mut client, r#"{"id":"b","from":1,"to":2,"cents":996}"#, 409);
        expect(&mut client, r#"{"id":"a","from":1,"to":2,"cents":6}"#, 422);
        expect(&mut client, r#"{"id":"a","from":2,"to":1,"cents":5}"#, 422);
        expect(&mut client, r#"{"id":"c","from":4,"to":2,"cents":5}"#, 404);
        expect(&mut client, r#"{"id":"c","from":1,"to":0,"cents":5}"#, 404);
        for body in [
            "", "{", "null", "[1]", "{}", "\u{0}",
            r#"{"id":"c","from":1,"to":1,"cents":5}"#,
            r#"{"id":"c","from":1,"to":2,"cents":0}"#,
            r#"{"id":"c","from":1,"to":2,"cents":-1}"#,
            r#"{"id":"c","from":1,"to":2,"cents":0.5}"#,
            r#"{"id":"c","from":1,"to":2,"cents":"5"}"#,
            r#"{"id":"c","from":1,"to":2,"cents":5,"note":"x"}"#,
            r#"{"id":"","from":1,"to":2,"cents":5}"#,
            r#"{"from":1,"to":2,"cents":5}"#,
        ] {
            expect(&mut client, body, 400);
        }
        for path in ["/", "/payment", "/accounts/0", "/accounts/4", "/accounts/x"] {
            let reply = client.get(path);
            assert_eq!(reply.status, 404, "{path}");
            assert!(!reply.error().is_empty());
        }
        for (method, path, allow) in
            [("GET", "/payments", "POST"), ("DELETE", "/accounts/1", "GET, HEAD"), ("POST", "/health", "GET, HEAD")]
        {
            let reply = client.ask(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
            assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
        }
        // All of that on one connection, and nothing of it moved money.
        assert_eq!((client.balance(1), client.balance(2), client.balance(3)), (995, 1005, 1000));
        assert_eq!(client.get("/stats").number("payments_committed"), 1);
        Books::read(server.stop().database());
    }

    fn health_and_statistics_are_there(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        let health = client.get("/health").json();
        assert_eq!((&health["status"], &health["plan"]), (&"ok".into(), &plan.into()));
        assert_eq!(client.pay("a", 1, 2, 1).status, 200);
        let statistics = client.get("/stats").json();
        for (name, least) in [
            ("cpu_us", 1), ("ledger_cpu_us", 1), ("ledger_writer_cpu_us", 1), ("voluntary_switches", 1),
            ("involuntary_switches", 0), ("ledger_switches", 1),
            ("coroutine_switches", u64::from(plan.ends_with("coroutine"))),
            ("minor_faults", 1), ("major_faults", 0), ("threads", 3), ("payments_committed", 1),
            ("groups", 1), ("connections", 1), ("transient_accept_errors", 0),
        ] {
            assert!(statistics[name].as_u64().is_some_and(|count| count >= least), "{name}: {statistics}");
        }
    }

    fn the_processes_of_the_service_are_listed(plan) {
        let server = Server::start(plan, &[]);
        let mut client = server.connect();
        assert_eq!(client.pay("a", 1, 2, 1).status, 200);
        let blocks = client.get("/processes").json();
        let blocks = blocks.as_array().expect("a list");
        let roles: Vec<&str> = blocks.iter().filter_map(|block| block["role"].as_str()).collect();
        let service = i64::from(server.pid().as_raw_nonzero().get());
        assert_eq!((roles.first(), roles.last()), (Some(&"service"), Some(&"ledger")));
        let serving = match plan {
            "process" => "connection",
            "process+coroutine" => "worker",
            _ => "",
        };
        assert!(roles[1..roles.len() - 1].iter().all(|role| *role == serving), "{roles:?}");
        assert_eq!(roles.len() > 2, !serving.is_empty(), "{roles:?}");
        assert_eq!(blocks[0]["pid"], service);
        for block in blocks {
            assert!(block["pid"] == service || block["parent"] == service, "{block}");
            assert!(block["state"].as_str().is_some_and(|state| "RSD".contains(state)), "{block}");
            for figure in ["threads", "resident_bytes", "proportional_bytes", "page_tables_bytes",
                           "reserved_bytes", "descriptors"] {
                assert!(block[figure].as_u64().is_some_and(|figure| figure > 0), "{figure}: {block}");
            }
            assert!(block["usage"]["minor_faults"].as_u64().is_some_and(|faults| faults > 0), "{block}");
        }
    }

    fn the_same_payment_from_many_at_once_is_made_once(plan) {
        let server = Server::start(plan, &["--accounts", "2", "--opening-balance", "1000"]);
        let replies: Vec<(i64, i64)> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| server.connect().pay("same", 1, 2, 300).balances()))
                .collect();
            clients.into_iter().map(|client| client.join().expect("a reply")).collect()
        });
        assert_eq!(replies, [(700, 1300); 16]);
        assert_eq!(Books::read(server.stop().database()).payments.len(), 1);
    }

    fn signed_payments_are_checked(plan) {
        let signer = SigningKey::from_bytes(&[3; 32]);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = hex(signer.verifying_key().as_bytes());
        let body = r#"{"id":"a","from":1,"to":2,"cents":5}"#;
        let good = format!("Signature: {}\r\n", hex(&signer.sign(body.as_bytes()).to_bytes()));
        let other = format!("Signature: {}\r\n", hex(&signer.sign(b"another body").to_bytes()));

        let server = Server::start(plan, &["--signatures", &key]);
        let mut client = server.connect();
        for bad in [other.as_str(), "Signature: \r\n", "Signature: 00\r\n"] {
            let reply = client.post(body, bad);
            assert_eq!(reply.status, 401, "{bad}: {reply:?}");
            assert!(reply.header("www-authenticate").is_some() && !reply.error().is_empty());
        }
        assert_eq!(client.balance(1), 10_000);
        assert_eq!(client.post(body, &good).status, 200);
        assert_eq!(client.post(&body.replace("\"a\"", "\"b\""), "").status, 200, "none is needed");

        let server = Server::start(plan, &["--signatures", &key, "--require-signatures"]);
        let mut client = server.connect();
        assert_eq!(client.post(body, "").status, 401);
        assert_eq!(client.post(body, &good).status, 200);
    }

    fn a_database_is_continued(plan) {
        let stopped = {
            let server = Server::start(plan, &["--accounts", "2", "--opening-balance", "100"]);
            assert_eq!(server.connect().pay("a", 1, 2, 30).balances(), (70, 130));
            server.stop()
        };
        let server = Server::open(plan, stopped.database(), &["--accounts", "50"]);
        let mut client = server.connect();
        assert_eq!(client.get("/health").number("accounts"), 2);
        assert_eq!(client.pay("a", 1, 2, 30).balances(), (70, 130));
        assert_eq!(client.balance(1), 70);
    }

    fn pipelined_payments_are_answered_in_order(plan) {
        let server = Server::start(plan, &["--accounts", "2", "--opening-balance", "1000"]);
        let mut client = server.connect();
        let mut requests = Vec::new();
        for number in 0..100 {
            requests.extend(pay(&format!("p{number}"), 1, 2, 10));
            requests.extend_from_slice(b"GET /accounts/1 HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        client.send(requests);
        for number in 1..=100 {
            assert_eq!(client.reply().balances(), (1000 - 10 * number, 1000 + 10 * number));
            assert_eq!(client.reply().number("balance"), 1000 - 10 * number);
        }
        Books::read(server.stop().database());
    }
}

#[test]
fn wrong_usage_says_what_to_do() {
    for (flags, words) in [
        (&["--signatures", "00"][..], "64 hex digits"),
        (&["--require-signatures"], "--signatures"),
        (&["--thread-stack", "much"], "64K"),
        (&["--idle-timeout", "0"], "seconds"),
        (&["--accounts", "0"], "accounts"),
    ] {
        let output = Server::command("std", "unused.db".as_ref(), flags).output().expect("the command runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {message}");
        assert!(message.contains(words), "{flags:?}: {message}");
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = directory.path().join("books.db");
    let missing = directory.path().join("missing").join("books.db");
    for (listen, database, words) in [
        ("nowhere", &good, "--listen"),
        ("192.0.2.1:80", &good, "--listen"),
        ("127.0.0.1:0", &missing, "--database"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ropewalk"))
            .args(["serve", "--plan", "std", "--listen", listen, "--database"])
            .arg(database)
            .output()
            .expect("the command runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(words), "{message}");
    }
}
