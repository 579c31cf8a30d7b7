//! The small server under Redis' own programs, and beside the real one.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/redis_client.rs"]
mod redis_client;
#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/redis_server/main.rs"]
mod redis_server;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use redis::{Cmd, Commands, ConnectionLike, RedisResult, Value};
use redis_client::Connection;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::process::{Command, Stdio};
use ropewalk::sync::Barrier;
use ropewalk::{JoinHandle, coroutine, scope};
use ropewalk_guests::servers::Redis;
use ropewalk_guests::watchdog::{guarded, raise_descriptor_limit};

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        Self { address, task: coroutine::spawn(move || redis_server::serve(&listener)) }
    }

    fn client(&self) -> Connection<TcpStream> {
        Connection::new(self.stream())
    }

    fn stream(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

fn ask<S: Read + Write>(connection: &mut Connection<S>, words: &str) -> RedisResult<Value> {
    let mut command = Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    connection.req_command(&command)
}

/// Asks until the server says so of itself.
fn until_info<S: Read + Write>(client: &mut Connection<S>, text: &str) {
    loop {
        let Value::BulkString(info) = ask(client, "INFO").unwrap() else { panic!("it is no text") };
        if String::from_utf8(info).unwrap().contains(text) {
            return;
        }
        coroutine::yield_now();
    }
}

#[test]
fn the_answers_are_those_of_redis() {
    const COMMANDS: &str = "
        PING | ping hello | GET a | SET a 1 | GET a | INCR a | INCR a | GET a | INCRBY a -5 |
        INCRBY a x | GET a | SET b text | INCR b | MGET a b c | MGET | DEL a b c | DEL a | GET |
        SET a | INCR | NONSENSE | LPUSH l 1 | LPUSH l 2 3 | LPUSH l | LRANGE l 0 -1 | LRANGE l 0 0 |
        LRANGE l 1 100 | LRANGE l -2 -1 | LRANGE l -100 100 | LRANGE l 2 1 | LRANGE l 5 9 |
        LRANGE l -9 -8 | LRANGE l 0 x | LRANGE none 0 -1 | GET l | INCR l | MGET l |
        SET l now-a-string | GET l | LPUSH l 1 | TTL l | EXPIRE l 1000 | EXPIRE none 1 | TTL none |
        SET l again | TTL l | PUBLISH nobody hears";
    guarded(|| {
        let Some(redis) = Redis::start() else { return };
        let ours = Running::start();
        let mut connections = (ours.client(), Connection::new(TcpStream::connect(redis.address()).unwrap()));
        for command in COMMANDS.split('|').map(str::trim) {
            match (ask(&mut connections.0, command).unwrap(), ask(&mut connections.1, command).unwrap()) {
                // The words of a refusal may differ, its kind may not.
                (Value::ServerError(ours), Value::ServerError(theirs)) => {
                    assert_eq!(ours.code(), theirs.code(), "{command}");
                }
                (ours, theirs) => assert_eq!(ours, theirs, "{command}"),
            }
        }
    });
}

/// What a program of Redis' says; `None`, with a message, where it is missing.
fn said_by(program: &str, server: &Running, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.address.port().to_string()]).args(arguments);
    match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed (Debian: apt-get install redis-tools)");
            None
        }
        Err(error) => panic!("{program}: {error}"),
        Ok(output) => {
            let (said, errors) =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).into();
            assert!(output.status.success(), "{program}: {}: {said}{errors}", output.status);
            Some(format!("{said}{errors}"))
        }
    }
}

#[test]
fn redis_benchmark_and_redis_cli_take_it_for_a_redis() {
    guarded(|| {
        let server = Running::start();
        let arguments = ["-t", "set,get,incr,lpush,ping", "-P", "16", "-c", "50", "-n", "8000", "-q"];
        let Some(said) = said_by("redis-benchmark", &server, &arguments) else { return };
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH"] {
            let line = |line: &str| line.trim_start().starts_with(&format!("{test}: "));
            assert!(
                said.split(['\r', '\n']).any(|text| line(text) && text.contains("requests per second")),
                "{said}"
            );
        }
        assert!(!said.to_lowercase().contains("error") && !said.contains("WARNING"), "{said}");
        assert_eq!(said_by("redis-cli", &server, &["GET", "counter:__rand_int__"]).unwrap(), "8000\n");
        assert_eq!(
            said_by("redis-cli", &server, &["LRANGE", "mylist", "0", "1"]).unwrap().lines().count(),
            2
        );
        assert!(said_by("redis-cli", &server, &["INFO"]).unwrap().contains("connected_clients:"));
        until_info(&mut server.client(), "connected_clients:1\r\n"); // the crowd has gone
    });
}

#[test]
fn a_thousand_clients_count_without_a_lock_and_lose_nothing() {
    const CLIENTS: usize = 1000;
    raise_descriptor_limit();
    guarded(|| {
        let server = Running::start();
        let all_are_there = Barrier::new(CLIENTS);
        scope(|s| {
            for _ in 0..CLIENTS {
                s.spawn(|| {
                    let mut client = server.client();
                    all_are_there.wait();
                    (0..10).for_each(|_| client.incr::<_, _, ()>("counter", 1).unwrap());
                });
            }
        });
        assert_eq!(server.client().get::<_, usize>("counter").unwrap(), 10 * CLIENTS);
    });
}

#[test]
fn commands_come_in_any_pieces_and_are_answered_in_order() {
    guarded(|| {
        let server = Running::start();
        let mut stream = server.stream();
        stream.set_nodelay(true).unwrap();
        let commands = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\na\r\nb\r\n\r\nGET k\r\n*1\r\n$4\r\nPING\r\n\r\n";
        for byte in commands {
            stream.write_all(&[*byte]).unwrap();
            coroutine::yield_now();
        }
        let expected = b"+OK\r\n$6\r\na\r\nb\r\n\r\n+PONG\r\n";
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer.escape_ascii().to_string(), expected.escape_ascii().to_string());

        // Many at once, whose answers are more than the buffers hold: who writes and who reads are two.
        let value = "x".repeat(10_000);
        ask(&mut server.client(), &format!("SET large {value}")).unwrap();
        const TIMES: usize = 5000;
        let mut reader = stream.try_clone().unwrap();
        scope(|s| {
            s.spawn(move || (0..TIMES).for_each(|_| stream.write_all(b"GET large\r\n").unwrap()));
            let mut answer = vec![0; "$10000\r\n".len() + 10_002];
            for _ in 0..TIMES {
                reader.read_exact(&mut answer).unwrap();
                assert!(answer.starts_with(b"$10000\r\nxxx") && answer.ends_with(b"x\r\n"));
            }
        });

        let mut client = server.client();
        let pairs: Vec<Value> =
            (0..3000).fold(&mut redis::pipe(), |pipe, n| pipe.set(n, n).get(n)).query(&mut client).unwrap();
        assert_eq!(pairs.len(), 6000);
        assert!(
            pairs.chunks(2).enumerate().all(|(n, pair)| pair[1] == Value::BulkString(n.to_string().into()))
        );
    });
}

#[test]
fn nonsense_ends_its_connection_with_a_reason() {
    guarded(|| {
        let server = Running::start();
        let long = vec![b'x'; 70_000];
        for (nonsense, reason) in [
            (b"*x\r\n".as_slice(), "invalid multibulk length"),
            (b"*9999999\r\n", "invalid multibulk length"),
            (b"*1\r\n+PING\r\n", "expected '$'"),
            (b"*1\r\n$-5\r\n", "invalid bulk length"),
            (b"*1\r\n$999999999999\r\n", "invalid bulk length"),
            (&long, "too big inline request"),
        ] {
            let mut stream = server.stream();
            stream.write_all(b"PING\r\n").unwrap();
            stream.write_all(nonsense).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, format!("+PONG\r\n-ERR Protocol error: {reason}\r\n"));
        }
    });
}

#[test]
fn what_expires_goes_whether_it_is_asked_for_or_not() {
    guarded(|| {
        let server = Running::start();
        let mut client = server.client();
        for n in 0..100 {
            ask(&mut client, &format!("SET {n} x")).unwrap();
            ask(&mut client, &format!("PEXPIRE {n} 1")).unwrap();
        }
        ask(&mut client, "SET stays x").unwrap();
        while ask(&mut client, "GET 0").unwrap() != Value::Nil {}
        assert_eq!(ask(&mut client, "TTL 0").unwrap(), Value::Int(-2));
        // The others are asked for by nobody.
        until_info(&mut client, "keys:1\r\n");
        assert_eq!(client.get::<_, String>("stays").unwrap(), "x");
    });
}

#[test]
fn subscribers_hear_in_order_and_one_who_does_not_read_is_cut_off() {
    const MESSAGES: u32 = 2000;
    guarded(|| {
        let server = Running::start();
        let subscribers: Vec<_> = (0..10).map(|_| server.client().subscribe("news").unwrap()).collect();
        let mut publisher = server.client();
        scope(|s| {
            for mut subscriber in subscribers {
                s.spawn(move || {
                    for n in 0..MESSAGES {
                        assert_eq!(subscriber.message::<u32>().unwrap(), n);
                    }
                });
            }
            for n in 0..MESSAGES {
                assert_eq!(publisher.publish::<_, _, u32>("news", n).unwrap(), 10);
            }
        });

        let _deaf = server.client().subscribe("noise").unwrap();
        let noise = vec![0; 20_000];
        while publisher.publish::<_, _, u32>("noise", &noise).unwrap() > 0 {}
        while publisher.publish::<_, _, u32>("news", 0).unwrap() > 0 {}
    });
}
