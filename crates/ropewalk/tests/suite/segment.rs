//! Memory that processes share: it travels, it cannot change its size, what is no segment is refused, and a process that
//! is killed in the middle leaves what it wrote.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use ropewalk::ipc::Segment;
use ropewalk::process::{self, Descriptor, Exit};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use serde::{Deserialize, Serialize};

use crate::support::child::{Child, case, test_name};
use crate::support::process::{assert_settles, cloexec_pipe, descriptors};
use crate::support::{LONG, guarded, on_every_plan, until};

#[test]
fn what_a_process_writes_the_others_read() {
    on_every_plan(|plan| {
        let words = Segment::<AtomicU64>::new(3).unwrap();
        assert_eq!(words.len(), 3);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        words[0].store(40, Relaxed);
        let theirs = words.clone();
        let child = plan.spawn(move || process::spawn(add, theirs).unwrap()).join().unwrap();
        // It travels back, too, and is still the same.
        let back: Segment = child.join().unwrap();
        assert_eq!(words.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>(), [42, 0, u64::MAX]);
        back[1].store(7, Relaxed);
        assert_eq!(words[1].load(Relaxed), 7);
    });
}

fn add(words: Segment) -> Segment {
    words[0].fetch_add(2, Relaxed);
    words[2].fetch_sub(1, Relaxed);
    words
}

#[derive(Serialize, Deserialize)]
struct Two {
    small: Segment<AtomicU32>,
    large: Segment<AtomicU64>,
    name: String,
}

#[test]
fn segments_travel_inside_of_other_values() {
    guarded(|| {
        let two =
            Two { small: Segment::new(2).unwrap(), large: Segment::new(1).unwrap(), name: "two".into() };
        let (small, large) = (two.small.clone(), two.large.clone());
        let child = process::spawn(
            |two: Two| {
                two.small[1].store(u32::MAX, Relaxed);
                two.large[0].store(two.name.len() as u64, Relaxed);
            },
            two,
        );
        child.unwrap().join().unwrap();
        assert_eq!((small[0].load(Relaxed), small[1].load(Relaxed)), (0, u32::MAX));
        assert_eq!(large[0].load(Relaxed), 3);
    });
}

#[test]
fn release_and_acquire_hold_between_processes() {
    guarded(|| {
        let words = Segment::<AtomicU64>::new(1025).unwrap();
        let (flag, data) = words.split_last().unwrap();
        let child = process::spawn(
            |words: Segment| {
                let (flag, data) = words.split_last().unwrap();
                (1..=100).for_each(|round| {
                    data.iter().for_each(|word| word.store(round, Relaxed));
                    flag.store(round, Release);
                    while flag.load(Acquire) != 0 {
                        std::thread::yield_now();
                    }
                });
            },
            words.clone(),
        );
        for round in 1..=100 {
            until(|| flag.load(Acquire) == round);
            assert!(data.iter().all(|word| word.load(Relaxed) == round));
            flag.store(0, Release);
        }
        child.unwrap().join().unwrap();
    });
}

#[test]
fn a_peer_that_is_killed_leaves_what_it_wrote() {
    guarded(|| {
        let words = Segment::<AtomicU64>::new(2).unwrap();
        let endless = |words: Segment| -> () {
            words[1].store(std::process::id().into(), Release);
            loop {
                words[0].fetch_add(1, Relaxed);
            }
        };
        let child = process::spawn(endless, words.clone()).unwrap();
        until(|| words[1].load(Acquire) != 0 && words[0].load(Relaxed) > 0);
        let pid = i32::try_from(words[1].load(Relaxed)).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let error = child.join().unwrap_err();
        assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })), "{error}");
        // Nobody writes any more, and the memory is whole: the next process goes on from there.
        let left = words[0].load(Relaxed);
        assert!(left > 0);
        process::spawn(add, words_of_three(&words)).unwrap().join().unwrap();
        assert_eq!(words[0].load(Relaxed), left);
        let next = |words: Segment| words[0].fetch_add(1, Relaxed);
        assert_eq!(process::spawn(next, words.clone()).unwrap().join().unwrap(), left);
        assert_eq!(words[0].load(Relaxed), left + 1);
    });
}

/// Another segment, as proof that a new one is not the old one's memory.
fn words_of_three(old: &Segment) -> Segment {
    let new = Segment::<AtomicU64>::new(3).unwrap();
    assert!(new.iter().all(|word| word.load(Relaxed) == 0), "new memory is zero");
    assert!(old[0].load(Relaxed) > 0);
    new
}

#[test]
fn nobody_can_change_the_size() {
    guarded(|| {
        let words = Segment::<AtomicU64>::new(512).unwrap();
        assert_eq!(process::spawn(try_to_change, words.clone()).unwrap().join().unwrap(), [true; 4]);
        assert_eq!(try_to_change(words), [true; 4]);
    });
}

/// Whether each try is refused: smaller, larger, written beyond the end, sealed against writing.
fn try_to_change(words: Segment) -> [bool; 4] {
    let refused = |result: rustix::io::Result<()>| result == Err(rustix::io::Errno::PERM);
    let size = (words.len() * 8) as u64;
    [
        refused(ftruncate(&words, size - 4096)),
        refused(ftruncate(&words, size + 4096)),
        refused(rustix::io::pwrite(&words, b"beyond", size).map(drop)),
        refused(fcntl_add_seals(&words, SealFlags::WRITE)),
    ]
}

#[test]
fn a_hole_that_a_peer_punches_reads_as_zero() {
    guarded(|| {
        let words = Segment::<AtomicU64>::new(1024).unwrap();
        words.iter().for_each(|word| word.store(9, Relaxed));
        let punch = |words: Segment| {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&words, hole, 0, 4096).map_err(io::Error::from).is_ok()
        };
        assert!(process::spawn(punch, words.clone()).unwrap().join().unwrap());
        assert_eq!((words[0].load(Relaxed), words[1023].load(Relaxed)), (0, 9));
        words[0].store(1, Relaxed);
        assert_eq!(words[0].load(Relaxed), 1);
    });
}

fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, size).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

#[test]
fn what_is_no_segment_is_refused() {
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    for (what, descriptor, said) in [
        ("a pipe", cloexec_pipe().0, "no shared memory"),
        ("a file", tempfile::tempfile().unwrap().into(), "shared memory"),
        ("a device", std::fs::File::open("/dev/zero").unwrap().into(), "no shared memory"),
        ("not sealed", memfd(4096, SealFlags::empty()), "not sealed"),
        ("may shrink", memfd(4096, SealFlags::GROW | SealFlags::SEAL), "not sealed"),
        ("may grow", memfd(4096, SealFlags::SHRINK | SealFlags::SEAL), "not sealed"),
        ("empty", memfd(0, all), "no size"),
        ("too small", memfd(7, all), "single word"),
    ] {
        let error = Segment::<AtomicU64>::try_from(descriptor).expect_err(what);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
        assert!(error.to_string().contains(said), "{what}: {error}");
    }
    // Read-only, by another look at the same file.
    let words = Segment::<AtomicU64>::new(1).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&words.as_fd()));
    let read_only = std::fs::File::open(path).unwrap();
    let error = Segment::<AtomicU64>::try_from(OwnedFd::from(read_only)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    // What does not fill a word at the end is left out.
    assert_eq!(Segment::<AtomicU64>::try_from(memfd(4097, all)).unwrap().len(), 512);
}

/// Says that it is a segment, in the segment's own form.
struct Forged(u64, OwnedFd);

impl Serialize for Forged {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0, Descriptor::from(self.1.try_clone().unwrap())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Forged {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Segment::<AtomicU64>::deserialize(deserializer)?;
        Ok(Self(words.len() as u64, words.as_fd().try_clone_to_owned().unwrap()))
    }
}

#[test]
fn a_peer_that_lies_is_refused() {
    guarded(|| {
        let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        let words = |forged: Forged| forged.0;
        for (size, seals) in [(4, all), (8, SealFlags::GROW | SealFlags::SEAL), (0, all), (u64::MAX, all)] {
            let child = process::spawn(words, Forged(size, memfd(4096, seals))).unwrap();
            let error = child.join().unwrap_err();
            assert!(error.to_string().contains("the argument did not arrive"), "{error}");
        }
        let child = process::spawn(words, Forged(8, memfd(4096, all))).unwrap();
        assert_eq!(child.join().unwrap(), 512, "the form is right");
    });
}

#[test]
fn what_cannot_be_had_is_an_error() {
    let kind = |count| Segment::<AtomicU64>::new(count).unwrap_err().kind();
    assert_eq!(kind(0), io::ErrorKind::InvalidInput);
    assert_eq!(kind(usize::MAX), io::ErrorKind::FileTooLarge);
    guarded(|| {
        let below_the_limit_of_files = process::spawn(
            |()| {
                let limit = Rlimit { current: Some(8000), maximum: Some(8000) };
                setrlimit(Resource::Fsize, limit).unwrap();
                let error = Segment::<AtomicU64>::new(1001).unwrap_err();
                (error.raw_os_error(), Segment::<AtomicU64>::new(1000).is_ok())
            },
            (),
        );
        let found = below_the_limit_of_files.unwrap().join().unwrap();
        assert_eq!(found, (Some(rustix::io::Errno::FBIG.raw_os_error()), true));
        let text = serde_json::to_string(&Segment::<AtomicU64>::new(1).unwrap()).unwrap_err().to_string();
        assert!(text.contains("only in messages between Ropewalk's processes"), "{text}");
    });
}

#[test]
fn nothing_is_left_behind() {
    let Some(_) = case() else { return Child::new(test_name!(), "alone").run().assert_success() };
    guarded(|| {
        let mappings = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().filter(|line| line.contains("memfd:ropewalk")).count()
        };
        process::spawn(add, Segment::new(3).unwrap()).unwrap().join().unwrap();
        let before = descriptors();
        for _ in 0..20 {
            let words = Segment::<AtomicU64>::new(3).unwrap();
            assert_eq!(mappings(), 1);
            let clone = words.clone();
            drop(words);
            assert_eq!(clone[0].load(Relaxed), 0, "a clone keeps it");
            drop(process::spawn(add, clone).unwrap().join().unwrap());
            let dies = process::spawn(|_: Segment| -> () { std::process::abort() }, Segment::new(1).unwrap());
            assert!(dies.unwrap().join_timeout(LONG).unwrap().is_err());
        }
        assert_settles(mappings, 0, "mappings");
        assert_settles(descriptors, before, "descriptors");
    });
}
