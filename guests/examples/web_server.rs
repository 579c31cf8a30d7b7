//! A web server as one writes it with std: a thread for each connection, blocking reads and writes, files from a directory.
//!
//! ```sh
//! cargo run --release --manifest-path guests/Cargo.toml --example web_server -- 127.0.0.1:8080 docs
//! curl http://127.0.0.1:8080/soundness.md
//! ```
//!
//! `examples/std/web_server.rs` is the program; `examples/web_server.rs` is the same text with other imports.

use ropewalk::coroutine as thread;
use ropewalk::fs::File;
use ropewalk::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::time::Duration;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// How long a connection may do nothing.
const IDLE: Duration = Duration::from_secs(60);
/// How long a line of a request may be, and how many header lines there may be.
const LONGEST_LINE: u64 = 8192;
const MOST_HEADERS: usize = 100;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, directory] = arguments.as_slice() else {
        eprintln!("usage: web_server ADDRESS DIRECTORY");
        std::process::exit(2);
    };
    let root: Arc<Path> = Path::new(directory).canonicalize()?.into();
    let listener = TcpListener::bind(address)?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let root = Arc::clone(&root);
        let served = stream.and_then(|stream| thread::Builder::new().spawn(move || serve(&stream, &root)));
        if let Err(error) = served {
            eprintln!("cannot take a connection: {error}");
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// A connection, until its end; what goes wrong with it concerns nobody else.
fn serve(stream: &TcpStream, root: &Path) {
    if let Err(error) = answer_all(stream, root)
        && !matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    {
        eprintln!("a connection: {error}");
    }
}

fn answer_all(stream: &TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::with_capacity(2048, stream);
    while let Some(request) = Request::read(&mut reader)? {
        request.answer(root, stream)?;
        if !request.keep_alive {
            break;
        }
    }
    Ok(())
}

struct Request {
    method: String,
    path: String,
    keep_alive: bool,
}

impl Request {
    /// The next request; nothing at the end of the connection.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = read_line(reader)? else { return Ok(None) };
        let mut words = line.split(' ');
        let (Some(method), Some(path), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not a request"));
        };
        let mut request =
            Self { method: method.into(), path: path.into(), keep_alive: version == "HTTP/1.1" };
        for _ in 0..MOST_HEADERS {
            let header = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match header.split_once(':') {
                None => return Ok(Some(request)),
                Some((name, value)) if name.eq_ignore_ascii_case("connection") => {
                    request.keep_alive = value.trim().eq_ignore_ascii_case("keep-alive");
                }
                Some(_) => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "too many headers"))
    }

    fn answer(&self, root: &Path, stream: &TcpStream) -> io::Result<()> {
        let mut writer = BufWriter::with_capacity(4096, stream);
        match self.open(root) {
            Ok((mut file, length)) => {
                self.write_head(&mut writer, "200 OK", length)?;
                if self.method != "HEAD" {
                    io::copy(&mut (&mut file).take(length), &mut writer)?;
                }
            }
            Err(status) => {
                self.write_head(&mut writer, status, status.len() as u64 + 1)?;
                if self.method != "HEAD" {
                    writeln!(writer, "{status}")?;
                }
            }
        }
        writer.flush()
    }

    fn write_head(&self, writer: &mut impl Write, status: &str, length: u64) -> io::Result<()> {
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n")
    }

    /// The file that is asked for and its length, else a status.
    fn open(&self, root: &Path) -> Result<(File, u64), &'static str> {
        if !matches!(&*self.method, "GET" | "HEAD") {
            return Err("405 Method Not Allowed");
        }
        let path = self.path.split('?').next().expect("split gives one part at least");
        let mut file = PathBuf::from(root);
        for part in Path::new(path.trim_start_matches('/')).components() {
            match part {
                Component::Normal(name) => file.push(name),
                _ => return Err("400 Bad Request"),
            }
        }
        let opened = File::open(file).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Ok((file, metadata)) if metadata.is_file() => Ok((file, metadata.len())),
            Ok(_) => Err("404 Not Found"),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "404 Not Found",
                io::ErrorKind::PermissionDenied => "403 Forbidden",
                _ => "500 Internal Server Error",
            }),
        }
    }
}

/// A line without its end; nothing where the connection has ended before it.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    match reader.by_ref().take(LONGEST_LINE).read_line(&mut line)? {
        0 => Ok(None),
        _ if line.ends_with('\n') => Ok(Some(line.trim_end().into())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long, or cut off")),
    }
}
