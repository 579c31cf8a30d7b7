//! HTTP/1.1 and HTTP/2 by hyper: its server and its client over streams of Ropewalk, with our executor and timer.
//!
//! The loop that accepts is plain code. Each connection is a coroutine that runs hyper's future; a handler that has to wait
//! gives its plain code to a coroutine of its own, and awaits the handle.
//!
//! `cargo run --example http` has 100 clients talk to a server of their own.
//! `cargo run --example http -- serve 127.0.0.1:8080` answers until it is ended, and prints how to ask by `curl`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::server::conn::auto;
use ropewalk::compat::Io;
use ropewalk::compat::hyper::{Executor, Timer};
use ropewalk::future::{block_on, spawn_future};
use ropewalk::net::{TcpListener, TcpStream, is_transient};
use ropewalk::{OnFailure, blocking, coroutine, scope, scope_with};

/// How long a client may take to say what it wants.
pub const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// How long to pause when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(20);

/// What a handler answers: text, or what came.
type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Accepts until the listener fails, a coroutine for each connection. What goes wrong with one of them ends that one.
pub fn serve(listener: &TcpListener, header_limit: Duration) -> io::Result<()> {
    scope_with(OnFailure::Isolate, |connections| {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => drop(connections.spawn(move || talk(stream, header_limit))),
                Err(error) if is_transient(&error) => coroutine::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}

/// Serves one connection to its end, in whichever version the client begins with.
fn talk(stream: TcpStream, header_limit: Duration) {
    let mut server = auto::Builder::new(Executor);
    server.http1().timer(Timer).header_read_timeout(header_limit);
    server.http2().timer(Timer);
    // A client that has gone, or says nonsense, is its own affair.
    let _ = block_on(server.serve_connection(Io::new(stream), service_fn(answer)));
}

/// The handler. It is polled, so it must not wait; what it calls in `coroutine::spawn` may.
async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, "hello\n"),
        // What comes goes back while it comes.
        (&Method::POST, "/echo") => Response::new(request.into_body().boxed()),
        (&Method::GET, "/load") => match coroutine::spawn(load).await {
            Ok(Ok(load)) => text(StatusCode::OK, &load),
            Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(ended) => text(StatusCode::INTERNAL_SERVER_ERROR, &ended.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "nothing here\n"),
    })
}

/// Plain code, which waits: the first field of what the kernel says of the load.
fn load() -> io::Result<String> {
    coroutine::sleep(Duration::from_millis(1));
    let line = blocking(|| std::fs::read_to_string("/proc/loadavg"))?;
    Ok(format!("{}\n", line.split(' ').next().unwrap_or_default()))
}

fn text(status: StatusCode, text: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = status;
    answer
}

/// A connection of hyper's client.
pub enum Client {
    /// One request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// As many as the server takes; its clones share the connection.
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Connects, and has a coroutine of its own run the connection.
    pub fn connect(address: SocketAddr, version: Version) -> io::Result<Self> {
        let stream = Io::new(TcpStream::connect(address)?);
        if version == Version::HTTP_2 {
            let (client, connection) = block_on(http2::Builder::new(Executor).timer(Timer).handshake(stream))
                .map_err(io::Error::other)?;
            spawn_future(connection);
            return Ok(Self::Http2(client));
        }
        let (client, connection) = block_on(http1::handshake(stream)).map_err(io::Error::other)?;
        spawn_future(connection);
        Ok(Self::Http1(client))
    }

    /// Sends a request and reads the whole answer.
    pub fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> io::Result<(StatusCode, Bytes)> {
        let uri = format!("http://localhost{path}");
        let request = Request::builder().method(method).uri(uri).header("host", "localhost");
        let request = request.body(Full::new(body.into())).map_err(io::Error::other)?;
        block_on(async {
            let answer = match self {
                Self::Http1(client) => {
                    client.ready().await?;
                    client.send_request(request).await?
                }
                Self::Http2(client) => {
                    client.ready().await?;
                    client.send_request(request).await?
                }
            };
            Ok((answer.status(), answer.into_body().collect().await?.to_bytes()))
        })
        .map_err(|error: hyper::Error| io::Error::other(error))
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ropewalk::run(|| match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demonstrate(),
        ["serve", address] => {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            println!("curl http://{address}/load");
            println!("curl --http2-prior-knowledge --data-binary @Cargo.toml http://{address}/echo");
            serve(&listener, HEADER_LIMIT)
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: http [serve ADDRESS]")),
    })
}

/// A crowd that asks by both versions.
fn demonstrate() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = coroutine::spawn(move || serve(&listener, HEADER_LIMIT));
    let answers = scope(|s| {
        let clients: Vec<_> = (0..100)
            .map(|n| {
                s.spawn(move || -> io::Result<usize> {
                    let version = if n % 2 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
                    let mut client = Client::connect(address, version)?;
                    let (_, hello) = client.ask(Method::GET, "/", "")?;
                    let (_, back) = client.ask(Method::POST, "/echo", vec![0; 1000 * n])?;
                    Ok(hello.len() + back.len())
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join()?).sum::<io::Result<usize>>()
    });
    println!("100 clients were given {} bytes, half of them by HTTP/2", answers?);
    server.cancel();
    Ok(())
}
