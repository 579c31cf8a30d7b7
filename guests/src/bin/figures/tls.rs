//! rustls: a short text over TLS for every request. On Ropewalk its blocking half, on tokio tokio-rustls.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../../../examples/tls.rs"]
mod example;

use std::net::SocketAddr;
use std::sync::Arc;

use ropewalk::net::TcpListener;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::{Contender, Failure, Guest, Setup, http, load};

pub(crate) const GUEST: Guest = Guest {
    name: "rustls",
    asks: "GET / over TLS 1.3, 13 bytes in the answer",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: |address: SocketAddr, connections, time| {
        load::wrk(&format!("https://{address}/"), connections, time)
    },
};

const TEXT: &str = "Hello, world!";

fn config() -> Result<Arc<ServerConfig>, Failure> {
    Ok(example::Identity::new("localhost")?.server()?)
}

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    let config = config()?;
    ropewalk::Runtime::builder().workers(1).build()?.run(|| {
        let listener = TcpListener::bind(setup.address)?;
        let handler = |mut tls: example::Server| {
            http::serve(&mut tls, || Ok(TEXT.into())).map_err(std::io::Error::other)
        };
        // wrk goes without a word.
        Ok(example::serve(&listener, &config, example::HANDSHAKE_LIMIT, handler, drop)?)
    })
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    let acceptor = TlsAcceptor::from(config()?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut tls = acceptor.accept(stream).await?;
                http::serve_future(&mut tls, async || Ok(TEXT.into())).await
            });
        }
    })
}
