//! Sockets that several tasks use at once.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropewalk::net::{Shutdown, TcpListener, TcpStream};
use ropewalk::{OnFailure, Runtime, coroutine, scope, scope_with, thread};

use crate::support::net::{listener, pair};
use crate::support::plan::PLANS;
use crate::support::process::allow_descriptors;
use crate::support::{Plan, drivers, guarded, on_every_pair, runtime};

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..length]).unwrap();
    }
}

#[test]
fn a_thousand_connections_talk_at_once() {
    const CONNECTIONS: usize = 1000;
    if !allow_descriptors(2 * CONNECTIONS as u64 + 200) {
        return eprintln!("skipped: too few descriptors are allowed; raise `ulimit -Hn`");
    }
    for driver in drivers() {
        guarded(|| {
            Runtime::builder().workers(2).driver(driver).build().unwrap().run(|| {
                let (listener, address) = listener();
                let echoed = AtomicUsize::new(0);
                scope_with(OnFailure::Cancel, |s| {
                    s.spawn(move || {
                        for stream in listener.incoming().take(CONNECTIONS) {
                            let stream = stream.unwrap();
                            drop(coroutine::spawn(move || echo(stream)));
                        }
                    });
                    let all_connected = ropewalk::sync::Semaphore::new(0);
                    let connected = AtomicUsize::new(0);
                    scope(|clients| {
                        for n in 0..CONNECTIONS {
                            let (all_connected, connected, echoed) = (&all_connected, &connected, &echoed);
                            clients.spawn(move || {
                                let mut stream = TcpStream::connect(address).unwrap();
                                if connected.fetch_add(1, SeqCst) + 1 == CONNECTIONS {
                                    all_connected.add_permits(CONNECTIONS);
                                }
                                all_connected.acquire().forget();
                                for round in 0..3 {
                                    let message = format!("{n}: {round}");
                                    stream.write_all(message.as_bytes()).unwrap();
                                    let mut answer = vec![0; message.len()];
                                    stream.read_exact(&mut answer).unwrap();
                                    assert_eq!(answer, message.as_bytes());
                                    echoed.fetch_add(1, SeqCst);
                                }
                            });
                        }
                    });
                });
                assert_eq!(echoed.load(SeqCst), 3 * CONNECTIONS, "on {driver}");
            });
        });
    }
}

#[test]
fn a_reader_and_a_writer_share_a_stream() {
    const LENGTH: usize = 1 << 20;
    on_every_pair(|plan| {
        let (near, far) = pair();
        let both = |stream: Arc<TcpStream>| {
            let writer = plan.spawn({
                let stream = stream.clone();
                move || {
                    let data: Vec<u8> = (0..LENGTH).map(|n| (n % 253) as u8).collect();
                    (&*stream).write_all(&data).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                }
            });
            let reader = plan.spawn(move || {
                let mut data = Vec::new();
                (&*stream).read_to_end(&mut data).unwrap();
                assert!(data.iter().enumerate().all(|(n, &byte)| byte == (n % 253) as u8));
                data.len()
            });
            (writer, reader)
        };
        for (writer, reader) in [both(Arc::new(near)), both(Arc::new(far))] {
            writer.join().unwrap();
            assert_eq!(reader.join().unwrap(), LENGTH);
        }
    });
}

#[test]
fn clones_are_used_from_two_tasks() {
    on_every_pair(|plan| {
        let (near, far) = pair();
        let server = plan.spawn(move || echo(far));
        let clone = near.try_clone().unwrap();
        let writer = plan.spawn(move || {
            (0..500_u32).for_each(|n| (&clone).write_all(&n.to_be_bytes()).unwrap());
            clone.shutdown(Shutdown::Write).unwrap();
        });
        for n in 0..500_u32 {
            let mut word = [0; 4];
            (&near).read_exact(&mut word).unwrap();
            assert_eq!(u32::from_be_bytes(word), n);
        }
        assert_eq!((&near).read(&mut [0]).unwrap(), 0);
        writer.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn each_byte_goes_to_one_of_many_readers() {
    const LENGTH: usize = 20_000;
    guarded(|| {
        runtime(2).run(|| {
            let (near, mut far) = pair();
            let near = Arc::new(near);
            let readers: Vec<_> = PLANS
                .iter()
                .cycle()
                .take(6)
                .map(|plan| {
                    let near = near.clone();
                    plan.spawn(move || {
                        let mut sum = (0, 0_u64);
                        let mut buffer = [0; 7];
                        loop {
                            match (&*near).read(&mut buffer).unwrap() {
                                0 => return sum,
                                length => {
                                    sum.0 += length;
                                    sum.1 +=
                                        buffer[..length].iter().map(|&byte| u64::from(byte)).sum::<u64>();
                                }
                            }
                        }
                    })
                })
                .collect();
            for part in (0..LENGTH).map(|n| (n % 256) as u8).collect::<Vec<_>>().chunks(11) {
                far.write_all(part).unwrap();
            }
            drop(far);
            let sums = readers.into_iter().map(|reader| reader.join().unwrap());
            let (length, sum) = sums.fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
            let expected: u64 = (0..LENGTH as u64).map(|n| n % 256).sum();
            assert_eq!((length, sum), (LENGTH, expected));
        });
    });
}

/// Accepts until it is told to stop by a connection that sends nothing.
fn acceptor(listener: &TcpListener) -> usize {
    let mut accepted = 0;
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            return accepted;
        }
        stream.write_all(&byte).unwrap();
        accepted += 1;
    }
}

#[test]
fn acceptors_of_both_plans_share_a_listener_and_lose_no_connection() {
    const CONNECTIONS: usize = 400;
    guarded(|| {
        runtime(2).run(|| {
            let (listener, address) = listener();
            let listener = Arc::new(listener);
            let acceptors: Vec<_> = PLANS
                .iter()
                .cycle()
                .take(8)
                .map(|plan| {
                    let listener = listener.clone();
                    plan.spawn(move || acceptor(&listener))
                })
                .collect();
            let client = move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"!").unwrap();
                stream.read_exact(&mut [0]).unwrap();
            };
            let clients: Vec<_> = (0..CONNECTIONS / 10)
                .map(|n| PLANS[n % 2].spawn(move || (0..10).for_each(|_| client())))
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            // Each takes one and ends.
            acceptors.iter().for_each(|_| drop(TcpStream::connect(address).unwrap()));
            let accepted: usize = acceptors.into_iter().map(|acceptor| acceptor.join().unwrap()).sum();
            assert_eq!(accepted, CONNECTIONS);
        });
    });
}

#[test]
fn connections_that_come_at_once_wake_enough_acceptors() {
    guarded(|| {
        runtime(2).run(|| {
            for _ in 0..20 {
                let (listener, address) = listener();
                let listener = Arc::new(listener);
                // Each takes one connection and no more: if a wake-up went to one only, the others would wait for ever.
                let acceptors: Vec<_> = (0..10)
                    .map(|n| {
                        let listener = listener.clone();
                        PLANS[n % 2].spawn(move || listener.accept().unwrap())
                    })
                    .collect();
                let clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
                acceptors.into_iter().for_each(|acceptor| drop(acceptor.join().unwrap()));
                drop(clients);
            }
        });
    });
}

#[test]
fn a_server_of_threads_serves_coroutines_and_the_other_way_round() {
    for (servers, clients) in [(Plan::Thread, Plan::Coroutine), (Plan::Coroutine, Plan::Thread)] {
        guarded(|| {
            runtime(2).run(|| {
                let (listener, address) = listener();
                let server = servers.spawn(move || {
                    let streams = listener.incoming().take(20).map(Result::unwrap);
                    let tasks: Vec<_> = streams.map(|stream| servers.spawn(move || echo(stream))).collect();
                    tasks.into_iter().for_each(|task| task.join().unwrap());
                });
                let clients: Vec<_> = (0..20)
                    .map(|n: u8| {
                        clients.spawn(move || {
                            let mut stream = TcpStream::connect(address).unwrap();
                            for _ in 0..50 {
                                stream.write_all(&[n]).unwrap();
                                let mut byte = [0];
                                stream.read_exact(&mut byte).unwrap();
                                assert_eq!(byte, [n]);
                            }
                        })
                    })
                    .collect();
                clients.into_iter().for_each(|client| client.join().unwrap());
                server.join().unwrap();
            });
        });
    }
}

#[test]
fn a_cloned_listener_is_the_same_queue() {
    on_every_pair(|plan| {
        let (listener, address) = listener();
        let clone = listener.try_clone().unwrap();
        let other = plan.spawn(move || clone.accept().map(drop));
        let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
        listener.accept().unwrap();
        other.join().unwrap().unwrap();
        drop(clients);
    });
}

#[test]
fn a_thread_and_a_coroutine_play_ping_pong_on_one_connection() {
    guarded(|| {
        runtime(1).run(|| {
            let (mut near, far) = pair();
            let other = thread::spawn(move || echo(far));
            for n in 0..1000_u16 {
                near.write_all(&n.to_be_bytes()).unwrap();
                let mut word = [0; 2];
                near.read_exact(&mut word).unwrap();
                assert_eq!(u16::from_be_bytes(word), n);
            }
            drop(near);
            other.join().unwrap();
        });
    });
}
