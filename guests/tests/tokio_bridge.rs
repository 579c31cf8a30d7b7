//! reqwest, which insists on tokio, by way of `compat::tokio::run`.

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "../examples/tokio_bridge.rs"]
mod tokio_bridge;

use std::io::Read;

use ropewalk::net::TcpListener;
use ropewalk::{coroutine, scope, thread};
use ropewalk_guests::watchdog::guarded;
use tokio_bridge::{client, fetch, http};

#[test]
fn many_coroutines_and_threads_fetch_at_the_same_time() {
    guarded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = coroutine::spawn(move || http::serve(&listener, http::HEADER_LIMIT));
        let client = client().unwrap();
        let one = || assert_eq!(fetch(&client, &url).unwrap(), "hello\n");
        scope(|s| (0..200).for_each(|_| drop(s.spawn(one))));
        thread::scope(|s| (0..5).for_each(|_| drop(s.spawn(one))));
        let missing = fetch(&client, &format!("{url}missing")).unwrap_err();
        assert_eq!(missing.status().unwrap(), 404);
        server.cancel();
    });
}

#[test]
fn a_cancel_closes_the_connection() {
    guarded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = client().unwrap();
        let fetching = coroutine::spawn(move || fetch(&client, &url).map(drop));
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 14];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"GET / HTTP/1.1");
        fetching.cancel();
        assert!(fetching.join().unwrap_err().is_cancelled());
        // The rest of the request, and the end.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
}

#[test]
fn without_the_bridge_it_panics_and_says_why() {
    guarded(|| {
        let client = client().unwrap();
        let panics = coroutine::spawn(move || {
            let request = client.get("http://127.0.0.1:9/").send();
            ropewalk::future::block_on(request).map(drop)
        });
        let message = panics.join().unwrap_err().to_string();
        assert!(message.contains("no reactor running"), "{message}");
    });
}
