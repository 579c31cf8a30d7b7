//! POSIX message queues: what mq_overview(7) says of them, from every plan; and limits that say which they are.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::inspect::State;
use ropewalk::ipc::{MessageQueue, MessageQueueOptions, UnlinkOnDrop};
use ropewalk::{JoinHandle, process, timeout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::support::child::{Child, case, on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{LONG, guarded, on_every_pair, on_every_plan, until};

const SOON: Duration = Duration::from_millis(3);

/// A name that nobody else has.
fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/ropewalk-suite-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// One whose name is gone already.
fn queue(max_messages: usize, max_message_size: usize) -> MessageQueue {
    let name = name();
    let queue = MessageQueue::create_new(&name, max_messages, max_message_size).unwrap();
    MessageQueue::unlink(&name).unwrap();
    queue
}

fn until_it_waits<T: Send + 'static>(task: &JoinHandle<T>) {
    until(|| match task.task().state() {
        State::Blocked(wait) => wait.reason.as_str().ends_with("message queue"),
        State::Dead(_) => panic!("it has not waited"),
        _ => false,
    });
}

#[test]
fn the_highest_priority_comes_first_and_among_equals_the_oldest() {
    on_every_pair(|plan| {
        let queue = queue(10, 8);
        let senders = queue.try_clone().unwrap();
        plan.spawn(move || {
            for (message, priority) in [("a", 0), ("b", 5), ("c", 32_767), ("d", 5), ("", 1)] {
                senders.send(message.as_bytes(), priority).unwrap();
            }
        })
        .join()
        .unwrap();
        assert_eq!(queue.attributes().unwrap().current_messages, 5);
        let mut buffer = [0; 8];
        for (message, priority) in [("c", 32_767), ("b", 5), ("d", 5), ("", 1), ("a", 0)] {
            let (length, found) = queue.recv(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], found), (message.as_bytes(), priority));
        }
        assert_eq!(queue.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

/// So few fit that everybody waits for everybody, all the time.
#[test]
fn each_message_of_many_senders_reaches_one_of_many_receivers() {
    const EACH: usize = 300;
    on_every_pair(|plan| {
        let queue = Arc::new(queue(2, 8));
        let receive = |_| {
            let queue = queue.clone();
            plan.spawn(move || {
                let receive = || {
                    let mut buffer = [0; 8];
                    assert_eq!(queue.recv(&mut buffer).unwrap().0, 8);
                    usize::from_ne_bytes(buffer)
                };
                std::iter::repeat_with(receive).take_while(|number| *number != usize::MAX).collect::<Vec<_>>()
            })
        };
        let receivers: Vec<_> = (0..3).map(receive).collect();
        let send = |sender: usize| {
            let queue = queue.clone();
            plan.spawn(move || {
                for number in sender * EACH..(sender + 1) * EACH {
                    queue.send(&number.to_ne_bytes(), 1).unwrap();
                }
            })
        };
        let senders: Vec<_> = (0..3).map(send).collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        for _ in 0..3 {
            queue.send(&usize::MAX.to_ne_bytes(), 0).unwrap();
        }
        let mut all: Vec<_> = receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..3 * EACH).collect::<Vec<_>>());
    });
}

#[test]
fn who_waits_is_cancelled_or_out_of_time_and_loses_nothing() {
    on_every_driver_alone(test_name!(), |_| {
        let before = descriptors();
        for plan in PLANS {
            let (full, empty) = (Arc::new(queue(1, 8)), Arc::new(queue(1, 8)));
            full.send(b"first", 0).unwrap();
            let send = |limit: Option<Duration>| {
                let full = full.clone();
                plan.spawn(move || match limit {
                    None => full.send(b"second", 9),
                    Some(limit) => full.send_timeout(b"second", 9, limit),
                })
            };
            let receive = |limit: Option<Duration>| {
                let empty = empty.clone();
                plan.spawn(move || match limit {
                    None => empty.recv(&mut [0; 8]),
                    Some(limit) => empty.recv_timeout(&mut [0; 8], limit),
                })
            };
            for limit in [None, Some(LONG)] {
                let (sender, receiver) = (send(limit), receive(limit));
                until_it_waits(&sender);
                until_it_waits(&receiver);
                sender.cancel();
                receiver.cancel();
                assert!(sender.join().unwrap_err().is_cancelled(), "{plan:?}");
                assert!(receiver.join().unwrap_err().is_cancelled(), "{plan:?}");
            }
            assert_eq!(send(Some(SOON)).join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(receive(Some(SOON)).join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
            let queue = empty.clone();
            let timed = plan.spawn(move || timeout(SOON, || queue.recv(&mut [0; 8])).is_err());
            assert!(timed.join().unwrap(), "{plan:?}");
            assert_eq!(full.try_send(b"second", 9).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(full.recv(&mut [0; 8]).unwrap(), (5, 0), "nothing has been sent meanwhile");
            empty.send(b"x", 3).unwrap();
            assert_eq!(empty.recv(&mut [0; 8]).unwrap(), (1, 3), "nobody has taken it");
            // Whoever waits with a limit gets what comes in time.
            let (sender, receiver) = (send(Some(LONG)), receive(Some(LONG)));
            sender.join().unwrap().unwrap();
            until_it_waits(&receiver);
            empty.send(b"y", 1).unwrap();
            assert_eq!(receiver.join().unwrap().unwrap(), (1, 1));
        }
        assert_settles(descriptors, before, "nothing was left open");
    });
}

#[test]
fn names_are_made_opened_and_unlinked_once() {
    on_every_plan(|plan| {
        let name = name();
        let there = name.clone();
        plan.spawn(move || {
            let name = there;
            let expect = |error: std::io::Error, kind| {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(&name), "{error}");
            };
            expect(MessageQueue::open(&name).unwrap_err(), ErrorKind::NotFound);
            expect(MessageQueue::unlink(&name).unwrap_err(), ErrorKind::NotFound);
            let first = MessageQueue::create_new(&name, 3, 16).unwrap();
            let guard = UnlinkOnDrop::new(&name).unwrap();
            expect(MessageQueue::create_new(&name, 3, 16).unwrap_err(), ErrorKind::AlreadyExists);
            let second = MessageQueueOptions::new().create(true).size(5, 32).open(&name).unwrap();
            let attributes = second.attributes().unwrap();
            assert_eq!((attributes.max_messages, attributes.max_message_size), (3, 16), "it was there");
            first.send(b"x", 0).unwrap();
            assert_eq!(second.recv(&mut [0; 16]).unwrap(), (1, 0));
            drop(guard);
            expect(MessageQueue::open(&name).unwrap_err(), ErrorKind::NotFound);
            second.send(b"still there", 0).unwrap();
            assert_eq!(first.recv(&mut [0; 16]).unwrap().0, 11);
            let kept = MessageQueueOptions::new().create_new(true).open(&name).unwrap();
            let defaults = kept.attributes().unwrap();
            assert!(defaults.max_messages > 0 && defaults.max_message_size > 0);
            UnlinkOnDrop::new(&name).unwrap().keep();
            MessageQueue::open(&name).unwrap();
            MessageQueue::unlink(&name).unwrap();
            for invalid in ["", "/", "name", "/a/b", "/a\0b"] {
                assert_eq!(
                    MessageQueue::open(invalid).unwrap_err().kind(),
                    ErrorKind::InvalidInput,
                    "{invalid:?}"
                );
                assert!(UnlinkOnDrop::new(invalid).is_err());
            }
            let long = format!("/{}", "n".repeat(300));
            assert_eq!(MessageQueue::open(&long).unwrap_err().kind(), ErrorKind::InvalidFilename);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_happens() {
    on_every_plan(|plan| {
        let name = name();
        let queue = MessageQueue::create_new(&name, 1, 8).unwrap();
        let _name = UnlinkOnDrop::new(&name).unwrap();
        let only = |read: bool| MessageQueueOptions::new().read(read).write(!read).open(&name).unwrap();
        let (reader, writer) = (only(true), only(false));
        assert!(MessageQueueOptions::new().read(false).write(false).open(&name).is_err());
        plan.spawn(move || {
            let too_long = queue.send(b"nine byte", 0).unwrap_err();
            assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
            assert!(too_long.to_string().contains("9 bytes") && too_long.to_string().contains("8 at most"));
            assert_eq!(queue.send(b"", 32_768).unwrap_err().kind(), ErrorKind::InvalidInput);
            let too_short = queue.recv(&mut [0; 7]).unwrap_err();
            assert_eq!(too_short.kind(), ErrorKind::InvalidInput);
            assert_eq!(reader.send(b"", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(reader.try_send(b"", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(writer.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::PermissionDenied);
            let timed = writer.recv_timeout(&mut [0; 8], LONG).unwrap_err();
            assert_eq!(timed.kind(), ErrorKind::PermissionDenied);
            writer.send(b"x", 0).unwrap();
            assert_eq!(reader.recv(&mut [0; 8]).unwrap(), (1, 0));
            assert_eq!(queue.attributes().unwrap().current_messages, 0);
        })
        .join()
        .unwrap();
        let pipe = OwnedFd::from(ropewalk::io::pipe().unwrap().0);
        assert_eq!(MessageQueue::try_from(pipe).unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

/// The mode is everybody's who shares what was opened.
#[test]
fn the_mode_is_left_alone_and_does_not_matter() {
    on_every_plan(|plan| {
        let queue = Arc::new(queue(1, 8));
        let is_blocking = |queue: &MessageQueue| {
            !rustix::fs::fcntl_getfl(queue).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
        };
        for blocking in [true, false] {
            if !blocking {
                rustix::io::ioctl_fionbio(queue.as_fd(), true).unwrap();
            }
            let theirs = queue.clone();
            let receiver = plan.spawn(move || theirs.recv(&mut [0; 8]));
            until_it_waits(&receiver);
            assert_eq!(is_blocking(&queue), blocking);
            queue.send(b"x", 0).unwrap();
            receiver.join().unwrap().unwrap();
            assert_eq!(is_blocking(&queue), blocking);
        }
        assert!(queue.as_raw_fd() > 2);
        assert!(rustix::io::fcntl_getfd(&*queue).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    });
}

#[test]
fn it_travels_to_a_process_which_waits_like_everybody() {
    guarded(|| {
        let (jobs, done) = (queue(2, 16), queue(2, 16));
        let work = |(jobs, done): (MessageQueue, MessageQueue)| {
            let mut buffer = [0; 16];
            for _ in 0..20 {
                let (length, priority) = jobs.recv(&mut buffer).unwrap();
                buffer[..length].make_ascii_uppercase();
                done.send(&buffer[..length], priority + 1).unwrap();
            }
            done
        };
        let child = process::spawn(work, (jobs.try_clone().unwrap(), done.try_clone().unwrap())).unwrap();
        let mut buffer = [0; 16];
        for number in 0..20 {
            jobs.send(b"rope", number).unwrap();
            assert_eq!(done.recv(&mut buffer).unwrap(), (4, number + 1));
            assert_eq!(&buffer[..4], b"ROPE");
        }
        assert_eq!(child.join().unwrap().attributes().unwrap().max_message_size, 16);
    });
}

fn sysctl(name: &str) -> usize {
    std::fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}")).unwrap().trim().parse().unwrap()
}

/// As a user who is not root: the machine's limits do not hold for who may go beyond them.
#[test]
fn what_is_over_a_limit_names_it_with_what_it_is_and_what_was_asked_for() {
    let Some(_) = case() else {
        return Child::new(test_name!(), "limits").run().assert_success();
    };
    guarded(|| {
        let mut own = capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::SYS_RESOURCE);
        set_capabilities(None, own).unwrap();
        let expect = |made: std::io::Result<MessageQueue>, kind, words: &[&str]| {
            let error = made.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            words
                .iter()
                .for_each(|word| assert!(error.to_string().contains(word), "{word} is not in: {error}"));
        };
        let name = name();
        let (messages, length) = (sysctl("msg_max"), sysctl("msgsize_max"));
        let asked = (messages + 1).to_string();
        let words = ["fs.mqueue.msg_max", &messages.to_string(), &asked, &name];
        expect(MessageQueue::create_new(&name, messages + 1, 1), ErrorKind::InvalidInput, &words);
        let asked = (length + 1).to_string();
        let words = ["fs.mqueue.msgsize_max", &length.to_string(), &asked];
        expect(MessageQueue::create_new(&name, 1, length + 1), ErrorKind::InvalidInput, &words);
        expect(MessageQueue::create_new(&name, 1 << 20, 1), ErrorKind::InvalidInput, &["anybody", "65536"]);
        expect(MessageQueue::create_new(&name, 0, 1), ErrorKind::InvalidInput, &["at least"]);
        expect(MessageQueue::create_new(&name, 1, 0), ErrorKind::InvalidInput, &["at least"]);
        expect(MessageQueue::create_new(&name, usize::MAX, 1), ErrorKind::InvalidInput, &["anybody"]);

        // The bytes of a user's queues. One message of 100 bytes takes 96 more.
        let quota = |bytes| {
            let Rlimit { maximum, .. } = getrlimit(Resource::Msgqueue);
            setrlimit(Resource::Msgqueue, Rlimit { current: Some(bytes), maximum }).unwrap();
        };
        quota(195);
        let words = ["RLIMIT_MSGQUEUE", "195", "196", "ulimit -q", &name];
        expect(MessageQueue::create_new(&name, 1, 100), ErrorKind::QuotaExceeded, &words);
        let default = MessageQueueOptions::new().create(true).open(&name);
        expect(default, ErrorKind::QuotaExceeded, &["RLIMIT_MSGQUEUE", "takes"]);

        quota(819_200);
        let queue = MessageQueue::create_new(&name, 1, 1).unwrap();
        let _name = UnlinkOnDrop::new(&name).unwrap();
        // No descriptor is left: the kernel says the same.
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let few = u64::try_from(queue.as_raw_fd()).unwrap() + 1;
        setrlimit(Resource::Nofile, Rlimit { current: Some(few), maximum }).unwrap();
        let mut hoard = Vec::new();
        while let Ok(fd) = queue.as_fd().try_clone_to_owned() {
            hoard.push(fd);
        }
        let error = MessageQueue::open(&name).unwrap_err();
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        let error = MessageQueue::create_new(&format!("{name}-2"), 1, 1).unwrap_err();
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    });
}

/// That takes root, and a thread that is root no longer.
#[test]
fn another_users_queue_is_refused_by_name() {
    let Some(_) = case() else {
        if rustix::process::geteuid().is_root() {
            Child::new(test_name!(), "root").run().assert_success();
        }
        return;
    };
    guarded(|| {
        let name = name();
        let _queue = MessageQueue::create_new(&name, 1, 1).unwrap();
        let _name = UnlinkOnDrop::new(&name).unwrap();
        let theirs = name.clone();
        let other = std::thread::spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            for error in
                [MessageQueue::open(&theirs).unwrap_err(), MessageQueue::unlink(&theirs).unwrap_err()]
            {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                assert!(error.to_string().contains(&theirs), "{error}");
            }
        });
        other.join().unwrap();
    });
}

/// In a namespace of its own, where nobody else is short of them meanwhile; that takes root.
#[test]
fn too_many_queues_are_refused_with_their_number() {
    let unshare = ["unshare", "--ipc"];
    let Some(_) = case() else {
        let works = std::process::Command::new(unshare[0]).args([unshare[1], "true"]).status();
        if works.is_ok_and(|status| status.success()) {
            Child::new(test_name!(), "alone").under(unshare).run().assert_success();
        }
        return;
    };
    guarded(|| {
        let mut own = capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::SYS_RESOURCE);
        set_capabilities(None, own).unwrap();
        let queues_max = sysctl("queues_max");
        let names: Vec<_> = (0..queues_max).map(|_| name()).collect();
        names.iter().for_each(|name| drop(MessageQueue::create_new(name, 1, 1).unwrap()));
        let error = MessageQueue::create_new(&name(), 1, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        let text = format!("fs.mqueue.queues_max is {queues_max}");
        assert!(error.to_string().contains(&text), "{error}");
        names.iter().for_each(|name| MessageQueue::unlink(name).unwrap());
    });
}
