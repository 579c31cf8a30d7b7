//! The same work over channels whose ends are futures: tokio's, flume's, async-channel's.

use crate::rivals::Boxed;

/// `$module` with the two patterns over a channel with room for `room`; `recv` gives an Option or a Result.
macro_rules! over {
    ($module:ident, $make:path, $send:ident, $recv:ident) => {
        pub(super) mod $module {
            use super::Boxed;

            /// So many tasks send `count` numbers to this one.
            #[allow(unused_mut, reason = "some receivers are shared")]
            pub(crate) async fn stream(spawn: impl Fn(Boxed), producers: u64, count: u64, room: usize) {
                let (sender, mut receiver) = $make(room);
                for _ in 0..producers {
                    let sender = sender.clone();
                    spawn(Box::pin(async move {
                        for n in 0..count / producers {
                            sender.$send(n).await.expect("it is read");
                        }
                    }));
                }
                for _ in 0..count / producers * producers {
                    receiver.$recv().await.expect("it is sent");
                }
            }

            /// A number there and back, so often.
            #[allow(unused_mut, reason = "some receivers are shared")]
            pub(crate) async fn ping_pong(spawn: impl Fn(Boxed), count: u64) {
                let (ping, mut receive_ping) = $make(1);
                let (pong, mut receive_pong) = $make(1);
                spawn(Box::pin(async move {
                    for _ in 0..count {
                        let n: u64 = receive_ping.$recv().await.expect("it is sent");
                        pong.$send(n).await.expect("it is read");
                    }
                }));
                for n in 0..count {
                    ping.$send(n).await.expect("it is read");
                    receive_pong.$recv().await.expect("it is sent");
                }
            }
        }
    };
}

over!(tokio_mpsc, tokio::sync::mpsc::channel, send, recv);
over!(flume, ::flume::bounded, send_async, recv_async);
over!(async_channel, ::async_channel::bounded, send, recv);

/// tokio's channel without a bound, whose `send` never waits.
pub(super) async fn tokio_unbounded(producers: u64, count: u64) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..producers {
        let sender = sender.clone();
        tokio::spawn(async move {
            (0..count / producers).for_each(|n| sender.send(n).expect("it is read"));
        });
    }
    for _ in 0..count / producers * producers {
        receiver.recv().await.expect("it is sent");
    }
}

pub(super) fn on_tokio(future: Boxed) {
    drop(tokio::spawn(future));
}
