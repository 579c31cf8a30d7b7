//! A follower of a log as one writes it with std: whoever connects gets the lines that are added to a file from then on, as
//! `tail -F` shows them; a thread follows, and one serves each client.
//!
//! ```sh
//! cargo run --release --manifest-path guests/Cargo.toml --example follow -- 127.0.0.1:7100 /var/log/syslog
//! nc 127.0.0.1 7100
//! ```
//!
//! `-` follows the standard input. A file that is truncated, or replaced by another of its name, is read from its
//! beginning. A client that takes too long to read is dropped: nobody waits for the slowest.
//!
//! `examples/std/follow.rs` is the program; `examples/follow.rs` is the same text with other imports.

use ropewalk::coroutine as thread;
use ropewalk::fs::{self, File};
use ropewalk::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::sync::mpsc::{self, SyncSender, TrySendError};
use ropewalk::sync::{Arc, Mutex};
use ropewalk::time::Duration;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How often the end of the file is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// How many lines a client may be behind.
const BEHIND: usize = 1024;
/// A longer line is passed on in pieces.
const LONGEST_LINE: u64 = 65_536;

/// Who gets the lines.
type Clients = Arc<Mutex<Vec<SyncSender<Arc<[u8]>>>>>;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path] = arguments.as_slice() else {
        eprintln!("usage: follow ADDRESS FILE|-");
        std::process::exit(2);
    };
    let clients = Clients::default();
    let listener = TcpListener::bind(address)?;
    let followed = match path.as_str() {
        "-" => None,
        path => Some((path.to_owned(), open_at_end(path)?)),
    };
    println!("{}", listener.local_addr()?);
    let takers = Arc::clone(&clients);
    thread::spawn(move || {
        let ended = match followed {
            None => pass_on(&mut io::stdin().lock(), &takers).map(drop),
            Some((path, file)) => follow(Path::new(&path), file, &takers),
        };
        match ended {
            Ok(()) => takers.lock().unwrap().clear(), // the end of the standard input: all clients see it
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(1);
            }
        }
    });
    for stream in listener.incoming() {
        let (sender, lines) = mpsc::sync_channel::<Arc<[u8]>>(BEHIND);
        clients.lock().unwrap().push(sender);
        let served = stream.and_then(|mut stream: TcpStream| {
            thread::Builder::new().spawn(move || {
                // An error is the client's end; that of the channel, the log's.
                lines.iter().try_for_each(|line| stream.write_all(&line))
            })
        });
        if let Err(error) = served {
            eprintln!("cannot take a client: {error}");
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn open_at_end(path: &str) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

fn follow(path: &Path, file: File, clients: &Clients) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    loop {
        pass_on(&mut reader, clients)?;
        thread::sleep(PAUSE);
        let now = reader.get_ref().metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) != (now.dev(), now.ino()) => {
                pass_on(&mut reader, clients)?; // what came before it was moved away
                reader = BufReader::new(File::open(path)?);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ if now.len() < reader.stream_position()? => reader.rewind()?,
            _ => {}
        }
    }
}

/// Passes on every line that there is, a cut one as it is.
fn pass_on(reader: &mut impl BufRead, clients: &Clients) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line: Arc<[u8]> = line.into();
        clients.lock().unwrap().retain(|client| match client.try_send(Arc::clone(&line)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        });
    }
}
