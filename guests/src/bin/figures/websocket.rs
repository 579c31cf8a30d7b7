//! tungstenite: an echo of short messages. On Ropewalk its blocking half, on tokio tokio-tungstenite.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../../../examples/websocket.rs"]
mod example;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{Runtime, join_all};
use tokio_tungstenite::accept_async_with_config;
use tungstenite::Message;

use crate::load::Sample;
use crate::{Contender, Failure, Guest, Setup};

pub(crate) const GUEST: Guest = Guest {
    name: "tungstenite",
    asks: "an echo of 64 bytes",
    contenders: &[
        Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
        Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
        Contender { name: "tokio", driver: None, serve: on_tokio },
    ],
    load: talk,
};

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    Runtime::builder().workers(1).build()?.run(|| {
        // Clients end when their time is over, some in the middle of a word.
        Ok(example::serve(&TcpListener::bind(setup.address)?, example::HANDSHAKE_LIMIT, drop)?)
    })
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut socket = accept_async_with_config(stream, Some(example::config())).await?;
                while let Some(message) = socket.next().await {
                    let message = message?;
                    if message.is_text() || message.is_binary() {
                        socket.send(message).await?;
                    }
                }
                Ok::<_, tungstenite::Error>(())
            });
        }
    })
}

/// The load: so many clients, coroutines of this thread, each of which sends and hears one message after the other.
fn talk(address: SocketAddr, connections: u32, time: Duration) -> Result<Sample, Failure> {
    Runtime::builder().workers(1).build()?.run(|| {
        let start = Instant::now();
        let clients = join_all((0..connections).map(|_| {
            || {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                let mut socket = example::connect(stream, &format!("ws://{address}/echo"))?;
                let message = Message::binary(vec![7; 64]);
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let asked = Instant::now();
                    socket.send(message.clone())?;
                    if example::next(&mut socket)?.as_ref() != Some(&message) {
                        return Err("it is no echo".into());
                    }
                    times.push(asked.elapsed());
                }
                Ok::<_, Failure>(times)
            }
        }));
        let mut times = Vec::new();
        for client in clients {
            times.extend(client??);
        }
        let elapsed = start.elapsed();
        times.sort_unstable();
        let part = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or_default();
        Ok(Sample {
            requests: times.len() as u64,
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            half: part(50),
            most: part(99),
            cpu: Duration::ZERO,
        })
    })
}
