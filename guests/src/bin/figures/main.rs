//! The same guest on Ropewalk, with both drivers, and on tokio, under the same load.
//!
//! `cargo run --release --bin figures -- [GUEST] [--rounds N] [--seconds S]` starts each contender as a process of its own, on the
//! last CPU, loads it by `wrk`, `redis-benchmark` or a client of its own on the first, in turns, round by round, and prints the medians: requests a second, CPU
//! seconds of the server for a million requests, half and 99 of 100 of the answers' times, and the CPU seconds beside
//! tokio's of the same round. Every contender has one thread that runs its tasks. Without a guest it measures all.
//!
//! `figures serve GUEST CONTENDER ADDRESS [POSTGRES]` is one server alone.

mod axum;
mod blocking_postgres;
mod http;
mod hyper;
mod load;
mod postgres;
mod redis;
mod report;
mod server;
mod tls;
mod websocket;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ropewalk_guests::servers::Postgres;

use self::load::Sample;
use self::report::Row;
use self::server::Server;

type Failure = Box<dyn Error + Send + Sync>;

/// What is run on all contenders.
struct Guest {
    name: &'static str,
    /// What a request asks of it.
    asks: &'static str,
    contenders: &'static [Contender],
    load: fn(SocketAddr, u32, Duration) -> Result<Sample, Failure>,
}

/// One way to run it.
struct Contender {
    name: &'static str,
    /// The driver that it is forced to.
    driver: Option<&'static str>,
    /// Serves until it is ended.
    serve: fn(&Setup) -> Result<(), Failure>,
}

/// What a server needs to know.
struct Setup {
    address: SocketAddr,
    /// The socket of a PostgreSQL, where one is installed.
    postgres: Option<PathBuf>,
}

const GUESTS: [Guest; 8] = [
    hyper::GUEST,
    axum::GUEST,
    postgres::GUEST,
    blocking_postgres::GUEST,
    tls::GUEST,
    websocket::GUEST,
    redis::ONE_AT_A_TIME,
    redis::PIPELINED,
];
/// How many connections there are at the same time.
const CONNECTIONS: [u32; 2] = [64, 256];
/// Enough for a crowd that comes before the last one has gone.
const DATABASE_CONNECTIONS: usize = 900;
const USAGE: &str =
    "usage: figures [GUEST] [--rounds N] [--seconds S] | figures serve GUEST CONTENDER ADDRESS [POSTGRES]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [serve, guest, contender, address, postgres @ ..] if serve == "serve" && postgres.len() < 2 => {
            serve_alone(guest, contender, address, postgres.first())
        }
        arguments => parse(arguments).and_then(|plan| measure(&plan)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_alone(
    guest: &str,
    contender: &str,
    address: &str,
    postgres: Option<&String>,
) -> Result<(), Failure> {
    let guest = GUESTS.iter().find(|known| known.name == guest).ok_or(USAGE)?;
    let contender = guest.contenders.iter().find(|known| known.name == contender).ok_or(USAGE)?;
    server::pin_to(server::cpus()?.last().copied())?;
    (contender.serve)(&Setup { address: address.parse()?, postgres: postgres.map(PathBuf::from) })
}

/// What is to be measured, and how often.
struct Plan {
    guest: Option<String>,
    rounds: usize,
    seconds: u64,
}

fn parse(arguments: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan { guest: None, rounds: 5, seconds: 5 };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => plan.rounds = arguments.next().ok_or(USAGE)?.parse()?,
            "--seconds" => plan.seconds = arguments.next().ok_or(USAGE)?.parse()?,
            name if plan.guest.is_none() && GUESTS.iter().any(|guest| guest.name == name) => {
                plan.guest = Some(name.to_owned());
            }
            _ => return Err(USAGE.into()),
        }
    }
    if plan.rounds == 0 || plan.seconds == 0 {
        return Err(USAGE.into());
    }
    Ok(plan)
}

fn measure(plan: &Plan) -> Result<(), Failure> {
    let postgres = Postgres::start(DATABASE_CONNECTIONS);
    let socket = postgres.as_ref().map(Postgres::socket);
    // What is started from here on, the load, stays on the first CPU. The servers move themselves.
    server::pin_to(server::cpus()?.first().copied())?;
    for guest in GUESTS.iter().filter(|guest| plan.guest.as_ref().is_none_or(|name| name == guest.name)) {
        for connections in CONNECTIONS {
            println!("\n{}: {}; {connections} connections", guest.name, guest.asks);
            let mut rows: Vec<Row> =
                guest.contenders.iter().map(|contender| Row::new(contender.name)).collect();
            for _ in 0..plan.rounds {
                for (contender, row) in guest.contenders.iter().zip(&mut rows) {
                    let sample = sample(guest, contender, connections, plan.seconds, socket.as_ref());
                    row.samples.push(sample.map_err(|error| error.to_string()));
                }
            }
            report::print(&rows);
        }
    }
    Ok(())
}

/// One contender in one round.
fn sample(
    guest: &Guest,
    contender: &Contender,
    connections: u32,
    seconds: u64,
    postgres: Option<&PathBuf>,
) -> Result<Sample, Failure> {
    let server = Server::start(guest.name, contender, postgres)?;
    // Until stacks, buffers and connections of its own are there.
    (guest.load)(server.address(), connections, Duration::from_secs(1))?;
    let before = server.cpu_time()?;
    let mut sample = (guest.load)(server.address(), connections, Duration::from_secs(seconds))?;
    sample.cpu = server.cpu_time()? - before;
    if sample.requests == 0 {
        return Err("not one request was answered in that time".into());
    }
    Ok(sample)
}
