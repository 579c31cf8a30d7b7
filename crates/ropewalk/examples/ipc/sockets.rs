//! Sockets, on this machine and between machines; and descriptors that go through them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use ropewalk::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixSeqpacket, UnixStream};
use ropewalk::process;

use super::Result;

/// Bytes both ways, in order, until the other side ends.
fn upper(mut stream: impl Read + Write) {
    let mut bytes = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        bytes[..length].make_ascii_uppercase();
        stream.write_all(&bytes[..length]).expect("the other side reads");
    }
}

fn ask(mut stream: impl Read + Write, question: &str) -> Result<String> {
    stream.write_all(question.as_bytes())?;
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer)?)
}

pub(crate) fn unix_stream() -> Result<String> {
    let (near, far) = UnixStream::pair()?;
    let child = process::spawn(|far: UnixStream| upper(far), far)?;
    let answer = ask(&near, "rope")?;
    drop(near);
    child.join()?;
    Ok(format!("rope -> {answer}"))
}

/// Each message whole, and none lost.
pub(crate) fn unix_datagram() -> Result<String> {
    let (near, far) = UnixDatagram::pair()?;
    let log = |far: UnixDatagram| ["started", "stopped"].map(|line| far.send(line.as_bytes()).is_ok());
    process::spawn(log, far)?.join()?;
    let mut line = [0; 64];
    let lengths = [near.recv(&mut line)?, near.recv(&mut line)?];
    Ok(format!("two datagrams of {} and {} bytes", lengths[0], lengths[1]))
}

/// Each message whole, and the end is heard of.
pub(crate) fn unix_seqpacket() -> Result<String> {
    let (near, far) = UnixSeqpacket::pair()?;
    let child = process::spawn(|far: UnixSeqpacket| far.send(b"once").is_ok(), far)?;
    let mut packet = [0; 64];
    let lengths = [near.recv(&mut packet)?, near.recv(&mut packet)?];
    assert!(child.join()?);
    Ok(format!("a packet of {} bytes, and the end ({})", lengths[0], lengths[1]))
}

/// A file that has no name any more: this side gets it open.
pub(crate) fn descriptor() -> Result<String> {
    let (near, far) = UnixStream::pair()?;
    let pass = |far: UnixStream| {
        let path = std::env::temp_dir().join(format!("ropewalk-passed-{}", std::process::id()));
        let mut file = File::create_new(&path).expect("nobody else has this name");
        std::fs::remove_file(&path).expect("it is there");
        file.write_all(b"written by the child").expect("there is room");
        far.send_with_descriptors(b"here", &[file.as_fd()]).expect("the other side is there");
    };
    process::spawn(pass, far)?.join()?;
    let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
    near.recv_with_descriptors(&mut bytes, &mut descriptors)?;
    let file = File::from(descriptors.remove(0));
    let mut text = [0; 32];
    let length = file.read_at(&mut text, 0)?;
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    Ok(format!("{text:?}, from a file that is open here now; the peer was user {}", near.peer_cred()?.uid))
}

/// As a Unix stream, to any machine.
pub(crate) fn tcp() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serve = |listener: TcpListener| upper(listener.accept().expect("somebody comes").0);
    let child = process::spawn(serve, listener)?;
    let answer = ask(TcpStream::connect(address)?, "walk")?;
    child.join()?;
    Ok(format!("walk -> {answer}"))
}

/// Each message whole or not at all; between machines some are lost.
pub(crate) fn udp() -> Result<String> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let send = |to: SocketAddr| {
        UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"a datagram", to)).is_ok()
    };
    let child = process::spawn(send, socket.local_addr()?)?;
    let mut datagram = [0; 64];
    let (length, _from) = socket.recv_from(&mut datagram)?;
    assert!(child.join()?);
    Ok(String::from_utf8_lossy(&datagram[..length]).into_owned())
}
