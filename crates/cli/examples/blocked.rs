//! One blocking call stops every coroutine of its thread: a slow device is read in four ways, and while the read lasts a
//! user clicks. Is the click answered?

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ropewalk::channel::{self, Receiver, Sender};
use ropewalk::inspect::{self, BlockedWorker};
use ropewalk::{JoinHandle, Runtime, blocking, coroutine, thread};

/// When the monitor reports a worker that does not switch.
const MONITOR_LIMIT: Duration = Duration::from_millis(100);
/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(8);

/// A click of the user; the answer says how long it took.
struct Click {
    made: Instant,
    answer: Sender<Duration>,
}

pub(crate) fn main() {
    let (report, reports) = channel::unbounded();
    inspect::on_blocked(move |blocked| {
        if blocked.name() == Some("reader") {
            let _ = report.send(blocked.clone());
        }
    });
    let runtime = Runtime::builder().workers(1).monitor(MONITOR_LIMIT).build().expect("a driver");
    runtime.run(|| {
        let (click, clicks) = channel::unbounded::<Click>();
        let user_interface = coroutine::spawn(move || {
            for click in clicks {
                let _ = click.answer.send(click.made.elapsed());
            }
        });
        show("std's read in a coroutine", &click, Some(reports), |device| {
            let reader = coroutine::Builder::new().name("reader".into());
            reader.spawn(move || read_with_std(device)).expect("a runtime")
        });
        show("Ropewalk's read in a coroutine", &click, None, |device| {
            coroutine::spawn(move || read_with_ropewalk(device))
        });
        show("std's read in blocking(..)", &click, None, |device| {
            coroutine::spawn(move || blocking(|| read_with_std(device)))
        });
        show("std's read in a thread", &click, None, |device| thread::spawn(move || read_with_std(device)));
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

/// Has a device be read, and prints whether a click was answered meanwhile. With `reports` the device ends the read when
/// the monitor has noticed that the worker is blocked, else when the click is answered.
fn show(
    how: &str,
    click: &Sender<Click>,
    reports: Option<Receiver<BlockedWorker>>,
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
        let report = reports.map(|reports| reports.recv_timeout(PATIENCE));
        let answered = match report {
            Some(_) => answers.try_recv().ok(),
            None => answers.recv_timeout(PATIENCE).ok(),
        };
        stream.write_all(&[0]).unwrap(); // only now the read ends
        (answered, report)
    });
    let (answered, report) = device.join().unwrap();
    match answered {
        Some(took) => println!("{how:<32} click answered after {:.2} ms", took.as_secs_f64() * 1e3),
        None => println!("{how:<32} no answer: the worker is blocked"),
    }
    if let Some(Ok(report)) = report {
        println!("  the monitor: {}", describe(&report));
    }
    reader.join().unwrap();
}

/// What the monitor saw: who holds up the worker, and where in this file.
fn describe(blocked: &BlockedWorker) -> String {
    let who = blocked.name().unwrap_or("a coroutine");
    let does = blocked.activity().map_or("is busy".into(), |activity| activity.to_string());
    let stack = blocked.stack().map(|stack| stack.frames()).unwrap_or_default();
    let here =
        stack.iter().find(|frame| frame.file.as_ref().is_some_and(|file| file.ends_with("blocked.rs")));
    // Without its path and its type parameters.
    let function = here.and_then(|frame| frame.function.split('<').next()?.rsplit("::").next());
    format!("{who} {does}{}", function.map_or(String::new(), |function| format!(", in {function}")))
}
