//! The blocking client against a real PostgreSQL.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/postgres.rs"]
mod postgres;

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

use postgres::{Client, Error, Teller, crowd, open_accounts};
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::sync::{Barrier, Mutex};
use ropewalk::{coroutine, scope, timeout};
use ropewalk_guests::servers::Postgres;
use ropewalk_guests::watchdog::guarded;

/// How many pay at the same time.
const PAYERS: i64 = 200;

/// The server that the tests of this program share: to start one takes seconds.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// A database of a test's own.
struct Database {
    server: Arc<Postgres>,
    name: &'static str,
}

impl Database {
    fn by_tcp(&self) -> Result<Client<TcpStream>, Error> {
        let stream = TcpStream::connect(self.server.address())?;
        Client::connect(stream, "postgres", self.name, Postgres::PASSWORD)
    }

    fn by_socket(&self) -> Result<Client<UnixStream>, Error> {
        Client::connect(UnixStream::connect(self.server.socket())?, "postgres", self.name, "")
    }
}

/// Runs `body` with a database of this name, or not at all where there is no server.
fn with_database(name: &'static str, body: impl FnOnce(&Database)) {
    guarded(|| {
        let mut shared = SHARED.lock().unwrap();
        let running = shared.upgrade().or_else(|| Postgres::start(PAYERS as usize + 30).map(Arc::new));
        let Some(server) = running else { return };
        *shared = Arc::downgrade(&server);
        drop(shared);
        let stream = UnixStream::connect(server.socket()).unwrap();
        let mut maker = Client::connect(stream, "postgres", "postgres", "").unwrap();
        maker.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        maker.close().unwrap();
        body(&Database { server, name });
    });
}

fn sum_of_accounts<S: Read + Write>(client: &mut Client<S>) -> i64 {
    let sum = client.prepare("SELECT sum(balance)::bigint FROM accounts").unwrap();
    client.query(&sum, &[]).unwrap()[0].get(0).unwrap()
}

#[test]
fn two_hundred_coroutines_pay_each_other_and_the_books_are_balanced() {
    with_database("payers", |database| {
        let mut first = database.by_tcp().unwrap();
        open_accounts(&mut first, PAYERS).unwrap();
        let all_are_connected = Barrier::new(PAYERS as usize);
        scope(|s| {
            for me in 0..PAYERS {
                let all_are_connected = &all_are_connected;
                s.spawn(move || {
                    // Most without a password: its thousands of hashes are slow in a debug build.
                    if me % 10 == 0 {
                        payments(database.by_tcp().unwrap(), me, PAYERS, all_are_connected);
                    } else {
                        payments(database.by_socket().unwrap(), me, PAYERS, all_are_connected);
                    }
                });
            }
        });
        assert_eq!(sum_of_accounts(&mut first), PAYERS * 1000);
        let poorer = first.prepare("SELECT count(*) FROM accounts WHERE balance <> 1000").unwrap();
        assert!(first.query(&poorer, &[]).unwrap()[0].get::<i64>(0).unwrap() > 0, "somebody has paid");
        first.close().unwrap();
    });
}

/// Pays five others; the last payment is more than anybody has.
fn payments<S: Read + Write>(client: Client<S>, me: i64, all: i64, all_are_connected: &Barrier) {
    let mut teller = Teller::new(client).unwrap();
    all_are_connected.wait();
    for n in 1..=4 {
        assert!(teller.pay(me, (me + n * 37) % all, n * 11 + me % 7).unwrap(), "there is enough");
    }
    assert!(!teller.pay(me, (me + 1) % all, 1_000_000).unwrap(), "there is not enough");
    teller.close().unwrap();
}

#[test]
fn the_examples_crowd_keeps_what_it_has() {
    with_database("crowd", |database| {
        assert_eq!(crowd(20, || database.by_socket()).unwrap(), 20_000);
    });
}

#[test]
fn values_travel_in_both_directions_with_their_types() {
    with_database("travellers", |database| {
        let mut client = database.by_socket().unwrap();
        let statement = client
            .prepare("SELECT $1::bigint, $2::text, $3::float8, $4::bool, $5::bytea, NULL::int, $6::text[]")
            .unwrap();
        let (text, bytes, words) = ("Reepschläger 🪢", [0_u8, 255, 10].as_slice(), vec!["a", "b\"c"]);
        let rows = client.query(&statement, &[&i64::MIN, &text, &1.5, &true, &bytes, &words]).unwrap();
        let row = &rows[0];
        assert_eq!(row.get::<i64>(0).unwrap(), i64::MIN);
        assert_eq!(row.get::<&str>(1).unwrap(), text);
        assert_eq!(row.get::<f64>(2).unwrap(), 1.5);
        assert!(row.get::<bool>(3).unwrap());
        assert_eq!(row.get::<&[u8]>(4).unwrap(), bytes);
        assert_eq!(row.get::<Option<i32>>(5).unwrap(), None);
        assert_eq!(row.get::<Vec<String>>(6).unwrap(), words);
        assert!(matches!(row.get::<String>(0), Err(Error::Value(_))), "a number is no text");
        assert!(matches!(row.get::<i64>(7), Err(Error::Io(_))), "there is no eighth column");
        assert!(matches!(client.query(&statement, &[&1_i64]), Err(Error::Value(_))), "five are missing");
        assert!(matches!(
            client.query(&statement, &[&"1", &text, &1.5, &true, &bytes, &words]),
            Err(Error::Value(_))
        ));

        // More than fits into the buffers of the sockets, in one value and in many rows.
        let long = client.prepare("SELECT repeat('rope', $1)").unwrap();
        let rows = client.query(&long, &[&2_000_000]).unwrap();
        assert_eq!(rows[0].get::<&str>(0).unwrap().len(), 8_000_000);
        let many = client.prepare("SELECT n FROM generate_series(1, $1) n").unwrap();
        let rows = client.query(&many, &[&50_000]).unwrap();
        let sum: i64 = rows.iter().map(|row| i64::from(row.get::<i32>(0).unwrap())).sum();
        assert_eq!((rows.len(), sum), (50_000, 50_000 * 50_001 / 2));
    });
}

#[test]
fn what_the_server_refuses_is_an_error_with_its_code_and_the_connection_goes_on() {
    fn code<T>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::Refused { code, .. }) => code,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was not refused"),
        }
    }
    with_database("refusals", |database| {
        let stream = TcpStream::connect(database.server.address()).unwrap();
        assert_eq!(code(Client::connect(stream, "postgres", "postgres", "wrong")), "28P01");
        let stream = TcpStream::connect(database.server.address()).unwrap();
        assert_eq!(code(Client::connect(stream, "postgres", "nowhere", Postgres::PASSWORD)), "3D000");

        let mut client = database.by_socket().unwrap();
        assert_eq!(code(client.batch_execute("SELEKT 1")), "42601");
        assert_eq!(code(client.prepare("SELECT * FROM nothing")), "42P01");
        open_accounts(&mut client, 2).unwrap();
        let take = client.prepare("UPDATE accounts SET balance = balance - $1 WHERE id = 0").unwrap();
        assert_eq!(code(client.execute(&take, &[&2000_i64])), "23514", "a balance below 0");
        let outcome = client.transaction(|client| {
            assert_eq!(client.execute(&take, &[&10_i64])?, 1);
            client.execute(&take, &[&5000_i64])
        });
        assert_eq!(code(outcome), "23514");
        assert_eq!(sum_of_accounts(&mut client), 2000, "the ten are back");
        let outcome: Result<(), _> = client.transaction(|client| {
            client.execute(&take, &[&10_i64])?;
            Err(Error::Value("the payer thinks better of it".into()))
        });
        assert!(matches!(outcome, Err(Error::Value(_))));
        assert_eq!(sum_of_accounts(&mut client), 2000, "and they are again");
    });
}

#[test]
fn a_task_that_is_cut_off_leaves_nothing_half_done() {
    with_database("cut_off", |database| {
        let mut client = database.by_socket().unwrap();
        open_accounts(&mut client, 2).unwrap();
        let take = "UPDATE accounts SET balance = balance - 10 WHERE id = 0";

        // In the middle of a transaction: its client is dropped on the way.
        let (taken, is_taken) = ropewalk::channel::bounded(1);
        let socket = database.server.socket();
        let payer = coroutine::spawn(move || {
            let stream = UnixStream::connect(socket)?;
            let mut client = Client::connect(stream, "postgres", "cut_off", "")?;
            client.transaction(|client| {
                client.batch_execute(take)?;
                taken.send(()).expect("somebody hears it");
                client.batch_execute("SELECT pg_sleep(3600)")
            })
        });
        is_taken.recv().unwrap();
        payer.cancel();
        assert!(payer.join().unwrap_err().is_cancelled());
        // This waits for the lock until the server has noticed; the ten are back then.
        client.batch_execute(take).unwrap();
        assert_eq!(sum_of_accounts(&mut client), 1990);

        // In the middle of an answer: the rest of it is still to come, so the client is of no more use, and says so.
        let cut_off =
            timeout(Duration::from_millis(20), || client.batch_execute("SELECT pg_sleep(3600)").is_ok());
        assert!(cut_off.is_err());
        let Err(Error::Io(error)) = client.batch_execute("SELECT 1") else { panic!("it goes on") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    });
}
