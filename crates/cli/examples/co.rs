//! Seed 000's program, four times: as a generator that is driven by hand, as the same generator driven by `co`, with
//! `async`/`await`, and as plain sequential code in a coroutine.
//!
//! It fetches an id, reads its text, fetches the name that belongs to the id, and reads that. A fetch goes over a socket,
//! to a server of the program's own. All four print the same lines.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;

use ropewalk::coroutine;
use ropewalk::future::{block_on, co};
use ropewalk::generator::{Generator, State, Yielder};
use ropewalk::net::{TcpListener, TcpStream};

const ID_URL: &str = "/id";
const NAME_URL: &str = "/name";

/// What a fetch gives when the head of the reply is there. The text may still be on its way.
struct Response {
    url: String,
    status: String,
    body: BufReader<TcpStream>,
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response {{ url: {}, status: {} }}", self.url, self.status)
    }
}

/// Fetches, in plain code: where it waits, the coroutine waits, and its thread goes on.
fn get(server: SocketAddr, url: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(format!("GET {url} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut body = BufReader::new(stream);
    let (mut status, mut empty_line) = (String::new(), String::new());
    body.read_line(&mut status)?;
    body.read_line(&mut empty_line)?;
    let status = status.trim_end().trim_start_matches("HTTP/1.0 ").to_owned();
    Ok(Response { url: url.to_owned(), status, body })
}

fn read_text(mut response: Response) -> io::Result<String> {
    let mut text = String::new();
    response.body.read_to_string(&mut text)?;
    Ok(text)
}

/// 4. Sequential code: nothing but what is to be done.
fn sequential(server: SocketAddr) -> io::Result<()> {
    let id_res = get(server, ID_URL)?;
    println!("{id_res}");
    let id_text = read_text(id_res)?;
    println!("{id_text}");
    let new_name_url = format!("{NAME_URL}?id={id_text}");
    println!("{new_name_url}");
    let name_res = get(server, &new_name_url)?;
    println!("{name_res}");
    let name_text = read_text(name_res)?;
    println!("{name_text}");
    Ok(())
}

/// For async code: a coroutine does it, and its handle is a future.
async fn fetch(server: SocketAddr, url: String) -> io::Result<Response> {
    coroutine::spawn(move || get(server, &url)).await?
}

async fn text(response: Response) -> io::Result<String> {
    coroutine::spawn(move || read_text(response)).await?
}

/// 3. The same with `async` and `await`.
async fn async_await(server: SocketAddr) -> io::Result<()> {
    let id_res = fetch(server, ID_URL.to_owned()).await?;
    println!("{id_res}");
    let id_text = text(id_res).await?;
    println!("{id_text}");
    let new_name_url = format!("{NAME_URL}?id={id_text}");
    println!("{new_name_url}");
    let name_res = fetch(server, new_name_url).await?;
    println!("{name_res}");
    let name_text = text(name_res).await?;
    println!("{name_text}");
    Ok(())
}

/// What the promises of the generator hold: `yield` gives one type for all of them.
enum Value {
    Response(Response),
    Text(String),
}

type Promise = Pin<Box<dyn Future<Output = io::Result<Value>>>>;

fn yield_fetch(yielder: &Yielder<Value, Promise>, server: SocketAddr, url: String) -> Response {
    match yielder.yield_(Box::pin(async move { fetch(server, url).await.map(Value::Response) })) {
        Some(Value::Response(response)) => response,
        _ => unreachable!("a fetch is answered by a response"),
    }
}

fn yield_text(yielder: &Yielder<Value, Promise>, response: Response) -> String {
    match yielder.yield_(Box::pin(async move { text(response).await.map(Value::Text) })) {
        Some(Value::Text(text)) => text,
        _ => unreachable!("a response is answered by its text"),
    }
}

/// The seed's generator: it yields promises, and is given what they hold.
fn get_result(server: SocketAddr) -> Generator<Value, Promise, ()> {
    Generator::new(move |yielder: &Yielder<Value, Promise>| {
        let id_res = yield_fetch(yielder, server, ID_URL.to_owned());
        println!("{id_res}");
        let id_text = yield_text(yielder, id_res);
        println!("{id_text}");
        let new_name_url = format!("{NAME_URL}?id={id_text}");
        println!("{new_name_url}");
        let name_res = yield_fetch(yielder, server, new_name_url);
        println!("{name_res}");
        let name_text = yield_text(yielder, name_res);
        println!("{name_text}");
    })
}

/// 1. The generator driven by hand: in the seed's words, "many lines that repeat themselves".
async fn by_hand(server: SocketAddr) -> io::Result<()> {
    let mut result = get_result(server);
    let response = result.next().expect("a promise").await?; // result.next().value.then((response) => {
    let response = next(&mut result, response).await?; //     return result.next(response).value }).then(..
    let response = next(&mut result, response).await?;
    let response = next(&mut result, response).await?;
    drop(result.send(response)); // the last text, with which the generator ends
    Ok(())
}

fn next(result: &mut Generator<Value, Promise, ()>, response: Value) -> Promise {
    result.send(response).ok().and_then(State::yielded).expect("a promise")
}

/// The server: HTTP/1.0, a reply a connection.
fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request)?;
        let (status, text) = match request.trim_end() {
            "GET /id HTTP/1.0" => ("200 OK", "7"),
            "GET /name?id=7 HTTP/1.0" => ("200 OK", "Ada"),
            _ => ("404 Not Found", "nobody"),
        };
        stream.write_all(format!("HTTP/1.0 {status}\r\n\r\n{text}").as_bytes())?;
    }
}

fn four_ways() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    drop(coroutine::Builder::new().daemon(true).spawn(move || serve(&listener))?);

    println!("== 1. a generator, driven by hand");
    block_on(by_hand(server))?;
    println!("== 2. the same generator, driven by co");
    block_on(co(get_result(server)))?; // co(getResult()).then(res => {})
    println!("== 3. async/await");
    block_on(async_await(server))?;
    println!("== 4. sequential code in a coroutine");
    coroutine::spawn(move || sequential(server)).join()??;
    Ok(())
}

pub(crate) fn main() {
    ropewalk::run(four_ways).expect("the server answers");
}
