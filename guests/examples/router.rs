//! A web application by axum, served by hyper on Ropewalk: router, extractors, JSON and shared state as anywhere else.
//!
//! The counters are behind a lock of Ropewalk's, and counting waits, as a store would; so a handler has a coroutine do it
//! and awaits that. `axum::serve` calls tokio, so the loop that accepts is our own: six lines.
//!
//! `cargo run --example router` asks a server of its own.
//! `cargo run --example router -- serve 127.0.0.1:8080` answers until it is ended, and prints how to ask by `curl`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::service::TowerToHyperService;
use ropewalk::compat::Io;
use ropewalk::compat::hyper::Timer;
use ropewalk::coroutine;
use ropewalk::future::spawn_future;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::sync::Mutex;
use serde::{Deserialize, Serialize};

/// How often which word came.
type Words = Arc<Mutex<BTreeMap<String, u64>>>;

/// What is posted.
#[derive(Deserialize, Serialize)]
pub struct Text {
    /// Words with spaces between them.
    pub text: String,
}

/// What is answered.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub struct Count {
    /// The word.
    pub word: String,
    /// How often it has come.
    pub count: u64,
}

/// The application. It knows nothing of what serves it.
pub fn application() -> Router {
    Router::new()
        .route("/", get(|| async { "post texts to /texts, get /words/{word}\n" }))
        .route("/texts", post(add))
        .route("/words/{word}", get(look_up))
        .with_state(Words::default())
}

async fn add(
    State(words): State<Words>,
    Json(Text { text }): Json<Text>,
) -> Result<Json<Vec<Count>>, StatusCode> {
    let counted = coroutine::spawn(move || count(&words, &text)).await;
    counted.map(Json).map_err(|_ended| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Plain code: it locks, and waits while it holds the lock, which only other coroutines notice.
fn count(words: &Words, text: &str) -> Vec<Count> {
    let mut words = words.lock().expect("nobody panics with it");
    let counts = text.split_whitespace().map(|word| {
        coroutine::sleep(Duration::from_micros(10));
        let count = words.entry(word.to_owned()).or_default();
        *count += 1;
        Count { word: word.to_owned(), count: *count }
    });
    counts.collect()
}

async fn look_up(State(words): State<Words>, Path(word): Path<String>) -> Result<Json<Count>, StatusCode> {
    let wanted = word.clone();
    let look = move || words.lock().expect("nobody panics with it").get(&wanted).copied();
    match coroutine::spawn(look).await {
        Ok(Some(count)) => Ok(Json(Count { word, count })),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_ended) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Accepts until the listener fails, a coroutine for each connection.
pub fn serve(listener: &TcpListener, application: &Router) -> io::Result<()> {
    for stream in listener.incoming() {
        let service = TowerToHyperService::new(application.clone());
        spawn_future(http1::Builder::new().timer(Timer).serve_connection(Io::new(stream?), service));
    }
    Ok(())
}

/// Sends a request by hand and reads what comes, as one would by telnet.
pub fn ask(address: std::net::SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ropewalk::run(|| match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demonstrate(),
        ["serve", address] => {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            println!("curl --json '{{\"text\": \"a rope is a rope\"}}' http://{address}/texts");
            println!("curl http://{address}/words/rope");
            serve(&listener, &application())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: router [serve ADDRESS]")),
    })
}

fn demonstrate() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = coroutine::spawn(move || serve(&listener, &application()));
    let text = r#"{"text": "a rope is a rope"}"#;
    let post = format!(
        "POST /texts HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    println!("{}\n", ask(address, &post)?);
    println!("{}", ask(address, "GET /words/rope HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?);
    server.cancel();
    Ok(())
}
