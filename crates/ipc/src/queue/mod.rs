//! POSIX message queues (mq_overview(7)): messages with priorities, kept by the kernel under a name.
//!
//! A queue is a descriptor that tells when it is ready, so who waits does so as for a socket. The descriptor's mode is left
//! alone: a call that must not wait says so by a time limit that has passed ([`ropewalk_sys::message_queue`]), and a thread
//! waits in the call itself.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use ropewalk_sys::message_queue::{self as kernel, Access, Create, PRIORITIES};
use rustix::io::Errno;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::{deserialize_descriptor, serialize_descriptor};

mod shortage;

pub use kernel::Attributes as MessageQueueAttributes;

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

/// A name as the kernel takes it: without the slash.
fn to_kernel(name: &str) -> io::Result<CString> {
    let rest = name.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains('/'));
    let rest = rest.ok_or_else(|| {
        invalid(format!("{name:?} cannot be a message queue's name: it has one slash, and in front"))
    })?;
    CString::new(rest)
        .map_err(|_| invalid(format!("{name:?} cannot be a message queue's name: it has a zero in it")))
}

/// A POSIX message queue that is open: a place where messages with priorities are kept, under a name, until somebody takes
/// them. For talking to programs that use such queues; between programs of one's own a socket or a pipe has fewer limits.
///
/// A message is received whole, and by one receiver: the one with the highest priority first, among equal ones the oldest.
/// A queue has room for so many messages of such a size, which is set when it is made; who sends waits while it is full.
/// Whatever plan runs a task, and whatever process: it waits like everybody else.
///
/// The queue, with all that is in it, stays when those who use it die, however they do: until somebody
/// [unlinks](Self::unlink) it, or the machine ends. Once unlinked it goes with the last descriptor. ([`UnlinkOnDrop`] unlinks
/// one at the end of a block.) A receiver that is killed takes along what it has received; who waits learns nothing of the
/// death of those at the other side.
///
/// It travels in the argument and the result of a process as the descriptor that it is.
///
/// ```
/// use ropewalk_ipc::queue::{MessageQueue, UnlinkOnDrop};
///
/// let name = format!("/ropewalk-example-{}", std::process::id());
/// let queue = MessageQueue::create_new(&name, 4, 64)?; // 4 messages of 64 bytes
/// let _name = UnlinkOnDrop::new(&name)?;
/// queue.send(b"when there is time", 0)?;
/// queue.send(b"at once", 7)?;
/// let mut buffer = [0; 64];
/// let (length, priority) = queue.recv(&mut buffer)?;
/// assert_eq!((&buffer[..length], priority), (&b"at once"[..], 7));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Limits
/// | what | limit | where it is set |
/// |---|---|---|
/// | messages of a queue | 10 | sysctl `fs.mqueue.msg_max` |
/// | bytes of a message | 8,192 | sysctl `fs.mqueue.msgsize_max` |
/// | queues of the machine | 256 | sysctl `fs.mqueue.queues_max` |
/// | bytes of all queues of a user | 819,200: nine queues of that size | `ulimit -q` (`RLIMIT_MSGQUEUE`) |
///
/// These are Linux's defaults; what is over a limit is an error that names it. Whether `/dev/mqueue` is mounted does not matter.
pub struct MessageQueue {
    fd: OwnedFd,
    source: Source,
    /// So long a message can be. It never changes.
    max_message_size: usize,
}

impl MessageQueue {
    fn of(fd: OwnedFd) -> io::Result<Self> {
        let max_message_size = kernel::attributes_of(fd.as_fd())?.max_message_size;
        Ok(Self { fd, source: Source::default(), max_message_size })
    }

    /// Opens the queue with this name, for sending and receiving. A name begins with a slash and has no other.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), `EMFILE`, with the name;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if this cannot be a name.
    pub fn open(name: &str) -> io::Result<Self> {
        MessageQueueOptions::new().open(name)
    }

    /// Makes a queue that this user alone may use, for so many messages of so many bytes at most, and opens it for sending and
    /// receiving.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists): the name is taken, perhaps by one who has died:
    /// [unlink](Self::unlink) it or open it. As [`MessageQueueOptions::open`].
    pub fn create_new(name: &str, max_messages: usize, max_message_size: usize) -> io::Result<Self> {
        MessageQueueOptions::new().create_new(true).size(max_messages, max_message_size).open(name)
    }

    /// Takes the name away: nobody can open the queue any more, and it goes with the last who has it open.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), with the name;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if this cannot be a name.
    pub fn unlink(name: &str) -> io::Result<()> {
        kernel::unlink(&to_kernel(name)?).map_err(|error| shortage::explain(&error, name, None))
    }

    /// How large it is, and how many messages are in it now.
    ///
    /// # Errors
    /// None on an open queue.
    pub fn attributes(&self) -> io::Result<MessageQueueAttributes> {
        kernel::attributes_of(self.fd.as_fd())
    }

    /// Another handle of the same queue.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        let fd = self.fd.try_clone()?;
        Ok(Self { fd, source: Source::default(), max_message_size: self.max_message_size })
    }

    /// Sends a message; it may be empty. The highest priority is received first: 0 is the lowest, 32,767 the highest.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the message is longer than the queue's may be, or there is no such
    /// priority. [`PermissionDenied`](io::ErrorKind::PermissionDenied): it is not open for sending. `ENOMEM`.
    ///
    /// # Waits
    /// While the queue is full.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; then nothing was sent.
    pub fn send(&self, message: &[u8], priority: u32) -> io::Result<()> {
        self.check_send(message, priority)?;
        let wait = self.wait(WaitReason::QueueSend);
        if park::may_block() {
            let send = |word: &_| kernel::send(word, self.fd.as_fd(), message, priority);
            match park::call(&wait, send) {
                // Somebody else who has what was opened, too, has set it to non-blocking mode.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent.map_err(|error| not_open_for(error, "sending")),
            }
        }
        self.send_by(&wait, message, priority)
    }

    /// As [`send`](Self::send), for so long at most.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut): nothing was sent. As `send`.
    ///
    /// # Waits
    /// As `send`, but no longer than that.
    ///
    /// # Cancellation
    /// As `send`.
    pub fn send_timeout(&self, message: &[u8], priority: u32, timeout: Duration) -> io::Result<()> {
        self.check_send(message, priority)?;
        let wait = self.wait(WaitReason::QueueSend).until(clock::after(timeout));
        self.send_by(&wait, message, priority).map_err(timed_out)
    }

    /// Sends a message, if there is room for it now.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the queue is full. As [`send`](Self::send).
    pub fn try_send(&self, message: &[u8], priority: u32) -> io::Result<()> {
        self.check_send(message, priority)?;
        without_interruption(|| kernel::try_send(self.fd.as_fd(), message, priority))
            .map_err(|error| not_open_for(error, "sending"))
    }

    /// Receives the message with the highest priority, among those the oldest: its length and its priority.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the buffer has no room for the longest message that the queue may hold
    /// ([`attributes`](Self::attributes)); nothing was taken.
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied): it is not open for receiving.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; a message that was taken is returned, not lost.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        self.check_receive(buffer)?;
        let wait = self.wait(WaitReason::QueueReceive);
        if park::may_block() {
            match park::call(&wait, |word| kernel::receive(word, self.fd.as_fd(), buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.map_err(|error| not_open_for(error, "receiving")),
            }
        }
        self.receive_by(&wait, buffer)
    }

    /// As [`recv`](Self::recv), for so long at most.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut): there was none. As `recv`.
    ///
    /// # Waits
    /// As `recv`, but no longer than that.
    ///
    /// # Cancellation
    /// As `recv`.
    pub fn recv_timeout(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<(usize, u32)> {
        self.check_receive(buffer)?;
        let wait = self.wait(WaitReason::QueueReceive).until(clock::after(timeout));
        self.receive_by(&wait, buffer).map_err(timed_out)
    }

    /// Receives a message, if there is one now.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none. As [`recv`](Self::recv).
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        self.check_receive(buffer)?;
        without_interruption(|| kernel::try_receive(self.fd.as_fd(), buffer))
            .map_err(|error| not_open_for(error, "receiving"))
    }

    fn wait(&self, reason: WaitReason) -> Wait {
        Wait::new(reason).object(self).fallible()
    }

    fn send_by(&self, wait: &Wait, message: &[u8], priority: u32) -> io::Result<()> {
        let send = || kernel::try_send(self.fd.as_fd(), message, priority);
        let sent = self.source.attempt(self.fd.as_fd(), Interest::Write, wait, send);
        sent.map_err(|error| not_open_for(error, "sending"))
    }

    fn receive_by(&self, wait: &Wait, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        let receive = || kernel::try_receive(self.fd.as_fd(), buffer);
        let received = self.source.attempt(self.fd.as_fd(), Interest::Read, wait, receive);
        received.map_err(|error| not_open_for(error, "receiving"))
    }

    fn check_send(&self, message: &[u8], priority: u32) -> io::Result<()> {
        if message.len() > self.max_message_size {
            return Err(invalid(format!(
                "a message of {} bytes is too long: those of this queue have {} at most",
                message.len(),
                self.max_message_size
            )));
        }
        if priority >= PRIORITIES {
            return Err(invalid(format!(
                "there is no priority {priority}: {} is the highest",
                PRIORITIES - 1
            )));
        }
        Ok(())
    }

    fn check_receive(&self, buffer: &[u8]) -> io::Result<()> {
        if buffer.len() < self.max_message_size {
            return Err(invalid(format!(
                "a buffer of {} bytes is too short: the messages of this queue may have {}",
                buffer.len(),
                self.max_message_size
            )));
        }
        Ok(())
    }
}

/// The kernel says "bad descriptor" of one that is not open for this.
fn not_open_for(error: io::Error, what: &str) -> io::Error {
    if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) {
        return io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the message queue is not open for {what}"),
        );
    }
    error
}

/// A wait whose own deadline has passed, as mq_receive(3) says it.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { Errno::TIMEDOUT.into() } else { error }
}

fn without_interruption<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        self.source.forget(self.fd.as_fd());
    }
}

impl AsFd for MessageQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for MessageQueue {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl TryFrom<OwnedFd> for MessageQueue {
    type Error = io::Error;

    /// Takes over a queue that is open; whether it is in blocking mode does not matter and is not changed.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is no message queue.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Self::of(fd)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the descriptor is no message queue"))
    }
}

impl fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("MessageQueue");
        f.field("fd", &self.fd);
        if let Ok(attributes) = self.attributes() {
            f.field("attributes", &attributes);
        }
        f.finish()
    }
}

/// Inside of what is sent to, or comes from, a process, as the descriptor that it is.
impl Serialize for MessageQueue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for MessageQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(deserialize_descriptor(deserializer)?).map_err(D::Error::custom)
    }
}

/// How a queue is opened or made, as [`std::fs::OpenOptions`] for a file.
///
/// ```
/// use ropewalk_ipc::queue::{MessageQueue, MessageQueueOptions, UnlinkOnDrop};
///
/// let name = format!("/ropewalk-options-{}", std::process::id());
/// let jobs = MessageQueueOptions::new().read(false).create(true).mode(0o620).size(8, 256).open(&name)?;
/// let _name = UnlinkOnDrop::new(&name)?;
/// jobs.try_send(b"sweep", 0)?; // this one only sends
/// assert_eq!(jobs.attributes()?.current_messages, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MessageQueueOptions {
    read: bool,
    write: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    size: Option<(usize, usize)>,
}

impl Default for MessageQueueOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl MessageQueueOptions {
    /// For sending and receiving; it is not made. One that is made belongs to this user alone (mode 600).
    #[must_use]
    pub fn new() -> Self {
        Self { read: true, write: true, create: false, create_new: false, mode: 0o600, size: None }
    }

    /// Whether it is opened for receiving.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether it is opened for sending.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// It is made if it is not there. One that is there may have another size.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// It is made, and must not be there: by one of those who try at the same time (`O_EXCL`).
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// The permissions of one that is made, less those that the umask takes away.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// How many messages one that is made holds, and how many bytes each may have. Without it the machine's defaults are taken
    /// (10 and 8,192; sysctls `fs.mqueue.msg_default`, `fs.mqueue.msgsize_default`).
    pub fn size(&mut self, max_messages: usize, max_message_size: usize) -> &mut Self {
        self.size = Some((max_messages, max_message_size));
        self
    }

    /// Opens the queue with this name: see [`MessageQueue::open`].
    ///
    /// # Errors
    /// As there; [`AlreadyExists`](io::ErrorKind::AlreadyExists);
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a size of nothing, or over `fs.mqueue.msg_max` or
    /// `fs.mqueue.msgsize_max`; [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) over `ulimit -q`,
    /// [`StorageFull`](io::ErrorKind::StorageFull) over `fs.mqueue.queues_max`: with the name, the limit, what it is and what
    /// was asked for. [`Unsupported`](io::ErrorKind::Unsupported): the kernel was built without such queues.
    pub fn open(&self, name: &str) -> io::Result<MessageQueue> {
        let access = match (self.read, self.write) {
            (true, true) => Access::ReadWrite,
            (true, false) => Access::Read,
            (false, true) => Access::Write,
            (false, false) => return Err(invalid("one of sending and receiving has to be asked for")),
        };
        let create = (self.create || self.create_new).then_some(Create {
            exclusive: self.create_new,
            mode: self.mode,
            size: self.size,
        });
        let create = create.as_ref();
        let opened = kernel::open(&to_kernel(name)?, access, create);
        MessageQueue::of(opened.map_err(|error| shortage::explain(&error, name, create))?)
    }
}

/// Unlinks a message queue when it is dropped, so that it ends with those who have it open.
///
/// A process that is killed drops nothing: then the name stays, and with it what the queue holds.
#[derive(Debug)]
#[must_use = "the name is gone as soon as this is dropped"]
pub struct UnlinkOnDrop(CString);

impl UnlinkOnDrop {
    /// For the queue with this name, whoever has made it.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): this cannot be a name.
    pub fn new(name: &str) -> io::Result<Self> {
        to_kernel(name).map(Self)
    }

    /// Leaves the name where it is.
    pub fn keep(self) {
        let mut this = self;
        this.0 = CString::default();
    }

    fn name(&self) -> &CStr {
        &self.0
    }
}

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        // A copy that fork(2) made leaves its parent's names alone. Who has unlinked it already has saved us the trouble.
        if !self.name().is_empty() && park::is_original() {
            let _: io::Result<()> = kernel::unlink(self.name());
        }
    }
}
