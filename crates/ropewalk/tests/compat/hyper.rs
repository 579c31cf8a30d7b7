//! hyper's executor and timer, and its own connections between two tasks.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::rt::{Executor as _, Timer as _};
use hyper::service::service_fn;
use hyper::{Request, Response};
use ropewalk::channel::bounded;
use ropewalk::compat::Io;
use ropewalk::compat::hyper::{Executor, Timer};
use ropewalk::future::{block_on, spawn_future};
use ropewalk::net::UnixStream;
use ropewalk::{Clock, Runtime, coroutine, time};

use super::guarded;
use super::plan::on_every_plan;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_timer_goes_by_the_runtimes_clock_and_can_be_reset() {
    guarded(|| {
        Runtime::builder().clock(Clock::Virtual).build().unwrap().run(|| {
            let start = Timer.now();
            assert_eq!(start, time::now());
            block_on(async {
                let mut sleep = Timer.sleep(100 * HOUR);
                Timer.reset(&mut sleep, start + HOUR);
                sleep.as_mut().await;
                assert_eq!(time::now() - start, HOUR);
                Timer.reset(&mut sleep, start + 3 * HOUR);
                sleep.await;
                Timer.sleep_until(start + 4 * HOUR).await;
            });
            assert_eq!(time::now() - start, 4 * HOUR);
        });
    });
}

#[test]
fn the_executor_runs_what_it_is_given_as_another_task() {
    on_every_plan(|plan| {
        let (sender, receiver) = bounded(1);
        let id = || coroutine::current().id();
        let here = plan.spawn(move || {
            Executor.execute(async move { sender.send(id()).unwrap() });
            id()
        });
        assert_ne!(receiver.recv().unwrap(), here.join().unwrap());
    });
}

/// The body goes both ways in many pieces; the handler calls plain code in a coroutine of its own.
#[test]
fn a_server_and_a_client_talk() {
    on_every_plan(|plan| {
        let (near, far) = UnixStream::pair().unwrap();
        let server = plan.spawn(move || {
            let count = service_fn(|request: Request<Incoming>| async move {
                let path = request.uri().path().to_owned();
                let length = coroutine::spawn(move || {
                    ropewalk::thread::sleep(Duration::from_millis(1));
                    path.len()
                });
                Ok::<_, Infallible>(Response::new(length.await.unwrap().to_string()))
            });
            block_on(
                hyper::server::conn::http1::Builder::new().timer(Timer).serve_connection(Io::new(far), count),
            )
        });
        let answers = coroutine::spawn(move || {
            block_on(async {
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake::<_, String>(Io::new(near)).await.unwrap();
                let connection = spawn_future(connection);
                let mut answers = Vec::new();
                for path in ["/", "/abc", "/12345"] {
                    let request =
                        Request::builder().uri(path).header("host", "here").body(String::new()).unwrap();
                    // The end of the last answer's body is not yet the connection's.
                    sender.ready().await.unwrap();
                    let mut body = sender.send_request(request).await.unwrap().into_body();
                    answers.push(frame(&mut body).await);
                    assert_eq!(frame(&mut body).await, None);
                }
                drop(sender);
                connection.await.unwrap().unwrap();
                answers
            })
        });
        let answers = answers.join().unwrap();
        assert_eq!(answers, ["1", "4", "6"].map(|text| Some(Bytes::from(text))));
        server.join().unwrap().unwrap();
    });
}

async fn frame(body: &mut Incoming) -> Option<Bytes> {
    use hyper::body::Body;
    use std::pin::Pin;
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.unwrap().into_data().unwrap())
}
