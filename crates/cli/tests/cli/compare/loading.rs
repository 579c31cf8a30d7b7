//! `ropewalk load` by itself.

use serde_json::Value;

use crate::support::{Run, ropewalk};

/// A service to load, on a database of its own.
struct Service {
    run: Run,
    address: String,
    _directory: tempfile::TempDir,
}

impl Service {
    fn start(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut run = ropewalk(&format!(
            "serve --listen 127.0.0.1:0 --database {} {options}",
            directory.path().join("ledger.db").display()
        ));
        let line = run.wait_for("listening on ");
        let address = line.trim_start_matches("listening on ").to_owned();
        Self { run, address, _directory: directory }
    }
}

#[test]
fn people_get_text_and_programs_get_json_and_a_journal() {
    let service = Service::start("--plan std");
    let files = tempfile::tempdir().unwrap();
    let journal = files.path().join("journal");
    let ended = ropewalk(&format!("load {} --users 7 --warmup 0 --payments 300", service.address)).end();
    ended.assert_code(0).assert_says("users      7 of 7 connected").assert_says("payments/s");
    ended.assert_says("p50").assert_says("and its ledger");

    let ended = ropewalk(&format!(
        "load {} --users 7 --warmup 0 --payments 300 --json --journal {}",
        service.address,
        journal.display()
    ))
    .end();
    let json: Value = serde_json::from_str(&ended.assert_code(0).stdout).unwrap();
    assert_eq!(json["connected"], 7);
    assert_eq!(json["window"]["requests"], 300);
    let answers = &json["answers"];
    let answered = answers["accepted"].as_u64().unwrap() + answers["refused"].as_u64().unwrap();
    let journal = std::fs::read_to_string(journal).unwrap();
    assert_eq!(journal.lines().last(), Some(format!("end {answered}").as_str()));
    // The second run used the same seed on the same database: its keys must not be those of the first.
    assert_eq!(answers["unexpected"], serde_json::json!({}));
}

#[test]
fn signed_payments_are_accepted_under_the_seeds_key_and_refused_under_another() {
    let hint = ropewalk("load 127.0.0.1:1 --work cpu --seed 5 --users 1").end();
    let key = hint.stderr.split([' ', ',']).find(|word| word.len() == 64).expect("the key is told");
    let service = Service::start(&format!("--plan std --require-signatures --signatures {key}"));
    let load = |seed: u32| {
        ropewalk(&format!(
            "load {} --users 2 --warmup 0 --payments 20 --work cpu --seed {seed}",
            service.address
        ))
        .end()
    };
    load(5).assert_code(0);
    load(6).assert_code(1).assert_says("trouble").assert_says("status 4");
}

#[test]
fn nobody_listening_is_said_with_the_address() {
    let ended = ropewalk("load 127.0.0.1:1 --users 3").end();
    ended.assert_code(1);
    assert!(ended.stderr.contains("cannot connect to 127.0.0.1:1"), "{}", ended.stderr);
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = ropewalk(&format!("load {address} --users 3 --patience 1")).end();
    ended.assert_code(1).assert_says("users      0 of 3 connected").assert_says("trouble");
}

#[test]
fn a_server_that_speaks_something_else_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        // Counters and one user; what they sent is read first, so that closing does not reset.
        for _ in 0..2 {
            let Ok((mut stream, _)) = listener.accept() else { return };
            std::thread::spawn(move || {
                let mut request = [0; 1024];
                let _ = std::io::Read::read(&mut stream, &mut request);
                let _ = std::io::Write::write_all(&mut stream, b"220 smtp ready\r\n\r\n");
            });
        }
    });
    let ended = ropewalk(&format!("load {address} --users 1 --patience 5")).end();
    ended.assert_code(1).assert_says("not HTTP");
    server.join().unwrap();
}

#[test]
fn ctrl_c_writes_the_journal_and_exits_130() {
    let mut service = Service::start("--plan std");
    let files = tempfile::tempdir().unwrap();
    let journal = files.path().join("journal");
    let run =
        ropewalk(&format!("load {} --users 2 --warmup 60 --journal {}", service.address, journal.display()));
    // The users are at it when the first payment is in the books.
    let path = service._directory.path().join("ledger.db");
    crate::support::until("a payment", || {
        let connection = rusqlite::Connection::open(&path).ok()?;
        let count: i64 = connection.query_row("SELECT count(*) FROM payments", [], |row| row.get(0)).ok()?;
        (count > 0).then_some(())
    });
    run.signal(rustix::process::Signal::INT);
    run.end().assert_code(130);
    let journal = std::fs::read_to_string(journal).unwrap();
    assert!(journal.lines().last().unwrap().starts_with("end "), "{journal}");
    service.run.close_stdout();
}
