//! Every way to talk between processes, as a program of a few lines: this one and a child of it.
//!
//! `cargo run -p ropewalk --example ipc` runs them all, `-- fifo` the one of that name. What each is good for, its limits, and
//! what becomes of it when the other side dies: `docs/ipc.md` in the repository.

mod kernel;
mod shared;
mod sockets;

use std::error::Error;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A way to talk: its name, and the program, which says what came of it.
pub(crate) type Way = (&'static str, fn() -> Result<String>);

pub(crate) const WAYS: [Way; 15] = [
    ("pipe", kernel::pipe),
    ("fifo", kernel::fifo),
    ("queue", kernel::queue),
    ("signal", kernel::signal),
    ("unix-stream", sockets::unix_stream),
    ("unix-datagram", sockets::unix_datagram),
    ("unix-seqpacket", sockets::unix_seqpacket),
    ("descriptor", sockets::descriptor),
    ("tcp", sockets::tcp),
    ("udp", sockets::udp),
    ("segment", shared::segment),
    ("locks", shared::locks),
    ("ring", shared::ring),
    ("topic", shared::topic),
    ("channel", shared::channel),
];

fn main() -> Result {
    ropewalk::run(|| {
        let wanted: Vec<String> = std::env::args().skip(1).collect();
        if let Some(unknown) = wanted.iter().find(|name| WAYS.iter().all(|(way, _)| way != name)) {
            let names = WAYS.map(|(name, _)| name).join(", ");
            return Err(format!("there is no way named {unknown}: {names}").into());
        }
        for (name, program) in WAYS {
            if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
                println!("{name:<15}{}", program()?);
            }
        }
        Ok(())
    })
}
