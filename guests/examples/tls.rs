//! TLS by rustls, over a plain stream: `rustls::StreamOwned` wants `Read + Write`, and a `TcpStream` of Ropewalk is that.
//! A handshake is a few reads and writes, so it waits where they wait; nothing here knows of readiness.
//!
//! `cargo run --example tls` has 100 clients say hello to a server of their own.
//! `cargo run --example tls -- serve 127.0.0.1:8443` answers requests until it is ended, and prints how to ask by
//! `curl` and `openssl s_client`.
//!
//! On stacks: a debug build was measured to take 54 KiB at the server's end and 49 KiB at the client's, of the 960 KiB that a
//! coroutine has there. A release build, where it has 192 KiB, runs with that: no need to ask for more.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream, is_transient};
use ropewalk::{OnFailure, coroutine, scope, scope_with, timeout};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// The server's end of a connection.
pub type Server = StreamOwned<ServerConnection, TcpStream>;
/// The client's end of a connection.
pub type Client = StreamOwned<ClientConnection, TcpStream>;

/// How long a client may take to shake hands: one that connects and says nothing is not waited for.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long to pause when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts until the listener fails, a coroutine for each client; what goes wrong with one of them is given to `report`.
pub fn serve(
    listener: &TcpListener,
    config: &Arc<ServerConfig>,
    limit: Duration,
    handler: impl Fn(Server) -> io::Result<()> + Sync,
    report: impl Fn(io::Error) + Sync,
) -> io::Result<()> {
    let (handler, report) = (&handler, &report);
    scope_with(OnFailure::Isolate, |clients| {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => {
                    clients.spawn(|| accept(stream, config, limit).and_then(handler).unwrap_or_else(report));
                }
                Err(error) if is_transient(&error) => coroutine::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}

/// Shakes hands with a client that has connected, within `limit`.
pub fn accept(stream: TcpStream, config: &Arc<ServerConfig>, limit: Duration) -> io::Result<Server> {
    let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    stream.set_nodelay(true)?;
    let mut tls = StreamOwned::new(connection, stream);
    // The first read would do it, too; so it has a limit of its own.
    timeout(limit, || tls.conn.complete_io(&mut tls.sock))??;
    Ok(tls)
}

/// Shakes hands with the server that `stream` has been connected to, which has to be `name`.
pub fn connect(stream: TcpStream, name: &str, config: &Arc<ClientConfig>) -> io::Result<Client> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    stream.set_nodelay(true)?;
    let mut tls = StreamOwned::new(connection, stream);
    tls.conn.complete_io(&mut tls.sock)?;
    Ok(tls)
}

/// Gives back what comes, until the client says that it has done. One that goes without a word is an error
/// (`UnexpectedEof`): somebody may have cut the connection, and what came may not be all.
pub fn echo(mut tls: Server) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match tls.read(&mut buffer)? {
            0 => break,
            length => tls.write_all(&buffer[..length])?,
        }
    }
    tls.conn.send_close_notify();
    tls.flush()
}

/// Answers one request of HTTP with what the two have agreed upon.
pub fn answer(mut tls: Server) -> io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match tls.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length if request.len() + length > 16 << 10 => return Err(io::ErrorKind::InvalidData.into()),
            length => request.extend_from_slice(&buffer[..length]),
        }
    }
    let agreed = (tls.conn.protocol_version(), tls.conn.negotiated_cipher_suite());
    let (Some(version), Some(suite)) = agreed else { return Err(io::ErrorKind::NotConnected.into()) };
    let text = format!("hello by {version:?} and {:?}\n", suite.suite());
    write!(tls, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())?;
    tls.conn.send_close_notify();
    tls.flush()
}

/// A server's certificate that vouches for itself, with its key.
pub struct Identity {
    /// For `curl --cacert` and the like.
    pub certificate: String,
    /// For `openssl s_server -key` and the like.
    pub key: String,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new one, for a server that is called `name`.
    pub fn new(name: &str) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).map_err(io::Error::other)?;
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
            key_der: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        })
    }

    /// Of a server that shows this certificate, and asks for none.
    pub fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![self.der.clone()], self.key_der.clone_key());
        Ok(Arc::new(config.map_err(io::Error::other)?))
    }

    /// Of a client that trusts this certificate, and no other.
    pub fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).map_err(io::Error::other)?;
        Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }
}

/// So many clients, each of which says hello and hears it.
fn crowd(clients: usize) -> io::Result<()> {
    let identity = Identity::new("localhost")?;
    let (server, client) = (identity.server()?, identity.client()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serving = coroutine::Builder::new().daemon(true).spawn(move || {
        serve(&listener, &server, HANDSHAKE_LIMIT, echo, |error| eprintln!("a client: {error}"))
    })?;
    scope(|s| {
        let clients: Vec<_> = (0..clients)
            .map(|n| {
                let client = &client;
                s.spawn(move || {
                    let mut tls = connect(TcpStream::connect(address)?, "localhost", client)?;
                    let hello = format!("hello, I am {n}");
                    tls.write_all(hello.as_bytes())?;
                    tls.conn.send_close_notify();
                    tls.flush()?;
                    let mut answer = String::new();
                    tls.read_to_string(&mut answer)?;
                    assert_eq!(answer, hello);
                    Ok::<_, io::Error>(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join()?)
    })?;
    serving.cancel();
    println!("{clients} clients said hello over TLS, and heard it");
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ropewalk::run(|| match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => crowd(100),
        ["serve", address] => {
            let identity = Identity::new("localhost")?;
            let listener = TcpListener::bind(*address)?;
            let address = listener.local_addr()?;
            let file = std::env::temp_dir().join("ropewalk-tls.pem");
            ropewalk::blocking(|| std::fs::write(&file, &identity.certificate))?;
            println!("curl --cacert {} https://localhost:{}/", file.display(), address.port());
            println!("openssl s_client -CAfile {} -connect {address}", file.display());
            serve(&listener, &identity.server()?, HANDSHAKE_LIMIT, answer, |error| {
                eprintln!("a client: {error}")
            })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: tls [serve ADDRESS]")),
    })
}
