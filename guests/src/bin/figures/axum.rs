//! axum: a router that takes a number from the path and answers JSON.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::service::TowerToHyperService;
use ropewalk::compat::Io;
use ropewalk::future::spawn_future;
use serde::Serialize;

use crate::{Contender, Failure, Guest, Setup, load};

pub(crate) const GUEST: Guest = Guest {
    name: "axum",
    asks: "GET /square/{n}, JSON in the answer",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: |address: SocketAddr, connections, time| {
        load::wrk(&format!("http://{address}/square/12"), connections, time)
    },
};

#[derive(Serialize)]
struct Square {
    number: u64,
    square: u64,
}

fn application() -> Router {
    let square =
        |Path(number): Path<u64>| async move { Json(Square { number, square: number.wrapping_mul(number) }) };
    Router::new().route("/square/{number}", get(square))
}

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    let application = application();
    ropewalk::Runtime::builder().workers(1).build()?.run(|| {
        for stream in ropewalk::net::TcpListener::bind(setup.address)?.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            let service = TowerToHyperService::new(application.clone());
            spawn_future(http1::Builder::new().serve_connection(Io::new(stream), service));
        }
        Ok(())
    })
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    use axum::serve::ListenerExt;

    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        Ok(axum::serve(listener, application()).await?)
    })
}
