//! Where one talks to an address, a name or a number, who waits hears nothing of a death, and who sends hears of it if
//! anybody does: datagrams, message queues, signals.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;

use ropewalk::inspect::State;
use ropewalk::io::PipeWriter;
use ropewalk::ipc::{MessageQueue, UnlinkOnDrop};
use ropewalk::net::unix::SocketAddr;
use ropewalk::net::{UdpSocket, UnixDatagram};
use ropewalk::signal::{Signal, Signals};
use rustix::process::{Pid, Signal as Sent, kill_process, test_kill_process};

use super::{Victim, hold};
use crate::support::{on_every_plan, until};

fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/ropewalk-kinds-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// The victim has taken one message, has sent another, and was about to take more.
#[test]
fn a_message_queue_keeps_what_the_dead_have_sent_and_who_waits_waits_on() {
    on_every_plan(|plan| {
        let name = name();
        let queue = MessageQueue::create_new(&name, 4, 16).unwrap();
        let _name = UnlinkOnDrop::new(&name).unwrap();
        queue.send(b"taken along", 2).unwrap();
        queue.send(b"left", 1).unwrap();
        let work = |(name, ready): (String, PipeWriter)| {
            let queue = MessageQueue::open(&name).unwrap();
            assert_eq!(queue.recv(&mut [0; 16]).unwrap(), (11, 2));
            queue.send(b"last words", 0).unwrap();
            hold(ready)
        };
        let victim = Victim::start(work, name.clone());
        victim.kill();
        let mut buffer = [0; 16];
        let (length, _) = queue.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"left");
        let (length, _) = queue.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"last words");

        // Nobody tells one who waits that those are dead who could have sent.
        let victim = Victim::start(
            |(_queue, ready): (MessageQueue, PipeWriter)| hold(ready),
            queue.try_clone().unwrap(),
        );
        let wait = plan.spawn(move || queue.recv(&mut [0; 16]).unwrap());
        until(|| matches!(wait.task().state(), State::Blocked(_)));
        victim.kill();
        assert!(matches!(wait.task().state(), State::Blocked(_)));
        // The name is still there, and whoever comes next goes on with it.
        MessageQueue::open(&name).unwrap().send(b"next", 3).unwrap();
        assert_eq!(wait.join().unwrap(), (4, 3));
    });
}

#[test]
fn a_unix_datagram_to_the_dead_is_refused_and_what_it_sent_arrives() {
    on_every_plan(|plan| {
        let address = |name: String| SocketAddr::from_abstract_name(name).unwrap();
        let (near, far) = (name(), name());
        let socket = UnixDatagram::bind_addr(&address(near.clone())).unwrap();
        let talk = |((near, far), ready): ((String, String), PipeWriter)| {
            let address = |name: String| SocketAddr::from_abstract_name(name).unwrap();
            let socket = UnixDatagram::bind_addr(&address(far)).unwrap();
            socket.send_to_addr(b"last words", &address(near)).unwrap();
            hold(ready)
        };
        Victim::start(talk, (near, far.clone())).kill();
        let wait = plan.spawn(move || {
            let mut buffer = [0; 16];
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"last words");
            let refused = socket.send_to_addr(b"x", &address(far)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
        wait.join().unwrap();
        // One that waits hears nothing.
        let (near, far) = UnixDatagram::pair().unwrap();
        let victim = Victim::start(|(_far, ready): (UnixDatagram, PipeWriter)| hold(ready), far);
        let wait = plan.spawn(move || near.recv(&mut [0; 16]));
        until(|| matches!(wait.task().state(), State::Blocked(_)));
        victim.kill();
        assert!(matches!(wait.task().state(), State::Blocked(_)));
        wait.cancel();
        assert!(wait.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn udp_tells_who_is_connected_that_nobody_is_there_and_what_was_sent_arrives() {
    on_every_plan(|plan| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let talk = |(address, ready): (std::net::SocketAddr, PipeWriter)| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"last words", address).unwrap();
            hold(ready)
        };
        Victim::start(talk, address).kill();
        let heard = plan.spawn(move || {
            let mut buffer = [0; 16];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"last words");
            socket.connect(from).unwrap();
            // The first goes out; that it was refused comes back, and is what the next one hears.
            socket.send(b"x").unwrap();
            socket.recv(&mut buffer).unwrap_err().kind()
        });
        assert_eq!(heard.join().unwrap(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_signal_arrives_though_its_sender_is_dead_and_nobody_can_send_one_to_the_dead() {
    on_every_plan(|plan| {
        let signals = Signals::new([Signal::WINCH]).unwrap();
        let send = |(to, ready): (i32, PipeWriter)| {
            kill_process(Pid::from_raw(to).unwrap(), Sent::WINCH).unwrap();
            hold(ready)
        };
        let victim = Victim::start(send, rustix::process::getpid().as_raw_nonzero().get());
        let wait = plan.spawn(move || signals.recv());
        let dead = victim.kill();
        assert_eq!(wait.join().unwrap(), Ok(Signal::WINCH));
        assert_eq!(test_kill_process(dead).unwrap_err(), rustix::io::Errno::SRCH);
    });
}
