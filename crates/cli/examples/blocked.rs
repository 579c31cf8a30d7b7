//! One blocking call stops every coroutine of its thread: a slow device is read in four ways, and while the read lasts a
//! user clicks. Is the click answered?

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ropewalk::channel::{self, Sender};
use ropewalk::{JoinHandle, Runtime, blocking, coroutine, thread};

/// How long the user waits for the answer before the device ends the read. Where the worker is blocked no answer can
/// come, and waiting longer shows nothing more.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(60);

/// A click of the user; the answer says how long it took.
struct Click {
    made: Instant,
    answer: Sender<Duration>,
}

pub(crate) fn main() {
    let runtime = Runtime::builder().workers(1).build().expect("a driver");
    runtime.run(|| {
        let (click, clicks) = channel::unbounded::<Click>();
        let user_interface = coroutine::spawn(move || {
            for click in clicks {
                let _ = click.answer.send(click.made.elapsed());
            }
        });
        show("std's read in a coroutine", SHORT, &click, |device| {
            coroutine::spawn(move || read_with_std(device))
        });
        show("Ropewalk's read in a coroutine", LONG, &click, |device| {
            coroutine::spawn(move || read_with_ropewalk(device))
        });
        show("std's read in blocking(..)", LONG, &click, |device| {
            coroutine::spawn(move || blocking(|| read_with_std(device)))
        });
        show("std's read in a thread", LONG, &click, |device| thread::spawn(move || read_with_std(device)));
        drop(click);
        user_interface.join().unwrap();
    });
}

fn read_with_std(device: SocketAddr) {
    std::net::TcpStream::connect(device).unwrap().read_exact(&mut [0]).unwrap();
}

fn read_with_ropewalk(device: SocketAddr) {
    ropewalk::net::TcpStream::connect(device).unwrap().read_exact(&mut [0]).unwrap();
}

fn show(
    how: &str,
    patience: Duration,
    click: &Sender<Click>,
    start: impl FnOnce(SocketAddr) -> JoinHandle<()>,
) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reader = start(listener.local_addr().unwrap());
    let click = click.clone();
    // The device and its user: a thread, so that they go on whatever the worker does.
    let device = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (answer, answers) = channel::bounded(1);
        click.send(Click { made: Instant::now(), answer }).unwrap();
        let answered = answers.recv_timeout(patience);
        stream.write_all(&[0]).unwrap(); // only now the read ends
        answered
    });
    match device.join().unwrap() {
        Ok(took) => println!("{how:<32} click answered after {:.2} ms", took.as_secs_f64() * 1e3),
        Err(_) => println!("{how:<32} no answer in {} ms: the worker is blocked", patience.as_millis()),
    }
    reader.join().unwrap();
}
