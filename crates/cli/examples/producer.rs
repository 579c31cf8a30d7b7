//! A producer and a consumer take turns, without a lock and without a queue: `cargo run --example producer`.
//!
//! The consumer is a generator. `next()` starts it; `send(n)` switches to it, where `yield_` gives it the message, and
//! comes back with its answer, which the next `yield_` hands over; `close()` ends it.

use std::time::Duration;

use ropewalk::generator::Generator;
use ropewalk::time::sleep;

/// How long the consumer takes for a message.
const PAUSE: Duration = Duration::from_millis(1);

fn consumer() -> Generator<u32, &'static str, ()> {
    Generator::new(|yielder| {
        let mut r = "";
        loop {
            let n = yielder.yield_(r);
            let Some(n) = n else { return };
            println!("[CONSUMER] Consuming {n}...");
            sleep(PAUSE);
            r = "200 OK";
        }
    })
}

fn produce(mut c: Generator<u32, &'static str, ()>) {
    c.next();
    let mut n = 0;
    while n < 5 {
        n += 1;
        println!("[PRODUCER] Producing {n}...");
        let state = c.send(n).expect("the consumer waits for a message");
        let r = state.yielded().expect("it answers each message");
        println!("[PRODUCER] Consumer return: {r}");
    }
    c.close();
}

pub(crate) fn main() {
    // Not for the switches, which need no runtime: so that `sleep` gives the thread away.
    ropewalk::run(|| {
        let c = consumer();
        produce(c);
    });
}
