//! The servers of other runtimes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddrV4;

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{BODY, BUFFER, FIXED, echo_all};
use crate::rivals::{spawn_may, tokio_current, tokio_workers};

/// Accepts in a task, for the future of `block_on` is slower to wake. One worker is the current thread, unless a thread of
/// its own is asked for.
fn on_tokio<F>(workers: usize, own_thread: bool, accept: F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let runtime = if workers == 1 && !own_thread { tokio_current() } else { tokio_workers(workers) };
    runtime.block_on(async { tokio::spawn(accept).await.expect("it does not panic") })
}

pub(super) fn tokio_echo(address: SocketAddrV4, workers: usize, own_thread: bool) -> io::Result<()> {
    on_tokio(workers, own_thread, async move {
        let listener = TcpListener::bind(address).await?;
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true)?;
            tokio::spawn(tokio_echo_all(stream));
        }
    })
}

async fn tokio_echo_all(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                if stream.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

pub(super) fn hyper(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    on_tokio(workers, false, async move {
        let listener = TcpListener::bind(address).await?;
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true)?;
            let stream = hyper_util::rt::TokioIo::new(stream);
            let service = hyper::service::service_fn(hello);
            let mut builder = hyper::server::conn::http1::Builder::new();
            tokio::spawn(builder.pipeline_flush(true).serve_connection(stream, service));
        }
    })
}

pub(super) async fn hello(_: Request<Incoming>) -> Result<Response<http_body_util::Full<Bytes>>, Infallible> {
    let mut response = Response::new(http_body_util::Full::new(Bytes::from_static(BODY.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Stacks of 64 KiB, as Boost.Fiber's and the threads here have.
fn set_may(workers: usize) {
    may::config().set_workers(workers).set_stack_size(0x2000);
}

pub(super) fn may_echo(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    set_may(workers);
    let listener = may::net::TcpListener::bind(address)?;
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true)?;
        drop(spawn_may(move || echo_all(stream)));
    }
    Ok(())
}

#[derive(Clone)]
struct Hello;

impl may_minihttp::HttpService for Hello {
    fn call(
        &mut self,
        _: may_minihttp::Request<'_, '_, '_>,
        response: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        response.header("Content-Type: text/plain");
        response.body(BODY);
        Ok(())
    }
}

impl may_minihttp::HttpServiceFactory for Hello {
    type Service = Self;

    fn new_service(&self, _: usize) -> Self {
        Self
    }
}

/// It sets no TCP_NODELAY, and needs none: an answer is one write.
pub(super) fn may_minihttp(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    set_may(workers);
    let server = may_minihttp::HttpServiceFactory::start(Hello, address)?;
    server.join().expect("it does not panic");
    Ok(())
}

/// A thread for each worker, each with a listener of its own.
pub(super) fn monoio(address: SocketAddrV4, workers: usize, fixed: bool) -> io::Result<()> {
    let run = move || {
        // Its driver wants room for an entry of each connection.
        let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(32_768);
        builder.build()?.block_on(monoio_accept(address, fixed))
    };
    let workers: Vec<_> = (0..workers).map(|_| std::thread::spawn(run)).collect();
    workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
}

async fn monoio_accept(address: SocketAddrV4, fixed: bool) -> io::Result<()> {
    let listener = monoio::net::TcpListener::bind(address)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true)?;
        monoio::spawn(monoio_answer_all(stream, fixed));
    }
}

/// Buffers are handed over to the kernel, and come back.
async fn monoio_answer_all(mut stream: monoio::net::TcpStream, fixed: bool) {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (read, filled) = stream.read(buffer).await;
        if !matches!(read, Ok(n) if n > 0) {
            return;
        }
        let written;
        (written, buffer) =
            if fixed { (stream.write_all(FIXED).await.0, filled) } else { stream.write_all(filled).await };
        if written.is_err() {
            return;
        }
        buffer.clear();
    }
}
