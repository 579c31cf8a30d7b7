//! tokio-postgres on Ropewalk, against a real PostgreSQL.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/async_postgres.rs"]
mod async_postgres;

use std::future::poll_fn;
use std::time::Duration;

use async_postgres::{deposit, log_in};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use ropewalk::compat::Io;
use ropewalk::future::{block_on, spawn_future};
use ropewalk::inspect::State;
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::{channel, coroutine, scope, thread, timeout};
use ropewalk_guests::servers::Postgres;
use ropewalk_guests::watchdog::guarded;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

fn by_socket(server: &Postgres) -> Client {
    log_in(UnixStream::connect(server.socket()).unwrap(), &config()).unwrap()
}

fn config() -> Config {
    let mut config = Config::new();
    config.user("postgres").password(Postgres::PASSWORD).dbname("postgres");
    config
}

#[test]
fn it_logs_in_over_both_families_and_counts_the_money() {
    guarded(|| {
        let Some(server) = Postgres::start(10) else { return };
        let by_password = log_in(TcpStream::connect(server.address()).unwrap(), &config()).unwrap();
        assert_eq!(deposit(&by_password, 500).unwrap(), 500);
        assert_eq!(deposit(&by_socket(&server), 500).unwrap(), 500);

        let mut wrong = config();
        wrong.password("not that");
        let refused = log_in(TcpStream::connect(server.address()).unwrap(), &wrong).unwrap_err();
        let refused = refused.downcast::<tokio_postgres::Error>().unwrap();
        assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    });
}

#[test]
fn connections_of_many_coroutines_and_threads_see_their_transactions_only() {
    const CLIENTS: usize = 40;
    guarded(|| {
        let Some(server) = Postgres::start(CLIENTS + 5) else { return };
        let keeper = by_socket(&server);
        block_on(keeper.batch_execute("CREATE TABLE tally (n int)")).unwrap();
        let one = |n: usize| {
            let mut client = by_socket(&server);
            block_on(async {
                let transaction = client.transaction().await.unwrap();
                let number = n as i32;
                transaction.execute("INSERT INTO tally VALUES ($1)", &[&number]).await.unwrap();
                let seen = transaction.query("SELECT n FROM tally WHERE n = $1", &[&number]).await.unwrap();
                assert_eq!(seen.len(), 1);
                match n % 2 {
                    0 => transaction.commit().await.unwrap(),
                    _ => transaction.rollback().await.unwrap(),
                }
            });
        };
        scope(|s| (0..CLIENTS / 2).for_each(|n| drop(s.spawn(move || one(n)))));
        thread::scope(|s| (CLIENTS / 2..CLIENTS).for_each(|n| drop(s.spawn(move || one(n)))));
        let sum = block_on(keeper.query_one("SELECT count(*), sum(n) FROM tally", &[])).unwrap();
        let even = (0..CLIENTS as i64).step_by(2);
        assert_eq!((sum.get::<_, i64>(0), sum.get::<_, i64>(1)), (even.clone().count() as i64, even.sum()));
    });
}

#[test]
fn a_large_table_is_copied_in_and_out() {
    const ROWS: i64 = 50_000;
    guarded(|| {
        let Some(server) = Postgres::start(10) else { return };
        let client = by_socket(&server);
        block_on(async {
            client.batch_execute("CREATE TABLE numbers (n int8, word text)").await.unwrap();
            let sink = client.copy_in("COPY numbers FROM STDIN").await.unwrap();
            pin_mut!(sink);
            for n in 0..ROWS {
                sink.send(Bytes::from(format!("{n}\tknot {n}\n"))).await.unwrap();
            }
            assert_eq!(sink.finish().await.unwrap(), ROWS as u64);
            let stream = client.copy_out("COPY (SELECT * FROM numbers ORDER BY n) TO STDOUT").await.unwrap();
            let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
            let expected: String = (0..ROWS).map(|n| format!("{n}\tknot {n}\n")).collect();
            assert!(parts.concat() == expected.as_bytes());
        });
    });
}

#[test]
fn a_notification_wakes_who_listens() {
    guarded(|| {
        let Some(server) = Postgres::start(10) else { return };
        let stream = UnixStream::connect(server.socket()).unwrap();
        let (client, mut connection) = block_on(config().connect_raw(Io::new(stream), NoTls)).unwrap();
        let (sender, heard) = channel::unbounded();
        spawn_future(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    sender.send(notification.payload().to_owned()).unwrap();
                }
            }
        });
        block_on(client.batch_execute("LISTEN bell")).unwrap();
        let waits = coroutine::spawn(move || heard.recv().unwrap());
        block_on(by_socket(&server).batch_execute("NOTIFY bell, 'ding'")).unwrap();
        assert_eq!(waits.join().unwrap(), "ding");
    });
}

#[test]
fn a_query_is_given_up_by_timeout_and_by_the_server() {
    guarded(|| {
        let Some(server) = Postgres::start(10) else { return };
        let client = by_socket(&server);
        let late =
            timeout(Duration::from_millis(20), || block_on(client.batch_execute("SELECT pg_sleep(3600)")));
        assert!(late.is_err());
        // The server still works at it, and is told to stop over another connection.
        let token = client.cancel_token();
        let tell = || {
            let stream = UnixStream::connect(server.socket()).unwrap();
            block_on(token.cancel_query_raw(Io::new(stream), NoTls)).unwrap();
        };
        tell();
        assert_eq!(block_on(client.query_one("SELECT 7", &[])).unwrap().get::<_, i32>(0), 7);

        let asks = scope(|s| {
            let asks = s.spawn(|| block_on(client.batch_execute("SELECT pg_sleep(3600)")));
            while !matches!(asks.task().state(), State::Blocked(_)) || !is_asleep(&server) {
                coroutine::sleep(Duration::from_millis(1));
            }
            tell();
            asks.join().unwrap()
        });
        assert_eq!(asks.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    });
}

/// Whether a query sleeps in the server.
fn is_asleep(server: &Postgres) -> bool {
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    block_on(by_socket(server).query_one(asleep, &[])).unwrap().get::<_, i64>(0) > 0
}

#[test]
fn the_end_of_the_server_is_an_error_of_who_asks() {
    guarded(|| {
        let Some(server) = Postgres::start(10) else { return };
        let client = by_socket(&server);
        let killer = by_socket(&server);
        let pid: i32 = block_on(client.query_one("SELECT pg_backend_pid()", &[])).unwrap().get(0);
        block_on(killer.query_one("SELECT pg_terminate_backend($1)", &[&pid])).unwrap();
        let error = loop {
            if let Err(error) = block_on(client.query_one("SELECT 1", &[])) {
                break error;
            }
        };
        assert!(error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN), "{error}");
    });
}
