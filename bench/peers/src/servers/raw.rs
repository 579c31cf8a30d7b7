//! Servers without a runtime: a loop around epoll, and a thread for each connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{BUFFER, echo_all};

/// std's backlog of 128 is too short for thousands of clients that come at once.
fn listen(address: SocketAddrV4) -> io::Result<TcpListener> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 4096)?;
    Ok(socket.into())
}

/// Stacks of 64 KiB.
pub(super) fn threads(address: SocketAddrV4) -> io::Result<()> {
    for stream in listen(address)?.incoming() {
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true)?;
        std::thread::Builder::new().stack_size(64 * 1024).spawn(move || echo_all(stream))?;
    }
    Ok(())
}

/// Sends back what comes, or `fixed` for whatever comes. Edge-triggered: one read and one write for each message, and none to
/// learn that there is no more, for what comes later is an edge of its own. A client that reads nothing loses its answers.
pub(super) fn epoll(address: SocketAddrV4, fixed: Option<&[u8]>) -> io::Result<()> {
    const LISTENER: u64 = u64::MAX;
    let listener = listen(address)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    // By descriptor.
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; BUFFER];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let name = event.data.u64();
            if name == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let place = stream.as_raw_fd() as usize;
                let flags = epoll::EventFlags::IN | epoll::EventFlags::ET | epoll::EventFlags::RDHUP;
                epoll::add(&epoll, &stream, epoll::EventData::new_u64(place as u64), flags)?;
                connections.resize_with(connections.len().max(place + 1), || None);
                connections[place] = Some(stream);
                continue;
            }
            let Some(mut stream) = connections[name as usize].as_ref() else { continue };
            let open = match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(n) => stream.write_all(fixed.unwrap_or(&buffer[..n])).is_ok(),
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            if !open {
                connections[name as usize] = None;
            }
        }
    }
}
