//! The same channel from machine to machine, and a topic: one lists prices, others ask it and listen to it.
//!
//! ```sh
//! cargo run -p ropewalk --example remote                                 # both sides in one
//! cargo run -p ropewalk --example remote -- listen 127.0.0.1:7000        # one side ..
//! cargo run -p ropewalk --example remote -- ask 127.0.0.1:7000 hemp      # .. and the other
//! cargo run -p ropewalk --example remote -- follow 127.0.0.1:7000
//! ```
//!
//! Nothing of it is encrypted, and nobody is asked who he is: `ropewalk::ipc::remote` says more.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ropewalk::ipc::remote;
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::topic::Topic;
use ropewalk::{OnFailure, coroutine, scope_with};
use serde::{Deserialize, Serialize};

/// What both sides have to know: the types, and the name of the topic.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    material: String,
    metres: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Price { cents: u64 },
    WeHaveNone,
}

const NEWS: &str = "prices of rope";

fn price(ask: &Ask) -> Answer {
    let cents = match ask.material.as_str() {
        "hemp" => 120,
        "sisal" => 80,
        "silk" => 2_000,
        _ => return Answer::WeHaveNone,
    };
    Answer::Price { cents: cents * u64::from(ask.metres) }
}

/// Answers whoever connects; who wants the news connects to the next port.
fn listen(questions: &TcpListener, news: &TcpListener) -> io::Result<()> {
    let topic = Topic::<String>::builder().history(1).named(NEWS).map_err(io::Error::other)?;
    scope_with(OnFailure::Isolate, |s| {
        s.spawn(|| -> io::Result<()> {
            for day in 1.. {
                let text = format!("day {day}: hemp is 1.20 a metre");
                topic.publish(text).map_err(io::Error::other)?;
                coroutine::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        s.spawn(|| -> io::Result<()> {
            for stream in news.incoming() {
                let (stream, topic) = (stream?, &topic);
                s.spawn(move || remote::serve_topic(topic, stream));
            }
            Ok(())
        });
        for stream in questions.incoming() {
            let stream = stream?;
            // In a task of its own: a stranger who says nothing holds up nobody else.
            s.spawn(move || -> io::Result<()> {
                let (answers, questions) = remote::over::<Answer, Ask>(stream)?;
                for question in questions {
                    answers.send(price(&question?))?;
                }
                Ok(())
            });
        }
        Ok(())
    })
}

fn ask(address: SocketAddr, material: &str) -> io::Result<()> {
    let (questions, answers) = remote::connect::<Ask, Answer>(address)?;
    for metres in [1, 10, 100] {
        questions.send(Ask { material: material.into(), metres })?;
        println!("{metres} m of {material}: {:?}", answers.recv()?);
    }
    Ok(())
}

fn follow(mut address: SocketAddr, count: usize) -> io::Result<()> {
    address.set_port(address.port() + 1);
    let news = remote::subscribe::<String>(NEWS, TcpStream::connect(address)?)?;
    for text in news.iter().take(count) {
        println!("{}", text?);
    }
    Ok(())
}

/// Two listeners, the second on the port after the first one's.
fn listeners(address: &str) -> io::Result<(TcpListener, TcpListener)> {
    let questions = TcpListener::bind(address)?;
    let mut next = questions.local_addr()?;
    next.set_port(next.port() + 1);
    Ok((questions, TcpListener::bind(next)?))
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let parse = |address: &str| address.parse().map_err(io::Error::other);
    ropewalk::run(|| match arguments[..] {
        ["listen", address] => {
            let (questions, news) = listeners(address)?;
            println!("questions at {}, news at the next port", questions.local_addr()?);
            listen(&questions, &news)
        }
        ["ask", address, material] => ask(parse(address)?, material),
        ["follow", address] => follow(parse(address)?, usize::MAX),
        [] => {
            let (questions, news) =
                (0..100).find_map(|_| listeners("127.0.0.1:0").ok()).expect("two free ports");
            let address = questions.local_addr()?;
            let server = coroutine::spawn(move || listen(&questions, &news));
            ask(address, "hemp")?;
            ask(address, "wool")?;
            follow(address, 3)?;
            server.cancel();
            Ok(())
        }
        _ => Err(io::Error::other("listen ADDRESS, ask ADDRESS MATERIAL, follow ADDRESS, or nothing")),
    })
}
