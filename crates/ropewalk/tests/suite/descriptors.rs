//! Descriptors in messages of Unix sockets: all that were sent arrive, or an error does.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ropewalk::inspect::State;
use ropewalk::io::pipe;
use ropewalk::net::{UnixDatagram, UnixSeqpacket, UnixStream};
use ropewalk::process;
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::support::child::{Child, case, on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{guarded, on_every_pair, on_every_plan, until};

/// As many as the kernel takes in one message.
const MOST: usize = 253;

/// What the three kinds of sockets have in common here.
trait Passes: Send + Sync + Sized + 'static {
    fn pair() -> (Self, Self);
    fn pass(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> std::io::Result<()>;
    fn take(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> std::io::Result<usize>;
}

macro_rules! passes {
    ($($type:ty),*) => {$(
        impl Passes for $type {
            fn pair() -> (Self, Self) {
                Self::pair().unwrap()
            }

            fn pass(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> std::io::Result<()> {
                self.send_with_descriptors(bytes, descriptors).map(|_| ())
            }

            fn take(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> std::io::Result<usize> {
                self.recv_with_descriptors(buffer, descriptors)
            }
        }
    )*};
}
passes!(UnixStream, UnixDatagram, UnixSeqpacket);

/// Runs the same for all three.
macro_rules! for_each_kind {
    ($($(#[$attribute:meta])* fn $name:ident();)*) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            #[test]
            fn stream() {
                super::$name::<UnixStream>(test_name!());
            }

            #[test]
            fn datagram() {
                super::$name::<UnixDatagram>(test_name!());
            }

            #[test]
            fn seqpacket() {
                super::$name::<UnixSeqpacket>(test_name!());
            }
        }
    )*};
}
for_each_kind! {
    fn what_is_passed_is_the_same_thing();
    fn as_many_go_as_the_kernel_takes_and_not_one_more();
    fn who_waits_for_them_is_cancelled_and_they_are_the_next_ones();
    fn those_without_room_are_an_error_and_none_is_kept();
    fn too_many_on_their_way_are_an_error_that_says_so();
}

fn what_is_passed_is_the_same_thing<S: Passes>(_: &str) {
    on_every_pair(|plan| {
        let (near, far) = S::pair();
        let task = plan.spawn(move || {
            let (mut bytes, mut came) = ([0; 16], Vec::new());
            let length = far.take(&mut bytes, &mut came).unwrap();
            assert_eq!((&bytes[..length], came.len()), (&b"two"[..], 2));
            assert!(came.iter().all(|fd| rustix::io::fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC)));
            let length = far.take(&mut bytes, &mut came).unwrap();
            assert_eq!(
                (&bytes[..length], came.len()),
                (&b"none"[..], 2),
                "they come behind those that are there"
            );
            File::from(came.remove(1)).write_all(b"in at one end").unwrap();
            let mut text = [0; 13];
            File::from(came.remove(0)).read_exact(&mut text).unwrap();
            assert_eq!(&text, b"in at one end");
        });
        let (reader, writer) = pipe().unwrap();
        near.pass(b"two", &[reader.as_fd(), writer.as_fd()]).unwrap();
        near.pass(b"none", &[]).unwrap();
        drop((reader, writer));
        task.join().unwrap();
    });
}

fn as_many_go_as_the_kernel_takes_and_not_one_more<S: Passes>(_: &str) {
    on_every_plan(|plan| {
        let (near, far) = S::pair();
        let null = File::open("/dev/null").unwrap();
        let too_many = near.pass(b"x", &vec![null.as_fd(); MOST + 1]).unwrap_err();
        assert_eq!(too_many.kind(), ErrorKind::InvalidInput);
        assert!(too_many.to_string().contains("254") && too_many.to_string().contains("253"), "{too_many}");
        near.pass(b"x", &vec![null.as_fd(); MOST]).unwrap();
        near.pass(b"y", &[null.as_fd()]).unwrap();
        let task = plan.spawn(move || {
            let mut came = Vec::new();
            assert_eq!(
                far.take(&mut [0; 16], &mut came).unwrap(),
                1,
                "one message's end is not the next one's"
            );
            assert_eq!(came.len(), MOST);
            assert_eq!(far.take(&mut [0; 16], &mut came).unwrap(), 1);
            came.len()
        });
        assert_eq!(task.join().unwrap(), MOST + 1);
    });
}

fn who_waits_for_them_is_cancelled_and_they_are_the_next_ones<S: Passes>(test: &'static str) {
    on_every_driver_alone(test, |_| {
        for plan in PLANS {
            let before = descriptors();
            let (near, far) = S::pair();
            let far = Arc::new(far);
            let there = far.clone();
            let waits = plan.spawn(move || there.take(&mut [0; 16], &mut Vec::new()));
            until(|| matches!(waits.task().state(), State::Blocked(_)));
            waits.cancel();
            assert!(waits.join().unwrap_err().is_cancelled());
            near.pass(b"x", &[near_fd(&far)]).unwrap();
            let mut came = Vec::new();
            assert_eq!((far.take(&mut [0; 16], &mut came).unwrap(), came.len()), (1, 1));
            drop((near, far, came));
            assert_settles(descriptors, before, "nothing was left open");
        }
    });
}

/// Any descriptor.
fn near_fd<T>(_: &T) -> BorrowedFd<'static> {
    rustix::stdio::stderr()
}

fn limit_descriptors(count: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).unwrap();
}

fn those_without_room_are_an_error_and_none_is_kept<S: Passes>(test: &'static str) {
    on_every_driver_alone(test, |_| {
        for plan in PLANS {
            let (near, far) = S::pair();
            let before = getrlimit(Resource::Nofile).current.unwrap();
            near.pass(b"lost", &[rustix::stdio::stderr(); 100]).unwrap();
            near.pass(b"next", &[rustix::stdio::stderr(); 1]).unwrap();
            let open = descriptors();
            let highest = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 0).unwrap();
            limit_descriptors(u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&highest)).unwrap() + 20);
            drop(highest);
            let task = plan.spawn(move || {
                let mut came = Vec::new();
                let error = far.take(&mut [0; 16], &mut came).unwrap_err();
                (error.to_string(), came, far)
            });
            let (error, mut came, far) = task.join().unwrap();
            assert!(error.contains("ulimit -n"), "{error}");
            assert!(came.is_empty());
            assert_settles(descriptors, open, "none was kept");
            let mut bytes = [0; 16];
            assert_eq!(far.take(&mut bytes, &mut came).unwrap(), 4);
            assert_eq!((&bytes[..4], came.len()), (&b"next"[..], 1), "what comes after is whole");
            limit_descriptors(before);
        }
    });
}

/// Who may go beyond limits does here, too.
fn too_many_on_their_way_are_an_error_that_says_so<S: Passes>(test: &'static str) {
    let Some(_) = case() else {
        return Child::new(test, "as a user").run().assert_success();
    };
    guarded(|| {
        let mut own = capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN);
        set_capabilities(None, own).unwrap();
        limit_descriptors(64);
        let (near, _far) = S::pair();
        let error = (0..4).find_map(|_| near.pass(b"x", &[rustix::stdio::stderr(); 40]).err()).unwrap();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    });
}

#[test]
fn a_stream_needs_a_byte_and_a_packet_its_room() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let null = File::open("/dev/null").unwrap();
            let (near, _far) = UnixStream::pair().unwrap();
            let error = near.send_with_descriptors(b"", &[null.as_fd()]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let (near, far) = UnixDatagram::pair().unwrap();
            near.send_with_descriptors(b"", &[null.as_fd()]).unwrap();
            let mut came = Vec::new();
            assert_eq!(far.recv_with_descriptors(&mut [], &mut came).unwrap(), 0);
            assert_eq!(came.len(), 1);
            near.send_with_descriptors(b"cut", &[null.as_fd()]).unwrap();
            assert_eq!(far.recv_with_descriptors(&mut [0; 2], &mut came).unwrap(), 2, "as recv");
            assert_eq!(came.len(), 2);
            let (near, far) = UnixSeqpacket::pair().unwrap();
            near.send_with_descriptors(b"cut", &[null.as_fd()]).unwrap();
            let error = far.recv_with_descriptors(&mut [0; 2], &mut came).unwrap_err();
            assert_eq!((error.kind(), came.len()), (ErrorKind::InvalidData, 2));
        })
        .join()
        .unwrap();
    });
}

/// Of a stream, all bytes come; the descriptors with the first of them.
#[test]
fn a_stream_that_is_full_sends_what_fits_and_the_rest_can_be_written() {
    on_every_pair(|plan| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let data: Vec<u8> = (0..1_000_000_u32).map(|place| (place / 7) as u8).collect();
        let expected = data.clone();
        let reader = plan.spawn(move || {
            let (mut all, mut came) = (Vec::<u8>::new(), Vec::new());
            let mut buffer = vec![0; 5000];
            loop {
                let length = far.recv_with_descriptors(&mut buffer, &mut came).unwrap();
                if length == 0 {
                    return (all, came.len());
                }
                all.extend(&buffer[..length]);
            }
        });
        let sent = near.send_with_descriptors(&data, &[rustix::stdio::stderr()]).unwrap();
        near.write_all(&data[sent..]).unwrap();
        drop(near);
        let (all, came) = reader.join().unwrap();
        assert_eq!(came, 1);
        assert!(all == expected);
    });
}

/// A datagram socket that is shut down says so only to who waits in the call.
#[test]
fn the_end_of_a_datagram_socket_is_heard_with_descriptors_too() {
    on_every_plan(|plan| {
        let (near, far) = UnixDatagram::pair().unwrap();
        let far = Arc::new(far);
        let there = far.clone();
        near.send_with_descriptors(b"before", &[rustix::stdio::stderr()]).unwrap();
        let task = plan.spawn(move || {
            let mut came = Vec::new();
            let lengths = [(); 2].map(|()| there.recv_with_descriptors(&mut [0; 16], &mut came).unwrap());
            (lengths, came.len())
        });
        until(|| matches!(task.task().state(), State::Blocked(_)));
        far.shutdown(ropewalk::net::Shutdown::Read).unwrap();
        assert_eq!(task.join().unwrap(), ([6, 0], 1));
    });
}

#[test]
fn a_process_passes_what_it_has_opened() {
    guarded(|| {
        let (near, far) = UnixSeqpacket::pair().unwrap();
        let open = |far: UnixSeqpacket| {
            let file = tempfile::tempfile().unwrap();
            (&file).write_all(b"written by another process").unwrap();
            far.send_with_descriptors(b"a file", &[file.as_fd()]).unwrap();
        };
        let child = process::spawn(open, far).unwrap();
        let mut came = Vec::new();
        assert_eq!(near.recv_with_descriptors(&mut [0; 16], &mut came).unwrap(), 6);
        child.join().unwrap();
        let file = File::from(came.remove(0));
        let mut text = [0; 26];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut text, 0).unwrap();
        assert_eq!(&text, b"written by another process");
        assert_eq!(near.recv_with_descriptors(&mut [0; 16], &mut came).unwrap(), 0, "it has ended");
    });
}

#[test]
fn a_peer_is_known_by_its_process_user_and_group() {
    guarded(|| {
        let (near, _far) = UnixStream::pair().unwrap();
        let own = near.peer_cred().unwrap();
        assert_eq!(own.pid, i32::try_from(std::process::id()).ok());
        assert_eq!(own.uid, rustix::process::geteuid().as_raw());
        assert_eq!(own.gid, rustix::process::getegid().as_raw());
        // One that has connected is known, whoever accepts.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = ropewalk::net::UnixListener::bind(&path).unwrap();
        let connect = |path: std::path::PathBuf| {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&std::process::id().to_ne_bytes()).unwrap();
            drop(stream.read(&mut [0; 1]));
        };
        let child = process::spawn(connect, path).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut pid = [0; 4];
        stream.read_exact(&mut pid).unwrap();
        assert_eq!(stream.peer_cred().unwrap().pid, i32::try_from(u32::from_ne_bytes(pid)).ok());
        drop(stream);
        child.join().unwrap();
    });
}
