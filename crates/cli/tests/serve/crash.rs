//! SIGKILL at any moment: no acknowledged payment is lost, none is made twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::support::{Books, Client, Server, on_each_plan, pay, until};

/// Connections that pay at once.
const USERS: usize = 16;

/// How many rounds: `ROPEWALK_KILL_ROUNDS=20` for more than the usual few.
fn rounds() -> usize {
    std::env::var("ROPEWALK_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// A payment and what the client was told: both balances, or nothing.
type Sent = ((i64, i64, i64), Option<(i64, i64)>);

/// Pays until the server is gone. Returns each key with what was sent and told.
fn pay_until_the_end(
    mut client: Client,
    round: usize,
    user: usize,
    told: &AtomicUsize,
) -> HashMap<String, Sent> {
    let mut sent = HashMap::new();
    for number in 0.. {
        let key = format!("{round}-{user}-{number}");
        let (from, to, cents) =
            (1 + (user * 7 + number) as i64 % 50, 51 + number as i64 % 50, 1 + number as i64 % 9);
        let reply = client.try_send(pay(&key, from, to, cents)).and_then(|()| client.try_reply());
        let balances = reply.as_ref().ok().map(crate::support::Reply::balances);
        sent.insert(key, ((from, to, cents), balances));
        if balances.is_none() {
            break;
        }
        told.fetch_add(1, Relaxed);
    }
    sent
}

/// The books hold all that was acknowledged, as it was acknowledged, and nothing that was not sent.
fn check(books: &Books, sent: &HashMap<String, Sent>) {
    for (key, &((from, to, cents), balances)) in sent {
        let stored = books.payments.get(key);
        if let Some((payer_balance, payee_balance)) = balances {
            assert_eq!(
                stored,
                Some(&(from, to, cents, payer_balance, payee_balance)),
                "{key} was acknowledged"
            );
        } else if let Some(stored) = stored {
            assert_eq!((stored.0, stored.1, stored.2), (from, to, cents), "{key}");
        }
    }
    for key in books.payments.keys() {
        assert!(sent.contains_key(key), "{key} was never sent");
    }
}

on_each_plan! {
    fn acknowledged_payments_survive_sigkill(plan) {
        let directory = tempfile::tempdir().expect("a directory");
        let database = directory.path().join("books.db");
        let flags = ["--accounts", "100", "--opening-balance", "1000000"];
        let mut sent: HashMap<String, Sent> = HashMap::new();
        for round in 0..rounds() {
            let server = Server::open(plan, &database, &flags);
            // What was not acknowledged before may or may not be there: a retry makes it so, once.
            let mut client = server.connect();
            for (key, ((from, to, cents), balances)) in sent.iter_mut().filter(|(_, (_, told))| told.is_none()) {
                *balances = Some(client.pay(key, *from, *to, *cents).balances());
            }
            let told = AtomicUsize::new(0);
            let wanted = 200 + 97 * round % 500;
            std::thread::scope(|scope| {
                let users: Vec<_> = (0..USERS)
                    .map(|user| {
                        let (client, told) = (server.connect(), &told);
                        scope.spawn(move || pay_until_the_end(client, round, user, told))
                    })
                    .collect();
                until("payments are made", || told.load(Relaxed) >= wanted || users.iter().any(|user| user.is_finished()));
                server.kill();
                for user in users {
                    sent.extend(user.join().expect("a user"));
                }
            });
            check(&Books::read(&database), &sent);
        }
        // And once more to the end: every retry gets its first answer.
        let server = Server::open(plan, &database, &flags);
        let mut client = server.connect();
        for (key, ((from, to, cents), balances)) in &mut sent {
            let again = client.pay(key, *from, *to, *cents).balances();
            assert_eq!(*balances.get_or_insert(again), again, "{key}");
        }
        server.stop();
        let books = Books::read(&database);
        check(&books, &sent);
        assert_eq!(books.payments.len(), sent.len());
    }
}
