//! An end of a mechanism, and those that are streams of bytes.

use std::io::{self, Read, Write};

/// An end of a mechanism, for messages of one length.
pub(super) trait Link {
    /// Sends a message.
    ///
    /// # Waits
    /// While there is no room.
    fn send(&mut self) -> io::Result<()>;

    /// Receives a message, whole.
    ///
    /// # Waits
    /// Until it is there.
    fn receive(&mut self) -> io::Result<()>;
}

/// A message of so many bytes, none of them zero: pages that were never written are one page of the kernel's.
pub(super) fn message(bytes: u32) -> Vec<u8> {
    vec![1; bytes as usize]
}

/// A stream of bytes: to read from, and to write to.
pub(super) struct Stream<R, W> {
    reader: R,
    writer: W,
    message: Vec<u8>,
}

impl<R: Read, W: Write> Stream<R, W> {
    pub(super) fn new(reader: R, writer: W, bytes: u32) -> Self {
        Self { reader, writer, message: message(bytes) }
    }
}

impl<R: Read, W: Write> Link for Stream<R, W> {
    fn send(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.message)
    }

    fn receive(&mut self) -> io::Result<()> {
        self.reader.read_exact(&mut self.message)
    }
}

/// What reads and writes by a reference, as sockets do.
pub(super) struct Socket<S> {
    socket: S,
    message: Vec<u8>,
}

impl<S> Socket<S> {
    pub(super) fn new(socket: S, bytes: u32) -> Self {
        Self { socket, message: message(bytes) }
    }
}

impl<S: Read + Write> Link for Socket<S> {
    fn send(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.message)
    }

    fn receive(&mut self) -> io::Result<()> {
        self.socket.read_exact(&mut self.message)
    }
}
