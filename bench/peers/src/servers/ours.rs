//! Ropewalk's servers: plain code over `Read` and `Write`, as a user writes them.

use std::io::{self, Read, Write};
use std::net::SocketAddrV4;

use httparse::{Request, Status};
use ropewalk::compat::Io;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{Runtime, coroutine, thread};

use super::{BODY, BUFFER, date, echo_all};

pub(super) fn echo(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    each_connection(address, workers, |stream| drop(coroutine::spawn(move || echo_all(stream))))
}

pub(super) fn http(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    let answer = |stream| {
        // Who goes away is gone.
        let _ = answer_all(stream);
    };
    each_connection(address, workers, move |stream| drop(coroutine::spawn(move || answer(stream))))
}

/// hyper as a guest: its futures run in coroutines.
pub(super) fn hyper(address: SocketAddrV4, workers: usize) -> io::Result<()> {
    each_connection(address, workers, |stream| {
        let service = hyper::service::service_fn(super::rivals::hello);
        let mut builder = hyper::server::conn::http1::Builder::new();
        let serving = builder.pipeline_flush(true).serve_connection(Io::new(stream), service);
        drop(ropewalk::future::spawn_future(serving));
    })
}

/// The accepting is done by a thread, too.
pub(super) fn echo_on_threads(address: SocketAddrV4) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true)?;
        drop(thread::Builder::new().stack_size(64 * 1024).spawn(move || echo_all(stream))?);
    }
    Ok(())
}

fn each_connection(
    address: SocketAddrV4,
    workers: usize,
    serve: impl Fn(TcpStream) + Send,
) -> io::Result<()> {
    Runtime::builder().workers(workers).build()?.run(|| {
        let listener = TcpListener::bind(address)?;
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            stream.set_nodelay(true)?;
            serve(stream);
        }
        Ok(())
    })
}

/// Requests without bodies, also several at once: one write answers all that one read has brought.
fn answer_all(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut answers = Vec::with_capacity(256);
    let mut held = 0;
    loop {
        let read = stream.read(&mut buffer[held..])?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        let mut done = 0;
        while let Some(length) = parse(&buffer[done..held])? {
            done += length;
            answer(&mut answers);
        }
        stream.write_all(&answers)?;
        answers.clear();
        buffer.copy_within(done..held, 0);
        held -= done;
        if held == buffer.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a head of more than 4 KiB"));
        }
    }
}

/// How long the request is that `bytes` begin with, if it is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<usize>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    match Request::new(&mut headers).parse(bytes) {
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

fn answer(to: &mut Vec<u8>) {
    to.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: ropewalk\r\nContent-Type: text/plain\r\nDate: ");
    date::append(to);
    // The length is written, not known: so it is in every server.
    write!(to, "\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()).expect("a Vec grows");
}
