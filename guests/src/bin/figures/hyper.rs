//! hyper's HTTP/1.1 server: a short text for every request.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ropewalk::compat::Io;
use ropewalk::future::spawn_future;

use crate::{Contender, Failure, Guest, Setup, load};

pub(crate) const GUEST: Guest = Guest {
    name: "hyper",
    asks: "GET /, 13 bytes in the answer",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: |address: SocketAddr, connections, time| {
        load::wrk(&format!("http://{address}/"), connections, time)
    },
};

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello, world!"))))
}

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    ropewalk::Runtime::builder().workers(1).build()?.run(|| {
        for stream in ropewalk::net::TcpListener::bind(setup.address)?.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            spawn_future(http1::Builder::new().serve_connection(Io::new(stream), service_fn(hello)));
        }
        Ok(())
    })
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello)));
        }
    })
}
