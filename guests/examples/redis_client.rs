//! A blocking client of Redis: the crate `redis`, with a connection of its own kind. The crate's commands, pipelines and
//! transactions run on whatever implements `ConnectionLike`, which takes thirty lines over anything that reads and writes;
//! in a coroutine it waits as a coroutine.
//!
//! `cargo run --example redis_client -- 127.0.0.1:6379` (start `redis-server`, or the example `redis_server`) has 100
//! coroutines count together, and one of them tell the others of it by PUBLISH.

use std::error::Error;
use std::io::{self, Read, Write};

use redis::{
    Cmd, Commands, ConnectionLike, FromRedisValue, Msg, Parser, RedisError, RedisResult, ToRedisArgs, Value,
};
use ropewalk::net::TcpStream;
use ropewalk::{coroutine, join_all};

/// A connection, over any stream.
pub struct Connection<S> {
    stream: S,
    /// Holds what was read and not yet asked for.
    parser: Parser,
    /// Whether an answer is under way. If it still is when the next question comes, somebody was cut off in the middle.
    asking: bool,
}

impl<S: Read + Write> Connection<S> {
    /// Over a stream that has been connected to a server.
    pub fn new(stream: S) -> Self {
        Self { stream, parser: Parser::new(), asking: false }
    }

    /// Sends what `commands` is the encoding of, and takes so many answers.
    fn ask(&mut self, commands: &[u8], answers: usize) -> RedisResult<Vec<Value>> {
        if self.asking {
            let text = "an earlier conversation was broken off: connect again";
            return Err(RedisError::from(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        self.asking = true;
        self.stream.write_all(commands)?;
        // What a server refuses is a value, too; an error here means that the connection is of no more use.
        let values: RedisResult<_> =
            (0..answers).map(|_| self.parser.parse_value(&mut self.stream)).collect();
        self.asking = values.is_err();
        values
    }

    /// Hears what is published on `channel` from now on. Such a connection does nothing else.
    pub fn subscribe(mut self, channel: impl ToRedisArgs) -> RedisResult<Subscription<S>> {
        Cmd::new().arg("SUBSCRIBE").arg(channel).query::<Value>(&mut self)?;
        Ok(Subscription { connection: self })
    }
}

impl<S: Read + Write> ConnectionLike for Connection<S> {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.ask(command, 1)?.pop().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }

    fn req_packed_commands(&mut self, commands: &[u8], skip: usize, count: usize) -> RedisResult<Vec<Value>> {
        let mut answers = self.ask(commands, skip + count)?;
        Ok(answers.split_off(skip))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        Cmd::new().arg("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.asking
    }
}

/// What is published on a channel, as it comes.
pub struct Subscription<S> {
    connection: Connection<S>,
}

impl<S: Read + Write> Subscription<S> {
    /// The next message, for which it waits. One that is cut off here may go on: nothing is lost.
    pub fn message<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        loop {
            let value = self.connection.parser.parse_value(&mut self.connection.stream)?;
            if let Some(message) = Msg::from_owned_value(value) {
                return message.get_payload();
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    const COUNTERS: u32 = 100;
    let address = std::env::args().nth(1).ok_or("usage: redis_client ADDRESS")?;
    ropewalk::run(|| {
        let connect = || Ok::<_, io::Error>(Connection::new(TcpStream::connect(&address)?));
        connect()?.del::<_, ()>("counter")?;
        let mut news = connect()?.subscribe("news")?;
        let reader = coroutine::spawn(move || news.message::<String>());

        let counters = join_all((0..COUNTERS).map(|_| {
            || {
                let mut connection = connect()?;
                (0..10).try_fold(0, |_, _| connection.incr::<_, _, u32>("counter", 1))
            }
        }));
        let mut most = 0;
        for counted in counters {
            most = most.max(counted??);
        }
        println!("the last of {COUNTERS} who count to 10 together: {most}");

        // A pipeline: one write, one wait, three answers.
        let mut connection = connect()?;
        let (set, counter, told): (String, u32, u32) = redis::pipe()
            .cmd("SET")
            .arg(&["greeting", "hello"])
            .get("counter")
            .publish("news", "the counting is over")
            .query(&mut connection)?;
        println!("SET: {set}; counter: {counter}; told {told}, who heard: {}", reader.join()??);
        Ok(())
    })
}
