//! Regions with names, for programs that are strangers to each other.
//!
//! A name in `/dev/shm` outlives the process that has made it, and stays behind when that is killed. So a name here is that
//! of a socket, in the kernel's abstract namespace (unix(7)): who asks there gets the region's descriptor. The name goes with
//! the process that publishes it, however that ends; the region stays with those who have it.
//!
//! The namespace knows no permissions and no owners, so each side looks who the other one is (`SO_PEERCRED`): else anybody
//! could take a region, or offer a false one. It is that of the network namespace: another container does not see it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sync::park;
use ropewalk_sys::credentials::of_peer;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    shutdown, socket_with,
};
use rustix::process::geteuid;

use super::region::Region;
use crate::link::{Link, Message};

/// What comes before each name.
const PREFIX: &str = "ropewalk/region/";
/// So long a name can be.
const LENGTH_MAX: usize = 64;
/// What goes with the descriptor.
const GREETING: &[u8] = b"region";
/// So many may ask at once.
const BACKLOG: i32 = 4096;
/// Between two tries where more ask.
const AGAIN: Duration = Duration::from_millis(1);

/// Who may open a region by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The user whose process has published it, and root.
    User,
    /// Everybody on this machine: who opens it can change everything in it.
    Everyone,
}

/// That a region has a name, until this is dropped or the process ends. The name can be given again a moment later.
#[must_use = "the name is gone as soon as this is dropped"]
pub struct Name {
    listener: Arc<OwnedFd>,
    name: String,
    _region: Region,
}

impl Drop for Name {
    fn drop(&mut self) {
        // A copy that fork(2) made has the very socket of its parent.
        if !park::is_original() {
            return;
        }
        // Ends the `accept` of the thread, which closes the socket.
        let _ = shutdown(&self.listener, Shutdown::Both);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.name).finish()
    }
}

impl Region {
    /// Gives the region a name by which other programs can [open](Self::open) it, for as long as the result is kept. A thread
    /// answers them.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): somebody has the name. [`InvalidInput`](io::ErrorKind::InvalidInput): it is
    /// empty, or longer than 64 bytes. What the kernel says: no descriptor is left, or no thread.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::{Access, Mutex, Region};
    ///
    /// let name = format!("example-{}", std::process::id());
    /// let region = Region::new(4096)?;
    /// let _name = region.publish(&name, Access::User)?;
    /// *Mutex::open_in(&region, "balance", 0_u64)?.lock().unwrap() = 7;
    ///
    /// // In another program:
    /// let region = Region::open(&name)?;
    /// let balance = Mutex::open_in(&region, "balance", 0_u64)?;
    /// assert_eq!(*balance.lock().unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn publish(&self, name: &str, access: Access) -> io::Result<Name> {
        park::check_original()?;
        let address = address(name)?;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        bind(&listener, &address).map_err(|error| match error {
            Errno::ADDRINUSE => {
                io::Error::new(io::ErrorKind::AddrInUse, format!("a region has the name {name:?} already"))
            }
            error => error.into(),
        })?;
        listen(&listener, BACKLOG)?;
        let listener = Arc::new(listener);
        let (answering, memory) = (listener.clone(), self.as_fd().try_clone_to_owned()?);
        let answer = move || answer(&answering, &memory, access);
        std::thread::Builder::new().name("ropewalk-name".into()).spawn(answer)?;
        Ok(Name { listener, name: name.to_owned(), _region: self.clone() })
    }

    /// The region that a process of this user, or root, has [published](Self::publish) under this name.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound): nobody has the name now.
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied): another user has it (see [`open_of`](Self::open_of)), or does
    /// not give it to this one. [`InvalidData`](io::ErrorKind::InvalidData): what came is no region. As those of
    /// [`publish`](Self::publish) and of `TryFrom`.
    ///
    /// # Waits
    /// Until the process that has published it answers.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// See [`publish`](Self::publish).
    pub fn open(name: &str) -> io::Result<Self> {
        let own = geteuid().as_raw();
        open(name, |user| user == own || user == 0)
    }

    /// As [`open`](Self::open), of a process of the user with this number: who trusts that user not to spoil what is in it.
    ///
    /// # Errors
    /// As those of [`open`](Self::open).
    ///
    /// # Waits
    /// Until the process that has published it answers.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub fn open_of(name: &str, user: u32) -> io::Result<Self> {
        open(name, |publisher| publisher == user)
    }
}

fn address(name: &str) -> io::Result<SocketAddrUnix> {
    if name.is_empty() || name.len() > LENGTH_MAX {
        let text = format!("the name of a region has 1 to {LENGTH_MAX} bytes, and not {}", name.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(SocketAddrUnix::new_abstract_name(format!("{PREFIX}{name}").as_bytes())?)
}

/// The thread of a name: gives the memory to all who ask and may have it.
fn answer(listener: &OwnedFd, memory: &OwnedFd, access: Access) {
    let own = geteuid().as_raw();
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(client) => {
                let may = access == Access::Everyone
                    || of_peer(client.as_fd()).is_ok_and(|peer| peer.uid == own || peer.uid == 0);
                if may {
                    // Who has gone meanwhile does not get it.
                    let _ = Link::from(client).send(GREETING, &[memory.as_fd()]);
                }
            }
            // No descriptor is left for this one: it is told by the end, and others may have gone before the next.
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => std::thread::sleep(AGAIN),
            // The name was given up.
            Err(_) => return,
        }
    }
}

fn open(name: &str, is_trusted: impl Fn(u32) -> bool) -> io::Result<Region> {
    let address = address(name)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => break,
            // So many ask that there is no room for one more.
            Err(Errno::AGAIN | Errno::INTR) => park::sleep(AGAIN),
            Err(Errno::CONNREFUSED) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("no region has the name {name:?}"),
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let publisher = of_peer(socket.as_fd())?.uid;
    if !is_trusted(publisher) {
        let text = format!("the name {name:?} is the user's with the number {publisher}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    match Link::from(socket).receive(None) {
        Ok(Some(Message { bytes, mut descriptors })) if bytes == GREETING && descriptors.len() == 1 => {
            Region::try_from(descriptors.remove(0))
        }
        Ok(Some(_)) => Err(io::Error::new(io::ErrorKind::InvalidData, "what has this name gives no region")),
        Ok(None) => {
            let text =
                format!("the region {name:?} is not for this user, or its name has just been given up");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
        Err(error) => Err(error),
    }
}
