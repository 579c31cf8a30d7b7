//! The blocking client against a real redis-server.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/redis_client.rs"]
mod redis_client;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::Duration;

use redis::{Cmd, Commands, ConnectionLike, ErrorKind, RedisResult, ServerErrorKind, Value};
use redis_client::Connection;
use ropewalk::channel::bounded;
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::{coroutine, scope, thread, timeout};
use ropewalk_guests::servers::Redis;
use ropewalk_guests::watchdog::guarded;

/// Runs `body` with a server, or not at all where there is none.
fn with_server(body: impl FnOnce(&Redis)) {
    guarded(|| Redis::start().as_ref().map(body));
}

fn by_tcp(server: &Redis) -> Connection<TcpStream> {
    Connection::new(TcpStream::connect(server.address()).unwrap())
}

fn by_socket(server: &Redis) -> Connection<UnixStream> {
    Connection::new(UnixStream::connect(server.socket()).unwrap())
}

#[test]
fn the_crates_commands_run_over_streams_of_every_kind() {
    fn commands<S: Read + Write>(mut connection: Connection<S>) {
        assert!(connection.check_connection());
        connection.set::<_, _, ()>("name", "Ropewalk").unwrap();
        assert_eq!(connection.get::<_, Option<String>>("name").unwrap().as_deref(), Some("Ropewalk"));
        assert_eq!(connection.get::<_, Option<String>>("nobody").unwrap(), None);
        connection.hset_multiple::<_, _, _, ()>("strands", &[("first", 1), ("second", 2)]).unwrap();
        let strands: HashMap<String, i32> = connection.hgetall("strands").unwrap();
        assert_eq!(strands, HashMap::from([("first".into(), 1), ("second".into(), 2)]));
        let large = vec![7_u8; 3_000_000];
        connection.set::<_, _, ()>("large", &large).unwrap();
        assert!(connection.get::<_, Vec<u8>>("large").unwrap() == large);
        for n in 0..500 {
            connection.sadd::<_, _, ()>("set", n).unwrap();
        }
        let mut found: Vec<u32> = connection.sscan("set").unwrap().collect::<RedisResult<_>>().unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..500).collect::<Vec<_>>(), "a scan asks again and again");
    }
    with_server(|server| {
        commands(by_tcp(server));
        commands(by_socket(server));
        let of_a_thread = by_tcp(server);
        thread::spawn(|| commands(of_a_thread)).join().unwrap();
    });
}

#[test]
fn a_hundred_coroutines_count_without_losing_any() {
    with_server(|server| {
        scope(|s| {
            for _ in 0..100 {
                s.spawn(|| {
                    let mut connection = by_tcp(server);
                    (0..50).for_each(|_| connection.incr::<_, _, ()>("counter", 1).unwrap());
                });
            }
        });
        assert_eq!(by_tcp(server).get::<_, u32>("counter").unwrap(), 5000);
    });
}

#[test]
fn a_pipeline_is_answered_in_order_and_a_refusal_is_one_of_the_answers() {
    with_server(|server| {
        let mut connection = by_tcp(server);
        let mut pipeline = redis::pipe();
        for n in 0..10_000 {
            pipeline.set(n, n * n).ignore().get(n);
        }
        let squares: Vec<u64> = pipeline.query(&mut connection).unwrap();
        assert_eq!(squares, (0..10_000).map(|n| n * n).collect::<Vec<u64>>());

        let swapped: (i32, i32) =
            redis::pipe().atomic().incr("a", 1).incr("a", 1).query(&mut connection).unwrap();
        assert_eq!(swapped, (1, 2), "MULTI and EXEC");

        connection.set::<_, _, ()>("text", "no number").unwrap();
        let error = connection.incr::<_, _, i32>("text", 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        let error = Cmd::new().arg("NONSENSE").query::<Value>(&mut connection).unwrap_err();
        assert!(error.to_string().contains("unknown command"), "{error}");
        assert!(connection.check_connection(), "it goes on");
    });
}

#[test]
fn what_one_coroutine_publishes_others_hear_in_order() {
    const MESSAGES: u32 = 1000;
    with_server(|server| {
        scope(|s| {
            let (ready, is_ready) = bounded(0);
            for _ in 0..5 {
                let ready = ready.clone();
                s.spawn(move || {
                    let mut news = by_tcp(server).subscribe("news").unwrap();
                    ready.send(()).unwrap();
                    for n in 0..MESSAGES {
                        // To be cut off while it waits loses nothing.
                        let message = loop {
                            match timeout(Duration::from_micros(50), || news.message::<u32>()) {
                                Ok(message) => break message.unwrap(),
                                Err(_) => coroutine::yield_now(),
                            }
                        };
                        assert_eq!(message, n);
                    }
                });
            }
            (0..5).for_each(|_| is_ready.recv().unwrap());
            let mut publisher = by_socket(server);
            for n in 0..MESSAGES {
                assert_eq!(publisher.publish::<_, _, u32>("news", n).unwrap(), 5);
            }
        });
    });
}

#[test]
fn a_subscriber_who_was_cut_off_goes_on_and_a_client_who_was_says_so() {
    with_server(|server| {
        let mut news = by_tcp(server).subscribe("news").unwrap();
        let nothing = timeout(Duration::from_millis(20), || news.message::<u32>().is_ok());
        assert!(nothing.is_err());
        by_tcp(server).publish::<_, _, ()>("news", 7).unwrap();
        assert_eq!(news.message::<u32>().unwrap(), 7);

        let mut connection = by_tcp(server);
        let cut_off =
            timeout(Duration::from_millis(20), || connection.blpop::<_, Value>("nothing", 0.0).is_ok());
        assert!(cut_off.is_err());
        assert!(!connection.is_open());
        // The answer to BLPOP would be taken for the answer to this.
        let error = connection.get::<_, Value>("name").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    });
}

#[test]
fn the_end_of_the_server_is_an_error() {
    with_server(|server| {
        let mut connection = by_tcp(server);
        connection.set::<_, _, ()>("name", 1).unwrap();
        let waiting = coroutine::spawn(move || connection.blpop::<_, Value>("nothing", 0.0));
        let mut other = by_tcp(server);
        drop(Cmd::new().arg("SHUTDOWN").arg("NOSAVE").query::<Value>(&mut other));
        assert!(waiting.join().unwrap().is_err());
        assert!(TcpStream::connect(server.address()).is_err());
    });
}
