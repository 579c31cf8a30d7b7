//! The processes of the service, and what happens when one of them dies.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::support::{Books, Client, Server, on_each_plan, pay, until};

/// The processes of this role.
fn of_role(server: &Server, role: &str) -> Vec<Pid> {
    server.processes().into_iter().filter(|(found, ..)| found == role).map(|(_, pid, _)| pid).collect()
}

/// Pays until `stop`, or until the connection ends. Returns how many payments were acknowledged.
fn pay_on(mut client: Client, user: usize, paid: &AtomicUsize, stop: &AtomicBool) -> usize {
    for number in 0.. {
        let sent = client.try_send(pay(&format!("{user}-{number}"), 1 + user as i64, 50, 1));
        match sent.and_then(|()| client.try_reply()) {
            Ok(reply) => assert_eq!(reply.status, 200, "{reply:?}"),
            Err(_) => return number,
        }
        paid.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            return number + 1;
        }
    }
    unreachable!("it ends one way or the other")
}

#[test]
fn a_connections_process_that_is_killed_ends_that_connection_only() {
    const USERS: usize = 6;
    let directory = tempfile::tempdir().expect("a directory");
    let (database, log) = (directory.path().join("books.db"), directory.path().join("log"));
    let mut command = Server::command("process", &database, &["--opening-balance", "1000000"]);
    command.stderr(std::fs::File::create(&log).expect("a log"));
    let server = Server::launch(&mut command, &database);
    let (paid, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let acknowledged: Vec<usize> = std::thread::scope(|scope| {
        let mut clients: Vec<Client> = (0..USERS).map(|_| server.connect()).collect();
        // Each has its process once it is answered.
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/health").status, 200));
        let victims = of_role(&server, "connection");
        let users: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(user, client)| {
                let (paid, stop) = (&paid, &stop);
                scope.spawn(move || pay_on(client, user, paid, stop))
            })
            .collect();
        until("payments are made", || paid.load(Relaxed) > 100);
        // The one that listed them is gone already; whoever is first of the others.
        let victim = victims.iter().find(|victim| kill_process(**victim, Signal::KILL).is_ok());
        assert!(victim.is_some(), "{victims:?}");
        until("one of them is cut", || users.iter().any(std::thread::ScopedJoinHandle::is_finished));
        let before = paid.load(Relaxed);
        until("the others pay on", || paid.load(Relaxed) > before + 100);
        assert_eq!(users.iter().filter(|user| user.is_finished()).count(), 1, "one only");
        stop.store(true, Relaxed);
        users.into_iter().map(|user| user.join().expect("a user")).collect()
    });
    // What the one was not told may be there or not; all others were told everything.
    let books = Books::read(server.stop().database());
    let told: usize = acknowledged.iter().sum();
    assert!((told..=told + 1).contains(&books.payments.len()), "{told} told, {} there", books.payments.len());
    let log = std::fs::read_to_string(log).expect("the log");
    assert_eq!(log.matches("the process of a connection ended").count(), 1, "{log}");
    assert!(log.contains("signal 9"), "{log}");
}

#[test]
fn workers_that_are_killed_are_replaced() {
    let server = Server::start("process+coroutine", &["--processes", "2"]);
    let mut workers = Vec::new();
    until("both are there", || {
        workers = of_role(&server, "worker");
        workers.len() == 2
    });
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/health").status, 200));
    for worker in &workers {
        kill_process(*worker, Signal::KILL).expect("it runs");
    }
    assert!(clients.iter_mut().all(Client::is_closed), "each was the client of one of them");
    until("others take their places", || {
        let now = of_role(&server, "worker");
        now.len() == 2 && workers.iter().all(|worker| !now.contains(worker))
    });
    for number in 0..20 {
        assert_eq!(server.connect().pay(&format!("k{number}"), 1, 2, 1).status, 200);
    }
    server.stop();
}

on_each_plan! {
    fn a_ledger_that_is_killed_ends_the_service_with_an_error(plan) {
        let mut server = Server::start(plan, &[]);
        let mut client = server.connect();
        assert_eq!(client.pay("a", 1, 2, 5).status, 200);
        kill_process(server.ledger(), Signal::KILL).expect("it runs");
        assert_eq!(server.wait().code(), Some(1));
        assert_eq!(Books::read(server.database()).payments.len(), 1, "what was acknowledged is there");
    }

    fn nobody_outlives_a_service_that_is_killed(plan) {
        let server = Server::start(plan, &[]);
        let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.pay(&format!("k{number}"), 1, 2, 5).status, 200);
        }
        let database = server.database().to_owned();
        // It waits for all of them.
        let _directory = server.kill();
        assert!(clients.iter_mut().all(Client::is_closed));
        assert_eq!(Books::read(&database).payments.len(), 4);
    }

    fn several_read_their_own_payments_at_once(plan) {
        let server = Server::start(plan, &["--accounts", "20", "--opening-balance", "1000"]);
        std::thread::scope(|scope| {
            for user in 0..8 {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.connect();
                    for number in 1..=50 {
                        let reply = client.pay(&format!("{user}-{number}"), 1 + user, 20, 1);
                        assert_eq!(reply.balances().0, 1000 - number);
                        // Nobody else pays from this account: never an older balance, on no connection.
                        assert_eq!(client.balance(1 + user), 1000 - number);
                        assert_eq!(server.connect().balance(1 + user), 1000 - number);
                    }
                });
            }
        });
        server.stop();
    }
}

#[test]
fn a_connection_without_a_process_is_answered_503() {
    let server = Server::start("process", &[]);
    let mut first = server.connect();
    assert_eq!(first.get("/health").status, 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero())).expect("descriptors");
    // Enough to accept a connection, not to start a process.
    let limit = Rlimit { current: Some(open.count() as u64 + 2), ..getrlimit(Resource::Nofile) };
    prlimit(Some(server.pid()), Resource::Nofile, limit).expect("the limit is set");
    let mut refused = server.connect();
    let reply = refused.get("/health");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(first.pay("a", 1, 2, 5).status, 200, "the others go on");
    until("it is counted", || first.get("/stats").number("transient_accept_errors") >= 1);
    prlimit(Some(server.pid()), Resource::Nofile, getrlimit(Resource::Nofile)).expect("the limit is lifted");
    drop(refused);
    assert_eq!(server.connect().get("/health").status, 200);
    server.stop();
}
