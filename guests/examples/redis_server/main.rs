//! A small server that speaks the protocol of Redis: `redis-cli` and `redis-benchmark` take it for one.
//!
//! `cargo run --release --example redis_server -- 127.0.0.1:6380`, and then `redis-cli -p 6380` or
//! `redis-benchmark -p 6380 -t set,get,incr,lpush,ping -P 16 -c 50`.
//!
//! What it shows: a coroutine per client, which reads like the code for one client; and state that all clients share
//! without a lock. All run on one worker, and a coroutine gives that away only where it waits; here: where it reads or
//! writes. So a `RefCell` that nobody keeps borrowed over a read or a write is enough, as Redis itself has one thread.
//! All commands that have come are carried out before it writes, so a pipeline is answered by one write.
//!
//! Here is how clients are served, in `store` what the commands do, in `protocol` what goes over the connection. Not here: what
//! is in no `match`.

pub mod protocol;
pub mod store;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::channel::{Receiver, Sender, bounded};
use ropewalk::net::{Shutdown, TcpListener, TcpStream, is_transient};
use ropewalk::{OnFailure, Runtime, Scope, coroutine, scope_with};

use protocol::{parse, write_array, write_integer, write_string};
use store::{Refusal, Store};

/// How much is read at once, and with how much to write one stops to read.
const BUFFER: usize = 16 << 10;
/// How many messages may wait for a subscriber; one who is slower is cut off, as Redis does.
const OUTBOX: usize = 1024;
/// How often one looks for what has expired and is not asked for.
const SWEEP: Duration = Duration::from_millis(100);
/// How long to pause when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(20);

/// What all clients share.
#[derive(Default)]
struct Server {
    store: RefCell<Store>,
    channels: RefCell<HashMap<Vec<u8>, Vec<Subscriber>>>,
    clients: Cell<usize>,
}

#[derive(Clone)]
struct Subscriber {
    outbox: Sender<Rc<[u8]>>,
    stream: Rc<TcpStream>,
}

impl Server {
    /// Gives a message to whoever has subscribed; to how many.
    fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let channels = self.channels.borrow();
        let Some(subscribers) = channels.get(channel) else { return 0 };
        let mut text = Vec::new();
        write_array(&mut text, 3);
        [b"message", channel, message].iter().for_each(|part| write_string(&mut text, Some(part)));
        let text: Rc<[u8]> = text.into();
        for subscriber in subscribers {
            if subscriber.outbox.try_send(text.clone()).is_err() {
                let _ = subscriber.stream.shutdown(Shutdown::Both);
            }
        }
        subscribers.len()
    }
}

/// A client, as long as it is connected.
struct Client<'scope, 'env> {
    stream: Rc<TcpStream>,
    server: &'scope Server,
    tasks: &'scope Scope<'scope, 'env>,
    /// To the coroutine that writes, once there are subscriptions: then others than this one have something to say, too.
    outbox: Option<Sender<Rc<[u8]>>>,
}

impl Client<'_, '_> {
    /// Answers what comes until the client goes.
    fn serve(&mut self) -> io::Result<()> {
        let (mut input, mut out) = (vec![0; BUFFER], Vec::new());
        let (mut start, mut end) = (0, 0);
        loop {
            let mut strings = Vec::new();
            loop {
                match parse(&input[start..end], &mut strings) {
                    Ok(Some(length)) => {
                        if let Err(refusal) = self.answer(&strings, &mut out) {
                            write!(out, "-{refusal}\r\n")?;
                        }
                        start += length;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        write!(out, "-ERR Protocol error: {error}\r\n")?;
                        return self.send(&mut out);
                    }
                }
                if out.len() > BUFFER {
                    self.send(&mut out)?;
                }
            }
            self.send(&mut out)?;
            input.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            if end == input.len() {
                input.resize(2 * end, 0);
            }
            match (&*self.stream).read(&mut input[end..])? {
                0 => return Ok(()),
                length => end += length,
            }
        }
    }

    fn send(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &self.outbox {
            _ if out.is_empty() => {}
            None => (&*self.stream).write_all(out)?,
            Some(outbox) => outbox.send(Rc::from(&**out)).map_err(|_| io::ErrorKind::BrokenPipe)?,
        }
        out.clear();
        Ok(())
    }

    /// Carries out a command, and appends the answer to `out`.
    fn answer(&mut self, strings: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some((name, arguments)) = strings.split_first() else { return Ok(()) };
        let mut capitals = [0; 16];
        let command = &mut capitals[..name.len().min(16)];
        command.copy_from_slice(&name[..command.len()]);
        command.make_ascii_uppercase();
        match (&*command, arguments) {
            (b"SUBSCRIBE", channels @ [_, ..]) => {
                channels.iter().for_each(|channel| self.subscribe(channel, out));
            }
            (b"PUBLISH", [channel, message]) => write_integer(out, self.server.publish(channel, message)),
            (b"COMMAND", _) => write_array(out, 0),
            (b"CONFIG", [_, name]) => {
                write_array(out, 2);
                [*name, b""].iter().for_each(|text| write_string(out, Some(text)));
            }
            (b"CLIENT" | b"SELECT", _) => out.extend_from_slice(b"+OK\r\n"),
            (b"INFO", _) => {
                let (keys, clients) = (self.server.store.borrow().count(), self.server.clients.get());
                let text = format!("redis_version:7.0.0\r\nconnected_clients:{clients}\r\nkeys:{keys}\r\n");
                write_string(out, Some(text.as_bytes()));
            }
            _ => return self.server.store.borrow_mut().execute(command, arguments, out),
        }
        Ok(())
    }

    fn subscribe(&mut self, channel: &[u8], out: &mut Vec<u8>) {
        let stream = self.stream.clone();
        let outbox = self.outbox.get_or_insert_with(|| {
            let (outbox, messages) = bounded(OUTBOX);
            let stream = stream.clone();
            self.tasks.spawn_local(move || deliver(&stream, &messages));
            outbox
        });
        let mut channels = self.server.channels.borrow_mut();
        let is_of_this = |one: &Subscriber| Rc::ptr_eq(&one.stream, &stream);
        let subscribers = channels.entry(channel.to_vec()).or_default();
        if !subscribers.iter().any(is_of_this) {
            subscribers.push(Subscriber { outbox: outbox.clone(), stream: stream.clone() });
        }
        write_array(out, 3);
        [b"subscribe", channel].iter().for_each(|text| write_string(out, Some(text)));
        write_integer(out, channels.values().filter(|all| all.iter().any(is_of_this)).count());
    }
}

impl Drop for Client<'_, '_> {
    fn drop(&mut self) {
        // Whoever still writes to it, writes no more.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.server.clients.update(|clients| clients - 1);
        if self.outbox.is_some() {
            self.server.channels.borrow_mut().retain(|_, all| {
                all.retain(|one| !Rc::ptr_eq(&one.stream, &self.stream));
                !all.is_empty()
            });
        }
    }
}

/// Writes what comes, what has come together in one go.
fn deliver(mut stream: &TcpStream, messages: &Receiver<Rc<[u8]>>) -> io::Result<()> {
    while let Ok(first) = messages.recv() {
        let mut batch = first.to_vec();
        while batch.len() < BUFFER
            && let Ok(more) = messages.try_recv()
        {
            batch.extend_from_slice(&more);
        }
        stream.write_all(&batch)?;
    }
    Ok(())
}

/// Serves until the listener fails. All tasks are of the worker that calls this: that is what makes `RefCell`s enough.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    let server = &Server::default();
    scope_with(OnFailure::Isolate, |tasks| {
        tasks.spawn_local(|| {
            loop {
                coroutine::sleep(SWEEP);
                server.store.borrow_mut().sweep();
            }
        });
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => drop(tasks.spawn_local(move || {
                    server.clients.update(|clients| clients + 1);
                    let mut client = Client { stream: Rc::new(stream), server, tasks, outbox: None };
                    client.stream.set_nodelay(true)?;
                    client.serve()
                })),
                Err(error) if is_transient(&error) => coroutine::sleep(PAUSE),
                Err(error) => {
                    tasks.cancel();
                    return Err(error);
                }
            }
        }
        Ok(())
    })
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:6380".into());
    Runtime::builder().workers(1).build()?.run(|| serve(&TcpListener::bind(address)?))
}
