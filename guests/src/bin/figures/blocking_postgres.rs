//! The blocking client of PostgreSQL, a connection to the database for each that is served; on tokio the same with
//! tokio-postgres. Connections to the database are kept for those who come later.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../../../examples/postgres.rs"]
mod example;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use ropewalk::coroutine::spawn_local;
use ropewalk::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::LocalSet;
use tokio_postgres::{Config, NoTls};

use crate::{Contender, Failure, Guest, Setup, http, load};

pub(crate) const GUEST: Guest = Guest {
    name: "blocking-postgres",
    asks: "GET /, a query for each, over as many connections to PostgreSQL",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: |address: SocketAddr, connections, time| {
        load::wrk(&format!("http://{address}/"), connections, time)
    },
};

const QUERY: &str = "SELECT count(*) FROM generate_series(1, $1::int)";
const ABSENT: &str = "no PostgreSQL is installed (Debian: apt-get install postgresql)";

type Client = (example::Client<UnixStream>, example::Statement);

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    let socket: Rc<Path> = setup.postgres.as_deref().ok_or(ABSENT)?.into();
    ropewalk::Runtime::builder().workers(1).build()?.run(|| {
        let idle: Rc<RefCell<Vec<Client>>> = Rc::default();
        for stream in TcpListener::bind(setup.address)?.incoming() {
            let (stream, idle, socket) = (stream?, idle.clone(), socket.clone());
            spawn_local(move || serve(stream, &idle, &socket));
        }
        Ok(())
    })
}

fn serve(mut stream: TcpStream, idle: &RefCell<Vec<Client>>, socket: &Path) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let kept = idle.borrow_mut().pop();
    let (mut client, query) = match kept {
        Some(client) => client,
        None => {
            let mut client =
                example::Client::connect(UnixStream::connect(socket)?, "postgres", "postgres", "")?;
            let query = client.prepare(QUERY)?;
            (client, query)
        }
    };
    let served =
        http::serve(&mut stream, || Ok(client.query(&query, &[&10_i32])?[0].get::<i64>(0)?.to_string()));
    idle.borrow_mut().push((client, query));
    served
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    let socket: Rc<Path> = setup.postgres.as_deref().ok_or(ABSENT)?.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        let idle: Rc<RefCell<Vec<AsyncClient>>> = Rc::default();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(serve_future(stream, idle.clone(), socket.clone()));
        }
    })
}

type AsyncClient = (tokio_postgres::Client, tokio_postgres::Statement);

async fn serve_future(
    mut stream: tokio::net::TcpStream,
    idle: Rc<RefCell<Vec<AsyncClient>>>,
    socket: Rc<Path>,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let kept = idle.borrow_mut().pop();
    let (client, query) = match kept {
        Some(client) => client,
        None => {
            let mut config = Config::new();
            let stream = tokio::net::UnixStream::connect(&socket).await?;
            let (client, connection) =
                config.user("postgres").dbname("postgres").connect_raw(stream, NoTls).await?;
            tokio::task::spawn_local(connection);
            let query = client.prepare(QUERY).await?;
            (client, query)
        }
    };
    let served = http::serve_future(&mut stream, async || {
        let row = client.query_one(&query, &[&10_i32]).await?;
        Ok(row.get::<_, i64>(0).to_string())
    });
    let served = served.await;
    idle.borrow_mut().push((client, query));
    served
}
