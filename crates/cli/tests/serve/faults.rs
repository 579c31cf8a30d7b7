//! The disk is full, the descriptors are used up, the memory is short: the service says so, loses
//! nothing, and goes on when it has passed.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{Books, Client, Server, on_each_plan, on_each_plan_in_one_process, until};

/// Sets a soft limit of a running process. Its hard limit is what this process has, too.
fn limit(process: Pid, resource: Resource, current: Option<u64>) {
    let limit = Rlimit { current, ..getrlimit(resource) };
    prlimit(Some(process), resource, limit).expect("the limit is set");
}

on_each_plan! {
    fn a_full_disk_is_answered_with_503_and_loses_nothing(plan) {
        let server = Server::start(plan, &[]);
        let ledger = server.ledger();
        let mut client = server.connect();
        let (mut acknowledged, mut refused) = (HashSet::new(), HashSet::new());
        let mut pay = |client: &mut Client, number: usize| {
            let key = format!("k{number}");
            let reply = client.pay(&key, 1 + number as i64 % 100, 101, 1);
            match reply.status {
                200 => acknowledged.insert(key),
                503 => {
                    assert_eq!(reply.header("retry-after"), Some("1"));
                    refused.insert(key)
                }
                _ => panic!("{reply:?}"),
            };
            reply.status
        };
        for number in 0..10 {
            assert_eq!(pay(&mut client, number), 200);
        }
        // No file may grow any more: the kernel says EFBIG in the middle of a write.
        let log = server.database().with_extension("db-wal");
        let size = fs::metadata(&log).expect("the log is there").len();
        limit(ledger, Resource::Fsize, Some(size + 10_000));
        let mut number = 10;
        while pay(&mut client, number) == 200 {
            number += 1;
        }
        assert_eq!(pay(&mut client, number + 1), 503, "and again");
        // Reading goes on, and shows only what is on the disk.
        let balance = client.balance(101);
        assert_eq!(balance - 10_000, number as i64);
        assert_eq!(client.get("/health").status, 200);
        assert!(client.get("/stats").number("failed_groups") >= 2);

        limit(ledger, Resource::Fsize, None);
        for number in number + 2..number + 20 {
            assert_eq!(pay(&mut client, number), 200, "the disk has room again");
        }
        assert_eq!(client.balance(101) - 10_000, acknowledged.len() as i64);
        let keys: HashSet<String> = Books::read(server.stop().database()).payments.into_keys().collect();
        assert_eq!(keys, acknowledged, "not one of {refused:?}");
    }

}

// Where connections have processes, each has limits of its own: those of what starts them are in `processes`.
on_each_plan_in_one_process! {
    fn running_out_of_descriptors_is_survived(plan) {
        let server = Server::start(plan, &[]);
        let mut first = server.connect();
        assert_eq!(first.get("/health").status, 200);
        let open = fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero())).expect("descriptors").count();
        limit(server.pid(), Resource::Nofile, Some(open as u64 + 5));
        // The kernel connects them; the server can accept only some.
        let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
        until("descriptors are short", || first.get("/stats").number("transient_accept_errors") > 0);
        assert_eq!(first.pay("a", 1, 2, 5).status, 200, "the ledger needs no new descriptor");
        assert_eq!(clients[0].get("/health").status, 200);
        // As they end the others get their turn, oldest first.
        for mut client in clients.drain(..) {
            assert_eq!(client.get("/health").status, 200);
        }
        assert_eq!(server.connect().get("/health").status, 200);
        server.stop();
    }

    fn a_full_address_space_refuses_newcomers_and_keeps_the_others(plan) {
        let server = Server::start(plan, &["--memory", "512M"]);
        let mut clients: Vec<Client> = Vec::new();
        let refused = loop {
            let mut client = server.connect();
            let reply = client.get("/health");
            if reply.status != 200 {
                break reply;
            }
            clients.push(client);
            assert!(clients.len() < 900, "512 MB are never full");
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(!refused.error().is_empty());
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.pay(&format!("k{number}"), 1, 2, 1).status, 200);
        }
        assert_eq!(server.connect().try_reply().map(|reply| reply.status).ok(), Some(503), "still full");
        let counted = || clients[0].get("/stats").number("transient_accept_errors") >= 2;
        until("both are counted", counted);
        // When one ends another one finds room.
        let count = clients.len();
        clients.truncate(count - 1);
        until("there is room again", || {
            let mut client = server.connect();
            client.try_send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
                && client.try_reply().is_ok_and(|reply| reply.status == 200)
        });
        assert_eq!(Books::read(server.stop().database()).payments.len(), count);
    }
}

#[test]
fn a_limit_above_the_hard_limit_is_refused_with_a_hint() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" serve --database /nowhere/at/all.db --memory 2G"])
        .arg(env!("CARGO_BIN_EXE_ropewalk"))
        .output()
        .expect("a shell");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    // Who may raise the hard limit hears that there is no such directory instead.
    assert!(message.contains("--memory") || message.contains("--database"), "{message}");
}
