//! A socket goes from task to task, over plans, workers and processes, also while somebody waits on it: no byte is lost.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{JoinHandle, OnFailure, coroutine, process, scope_with, thread};

use crate::support::child::{on_every_driver_alone, test_name};
use crate::support::net::{listener, pair};
use crate::support::plan::PLANS;
use crate::support::process::{assert_settles, descriptors};
use crate::support::{LONG, Plan, Spot, drivers, on_driver, until};

/// Whoever has it next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A coroutine, placed on whichever of the workers.
    Coroutine,
    Thread,
    Process,
}

const STAGES: [Stage; 3] = [Stage::Coroutine, Stage::Thread, Stage::Process];

/// Takes a byte from the stream, for which it has to wait, and answers.
fn serve(mut stream: TcpStream) -> TcpStream {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    stream.write_all(&[byte[0] + 1]).unwrap();
    stream
}

impl Stage {
    fn spawn(self, stream: TcpStream) -> JoinHandle<TcpStream> {
        match self {
            Self::Coroutine => coroutine::spawn(move || serve(stream)),
            Self::Thread => thread::spawn(move || serve(stream)),
            Self::Process => process::spawn(serve, stream).unwrap(),
        }
    }
}

/// Every stage hands it to every other, and back.
#[test]
fn a_stream_goes_in_every_direction() {
    for driver in drivers() {
        on_driver(driver, move || {
            let (mut near, far) = pair();
            let mut far = Some(far);
            for one in STAGES {
                for other in STAGES {
                    for stage in [one, other] {
                        let task = stage.spawn(far.take().unwrap());
                        near.write_all(&[41]).unwrap();
                        let mut byte = [0];
                        near.read_exact(&mut byte).unwrap();
                        assert_eq!(byte, [42], "{driver}: {one:?} to {other:?}");
                        far = Some(task.join().unwrap());
                    }
                }
            }
        });
    }
}

/// Every coroutine of every worker has it once, in turn; and it was made in a coroutine of the first.
#[test]
fn a_stream_goes_from_worker_to_worker() {
    for driver in drivers() {
        on_driver(driver, move || {
            let (sender, receiver) = bounded::<TcpStream>(1);
            let mut near = coroutine::spawn(move || {
                let (near, far) = pair();
                sender.send(far).unwrap();
                near
            })
            .join()
            .unwrap();
            let mut far = receiver.recv().unwrap();
            for round in 0..40 {
                // Both workers are kept busy by turns, so that the next one goes to the other.
                let task = PLANS[round % 5 / 4].spawn(move || serve(far));
                near.write_all(&[1]).unwrap();
                near.read_exact(&mut [0]).unwrap();
                far = task.join().unwrap();
            }
        });
    }
}

/// Three wait at once, of every plan and process; each byte goes to one of them, and all are served.
#[test]
fn a_stream_is_given_to_others_while_somebody_waits_on_it() {
    fn read_one(mut stream: TcpStream) -> u8 {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        byte[0]
    }
    for driver in drivers() {
        on_driver(driver, move || {
            let (near, mut far) = pair();
            let near = Arc::new(near);
            let spots = [Spot::new(), Spot::new()];
            let waiting: Vec<_> = PLANS
                .iter()
                .zip(&spots)
                .map(|(plan, spot)| {
                    let (near, spot) = (near.clone(), spot.clone());
                    plan.spawn(move || {
                        spot.mark();
                        let mut byte = [0];
                        (&*near).read_exact(&mut byte).unwrap();
                        byte[0]
                    })
                })
                .collect();
            spots.iter().for_each(Spot::wait_asleep);
            // Both wait; a process joins in, with a duplicate.
            let child = process::spawn(read_one, near.try_clone().unwrap()).unwrap();
            let mut left = vec![child];
            left.extend(waiting);
            let mut bytes = Vec::new();
            for byte in 1..=3 {
                far.write_all(&[byte]).unwrap();
                // Whoever has it ends; the others go on waiting.
                until(|| left.iter().any(JoinHandle::is_finished));
                let place = left.iter().position(JoinHandle::is_finished).unwrap();
                bytes.push(left.swap_remove(place).join().unwrap());
            }
            assert_eq!(bytes, [1, 2, 3], "{driver}");
        });
    }
}

/// Taken over as a descriptor while a coroutine waits on a duplicate.
#[test]
fn a_descriptor_is_taken_out_while_a_clone_waits() {
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                let (near, mut far) = pair();
                let clone = near.try_clone().unwrap();
                let spot = Spot::new();
                let waiting = plan.spawn({
                    let spot = spot.clone();
                    move || {
                        spot.mark();
                        (&clone).read_exact(&mut [0; 4]).map(|()| clone)
                    }
                });
                spot.wait_asleep();
                near.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                assert!((&near).read(&mut [0]).is_err(), "it has waited, too");
                let mut std = std::net::TcpStream::from(OwnedFd::from(near));
                assert!(std.read_timeout().unwrap().is_some(), "its limit went along");
                far.write_all(b"1234and the rest").unwrap();
                let clone = waiting.join().unwrap().unwrap();
                let mut rest = [0; 12];
                std.read_exact(&mut rest).unwrap();
                assert_eq!(&rest, b"and the rest");
                drop((std, clone));
                assert_eq!(far.read(&mut [0]).unwrap(), 0, "no descriptor is left: {driver}, {plan:?}");
            }
        });
    }
}

/// A limit that a thread has used is in the kernel; whoever gets the socket then is not bound by it, or knows of it.
#[test]
fn limits_go_where_the_socket_goes() {
    fn limits(stream: TcpStream) -> (Option<Duration>, Option<Duration>) {
        (stream.read_timeout().unwrap(), stream.write_timeout().unwrap())
    }
    for driver in drivers() {
        on_driver(driver, move || {
            let (near, _far) = pair();
            near.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert!((&near).read(&mut [0]).is_err());
            near.set_read_timeout(None).unwrap();
            let std = std::net::TcpStream::from(near.as_fd().try_clone_to_owned().unwrap());
            let near = TcpStream::from(OwnedFd::from(near));
            assert_eq!((near.read_timeout().unwrap(), std.read_timeout().unwrap()), (None, None));
            near.set_read_timeout(Some(LONG)).unwrap();
            near.set_write_timeout(Some(2 * LONG)).unwrap();
            let child = process::spawn(limits, near).unwrap();
            assert_eq!(child.join().unwrap(), (Some(LONG), Some(2 * LONG)));
        });
    }
}

/// An acceptor waits in a coroutine and in a thread; a process is sent the listener; each connection goes to one of the three.
#[test]
fn a_listener_is_shared_with_a_process_while_others_accept() {
    fn accept(listener: TcpListener) -> usize {
        (0..).find(|_| !one(&listener)).unwrap()
    }
    /// Accepts one; `false` if it was to stop.
    fn one(listener: &TcpListener) -> bool {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        stream.read(&mut byte).unwrap() == 1 && stream.write_all(&byte).is_ok()
    }
    for driver in drivers() {
        on_driver(driver, move || {
            let (listener, address) = listener();
            let mut acceptors: Vec<_> = PLANS
                .iter()
                .map(|plan| {
                    let listener = listener.try_clone().unwrap();
                    plan.spawn(move || accept(listener))
                })
                .collect();
            acceptors.push(process::spawn(accept, listener).unwrap());
            scope_with(OnFailure::Cancel, |s| {
                for _ in 0..10 {
                    s.spawn(move || {
                        for _ in 0..10 {
                            let mut stream = TcpStream::connect(address).unwrap();
                            stream.write_all(b"!").unwrap();
                            stream.read_exact(&mut [0]).unwrap();
                        }
                    });
                }
            });
            acceptors.iter().for_each(|_| drop(TcpStream::connect(address).unwrap()));
            let accepted: usize = acceptors.into_iter().map(|acceptor| acceptor.join().unwrap()).sum();
            assert_eq!(accepted, 100, "{driver}");
        });
    }
}

#[test]
fn sockets_that_went_around_leave_no_descriptor() {
    on_every_driver_alone(test_name!(), |driver| {
        let round = |stages: [Stage; 3]| {
            let (mut near, mut far) = pair();
            for stage in stages {
                let task = stage.spawn(far);
                near.write_all(&[1]).unwrap();
                near.read_exact(&mut [0]).unwrap();
                far = task.join().unwrap();
            }
            let (reader, writer) = near.into_split();
            let reader = Plan::Thread.spawn(move || drop(reader));
            let writer = Plan::Coroutine.spawn(move || drop(writer));
            drop((reader.join(), writer.join()));
        };
        // What the first process opens stays.
        round(STAGES);
        let before = descriptors();
        (0..3).for_each(|_| round(STAGES));
        assert_settles(descriptors, before, &driver.to_string());
    });
}
