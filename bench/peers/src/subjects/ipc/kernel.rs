//! What the kernel has: pipes, sockets, message queues.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::pair::{Cost, Course, Way, forked, number_of, stamp};

/// As a file: a stream of bytes.
struct Stream<R, W> {
    reads: R,
    writes: W,
    message: Vec<u8>,
}

impl<R: Read, W: Write> Way for Stream<R, W> {
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        self.writes.write_all(&self.message).expect("the other side reads");
    }

    fn receive(&mut self) -> u64 {
        self.reads.read_exact(&mut self.message).expect("the other side writes");
        number_of(&self.message)
    }
}

/// As large as an ordinary user may have it.
const PIPE_SIZE: i32 = 1 << 20;

pub(super) fn pipe(course: Course, operations: u64) -> Cost {
    let pair = || {
        let (reads, writes) = std::io::pipe().expect("a pipe");
        // SAFETY: the descriptor is open. Where that is too large for the user it stays as it is.
        unsafe { libc::fcntl(writes.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
        (reads, writes)
    };
    let ((there, to), (back, answer)) = (pair(), pair());
    let message = vec![7; course.size];
    let theirs = message.clone();
    forked(
        course,
        operations,
        move || Stream { reads: back, writes: to, message },
        move || Stream { reads: there, writes: answer, message: theirs },
    )
}

pub(super) fn socketpair(course: Course, operations: u64) -> Cost {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let way = move |socket: UnixStream| {
        let reads = socket.try_clone().expect("a descriptor");
        Stream { reads, writes: socket, message: vec![7; course.size] }
    };
    forked(course, operations, move || way(ours), move || way(theirs))
}

/// As long as a message of a queue may be, by default.
const QUEUE_PIECE: usize = 8192;

struct Queues {
    reads: File,
    writes: File,
    message: Vec<u8>,
}

impl Way for Queues {
    /// In pieces, where a message of the queue is too small.
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        for piece in self.message.chunks(QUEUE_PIECE) {
            let queue: RawFd = self.writes.as_raw_fd();
            // SAFETY: so many bytes stand there.
            let sent = unsafe { libc::mq_send(queue, piece.as_ptr().cast(), piece.len(), 0) };
            assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
        }
    }

    fn receive(&mut self) -> u64 {
        // The kernel insists on room for the longest message, so a short one goes into a buffer of its own.
        let mut buffer = [0_u8; QUEUE_PIECE];
        for piece in self.message.chunks_mut(QUEUE_PIECE) {
            let queue: RawFd = self.reads.as_raw_fd();
            let into = if piece.len() == QUEUE_PIECE { piece.as_mut_ptr() } else { buffer.as_mut_ptr() };
            // SAFETY: there is room for so many bytes in either.
            let read = unsafe { libc::mq_receive(queue, into.cast(), QUEUE_PIECE, std::ptr::null_mut()) };
            assert_eq!(read, piece.len() as isize, "{}", std::io::Error::last_os_error());
            if piece.len() < QUEUE_PIECE {
                piece.copy_from_slice(&buffer[..piece.len()]);
            }
        }
        number_of(&self.message)
    }
}

/// A queue for ten messages, as many as an ordinary user may have, of which the name is gone.
fn queue(name: &str) -> OwnedFd {
    let name =
        std::ffi::CString::new(format!("/ropewalk-peers-{}-{name}", std::process::id())).expect("a name");
    // SAFETY: the struct is integers; the kernel reads it and the name before the calls return; the descriptor is new.
    unsafe {
        let mut attributes: libc::mq_attr = std::mem::zeroed();
        attributes.mq_maxmsg = 10;
        attributes.mq_msgsize = QUEUE_PIECE as libc::c_long;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let queue = libc::mq_open(name.as_ptr(), flags, 0o600 as libc::mode_t, &raw mut attributes);
        assert!(queue >= 0, "no message queue: {}", std::io::Error::last_os_error());
        libc::mq_unlink(name.as_ptr());
        OwnedFd::from_raw_fd(queue)
    }
}

pub(super) fn message_queue(course: Course, operations: u64) -> Cost {
    let [there, back] = [queue("there"), queue("back")].map(File::from);
    let [to, answer] = [&there, &back].map(|queue| queue.try_clone().expect("a descriptor"));
    let message = vec![7; course.size];
    let theirs = message.clone();
    forked(
        course,
        operations,
        move || Queues { reads: back, writes: to, message },
        move || Queues { reads: there, writes: answer, message: theirs },
    )
}
