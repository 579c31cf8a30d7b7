//! The proof that a reply means durable: seen by `strace`, the log is synced between the last write
//! of a payment's group and the payment's reply.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Books, Server, on_each_plan, wait_for_exit};

/// Connections that pay at once, so that groups form.
const USERS: usize = 8;
/// Payments of each.
const PAYMENTS: usize = 20;

/// One call of the trace that matters here, in the order in which the kernel ended (for writes to
/// the log and syncs) or began (for replies) them.
#[derive(Debug)]
enum Event {
    /// A frame's header went to the log; true for the frame that commits.
    FrameHeader(bool),
    /// A page went to the log.
    Page(Vec<u8>),
    /// The log was synced.
    Synced,
    /// A request with this key arrived on this socket.
    Request(String, String),
    /// A reply began to leave through this socket.
    Reply(String),
}

/// The length of a frame's header in SQLite's write-ahead log.
const FRAME_HEADER: usize = 24;

/// Reads one line of `strace -f -xx -y`: `PID call(FD<path>, "\x..", ..) = result`, in whole or
/// `<unfinished ...>` and `<... call resumed>`.
struct Trace {
    /// The log's path, as `-xx` writes it.
    log: String,
    /// The beginning of each thread's unfinished call.
    unfinished: HashMap<String, String>,
    events: Vec<Event>,
}

impl Trace {
    fn read(text: &str, log: &Path) -> Vec<Event> {
        let log = log.as_os_str().as_bytes().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let mut trace = Self { log, unfinished: HashMap::new(), events: Vec::new() };
        for line in text.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            trace.line(thread, call.trim_start());
        }
        trace.events
    }

    fn line(&mut self, thread: &str, call: &str) {
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            self.began(begun);
            self.unfinished.insert(thread.to_owned(), begun.to_owned());
        } else if let Some((_, rest)) =
            call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let begun = self.unfinished.remove(thread).unwrap_or_default();
            self.ended(&(begun + rest));
        } else {
            self.began(call);
            self.ended(call);
        }
    }

    /// A reply counts from the moment at which it may leave.
    fn began(&mut self, call: &str) {
        if ["sendto(", "write(", "sendmsg("].iter().any(|name| call.starts_with(name)) {
            let bytes = data(call);
            if bytes.starts_with(b"HTTP/1.1 200") {
                self.events.push(Event::Reply(socket(call)));
            }
        }
    }

    /// All else counts from the moment at which it is done.
    fn ended(&mut self, call: &str) {
        let failed = call.rsplit_once("= ").is_none_or(|(_, result)| result.starts_with('-'));
        if failed {
            return;
        }
        if call.contains(&self.log) {
            if call.starts_with("pwrite64(") {
                let bytes = data(call);
                self.events.push(match bytes.len() {
                    // Bytes 4 to 8 are the size of the database after a commit, else 0.
                    FRAME_HEADER => Event::FrameHeader(bytes[4..8] != [0; 4]),
                    _ => Event::Page(bytes),
                });
            } else if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
                self.events.push(Event::Synced);
            }
        } else if ["recvfrom(", "read(", "recvmsg("].iter().any(|name| call.starts_with(name)) {
            let bytes = data(call);
            if let Some(key) = key(&bytes) {
                self.events.push(Event::Request(socket(call), key));
            }
        }
    }
}

/// The name of the socket, as in `sendto(7<socket:[1]>`: its number is another one in another process.
fn socket(call: &str) -> String {
    let rest = call.split_once('<').map_or("", |(_, rest)| rest);
    rest.split_once('>').expect("a socket").0.to_owned()
}

/// The bytes of a call's first string, which `-xx` writes as `\x..` throughout.
fn data(call: &str) -> Vec<u8> {
    let Some((_, rest)) = call.split_once('"') else { return Vec::new() };
    let Some((hex, _)) = rest.split_once('"') else { return Vec::new() };
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// The key in a payment's request.
fn key(request: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(request).ok()?;
    let (_, rest) = text.split_once(r#""id":""#)?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Replays the trace. Returns for how many payments the order was seen to be right.
fn check(events: &[Event]) -> usize {
    // When each key was first written, and when the commit after it was synced, as event numbers.
    let mut written: Vec<String> = Vec::new();
    let mut committed: Vec<String> = Vec::new();
    let mut durable: HashMap<String, usize> = HashMap::new();
    let mut asked: HashMap<String, String> = HashMap::new();
    let (mut commits_with_next_page, mut proven) = (false, 0);
    for (number, event) in events.iter().enumerate() {
        match event {
            Event::FrameHeader(commits) => commits_with_next_page = *commits,
            Event::Page(bytes) => {
                let waiting =
                    asked.values().filter(|key| bytes.windows(key.len()).any(|part| part == key.as_bytes()));
                for key in waiting {
                    if !written.contains(key) {
                        written.push(key.clone());
                    }
                }
                if commits_with_next_page {
                    committed.append(&mut written);
                }
            }
            Event::Synced => {
                for key in committed.drain(..) {
                    durable.insert(key, number);
                }
            }
            Event::Request(socket, key) => {
                asked.insert(socket.clone(), key.clone());
            }
            Event::Reply(socket) => {
                if let Some(key) = asked.remove(socket) {
                    assert!(durable.contains_key(&key), "`{key}` was acknowledged before the log was synced");
                    proven += 1;
                }
            }
        }
    }
    proven
}

/// The traced server's process, which is the only child of `strace`.
fn child_of(strace: Pid) -> Pid {
    let number = strace.as_raw_nonzero();
    let children =
        std::fs::read_to_string(format!("/proc/{number}/task/{number}/children")).expect("children");
    let child = children.split_whitespace().next().expect("strace runs the server");
    Pid::from_raw(child.parse().expect("a number")).expect("a process")
}

/// True when `strace` is installed and may trace.
fn can_trace() -> bool {
    Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
}

on_each_plan! {
    fn the_log_is_synced_before_a_reply(plan) {
        if !can_trace() {
            eprintln!("skipped: strace is not installed or may not trace (apt install strace)");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let database = directory.path().join("books.db");
        let output = directory.path().join("trace");
        let server = Server::command(plan, &database, &[]);
        let mut traced = Command::new("strace");
        traced
            .args(["-f", "-y", "-xx", "-s", "70000", "-o"])
            .arg(&output)
            .args(["-e", "trace=pwrite64,fdatasync,fsync,sendto,write,sendmsg,recvfrom,read,recvmsg"])
            .arg(server.get_program())
            .args(server.get_args());
        let server = Server::launch(&mut traced, &database);
        std::thread::scope(|scope| {
            for user in 0..USERS {
                let mut client = server.connect();
                scope.spawn(move || {
                    for number in 0..PAYMENTS {
                        let key = format!("user-{user}-payment-{number}.");
                        assert_eq!(client.pay(&key, 1 + user as i64, 100, 1).status, 200);
                    }
                });
            }
        });
        kill_process(child_of(server.pid()), Signal::TERM).expect("the server is there");
        wait_for_exit(server.pid());

        let text = std::fs::read_to_string(&output).expect("a trace");
        let events = Trace::read(&text, &database.with_extension("db-wal"));
        assert_eq!(check(&events), USERS * PAYMENTS);
        assert_eq!(Books::read(&database).payments.len(), USERS * PAYMENTS);
        // The check is worth something: without the syncs it fails.
        let unsynced: Vec<Event> = events.into_iter().filter(|event| !matches!(event, Event::Synced)).collect();
        assert!(std::panic::catch_unwind(|| check(&unsynced)).is_err());
    }
}
