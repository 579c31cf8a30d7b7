//! An asynchronous client of PostgreSQL, tokio-postgres, without tokio's runtime: it is given a stream of ours, connected
//! by plain code, and its connection runs as a coroutine.
//!
//! Many coroutines share one connection: what they ask goes out together, and the answers come back in order.
//!
//! It starts a PostgreSQL of its own (Debian: `apt-get install postgresql`), or talks to one that runs:
//! `cargo run --example async_postgres`, `cargo run --example async_postgres -- /run/postgresql/.s.PGSQL.5432`.

use std::error::Error;
use std::path::Path;

use ropewalk::compat::{Io, Pollable};
use ropewalk::future::{block_on, spawn_future};
use ropewalk::net::UnixStream;
use ropewalk::scope;
use ropewalk_guests::servers::Postgres;
use tokio_postgres::{Client, Config, NoTls};

/// What can go wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Logs in over a stream that has been connected. A coroutine of its own runs the connection until the client is dropped.
pub fn log_in<S>(stream: S, config: &Config) -> Result<Client, Failure>
where
    S: Pollable + Send + 'static,
{
    let (client, connection) = block_on(config.connect_raw(Io::new(stream), NoTls))?;
    spawn_future(connection);
    Ok(client)
}

/// Has `depositors` pay into one account, all over one connection, and gives what is in it then.
pub fn deposit(client: &Client, depositors: i64) -> Result<i64, Failure> {
    block_on(client.batch_execute(
        "CREATE TEMPORARY TABLE account (id int PRIMARY KEY, balance int8);
         INSERT INTO account VALUES (1, 0);",
    ))?;
    let pay = block_on(client.prepare("UPDATE account SET balance = balance + $1 WHERE id = 1"))?;
    scope(|s| {
        let payments: Vec<_> =
            (0..depositors).map(|_| s.spawn(|| block_on(client.execute(&pay, &[&1_i64])))).collect();
        payments.into_iter().try_for_each(|payment| payment.join()?.map(drop).map_err(Failure::from))
    })?;
    let row = block_on(client.query_one("SELECT balance FROM account WHERE id = $1", &[&1_i32]))?;
    Ok(row.get(0))
}

fn main() -> Result<(), Failure> {
    let argument = std::env::args().nth(1);
    ropewalk::run(|| {
        let (socket, _server) = match &argument {
            Some(path) => (Path::new(path).to_owned(), None),
            None => match Postgres::start(10) {
                Some(server) => (server.socket(), Some(server)),
                None => return Ok(()),
            },
        };
        let mut config = Config::new();
        config.user("postgres").dbname("postgres");
        let client = log_in(UnixStream::connect(socket)?, &config)?;
        let version: String = block_on(client.query_one("SELECT version()", &[]))?.get(0);
        println!("{version}");
        println!("1000 coroutines have paid {} into one account", deposit(&client, 1000)?);
        Ok(())
    })
}
