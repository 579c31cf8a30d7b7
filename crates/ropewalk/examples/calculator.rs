//! A server that adds, and a test that a thousand clients at once get their sums.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::{OnFailure, scope_with, timeout};

fn main() -> std::io::Result<()> {
    ropewalk::run(|| serve(&TcpListener::bind("127.0.0.1:7000")?))
}

/// A calculator: each line is a sum, each answer its result.
fn serve(listener: &TcpListener) -> std::io::Result<()> {
    scope_with(OnFailure::Isolate, |s| {
        for stream in listener.incoming() {
            let stream = stream?;
            s.spawn(move || timeout(Duration::from_secs(60), || calculate(&stream)));
        }
        Ok(())
    })
}

fn calculate(mut stream: &TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let sum: Result<i64, _> = line?.split('+').map(|word| word.trim().parse::<i64>()).sum();
        match sum {
            Ok(sum) => writeln!(stream, "{sum}")?,
            Err(error) => writeln!(stream, "{error}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropewalk::coroutine;

    #[test]
    fn a_thousand_clients_get_their_sums() -> std::io::Result<()> {
        ropewalk::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let server = coroutine::Builder::new().daemon(true).spawn(move || serve(&listener))?;
            scope_with(OnFailure::Cancel, |s| {
                for n in 0..1000 {
                    s.spawn(move || {
                        let mut stream = TcpStream::connect(address).unwrap();
                        writeln!(stream, "{n} + 1").unwrap();
                        let mut answer = String::new();
                        BufReader::new(&stream).read_line(&mut answer).unwrap();
                        assert_eq!(answer.trim(), (n + 1).to_string());
                    });
                }
            });
            server.cancel();
            Ok(())
        })
    }
}
