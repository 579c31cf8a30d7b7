//! Streams that are polled.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ropewalk::compat::Io;
use ropewalk::future::{block_on, spawn_future};
use ropewalk::inspect::State;
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::{Runtime, coroutine, thread};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::apart::{Part, all_apart};
use super::plan::{drivers, on_driver, on_every_plan};
use super::{FAMILIES, Family, PLANS, counted, guarded, runtime, until};

/// More than any socket holds.
const MUCH: usize = 251 << 16;

fn much() -> Vec<u8> {
    (0..251).collect::<Vec<u8>>().repeat(MUCH / 251)
}

/// One future reads all and another one writes all, on both ends, in the same task: each direction has to wake its own.
async fn exchange(io: impl AsyncRead + AsyncWrite + Send) -> usize {
    let (mut reader, mut writer) = tokio::io::split(io);
    let read = async move {
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert!(received == much(), "{} bytes", received.len());
        received.len()
    };
    let write = async move {
        writer.write_all(&much()).await.unwrap();
        writer.shutdown().await.unwrap();
        0
    };
    all_apart(vec![Box::pin(read) as Part<'_, usize>, Box::pin(write)]).await.into_iter().sum()
}

#[test]
fn both_directions_flow_at_once_on_every_plan_and_driver() {
    for driver in drivers() {
        on_driver(driver, || {
            for (family, plan) in FAMILIES.into_iter().flat_map(|family| PLANS.map(|plan| (family, plan))) {
                let (near, far) = family.pair();
                let near = plan.spawn(move || match family {
                    Family::Tcp => block_on(exchange(Io::new(TcpStream::from(near)))),
                    Family::Unix => block_on(exchange(Io::new(UnixStream::from(near)))),
                });
                let far = coroutine::spawn(move || match family {
                    Family::Tcp => block_on(exchange(Io::new(TcpStream::from(far)))),
                    Family::Unix => block_on(exchange(Io::new(UnixStream::from(far)))),
                });
                assert_eq!((near.join().unwrap(), far.join().unwrap()), (MUCH, MUCH), "{family:?}, {plan:?}");
            }
        });
    }
}

/// The window between a try that finds nothing and the falling asleep is met again and again.
#[test]
fn no_edge_is_lost_in_many_rounds() {
    for driver in drivers() {
        on_driver(driver, || {
            for (here, there) in PLANS.into_iter().flat_map(|here| PLANS.map(|there| (here, there))) {
                let (mut near, far) = UnixStream::pair().unwrap();
                let echo = there.spawn(move || {
                    block_on(async {
                        let (mut far, mut byte) = (Io::new(far), [0]);
                        while far.read(&mut byte).await.unwrap() == 1 {
                            far.write_all(&byte).await.unwrap();
                        }
                    });
                });
                let asks = here.spawn(move || {
                    for n in 0..2_000 {
                        near.write_all(&[n as u8]).unwrap();
                        let mut answer = [0];
                        near.read_exact(&mut answer).unwrap();
                        assert_eq!(answer[0], n as u8);
                    }
                });
                asks.join().unwrap();
                echo.join().unwrap();
            }
        });
    }
}

fn poll_read<S>(io: &mut Io<S>, waker: &std::task::Waker) -> Poll<usize>
where
    Io<S>: AsyncRead + Unpin,
{
    let mut bytes = [0; 64];
    let mut buffer = ReadBuf::new(&mut bytes);
    let polled = Pin::new(io).poll_read(&mut Context::from_waker(waker), &mut buffer);
    polled.map(|result| {
        result.unwrap();
        buffer.filled().len()
    })
}

#[test]
fn a_waker_is_let_go_of_by_the_next_poll_the_edge_and_the_drop() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut near = Io::new(near);
            let ((first, waker), (second, other)) = (counted(), counted());
            assert!(poll_read(&mut near, &waker).is_pending());
            assert_eq!(Arc::strong_count(&first), 3, "mine, the waker's, its clone's");
            assert!(poll_read(&mut near, &waker).is_pending());
            assert_eq!(Arc::strong_count(&first), 3, "one clone at a time");
            assert!(poll_read(&mut near, &other).is_pending());
            assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 3));
            far.write_all(b"x").unwrap();
            until(|| Arc::strong_count(&second) == 2);
            assert_eq!(poll_read(&mut near, &other), Poll::Ready(1));
            assert!(poll_read(&mut near, &waker).is_pending());
            assert_eq!(Arc::strong_count(&first), 3);
            drop(near);
            assert_eq!(Arc::strong_count(&first), 2);
            assert_eq!(far.read(&mut [0]).unwrap(), 0, "the stream was closed");
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_cancelled_task_drops_its_future_and_the_stream_is_closed() {
    on_every_plan(|plan| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let reads = plan.spawn(move || block_on(async { Io::new(near).read_u8().await }));
        until(|| matches!(reads.task().state(), State::Blocked(_)));
        reads.cancel();
        assert!(reads.join().unwrap_err().is_cancelled());
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn what_was_polled_is_read_by_plain_code_and_polled_again() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut polled = Io::new(near);
            assert!(poll_read(&mut polled, std::task::Waker::noop()).is_pending());
            far.write_all(b"abc").unwrap();
            assert_eq!(block_on(polled.read_u8()).unwrap(), b'a');
            let mut plain = polled.into_inner();
            let mut byte = [0];
            plain.read_exact(&mut byte).unwrap();
            assert_eq!(byte, *b"b");
            let mut polled = Io::new(plain);
            assert_eq!(block_on(polled.read_u8()).unwrap(), b'c');
            polled.get_ref().shutdown(Shutdown::Write).unwrap();
            assert_eq!(far.read(&mut byte).unwrap(), 0);
        })
        .join()
        .unwrap();
    });
}

/// Its driver has gone with the runtime; the next one has it watched anew, by a coroutine and by a thread.
#[test]
fn a_stream_outlives_the_runtime_that_watched_it() {
    guarded(|| {
        for plan in PLANS {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut near = Io::new(near);
            for byte in [1, 2] {
                (near, far) = runtime(1).run(move || {
                    let writes = coroutine::spawn(move || {
                        // Before that the byte may be found at the first try.
                        coroutine::yield_now();
                        far.write_all(&[byte]).unwrap();
                        far
                    });
                    let reads = plan.spawn(move || {
                        assert_eq!(block_on(near.read_u8()).unwrap(), byte);
                        near
                    });
                    (reads.join().unwrap(), writes.join().unwrap())
                });
            }
        }
    });
}

/// One worker: who reads what is always there would never let the neighbour run.
#[test]
fn a_future_that_need_not_wait_lets_others_run() {
    guarded(|| {
        runtime(1).run(|| {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(&[0; 4096]).unwrap();
            let mut near = Io::new(near);
            let neighbour = coroutine::spawn_local(move || drop(far));
            block_on(async {
                for _ in 0..4096 {
                    near.read_u8().await.unwrap();
                    if neighbour.is_finished() {
                        return;
                    }
                }
                panic!("the neighbour has not run");
            });
        });
    });
}

#[test]
fn another_executor_polls_in_a_thread_of_its_own() {
    guarded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let text = runtime.run(|| {
            let (near, far) = UnixStream::pair().unwrap();
            let reads = thread::spawn(move || {
                let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
                tokio.block_on(async {
                    let mut text = String::new();
                    Io::new(near).read_to_string(&mut text).await.unwrap();
                    text
                })
            });
            spawn_future(async move { Io::new(far).write_all(b"by a worker").await.unwrap() });
            reads.join().unwrap()
        });
        assert_eq!(text, "by a worker");
    });
}

#[test]
fn to_end_what_the_peer_has_ended_is_no_error() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let (near, far) = Family::Tcp.pair();
            let mut near = Io::new(TcpStream::from(near));
            drop(far);
            block_on(async {
                assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
                near.shutdown().await.unwrap();
                near.shutdown().await.unwrap();
                while near.write(b"x").await.is_ok() {}
                near.shutdown().await.unwrap();
            });
        })
        .join()
        .unwrap();
    });
}
