//! What is left without a library: a ring and two words in memory that a fork shares.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::pair::{Cost, Course, Wake, Way, forked, number_of, stamp};

/// Zeros that this process and its copies share, until they end.
fn shared(bytes: usize) -> *mut u8 {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE);
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    memory.cast()
}

fn sleep(word: &AtomicU32, expected: u32) {
    // SAFETY: the word lives as long as the process. It may wake for no reason.
    unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, ptr::null::<libc::timespec>())
    };
}

fn wake(word: &AtomicU32) {
    // SAFETY: the kernel takes an address.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, 1) };
}

/// One of two lines of the cache, so that the other one is not fetched along with it.
#[repr(align(128))]
struct Index {
    position: AtomicU32,
    /// Somebody sleeps until it changes.
    is_awaited: AtomicU32,
}

impl Index {
    /// Until it is not `old` any more.
    fn change(&self, old: u32, wake: Wake) -> u32 {
        loop {
            let position = self.position.load(Acquire);
            if position != old {
                return position;
            }
            match wake {
                Wake::Spinning => spin_loop(),
                Wake::Sleeping => {
                    self.is_awaited.store(1, SeqCst);
                    if self.position.load(SeqCst) == old {
                        sleep(&self.position, old);
                    }
                    self.is_awaited.store(0, Relaxed);
                }
            }
        }
    }

    fn set(&self, position: u32, how: Wake) {
        match how {
            Wake::Spinning => self.position.store(position, Release),
            Wake::Sleeping => {
                self.position.store(position, SeqCst);
                if self.is_awaited.load(SeqCst) != 0 {
                    wake(&self.position);
                }
            }
        }
    }
}

#[repr(C)]
struct Indices {
    tail: Index,
    head: Index,
}

/// Lamport's ring, one way; each side knows how far the other one had come when it last had to look.
struct Half {
    indices: &'static Indices,
    slots: *mut u8,
    room: u32,
    own: u32,
    seen: u32,
}

impl Half {
    fn slot(&self, size: usize) -> *mut u8 {
        // SAFETY: there are so many slots of this size.
        unsafe { self.slots.add((self.own % self.room) as usize * size) }
    }
}

struct Ring {
    sends: Half,
    receives: Half,
    message: Vec<u8>,
    wake: Wake,
}

impl Way for Ring {
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        let half = &mut self.sends;
        while half.own.wrapping_sub(half.seen) == half.room {
            half.seen = half.indices.head.change(half.seen, self.wake);
        }
        // SAFETY: the receiver is done with the slot, and sees it when the index says so.
        unsafe {
            ptr::copy_nonoverlapping(self.message.as_ptr(), half.slot(self.message.len()), self.message.len())
        };
        half.own = half.own.wrapping_add(1);
        half.indices.tail.set(half.own, self.wake);
    }

    fn receive(&mut self) -> u64 {
        let half = &mut self.receives;
        if half.own == half.seen {
            half.seen = half.indices.tail.change(half.seen, self.wake);
        }
        // SAFETY: the sender is done with the slot until the index says that it may have it again.
        unsafe {
            ptr::copy_nonoverlapping(
                half.slot(self.message.len()),
                self.message.as_mut_ptr(),
                self.message.len(),
            )
        };
        half.own = half.own.wrapping_add(1);
        half.indices.head.set(half.own, self.wake);
        number_of(&self.message)
    }
}

pub(super) fn ring(course: Course, operations: u64) -> Cost {
    let [there, back] = [(); 2].map(|()| {
        let room = course.room();
        let memory = shared(size_of::<Indices>() + room * course.size);
        // SAFETY: zeros are such indices, and the mapping stays.
        let indices = unsafe { &*memory.cast::<Indices>() };
        // SAFETY: the slots lie behind them.
        let slots = UnsafeCell::new(unsafe { memory.add(size_of::<Indices>()) });
        move || {
            // SAFETY: only the pointer is copied.
            let slots = unsafe { *slots.get() };
            Half { indices, slots, room: room as u32, own: 0, seen: 0 }
        }
    });
    let way = |sends: Half, receives: Half| Ring {
        sends,
        receives,
        message: vec![7; course.size],
        wake: course.wake,
    };
    forked(course, operations, || way(there(), back()), || way(back(), there()))
}

/// A word for each direction: its number is the message.
struct Words {
    sends: &'static AtomicU32,
    receives: &'static AtomicU32,
    seen: u32,
}

impl Way for Words {
    fn send(&mut self, number: u64) {
        // Never the one before.
        self.sends.store(self.sends.load(Relaxed) & 1 ^ 1 | (number as u32) << 1, Release);
        wake(self.sends);
    }

    fn receive(&mut self) -> u64 {
        loop {
            let word = self.receives.load(Acquire);
            if word != self.seen {
                self.seen = word;
                return u64::from(word >> 1);
            }
            sleep(self.receives, word);
        }
    }
}

pub(super) fn words(course: Course, operations: u64) -> Cost {
    // SAFETY: zeros are such words, in two lines of the cache, and the mapping stays.
    let [there, back]: [&'static AtomicU32; 2] =
        [0, 128].map(|at| unsafe { &*shared(4096).add(at).cast::<AtomicU32>() });
    let way = |sends, receives| Words { sends, receives, seen: 0 };
    forked(course, operations, || way(there, back), || way(back, there))
}
