//! One operation, so often, and nothing else: to count what it costs in instructions and system calls.
//!
//! `cargo run --release -p ropewalk --example operations` lists them.
//! `bash .ci/instructions` runs each under valgrind, so often and twice as often: the difference, by that number, is what
//! one operation takes, and what it takes to start and end the program is gone. With one worker, because with more no run
//! is as the one before.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use ropewalk::ipc::ring;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{JoinHandle, Runtime, channel, coroutine, scope, sync::Mutex, timeout};

/// A name, what one operation is, and what does so many of them in a coroutine.
type Operation = (&'static str, &'static str, fn(u64) -> io::Result<()>);

const OPERATIONS: [Operation; 15] = [
    ("nothing", "start and end of the program", |_| Ok(())),
    ("yield", "a yield; two coroutines take turns", yields),
    ("park", "an unpark and the park that it ends; two coroutines take turns", parks),
    ("spawn", "spawn and join, one at a time", spawns),
    ("spawn-batch", "spawn and join, by the thousand", spawn_batches),
    ("spawn-scope", "spawn in a scope, which waits for a thousand", spawn_scopes),
    ("cancel", "start a coroutine, let it wait, cancel it and join it", cancels),
    ("timeout", "a timeout around a yield", timeouts),
    ("mutex", "lock and unlock, free", mutexes),
    ("ping-pong", "there and back through two channels for one message", |n| ping_pong(n, 1)),
    ("rendezvous", "there and back through two channels for none", |n| ping_pong(n, 0)),
    ("stream", "a message through a channel for 1,024", streams),
    ("ring", "64 bytes by value through a ring in shared memory of one sender and one receiver", rings),
    ("ring-many", "the same through one of many", rings_of_many),
    ("echo", "64 bytes there and back through a socket, both ends of it", echoes),
];

/// How many tasks are there at once.
const BATCH: u64 = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok());
    let found = OPERATIONS.iter().find(|(operation, _, _)| *operation == name);
    let (Some((_, _, run)), Some(count)) = (found, count) else {
        println!("operations NAME COUNT");
        OPERATIONS.iter().for_each(|(name, what, _)| println!("{name:12} {what}"));
        return ExitCode::from(2);
    };
    let result = Runtime::builder().workers(1).build().and_then(|runtime| runtime.run(|| run(count)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn yields(count: u64) -> io::Result<()> {
    let other = coroutine::spawn_local(move || (0..count / 2).for_each(|_| coroutine::yield_now()));
    (0..count / 2).for_each(|_| coroutine::yield_now());
    Ok(other.join()?)
}

fn parks(count: u64) -> io::Result<()> {
    let main = coroutine::current();
    let other = coroutine::spawn_local(move || {
        for _ in 0..count / 2 {
            coroutine::park();
            main.unpark();
        }
    });
    for _ in 0..count / 2 {
        other.task().unpark();
        coroutine::park();
    }
    Ok(other.join()?)
}

fn spawns(count: u64) -> io::Result<()> {
    for n in 0..count {
        coroutine::spawn(move || black_box(n)).join()?;
    }
    Ok(())
}

fn spawn_batches(count: u64) -> io::Result<()> {
    let mut tasks: Vec<JoinHandle<u64>> = Vec::with_capacity(BATCH as usize);
    for _ in 0..count / BATCH {
        tasks.extend((0..BATCH).map(|n| coroutine::spawn(move || black_box(n))));
        for task in tasks.drain(..) {
            task.join()?;
        }
    }
    Ok(())
}

fn spawn_scopes(count: u64) -> io::Result<()> {
    let numbers: Vec<u64> = (0..BATCH).collect();
    for _ in 0..count / BATCH {
        scope(|s| {
            for n in &numbers {
                s.spawn(move || black_box(*n));
            }
        });
    }
    Ok(())
}

fn cancels(count: u64) -> io::Result<()> {
    for _ in 0..count {
        let task = coroutine::spawn_local(|| {
            let _held = black_box(Box::new(1));
            loop {
                coroutine::park();
            }
        });
        coroutine::yield_now();
        task.cancel();
        if !task.join().is_err_and(|error| error.is_cancelled()) {
            return Err(io::Error::other("it has not heard of the cancel"));
        }
    }
    Ok(())
}

fn timeouts(count: u64) -> io::Result<()> {
    for _ in 0..count {
        timeout(Duration::from_secs(60), coroutine::yield_now).map_err(io::Error::other)?;
    }
    Ok(())
}

fn mutexes(count: u64) -> io::Result<()> {
    let mutex = Mutex::new(0);
    for n in 0..count {
        *mutex.lock().map_err(|_| io::Error::other("poisoned"))? += black_box(n);
    }
    Ok(())
}

fn ping_pong(count: u64, capacity: usize) -> io::Result<()> {
    let (ping, receive_ping) = channel::bounded(capacity);
    let (pong, receive_pong) = channel::bounded(capacity);
    let other = coroutine::spawn(move || receive_ping.iter().try_for_each(|n| pong.send(n)).is_ok());
    for n in 0..count {
        ping.send(n).map_err(io::Error::other)?;
        receive_pong.recv().map_err(io::Error::other)?;
    }
    drop(ping);
    other.join()?;
    Ok(())
}

fn streams(count: u64) -> io::Result<()> {
    let (sender, receiver) = channel::bounded(1024);
    let producer = coroutine::spawn(move || (0..count).try_for_each(|n| sender.send(n)).is_ok());
    let received = receiver.iter().count() as u64;
    producer.join()?;
    if received == count { Ok(()) } else { Err(io::Error::other("messages were lost")) }
}

fn rings(count: u64) -> io::Result<()> {
    let (mut sender, mut receiver) = ring::spsc::<[u64; 8]>(64)?;
    for n in 0..count {
        sender.send(&black_box([n; 8])).map_err(io::Error::other)?;
        black_box(receiver.recv().map_err(io::Error::other)?);
    }
    Ok(())
}

fn rings_of_many(count: u64) -> io::Result<()> {
    let (mut sender, mut receiver) = ring::mpmc::<[u64; 8]>(64)?;
    for n in 0..count {
        sender.send(&black_box([n; 8])).map_err(io::Error::other)?;
        black_box(receiver.recv().map_err(io::Error::other)?);
    }
    Ok(())
}

fn echoes(count: u64) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let server = coroutine::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = server.read(&mut buffer) {
            server.write_all(&buffer[..read])?;
        }
        io::Result::Ok(())
    });
    let mut answer = [0; 64];
    for _ in 0..count {
        client.write_all(&[7; 64])?;
        client.read_exact(&mut answer)?;
    }
    drop(client);
    server.join()?
}
