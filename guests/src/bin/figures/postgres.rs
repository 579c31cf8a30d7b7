//! tokio-postgres behind hyper: every request is a query, all over one connection to the database.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ropewalk::compat::Io;
use ropewalk::future::{block_on, spawn_future};
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::{Contender, Failure, Guest, Setup, load};

pub(crate) const GUEST: Guest = Guest {
    name: "tokio-postgres",
    asks: "GET /, a query for each, over one connection to PostgreSQL",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: |address: SocketAddr, connections, time| {
        load::wrk(&format!("http://{address}/"), connections, time)
    },
};

/// What the requests share.
struct Database {
    client: Client,
    query: Statement,
}

impl Database {
    async fn new(client: Client) -> Result<Arc<Self>, Failure> {
        let query = client.prepare("SELECT count(*) FROM generate_series(1, $1)").await?;
        Ok(Arc::new(Self { client, query }))
    }

    async fn answer(
        self: Arc<Self>,
        _: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, tokio_postgres::Error> {
        let row = self.client.query_one(&self.query, &[&10_i32]).await?;
        Ok(Response::new(Full::new(Bytes::from(row.get::<_, i64>(0).to_string()))))
    }
}

const ABSENT: &str = "no PostgreSQL is installed (Debian: apt-get install postgresql)";

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    let socket = setup.postgres.as_ref().ok_or(ABSENT)?;
    ropewalk::Runtime::builder().workers(1).build()?.run(|| {
        let stream = Io::new(ropewalk::net::UnixStream::connect(socket)?);
        let (client, connection) = block_on(config().connect_raw(stream, NoTls))?;
        spawn_future(connection);
        let database = block_on(Database::new(client))?;
        for stream in ropewalk::net::TcpListener::bind(setup.address)?.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            let database = database.clone();
            let service = service_fn(move |request| database.clone().answer(request));
            spawn_future(http1::Builder::new().serve_connection(Io::new(stream), service));
        }
        Ok(())
    })
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    let socket = setup.postgres.as_ref().ok_or(ABSENT)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let stream = tokio::net::UnixStream::connect(socket).await?;
        let (client, connection) = config().connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        let database = Database::new(client).await?;
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let database = database.clone();
            let service = service_fn(move |request| database.clone().answer(request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    config
}
