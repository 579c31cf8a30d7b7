//! A piece of memory that the kernel waits for when it is touched, so that a system call on it takes as long as a test likes.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};

/// A page that is not there until [`fill`](Self::fill): whoever touches it waits (userfaultfd(2)).
#[derive(Debug)]
pub(crate) struct SlowPage {
    userfaults: OwnedFd,
    start: *mut u8,
    length: usize,
}

// SAFETY: the page is for everybody, and stays mapped for ever.
unsafe impl Send for SlowPage {}
// SAFETY: as above.
unsafe impl Sync for SlowPage {}

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct Copy {
    to: u64,
    from: u64,
    length: u64,
    mode: u64,
    copied: i64,
}

/// `_IOWR(0xAA, number, T)`, linux/userfaultfd.h.
const fn request<T>(number: u64) -> u64 {
    3 << 30 | (size_of::<T>() as u64) << 16 | 0xAA << 8 | number
}

impl SlowPage {
    /// `None`, and a word about it, where the kernel does not allow that: it takes `CAP_SYS_PTRACE`.
    pub(crate) fn new() -> Option<&'static Self> {
        match Self::try_new() {
            Ok(page) => Some(Box::leak(Box::new(page))),
            Err(error) => {
                eprintln!("skipped: no system call can be held up here (userfaultfd: {error})");
                None
            }
        }
    }

    fn try_new() -> io::Result<Self> {
        let length = rustix::param::page_size();
        // SAFETY: a descriptor of our own; a mapping of our own; structures as the requests take them.
        unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let userfaults = OwnedFd::from_raw_fd(fd as i32);
            let mut api = Api { api: 0xAA, features: 0, ioctls: 0 };
            check(libc::ioctl(fd as i32, request::<Api>(0x3F), &raw mut api))?;
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let start = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let missing = 1;
            let mut register =
                Register { start: start as u64, length: length as u64, mode: missing, ioctls: 0 };
            check(libc::ioctl(fd as i32, request::<Register>(0), &raw mut register))?;
            Ok(Self { userfaults, start: start.cast(), length })
        }
    }

    /// The page. To touch it waits.
    pub(crate) fn bytes(&'static self) -> &'static [u8] {
        // SAFETY: it is mapped for ever, and after it was filled nobody writes to it.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    /// Until somebody waits for it.
    pub(crate) fn until_touched(&self) {
        let mut entry = [PollFd::new(&self.userfaults, PollFlags::IN)];
        assert_eq!(poll(&mut entry, None).unwrap(), 1);
        assert_eq!(entry[0].revents(), PollFlags::IN);
    }

    /// Fills it with this byte, and lets everybody go on.
    pub(crate) fn fill(&self, byte: u8) {
        use std::os::fd::AsRawFd;
        let page = vec![byte; self.length];
        let (to, from) = (self.start as u64, page.as_ptr() as u64);
        let mut copy = Copy { to, from, length: self.length as u64, mode: 0, copied: 0 };
        // SAFETY: as in `try_new`; the kernel reads from `page` and writes to ours.
        check(unsafe { libc::ioctl(self.userfaults.as_raw_fd(), request::<Copy>(3), &raw mut copy) })
            .unwrap();
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
