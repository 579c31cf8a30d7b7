//! Echo and HTTP over loopback, the client on a CPU of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::latency;
use super::net_client::{Client, Window};
use super::net_server::{Kind, Running, cpus};
use super::wake::PAUSE;
use crate::frame::runner::on_cpus;
use crate::frame::table::{Column, Contender, Role, Sample, Subject, Table, sample};
use crate::frame::tools::Tool;
use crate::servers::{Server, raise_descriptors};

pub(crate) fn echo() -> Subject {
    let tables = [("1", 1), ("100", 100), ("1000", 1_000), ("10000", 10_000)];
    Subject {
        name: "echo",
        about: "64 bytes there and back over TCP on loopback. The server is a process with one worker, or one thread, on the \
                first CPU; the client, one thread around epoll and the same for all, is on the second, with one message \
                on its way on each connection. CPU: what the server's threads ran, user and system, in seconds for a \
                million messages; it decides, for messages a second depend on the client as well. Every server reads into \
                4 KiB of its own for each connection. The floor is a loop around epoll with nothing else. bytes: growth of \
                resident memory and page tables of the server for each connection that is silent. calls: system calls for \
                a message, counted by perf after the measured window, where perf may.",
        tables: tables.map(|(name, connections)| table(name, connections, ECHO, echo_servers())).into(),
    }
}

pub(crate) fn http() -> Subject {
    let tables = [("64", 64), ("256", 256), ("1000", 1_000)];
    let mut tables: Vec<_> =
        tables.map(|(name, connections)| table(name, connections, GET, http_servers())).into();
    tables.push(by_wrk());
    Subject {
        name: "http",
        about: "GET over kept connections, one request on its way on each; otherwise as echo. The servers parse the request \
                and answer 200 with 13 bytes, a content type, a length, a date and their name (may_minihttp and Ropewalk \
                with httparse, nginx, hyper and Go with their own; hyper and Go send no name). The floors parse nothing and \
                send a fixed text; monoio has no server of its own, so it stands there as the floor of io_uring. \
                Ropewalk's row is the few lines of servers/ours.rs over Read and Write; hyper as its guest is another row. \
                The table wrk asks the same by wrk, a client that is not ours.",
        tables,
    }
}

pub(super) const ECHO: &[u8] = &[b'.'; 64];
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

const COLUMNS: &[Column] = &[
    Column { key: "cpu", head: "CPU s/million" },
    Column { key: "rate", head: "per s" },
    Column { key: "p50_us", head: "p50 us" },
    Column { key: "p99_us", head: "p99" },
    Column { key: "p999_us", head: "p99.9" },
    Column { key: "bytes", head: "bytes/conn" },
    Column { key: "calls", head: "calls" },
    Column { key: "switches", head: "switches" },
];

/// The servers of echo, asked so seldom that they sleep in between.
pub(super) fn cold_servers() -> Vec<Contender> {
    let contender = |(name, role, kind): Row| {
        let mut contender = Contender::new(name, role, move |messages| cold(kind, messages));
        contender.needs = needs(kind);
        contender
    };
    echo_servers().into_iter().map(contender).collect()
}

fn cold(kind: Kind, messages: u64) -> Sample {
    let (server_cpus, client_cpus) = cpus();
    on_cpus(&client_cpus, || {
        let server = Running::start(kind, &server_cpus);
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let mut answer = [0; ECHO.len()];
        let mut ask = |_| {
            std::thread::sleep(PAUSE);
            let sent = Instant::now();
            stream.write_all(ECHO).expect("it reads");
            stream.read_exact(&mut answer).expect("it answers");
            sent.elapsed()
        };
        (0..messages / 10).for_each(|n| {
            ask(n);
        });
        let cpu = server.cpu_seconds();
        let latencies = (0..messages).map(&mut ask).collect();
        latency::describe(latencies, Duration::from_secs_f64(server.cpu_seconds() - cpu))
    })
}

pub(super) type Row = (&'static str, Role, Kind);

fn echo_servers() -> Vec<Row> {
    use Role::{Floor, Ours, Rival};
    vec![
        ("ropewalk, io_uring", Ours, Kind::Driven(Server::RopewalkEcho, "uring")),
        ("ropewalk, epoll", Ours, Kind::Driven(Server::RopewalkEcho, "epoll")),
        ("ropewalk, threads", Ours, Kind::Own(Server::RopewalkThreadsEcho)),
        ("tokio, current thread", Rival, Kind::Own(Server::TokioEcho)),
        ("tokio, 1 worker", Rival, Kind::Own(Server::TokioWorkersEcho)),
        ("may", Rival, Kind::Own(Server::MayEcho)),
        ("monoio", Rival, Kind::Own(Server::MonoioEcho)),
        ("Go", Rival, Kind::Go("echo")),
        ("threads", Rival, Kind::Own(Server::ThreadsEcho)),
        ("epoll loop", Floor, Kind::Own(Server::EpollEcho)),
    ]
}

fn http_servers() -> Vec<Row> {
    use Role::{Floor, Ours, Rival};
    vec![
        ("ropewalk, io_uring", Ours, Kind::Driven(Server::RopewalkHttp, "uring")),
        ("ropewalk, epoll", Ours, Kind::Driven(Server::RopewalkHttp, "epoll")),
        ("hyper on ropewalk", Ours, Kind::Own(Server::RopewalkHyper)),
        ("hyper on tokio", Rival, Kind::Own(Server::Hyper)),
        ("may_minihttp", Rival, Kind::Own(Server::MayMinihttp)),
        ("nginx", Rival, Kind::Nginx),
        ("Go", Rival, Kind::Go("http")),
        ("epoll loop, fixed", Floor, Kind::Own(Server::EpollFixed)),
        ("monoio, fixed", Floor, Kind::Own(Server::MonoioFixed)),
    ]
}

fn table(name: &'static str, connections: usize, request: &'static [u8], rows: Vec<Row>) -> Table {
    let contender = |(name, role, kind): Row| {
        let mut contender = Contender::new(name, role, move |milliseconds| {
            ask(kind, connections, request, Duration::from_millis(milliseconds))
        });
        contender.needs = needs(kind);
        contender
    };
    Table {
        name,
        title: format!("{connections} connections"),
        operations: 200,
        cpus: 2,
        warm: false,
        rounds: usize::MAX,
        columns: COLUMNS,
        contenders: rows.into_iter().map(contender).collect(),
    }
}

pub(super) fn needs(kind: Kind) -> Option<Tool> {
    match kind {
        Kind::Go(_) => Some(Tool::Go),
        Kind::Nginx => Some(Tool::Nginx),
        Kind::Own(_) | Kind::Driven(..) => None,
    }
}

/// One server, one crowd of connections, one window.
fn ask(kind: Kind, connections: usize, request: &[u8], duration: Duration) -> Sample {
    raise_descriptors();
    let (server_cpus, client_cpus) = cpus();
    on_cpus(&client_cpus, || {
        let server = Running::start(kind, &server_cpus);
        // Once asked, it has what it needs for the first connection.
        drop(Client::connect(server.address, 1, request).expect("it answers"));
        let before = server.resident_bytes();
        let mut client = Client::connect(server.address, connections, request).expect("it answers");
        std::thread::sleep(Duration::from_millis(20));
        let bytes = (server.resident_bytes() - before) / connections as f64;
        client.run(duration / 5).expect("it answers");
        let (cpu, switches) = (server.cpu_seconds(), server.context_switches());
        let window = client.run(duration).expect("it answers");
        let (cpu, switches) = (server.cpu_seconds() - cpu, server.context_switches() - switches);
        let mut figures = describe(&window, cpu);
        figures.insert("bytes".into(), bytes);
        figures.insert("switches".into(), switches / window.answers as f64);
        let (mut answers, mut seconds) = (0.0, 0.0);
        let calls = server.system_calls(|| {
            let window = client.run(Duration::from_millis(20)).expect("it answers");
            answers += window.answers as f64;
            seconds += window.elapsed.as_secs_f64();
        });
        // perf may be forbidden to count: it then says "not supported", or nothing.
        if let Some(calls) = calls.filter(|_| answers > 0.0) {
            figures.insert("calls".into(), calls * seconds / answers);
        }
        figures
    })
}

fn describe(window: &Window, cpu_seconds: f64) -> Sample {
    let micros = |quantile: f64| window.latencies.value_at_quantile(quantile) as f64 / 1e3;
    sample([
        ("cpu", cpu_seconds * 1e6 / window.answers as f64),
        ("rate", window.answers as f64 / window.elapsed.as_secs_f64()),
        ("p50_us", micros(0.5)),
        ("p99_us", micros(0.99)),
        ("p999_us", micros(0.999)),
    ])
}

fn by_wrk() -> Table {
    let contender = |(name, role, kind): Row| {
        let mut contender = Contender::new(name, role, move |_| wrk(kind));
        contender.needs = Some(needs(kind).unwrap_or(Tool::Wrk));
        contender
    };
    Table {
        name: "wrk",
        title: "256 connections, asked by wrk for a second, its connecting included".into(),
        operations: 1,
        cpus: 2,
        warm: false,
        // It checks the other tables, and claims nothing of its own.
        rounds: 3,
        columns: &COLUMNS[..4],
        contenders: http_servers().into_iter().map(contender).collect(),
    }
}

fn wrk(kind: Kind) -> Sample {
    let (server_cpus, client_cpus) = cpus();
    let server = Running::start(kind, &server_cpus);
    let cpu = server.cpu_seconds();
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c256", "-d1s", "--latency"]).arg(format!("http://{}/", server.address));
    let output = on_cpus(&client_cpus, || command.output()).expect("wrk is installed");
    let cpu = server.cpu_seconds() - cpu;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    let after = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in")).map(|pair| pair.0);
    let requests: f64 = requests.and_then(|word| word.parse().ok()).expect("wrk counts");
    sample([
        ("cpu", cpu * 1e6 / requests),
        ("rate", after("Requests/sec:").and_then(|word| word.parse().ok()).expect("wrk divides")),
        ("p50_us", after("50%").and_then(micros).expect("wrk knows")),
        ("p99_us", after("99%").and_then(micros).expect("wrk knows")),
    ])
}

/// As wrk writes it: `1.23ms`.
fn micros(text: &str) -> Option<f64> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let scale = match &text[unit..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * scale)
}
