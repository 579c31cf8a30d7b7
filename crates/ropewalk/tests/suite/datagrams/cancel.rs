//! What a cancelled receive or send loses: nothing. On each driver by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropewalk::net::{UdpSocket, UnixDatagram};

use super::{udp, unix};
use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{Spot, drivers, on_driver, until};

/// What both kinds of sockets have.
trait Datagrams: Send + Sync + 'static {
    fn pair() -> (Self, Self)
    where
        Self: Sized;
    fn send(&self, data: &[u8]) -> usize;
    fn receive(&self, buffer: &mut [u8], with_sender: bool) -> usize;
    fn receive_now(&self) -> bool;
}

impl Datagrams for UdpSocket {
    fn pair() -> (Self, Self) {
        udp::pair()
    }

    fn send(&self, data: &[u8]) -> usize {
        self.send(data).unwrap()
    }

    fn receive(&self, buffer: &mut [u8], with_sender: bool) -> usize {
        if with_sender { self.recv_from(buffer).unwrap().0 } else { self.recv(buffer).unwrap() }
    }

    fn receive_now(&self) -> bool {
        self.set_nonblocking(true).unwrap();
        let received = self.recv(&mut [0; 64]).is_ok();
        self.set_nonblocking(false).unwrap();
        received
    }
}

impl Datagrams for UnixDatagram {
    fn pair() -> (Self, Self) {
        Self::pair().unwrap()
    }

    fn send(&self, data: &[u8]) -> usize {
        self.send(data).unwrap()
    }

    fn receive(&self, buffer: &mut [u8], with_sender: bool) -> usize {
        if with_sender { self.recv_from(buffer).unwrap().0 } else { self.recv(buffer).unwrap() }
    }

    fn receive_now(&self) -> bool {
        self.set_nonblocking(true).unwrap();
        let received = self.recv(&mut [0; 64]).is_ok();
        self.set_nonblocking(false).unwrap();
        received
    }
}

/// A receive that is cancelled while a datagram comes has it, or has left it there.
fn receives<S: Datagrams>() {
    const ROUNDS: usize = 200;
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                let (near, far) = S::pair();
                let near = Arc::new(near);
                let (mut taken, mut left, mut cancelled) = (0, 0, 0);
                for round in 0..ROUNDS {
                    let spot = Spot::new();
                    let reader = plan.spawn({
                        let (near, spot) = (near.clone(), spot.clone());
                        move || {
                            spot.mark();
                            near.receive(&mut [0; 64], round % 2 == 0)
                        }
                    });
                    match round % 3 {
                        0 => {}
                        1 => until(|| spot.is_marked()),
                        _ => spot.wait_asleep(),
                    }
                    // One in ten comes only after the cancel.
                    if round % 10 != 0 {
                        far.send(b"12345678");
                    }
                    reader.cancel();
                    match reader.join() {
                        Ok(length) => {
                            assert_eq!(length, 8);
                            taken += 1;
                        }
                        Err(error) => {
                            assert!(error.is_cancelled(), "{error}");
                            cancelled += 1;
                        }
                    }
                    if round % 10 == 0 {
                        far.send(b"12345678");
                    }
                }
                while near.receive_now() {
                    left += 1;
                }
                assert_eq!(taken + left, ROUNDS, "{driver}, {plan:?}: {cancelled} were cancelled");
            }
        });
    }
}

#[test]
fn a_cancelled_receive_of_udp_loses_no_datagram() {
    receives::<UdpSocket>();
}

#[test]
fn a_cancelled_receive_of_a_unix_socket_loses_no_datagram() {
    receives::<UnixDatagram>();
}

/// A send that is cancelled while there is no room has sent what it said, and no more.
#[test]
fn a_cancelled_send_has_sent_what_it_said() {
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                for connected in [true, false] {
                    let (receiver, address) = unix::bound();
                    let (spot, sent) = (Spot::new(), Arc::new(AtomicUsize::new(0)));
                    let sender = plan.spawn({
                        let (spot, sent) = (spot.clone(), sent.clone());
                        move || {
                            let socket = UnixDatagram::unbound().unwrap();
                            if connected {
                                socket.connect_addr(&address).unwrap();
                            }
                            spot.mark();
                            loop {
                                match connected {
                                    true => drop(socket.send(b"datagram").unwrap()),
                                    false => drop(socket.send_to_addr(b"datagram", &address).unwrap()),
                                }
                                sent.fetch_add(1, SeqCst);
                            }
                        }
                    });
                    spot.wait_asleep();
                    sender.cancel();
                    assert!(sender.join().map(drop).unwrap_err().is_cancelled());
                    let mut received = 0;
                    while receiver.receive_now() {
                        received += 1;
                    }
                    assert_eq!(received, sent.load(SeqCst), "{driver}, {plan:?}, connected: {connected}");
                }
            }
        });
    }
}

#[test]
fn sockets_that_were_waited_for_leave_no_descriptor() {
    on_every_driver_alone(test_name!(), |driver| {
        let before = descriptors();
        for round in 0..50 {
            let plan = PLANS[round % 2];
            let (near, far) = udp::pair();
            let (unix_near, unix_far) = UnixDatagram::pair().unwrap();
            let spot = Spot::new();
            let waiting = plan.spawn({
                let spot = spot.clone();
                move || {
                    near.recv(&mut [0; 8]).unwrap();
                    spot.mark();
                    unix_near.recv(&mut [0; 8]).unwrap();
                }
            });
            far.send(b"x").unwrap();
            if round % 4 < 2 {
                spot.wait_asleep();
                waiting.cancel();
            } else {
                unix_far.send(b"x").unwrap();
            }
            drop((waiting.join(), far, unix_far));
        }
        assert_settles(descriptors, before, &driver.to_string());
    });
}
