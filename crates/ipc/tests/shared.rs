//! What stands in a region was written by others: what does not fit is refused, and who lies harms nobody.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{decode, encode};
use ropewalk_ipc::segment::Segment;
use ropewalk_ipc::shared::{Barrier, Condvar, Event, Latch, Mutex, Region, Reset, RwLock, Semaphore};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value as another process would get it, as a value of another type.
fn sent<T: Serialize, U: DeserializeOwned>(value: &T) -> std::io::Result<U> {
    let (bytes, descriptors) = encode(value)?;
    decode(Message { bytes, descriptors })
}

#[test]
fn a_handle_of_another_kind_or_type_is_refused() {
    let mutex = Mutex::new(7_u64).unwrap();
    assert_eq!(*sent::<_, Mutex<u64>>(&mutex).unwrap().lock().unwrap(), 7);
    let refused = [
        sent::<_, Mutex<i64>>(&mutex).unwrap_err(),
        sent::<_, Mutex<[u64; 2]>>(&mutex).unwrap_err(),
        sent::<_, RwLock<u64>>(&mutex).unwrap_err(),
        sent::<_, Semaphore>(&mutex).unwrap_err(),
        // A place where nothing is, one in the middle of something, and one behind the end.
        sent::<_, Mutex<u64>>(&(mutex.region(), 0_u64)).unwrap_err(),
        sent::<_, Mutex<u64>>(&(mutex.region(), 1041_u64)).unwrap_err(),
        sent::<_, Mutex<u64>>(&(mutex.region(), u64::MAX)).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
}

#[test]
fn what_is_no_region_is_refused() {
    let words = Segment::<AtomicU32>::new(4096).unwrap();
    let region = |words: &Segment<AtomicU32>| Region::try_from(words.as_fd().try_clone_to_owned().unwrap());
    assert_eq!(region(&words).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(region(&Segment::new(16).unwrap()).unwrap_err().kind(), ErrorKind::InvalidData);
    // The right magic, but another version.
    words[0].store(u32::from_ne_bytes(*b"rgn\x01"), Relaxed);
    words[1].store(99, Relaxed);
    assert_eq!(region(&words).unwrap_err().kind(), ErrorKind::InvalidData);
    let memory = Region::new(0).unwrap();
    assert!(Segment::<AtomicU32>::try_from(memory.as_fd().try_clone_to_owned().unwrap()).is_ok());
}

/// Numbers that look like chance (xorshift, Marsaglia).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn nonsense_in_a_region_harms_nobody() {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    for _ in 0..2000 {
        let region = Region::new(16 * 1024).unwrap();
        let words = Segment::<AtomicU32>::try_from(region.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let mutex = Mutex::new_in(&region, [0_u32; 3]).unwrap();
        let rwlock = RwLock::new_in(&region, 0_u8).unwrap();
        let semaphore = Semaphore::new_in(&region, 3).unwrap();
        let (condvar, event) =
            (Condvar::new_in(&region).unwrap(), Event::new_in(&region, Reset::Auto).unwrap());
        let (latch, barrier) = (Latch::new_in(&region, 1).unwrap(), Barrier::new_in(&region, 1).unwrap());
        // Anything anywhere, but for the words by which this process itself is known to live.
        let mut spoil = |count: usize| {
            for _ in 0..count {
                let place = chance.next() as usize % words.len();
                let value =
                    [0, 1, u32::MAX, 1 << 30, 1 << 31, chance.next() as u32][chance.next() as usize % 6];
                words[place].store(value, Relaxed);
            }
        };
        for _ in 0..5 {
            spoil(200);
            let _ = mutex.try_lock().map(|mut guard| guard[1] = guard[1].wrapping_add(1));
            let _ = rwlock.try_read().map(|guard| *guard);
            let _ = rwlock.try_write().map(|mut guard| *guard = 1);
            drop(semaphore.try_acquire());
            let _ = (semaphore.available_permits(), semaphore.acquire_timeout(Duration::ZERO));
            let _ = (event.wait_timeout(Duration::ZERO), latch.wait_timeout(Duration::ZERO));
            condvar.notify_all();
            event.set();
            latch.count_down();
            let _ = (barrier.is_broken(), region.processes());
            let _ = sent::<_, Mutex<[u32; 3]>>(&mutex);
        }
    }
}
