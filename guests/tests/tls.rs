//! rustls on Ropewalk, against rustls, curl and OpenSSL.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/tls.rs"]
mod tls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ropewalk::channel::{Receiver, unbounded};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::{Command, Stdio};
use ropewalk::sync::Barrier;
use ropewalk::{JoinHandle, coroutine, scope};
use ropewalk_guests::servers::{free_address, wait_until_it_listens};
use ropewalk_guests::watchdog::{guarded, raise_descriptor_limit};
use tempfile::TempDir;
use tls::Identity;

/// A server that runs until it is dropped, and what it says of its clients.
struct Running {
    address: SocketAddr,
    reports: Receiver<io::Error>,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn start(identity: &Identity, handler: fn(tls::Server) -> io::Result<()>) -> Self {
        // A thousand handshakes take their time on a machine that is busy with other work.
        Self::with_limit(Duration::from_secs(3600), identity, handler)
    }

    fn with_limit(limit: Duration, identity: &Identity, handler: fn(tls::Server) -> io::Result<()>) -> Self {
        let config = identity.server().expect("a certificate of its own");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (report, reports) = unbounded();
        let serve = move || {
            tls::serve(&listener, &config, limit, handler, move |error| {
                report.send(error).expect("somebody listens")
            })
        };
        Self { address, reports, task: coroutine::spawn(serve) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

/// The certificate and the key as files, for programs.
struct Files {
    _directory: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(identity: &Identity) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        std::fs::write(&certificate, &identity.certificate).expect("it is written");
        std::fs::write(&key, &identity.key).expect("it is written");
        Self { _directory: directory, certificate, key }
    }
}

/// Runs a program to its end and returns what it said; `None`, with a message, where it is missing.
fn said_by(command: &mut Command, input: &[u8]) -> Option<String> {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {:?} is not installed", command.get_program());
            return None;
        }
        Err(error) => panic!("{command:?}: {error}"),
    };
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn curl_and_openssl_are_answered() {
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let files = Files::of(&identity);
        let server = Running::start(&identity, tls::answer);
        let url = format!("https://localhost:{}/", server.address.port());
        for version in ["--tlsv1.2", "--tlsv1.3"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--noproxy", "*", "--ipv4", version, &url]);
            if version == "--tlsv1.2" {
                curl.args(["--tls-max", "1.2"]);
            }
            let Some(text) = said_by(curl.arg("--cacert").arg(&files.certificate), b"") else { break };
            assert!(text.starts_with(&format!("hello by TLSv1_{}", &version[8..])), "{text}");
        }
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"]);
        openssl.args(["-connect", &server.address.to_string(), "-CAfile"]).arg(&files.certificate);
        if let Some(text) = said_by(&mut openssl, b"GET / HTTP/1.0\r\n\r\n") {
            assert!(text.ends_with("hello by TLSv1_3 and TLS13_AES_256_GCM_SHA384\n"), "{text}");
        }
    });
}

#[test]
fn a_server_of_openssl_is_understood() {
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let files = Files::of(&identity);
        let address = free_address().unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-rev", "-quiet", "-accept", &address.to_string()]);
        openssl.arg("-cert").arg(&files.certificate).arg("-key").arg(&files.key);
        let started = openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(mut server) = started else { return eprintln!("skipped: openssl is not installed") };
        wait_until_it_listens(address, &mut server).unwrap();

        let mut client = connect(address, "localhost", &identity).unwrap();
        client.write_all(b"rope\nwalk\n").unwrap();
        let mut reversed = [0; 10];
        client.read_exact(&mut reversed).unwrap();
        assert_eq!(&reversed, b"epor\nklaw\n");
        server.kill().unwrap();
        server.wait().unwrap();
    });
}

fn connect(address: SocketAddr, name: &str, trusted: &Identity) -> io::Result<tls::Client> {
    tls::connect(TcpStream::connect(address)?, name, &trusted.client()?)
}

#[test]
fn a_thousand_clients_talk_at_the_same_time() {
    const CLIENTS: usize = 1000;
    raise_descriptor_limit();
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let server = Running::start(&identity, tls::echo);
        let (address, config) = (server.address, identity.client().unwrap());
        let all_are_there = Barrier::new(CLIENTS);
        scope(|s| {
            for n in 0..CLIENTS {
                let (config, all_are_there) = (&config, &all_are_there);
                s.spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    let mut tls = tls::connect(stream, "localhost", config).unwrap();
                    all_are_there.wait();
                    for round in 0..3 {
                        let message = vec![(n + round) as u8; 1 + n];
                        tls.write_all(&message).unwrap();
                        let mut answer = vec![0; message.len()];
                        tls.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, message);
                    }
                    tls.conn.send_close_notify();
                    tls.flush().unwrap();
                    assert_eq!(tls.read(&mut [0]).unwrap(), 0, "the server says that it has done");
                });
            }
        });
        assert!(server.reports.is_empty(), "{:?}", server.reports.try_recv());
    });
}

#[test]
fn a_large_message_goes_through_in_pieces() {
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let server = Running::start(&identity, tls::echo);
        let message: Arc<Vec<u8>> = Arc::new((0..4_000_000_u32).map(|n| (n * 7 / 5) as u8).collect());
        let mut tls = connect(server.address, "localhost", &identity).unwrap();
        // One who only writes would fill the buffers of both ends; so what is written is read in pieces.
        let mut answer = vec![0; message.len()];
        for (part, place) in message.chunks(60_000).zip(answer.chunks_mut(60_000)) {
            tls.write_all(part).unwrap();
            tls.read_exact(place).unwrap();
        }
        assert!(answer == *message);
    });
}

#[test]
fn an_end_without_a_word_is_told_from_one_that_was_announced() {
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let server = Running::start(&identity, tls::echo);
        let mut tls = connect(server.address, "localhost", &identity).unwrap();
        tls.write_all(b"x").unwrap();
        tls.read_exact(&mut [0]).unwrap();
        drop(tls);
        let error = server.reports.recv().unwrap();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        assert!(error.to_string().contains("close_notify"), "{error}");

        // The other way round: the server is gone in the middle.
        let careless = Running::start(&identity, |mut tls| {
            tls.write_all(b"the first half")?;
            tls.sock.shutdown(std::net::Shutdown::Both)
        });
        let mut tls = connect(careless.address, "localhost", &identity).unwrap();
        let error = tls.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    });
}

#[test]
fn a_bad_certificate_is_a_clear_error_at_both_ends() {
    guarded(|| {
        let (identity, stranger) = (Identity::new("localhost").unwrap(), Identity::new("localhost").unwrap());
        let server = Running::start(&identity, tls::echo);

        let error = connect(server.address, "localhost", &stranger).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("invalid peer certificate: "), "{error}");
        let told = server.reports.recv().unwrap().to_string();
        assert!(told.starts_with("received fatal alert: "), "{told}");

        let error = connect(server.address, "elsewhere", &identity).unwrap_err();
        assert!(error.to_string().contains("not valid for name \"elsewhere\""), "{error}");
        let told = server.reports.recv().unwrap().to_string();
        assert!(told.starts_with("received fatal alert: "), "{told}");

        // Whoever does not speak TLS at all.
        let mut plain = TcpStream::connect(server.address).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let told = server.reports.recv().unwrap();
        assert_eq!(told.kind(), ErrorKind::InvalidData, "{told}");
    });
}

#[test]
fn one_who_connects_and_says_nothing_is_not_waited_for() {
    guarded(|| {
        let identity = Identity::new("localhost").unwrap();
        let server = Running::with_limit(Duration::from_millis(20), &identity, tls::echo);
        let mut silent = TcpStream::connect(server.address).unwrap();
        assert_eq!(server.reports.recv().unwrap().kind(), ErrorKind::TimedOut);
        assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the server has gone");
    });
}
