//! Three programs that were written for std, with other imports, under ten thousand clients at a time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use ropewalk::net::{TcpStream, UdpSocket};
use ropewalk::sync::{Barrier, Mutex};
use ropewalk::{OnFailure, coroutine, scope_with};
use ropewalk_guests::watchdog::{guarded, raise_descriptor_limit};
use rustix::process::{Resource, getrlimit};

const CLIENTS: usize = 10_000;
/// Descriptors beside those of the clients.
const OTHERS: usize = 200;

/// How many clients the limit of descriptors lets there be, and the right to have them: the tests take turns, because there
/// are neither descriptors nor ports for several crowds.
fn clients() -> (usize, MutexGuard<'static, ()>) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    raise_descriptor_limit();
    let limit = getrlimit(Resource::Nofile).current;
    let most = limit.map_or(usize::MAX, |most| most as usize).saturating_sub(OTHERS);
    if most < CLIENTS {
        eprintln!("only {most} clients instead of {CLIENTS}: raise the hard limit of `ulimit -n`");
    }
    (most.min(CLIENTS), turn)
}

/// A program of `examples/`, which cargo has built beside the tests.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let test = std::env::current_exe().expect("Linux knows");
        let examples = test.ancestors().nth(2).expect("it is in target/PROFILE/deps").join("examples");
        let mut child = Command::new(examples.join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it tells of each question that is withheld from it
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name}: {error}; `cargo test` without a filter of targets builds it")
            });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://");
        let address =
            address.parse().unwrap_or_else(|_| panic!("{name} says '{line}' instead of its address"));
        Self { child, address }
    }

    /// How many threads it has.
    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs").count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `client` as that many coroutines; all end well.
fn crowd(clients: usize, client: impl Fn(usize) + Sync) {
    guarded(|| {
        scope_with(OnFailure::Cancel, |s| {
            for number in 0..clients {
                let client = &client;
                s.spawn(move || client(number));
            }
        });
    });
}

#[test]
fn the_imports_are_all_that_differs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let text = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("use ")).map(str::to_owned).collect();
        assert!(kept.len() > 100, "it is a program");
        kept
    };
    for name in ["web_server.rs", "responder.rs", "follow.rs"] {
        assert_eq!(text(examples.join(name)), text(examples.join("std").join(name)), "{name}");
    }
}

/// Sends a request and gives the body of its answer.
fn get(reader: &mut BufReader<&TcpStream>, path: &str) -> (String, Vec<u8>) {
    write!(reader.get_mut(), "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.split_once(": ") {
            Some(("Content-Length", value)) => length = value.trim().parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), body)
}

#[test]
fn a_web_server_with_files_holds_ten_thousand_connections() {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<Vec<u8>> =
        [0, 100, 10_000, 300_000].map(|length| (0..length).map(|n| (n % 251) as u8).collect()).into();
    for (n, file) in files.iter().enumerate() {
        fs::write(directory.path().join(format!("{n}.bin")), file).unwrap();
    }
    let (clients, _turn) = clients();
    let server = Program::start("web_server", &["127.0.0.1:0", directory.path().to_str().unwrap()]);
    let all_here = Barrier::new(clients);
    crowd(clients, |number| {
        let stream = TcpStream::connect(server.address).unwrap();
        let mut reader = BufReader::with_capacity(1024, &stream);
        assert_eq!(get(&mut reader, "/1.bin"), ("HTTP/1.1 200 OK".into(), files[1].clone()));
        if all_here.wait().is_leader() {
            // All are connected and have been served once.
            assert!(server.threads() < clients / 10, "{} threads", server.threads());
        }
        // The longest for some only: it takes a gigabyte otherwise.
        let n = if number % 100 == 0 { 3 } else { number % 3 };
        let (status, body) = get(&mut reader, &format!("/{n}.bin"));
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(body == files[n], "client {number}");
        let status = match number % 3 {
            0 => get(&mut reader, "/missing").0,
            1 => get(&mut reader, "/../secret").0,
            _ => get(&mut reader, "/").0,
        };
        assert_eq!(
            status,
            if number % 3 == 1 { "HTTP/1.1 400 Bad Request" } else { "HTTP/1.1 404 Not Found" }
        );
    });
}

/// Asks until there is an answer: datagrams get lost where a buffer is full.
fn ask(socket: &UdpSocket, question: &[u8], good: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut answer = [0; 512];
    loop {
        socket.send(question).unwrap();
        match socket.recv(&mut answer) {
            Ok(length) if good(&answer[..length]) => return answer[..length].to_vec(),
            Ok(_) => coroutine::sleep(Duration::from_millis(200)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The client of this number. They come, and come again, one after the other: of what ten thousand ask at the same moment
/// some hundreds fit into the server's buffer. Who has no answer asks again after `patience` and up to four seconds more.
fn udp_client(server: SocketAddr, number: usize, patience: Duration) -> UdpSocket {
    let number = number as u64;
    coroutine::sleep(Duration::from_micros(number * 200));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let patience = patience + Duration::from_millis(number * 7919 % 4000);
    socket.set_read_timeout(Some(patience)).unwrap();
    socket
}

#[test]
fn an_echo_over_udp_serves_ten_thousand_sockets() {
    let (clients, _turn) = clients();
    let server = Program::start("responder", &["echo", "127.0.0.1:0"]);
    let all_here = Barrier::new(clients);
    crowd(clients, |number| {
        let socket = udp_client(server.address, number, Duration::from_secs(1));
        for round in 0..2 {
            let text = format!("{number} in round {round}");
            assert_eq!(ask(&socket, text.as_bytes(), |answer| answer == text.as_bytes()), text.as_bytes());
            if round == 0 {
                all_here.wait();
            }
        }
    });
}

/// A question for the address of `name`.
fn question(id: [u8; 2], name: &str) -> Vec<u8> {
    let mut message = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// A server that answers nobody until so many different names have been asked for, all of them then; until so many clients
/// have their answer.
fn answer_when_all_have_asked(socket: &UdpSocket, clients: usize, answered: &AtomicUsize) {
    let mut names = HashSet::new();
    let mut message = [0; 512];
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while answered.load(Relaxed) < clients {
        let Ok((length, from)) = socket.recv_from(&mut message) else { continue };
        names.insert(message[12..length].to_vec());
        if names.len() == clients {
            let mut answer = message[..length].to_vec();
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
            let _ = socket.send_to(&answer, from); // who has asked may have given up
        }
    }
}

#[test]
fn a_name_server_has_ten_thousand_questions_under_way() {
    // The client's, the responder's own, and those to the other server.
    let (clients, _turn) = clients();
    let directory = tempfile::tempdir().unwrap();
    let names = directory.path().join("names");
    fs::write(&names, "rope.test 192.0.2.7\nWalk.test 192.0.2.8\n").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other_address = other.local_addr().unwrap().to_string();
    let arguments = ["dns", "127.0.0.1:0", names.to_str().unwrap(), &other_address];
    let server = Program::start("responder", &arguments);
    let answered = AtomicUsize::new(0);
    crowd(clients + 1, |number| {
        if number == clients {
            answer_when_all_have_asked(&other, clients, &answered);
            return;
        }
        // The server itself gives up after six seconds.
        let socket = udp_client(server.address, number, Duration::from_secs(7));
        let id = (number as u16).to_be_bytes();
        let known = ask(&socket, &question(id, "ROPE.test"), |answer| answer[..2] == id);
        assert_eq!(known[known.len() - 4..], [192, 0, 2, 7]);
        ask(&socket, &question(id, &format!("n{number}.elsewhere.test")), |answer| {
            answer[..2] == id && answer[3] & 0xf == 0 && answer[answer.len() - 4..] == [10, 0, 0, 1]
        });
        answered.fetch_add(1, Relaxed);
    });
    assert_eq!(answered.into_inner(), clients);
}

#[test]
fn a_follower_of_a_log_tells_ten_thousand_clients_of_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "this is over\n").unwrap();
    let (clients, _turn) = clients();
    let server = Program::start("follow", &["127.0.0.1:0", path.to_str().unwrap()]);
    let log = Mutex::new((File::options().append(true).open(&path).unwrap(), 0_u32));
    let write_line = || {
        let (file, number) = &mut *log.lock().unwrap();
        writeln!(file, "line {number}").unwrap();
        *number += 1;
    };
    let all_here = Barrier::new(clients);
    let to_hear = AtomicUsize::new(clients);
    crowd(clients + 1, |number| {
        if number == clients {
            // Until everybody has heard something; then the log is moved away, and begins anew.
            while to_hear.load(Relaxed) > 0 {
                write_line();
                coroutine::sleep(Duration::from_millis(100));
            }
            fs::rename(&path, directory.path().join("log.1")).unwrap();
            log.lock().unwrap().0 = File::create(&path).unwrap();
            (0..20).for_each(|_| write_line());
            writeln!(log.lock().unwrap().0, "the end").unwrap();
            return;
        }
        let stream = TcpStream::connect(server.address).unwrap();
        let mut lines = BufReader::with_capacity(1024, &stream).lines();
        let mut next = || lines.next().expect("the log goes on").unwrap();
        let first: u32 = next().strip_prefix("line ").expect("a whole line").parse().unwrap();
        to_hear.fetch_sub(1, Relaxed);
        if all_here.wait().is_leader() {
            assert!(server.threads() < clients / 10, "{} threads", server.threads());
        }
        for expected in first + 1.. {
            match next().as_str() {
                "the end" => break,
                line => assert_eq!(line, format!("line {expected}")),
            }
        }
    });
}
