//! A million coroutines parked at once, on stock kernel settings, every stack guarded.
//!
//! `cargo run --release -p ropewalk --example million [COUNT]` parks them and prints what each costs.
//! `cargo run --release -p ropewalk --example million recurse` lets one of them recurse for ever: it is named.

use std::fs;
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use ropewalk::coroutine;
use ropewalk::sync::Semaphore;

/// Kilobytes of one line of `/proc/self/status`.
fn status_kb(name: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("/proc/self/status has no {name}")))
}

/// What the process takes: resident pages, the tasks among them, and the tables that map them.
fn memory_bytes() -> io::Result<u64> {
    Ok((status_kb("VmRSS")? + status_kb("VmPTE")?) * 1024)
}

fn park(count: u64) -> io::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(Semaphore::new(0));
    // The handles are the example's, not the coroutines'.
    let mut handles = Vec::with_capacity(usize::try_from(count).map_err(io::Error::other)?);
    handles.extend((0..1).map(|_| coroutine::spawn(|| ())));
    let before = memory_bytes()?;
    let started = Instant::now();
    for _ in 0..count {
        let (gate, arrived) = (gate.clone(), arrived.clone());
        handles.push(coroutine::spawn(move || {
            arrived.add_permits(1);
            gate.acquire().forget();
        }));
    }
    arrived.acquire_many(usize::try_from(count).map_err(io::Error::other)?).forget();
    let parked = started.elapsed();
    let each = (memory_bytes()? - before) as f64 / count as f64;
    println!(
        "{count} coroutines are parked: {:.0} ns each to spawn, start and park",
        parked.as_nanos() as f64 / count as f64
    );
    println!("{each:.0} bytes each (resident memory and page tables, task, stack and handle)");
    let maps = fs::read_to_string("/proc/self/maps")?.lines().count();
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count")?;
    println!(
        "{maps} mappings of the {} that vm.max_map_count allows; every stack has its guard",
        limit.trim()
    );

    let started = Instant::now();
    gate.add_permits(usize::try_from(count).map_err(io::Error::other)?);
    for handle in handles {
        handle.join()?;
    }
    println!(
        "all have ended: {:.0} ns each to wake, end and join",
        started.elapsed().as_nanos() as f64 / count as f64
    );
    Ok(())
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    if depth == u64::MAX { 0 } else { recurse(black_box(depth + 1)) + black_box(frame)[7] }
}

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1);
    match argument.as_deref().map(|text| (text, text.parse())) {
        None => ropewalk::run(|| park(1_000_000)),
        Some((_, Ok(count))) => ropewalk::run(|| park(count)),
        Some(("recurse", _)) => ropewalk::run(|| {
            let builder = coroutine::Builder::new().name("recurses for ever".into());
            builder.spawn(|| recurse(0))?.join()?;
            Ok(())
        }),
        Some((other, _)) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("'{other}' is neither a count nor 'recurse'"),
        )),
    }
}
