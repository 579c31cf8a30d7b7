//! The server of Redis' protocol, the same for tokio - parser and store are shared, so what differs is the waiting - and the
//! real one, under redis-benchmark.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../../../examples/redis_server/main.rs"]
mod example;

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::net::TcpListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use self::example::protocol::parse;
use self::example::store::Store;
use crate::load::Sample;
use crate::{Contender, Failure, Guest, Setup};

const CONTENDERS: &[Contender] = &[
    Contender { name: "ropewalk-uring", driver: Some("uring"), serve: on_ropewalk },
    Contender { name: "ropewalk-epoll", driver: Some("epoll"), serve: on_ropewalk },
    Contender { name: "tokio", driver: None, serve: on_tokio },
    Contender { name: "redis-server", driver: None, serve: real },
];

pub(crate) const ONE_AT_A_TIME: Guest = Guest {
    name: "redis",
    asks: "SET, one at a time",
    contenders: CONTENDERS,
    load: |address, connections, time| benchmark(address, connections, time, "set", "1"),
};

pub(crate) const PIPELINED: Guest = Guest {
    name: "redis-pipelined",
    asks: "GET, 16 at once",
    contenders: CONTENDERS,
    load: |address, connections, time| benchmark(address, connections, time, "get", "16"),
};

/// How much is read at once, as the example does.
const BUFFER: usize = 16 << 10;
/// How many requests tell how many a second there can be.
const TRIAL: u64 = 20_000;

fn on_ropewalk(setup: &Setup) -> Result<(), Failure> {
    let runtime = ropewalk::Runtime::builder().workers(1).build()?;
    Ok(runtime.run(|| example::serve(&TcpListener::bind(setup.address)?))?)
}

fn on_tokio(setup: &Setup) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind(setup.address).await?;
        let store = Rc::new(RefCell::new(Store::default()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream, store.clone()));
        }
    })
}

/// What the example's client does, but for subscriptions.
async fn serve(mut stream: TcpStream, store: Rc<RefCell<Store>>) -> Result<(), Failure> {
    let (mut input, mut out) = (vec![0; BUFFER], Vec::new());
    let (mut start, mut end) = (0, 0);
    loop {
        {
            let mut strings = Vec::new();
            while let Some(length) = parse(&input[start..end], &mut strings)? {
                answer(&store, &strings, &mut out)?;
                start += length;
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        input.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        if end == input.len() {
            input.resize(2 * end, 0);
        }
        match stream.read(&mut input[end..]).await? {
            0 => return Ok(()),
            length => end += length,
        }
    }
}

fn answer(store: &RefCell<Store>, strings: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Failure> {
    let Some((name, arguments)) = strings.split_first() else { return Ok(()) };
    let mut capitals = [0; 16];
    let command = &mut capitals[..name.len().min(16)];
    command.copy_from_slice(&name[..command.len()]);
    command.make_ascii_uppercase();
    if let Err(refusal) = store.borrow_mut().execute(command, arguments, out) {
        write!(out, "-{refusal}\r\n")?;
    }
    Ok(())
}

/// The real one, in the place of this process.
fn real(setup: &Setup) -> Result<(), Failure> {
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &setup.address.port().to_string()]);
    server.args(["--save", "", "--appendonly", "no", "--logfile", "/dev/null", "--dir", "/"]);
    Err(server.exec().into())
}

fn benchmark(
    address: SocketAddr,
    connections: u32,
    time: Duration,
    test: &str,
    at_once: &str,
) -> Result<Sample, Failure> {
    let run = |requests: u64| -> Result<Sample, Failure> {
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "--csv", "-t", test]);
        command.args(["-P", at_once, "-c", &connections.to_string(), "-n", &requests.to_string()]);
        let output = command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => "redis-benchmark is not installed (Debian: redis-tools)".into(),
            _ => Failure::from(error),
        })?;
        let text = String::from_utf8(output.stdout)?;
        // A line of names, and one of figures: test, requests a second, then times in ms.
        let figures: Option<Vec<f64>> = text.lines().last().map(|line| {
            line.split(',').skip(1).filter_map(|figure| figure.trim_matches('"').parse().ok()).collect()
        });
        let Some(&[per_second, _, _, half, _, most, ..]) = figures.as_deref() else {
            return Err(format!("redis-benchmark: {}: {text}", output.status).into());
        };
        let [half, most] = [half, most].map(|millis| Duration::from_secs_f64(millis / 1e3));
        Ok(Sample { requests, per_second, half, most, cpu: Duration::ZERO })
    };
    // It counts requests and not seconds, so it is told as many as there can be in that time.
    let trial = run(TRIAL)?;
    let requests = (trial.per_second * time.as_secs_f64()) as u64;
    let sample = run(requests.max(TRIAL))?;
    Ok(Sample { requests: sample.requests + TRIAL, ..sample })
}
