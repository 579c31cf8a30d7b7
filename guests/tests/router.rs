//! axum on Ropewalk, against curl and requests by hand.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/router.rs"]
mod router;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use ropewalk::net::TcpListener;
use ropewalk::process::Command;
use ropewalk::{JoinHandle, coroutine, scope};
use ropewalk_guests::watchdog::guarded;
use router::{application, ask, serve};

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        Self { address, task: coroutine::spawn(move || serve(&listener, &application())) }
    }

    /// Status and body of the answer.
    fn get(&self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, kind: &str, body: &str) -> (String, String) {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn send(&self, request: &str) -> (String, String) {
        let answer = ask(self.address, request).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status");
        (status.to_owned(), body.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

const JSON: &str = "application/json";

#[test]
fn routes_extractors_and_rejections_work() {
    guarded(|| {
        let server = Running::start();
        let answer = |status: &str, body: &str| (status.to_owned(), body.to_owned());
        assert_eq!(server.get("/").0, "200");
        assert_eq!(server.get("/words/rope"), answer("404", ""));
        let counted = server.post("/texts", JSON, r#"{"text": "a rope is a rope"}"#);
        let words: Vec<_> = [("a", 1), ("rope", 1), ("is", 1), ("a", 2), ("rope", 2)]
            .map(|(word, count)| format!(r#"{{"word":"{word}","count":{count}}}"#))
            .into();
        assert_eq!(counted, answer("200", &format!("[{}]", words.join(","))));
        assert_eq!(server.get("/words/rope"), answer("200", r#"{"word":"rope","count":2}"#));
        assert_eq!(server.get("/elsewhere").0, "404");
        assert_eq!(server.get("/texts").0, "405");
        assert_eq!(server.post("/texts", "text/plain", "{}").0, "415");
        assert_eq!(server.post("/texts", JSON, "{").0, "400");
        assert_eq!(server.post("/texts", JSON, "{}").0, "422");
    });
}

#[test]
fn handlers_that_wait_with_a_lock_held_count_right() {
    guarded(|| {
        let server = Running::start();
        scope(|s| {
            for _ in 0..200 {
                s.spawn(|| {
                    let (status, _) = server.post("/texts", JSON, r#"{"text": "knot knot hitch"}"#);
                    assert_eq!(status, "200");
                });
            }
        });
        assert_eq!(server.get("/words/knot").1, r#"{"word":"knot","count":400}"#);
        assert_eq!(server.get("/words/hitch").1, r#"{"word":"hitch","count":200}"#);
    });
}

#[test]
fn curl_is_answered_on_a_kept_connection() {
    guarded(|| {
        let server = Running::start();
        let url = |path: &str| format!("http://{}{path}", server.address);
        let texts = url("/texts");
        let arguments =
            ["--silent", "--show-error", "--noproxy", "*", "--write-out", " %{http_code} %{num_connects}\n"];
        let post =
            ["--header", "Content-Type: application/json", "--data", r#"{"text": "splice"}"#, &texts, &texts];
        let output = match Command::new("curl").args(arguments).args(post).output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return eprintln!("skipped: curl is not installed");
            }
            Err(error) => panic!("{error}"),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected =
            |count, connects| format!("[{{\"word\":\"splice\",\"count\":{count}}}] 200 {connects}\n");
        assert_eq!(text, expected(1, 1) + &expected(2, 0));
    });
}
