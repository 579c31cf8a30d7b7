//! hyper on Ropewalk, against curl, wrk and itself.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/http.rs"]
mod http;

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use http::{Client, HEADER_LIMIT};
use hyper::{Method, StatusCode, Version};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::Command;
use ropewalk::sync::Barrier;
use ropewalk::{JoinHandle, coroutine, scope};
use ropewalk_guests::watchdog::{guarded, raise_descriptor_limit};

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn start(header_limit: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        Self { address, task: coroutine::spawn(move || http::serve(&listener, header_limit)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

/// What a program prints; `None`, with a message, where it is missing.
fn printed_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {errors}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn curl_is_answered_in_both_versions() {
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        let url = |path: &str| format!("http://{}{path}", server.address);
        let file = tempfile::NamedTempFile::new().unwrap();
        let sent: String = (0..200_000).map(|n| format!("{n}\n")).collect();
        std::fs::write(file.path(), &sent).unwrap();
        for (version, number) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
            let ask = |more: &[&str]| {
                let always = ["--silent", "--show-error", "--noproxy", "*", version];
                printed_by("curl", &[&always, more].concat())
            };
            let Some(hello) = ask(&["--write-out", "%{http_version} %{http_code}", &url("/")]) else {
                return;
            };
            assert_eq!(hello, format!("hello\n{number} 200"));
            let back =
                ask(&["--data-binary", &format!("@{}", file.path().display()), &url("/echo")]).unwrap();
            assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
            let load = ask(&[&url("/load")]).unwrap();
            assert!(load.trim().parse::<f64>().is_ok(), "{load}");
            let missing = ask(&["--write-out", "%{http_code}", &url("/missing")]).unwrap();
            assert_eq!(missing, "nothing here\n404");
        }
    });
}

#[test]
fn a_crowd_talks_at_the_same_time() {
    const CLIENTS: usize = 500;
    raise_descriptor_limit();
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        let address = server.address;
        let all_are_there = Barrier::new(CLIENTS);
        scope(|s| {
            for n in 0..CLIENTS {
                let all_are_there = &all_are_there;
                s.spawn(move || {
                    let version = if n % 2 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
                    let mut client = Client::connect(address, version).unwrap();
                    assert_eq!(client.ask(Method::GET, "/", "").unwrap(), (StatusCode::OK, "hello\n".into()));
                    all_are_there.wait();
                    let sent = vec![n as u8; 100 * n];
                    let (status, back) = client.ask(Method::POST, "/echo", sent.clone()).unwrap();
                    assert!(status == StatusCode::OK && back == sent, "{status}, {} bytes", back.len());
                    assert_eq!(client.ask(Method::GET, "/load", "").unwrap().0, StatusCode::OK);
                });
            }
        });
    });
}

#[test]
fn many_requests_of_one_http2_connection_are_answered_at_once() {
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        let Client::Http2(client) = Client::connect(server.address, Version::HTTP_2).unwrap() else {
            panic!("it was asked for HTTP/2")
        };
        scope(|s| {
            for n in 0..200 {
                let mut client = Client::Http2(client.clone());
                s.spawn(move || {
                    let sent = vec![n as u8; 5000];
                    let (_, back) = client.ask(Method::POST, "/echo", sent.clone()).unwrap();
                    assert!(back == sent);
                });
            }
        });
    });
}

#[test]
fn a_large_body_flows_in_pieces() {
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut client = Client::connect(server.address, version).unwrap();
            let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n * 7 / 5) as u8).collect();
            let (status, back) = client.ask(Method::POST, "/echo", sent.clone()).unwrap();
            assert!(status == StatusCode::OK && back == sent, "{version:?}: {status}, {} bytes", back.len());
        }
    });
}

#[test]
fn one_that_says_nothing_is_not_waited_for() {
    guarded(|| {
        let server = Running::start(Duration::from_millis(50));
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&told));
    });
}

#[test]
fn one_that_goes_in_the_middle_disturbs_nobody() {
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        for _ in 0..20 {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream
                .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
                .unwrap();
        }
        let mut nonsense = TcpStream::connect(server.address).unwrap();
        nonsense.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").unwrap();
        let mut told = String::new();
        nonsense.read_to_string(&mut told).unwrap();
        assert!(told.starts_with("HTTP/1.1 400"), "{told}");
        let mut client = Client::connect(server.address, Version::HTTP_11).unwrap();
        assert_eq!(client.ask(Method::GET, "/", "").unwrap().0, StatusCode::OK);
    });
}

#[test]
fn wrk_finds_no_error() {
    guarded(|| {
        let server = Running::start(HEADER_LIMIT);
        let url = format!("http://{}/", server.address);
        let Some(report) = printed_by("wrk", &["-t1", "-c64", "-d1s", "--timeout", "60s", &url]) else {
            return;
        };
        assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
        let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")).unwrap().0;
        assert!(requests.parse::<u64>().unwrap() > 0, "{report}");
    });
}
