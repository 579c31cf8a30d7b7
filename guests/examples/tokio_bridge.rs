//! A crate that insists on tokio's runtime: reqwest. Each call of `compat::tokio::run` has tokio run a future on threads of its
//! own while the coroutine waits. To be honest: reqwest runs on tokio then, beside Ropewalk and not on it, and costs what that
//! costs.
//!
//! `cargo run --example tokio_bridge` has 100 coroutines fetch from a server of their own, which runs on Ropewalk.
//! `cargo run --example tokio_bridge -- http://127.0.0.1:8080/` fetches one page.

use std::io;
use std::time::Duration;

use ropewalk::compat::tokio::run;
use ropewalk::net::TcpListener;
use ropewalk::{coroutine, scope};

#[allow(dead_code, reason = "a program whose main is not called here")]
#[path = "http.rs"]
pub mod http;

/// A client, whose connections live in tokio's runtime.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()
}

/// Fetches a page, while the caller, a coroutine or a thread, waits.
pub fn fetch(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    let request = client.get(url);
    run(async { request.send().await?.error_for_status()?.text().await })
}

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1);
    ropewalk::run(|| {
        let client = client().map_err(io::Error::other)?;
        if let Some(url) = argument {
            print!("{}", fetch(&client, &url).map_err(io::Error::other)?);
            return Ok(());
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/load", listener.local_addr()?);
        let server = coroutine::spawn(move || http::serve(&listener, http::HEADER_LIMIT));
        let pages = scope(|s| {
            let tasks: Vec<_> = (0..100).map(|_| s.spawn(|| fetch(&client, &url))).collect();
            tasks
                .into_iter()
                .map(|task| task.join()?.map_err(io::Error::other))
                .collect::<io::Result<Vec<_>>>()
        })?;
        println!("100 coroutines have fetched {} pages by way of tokio", pages.len());
        server.cancel();
        Ok(())
    })
}
