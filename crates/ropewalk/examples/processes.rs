//! Functions in processes of their own, and every way in which one can end.
//!
//! `cargo run -p ropewalk --example processes` runs them. `.ci/process-builds` runs the same program built in other ways,
//! with `remove-me`: then it removes its own file before it spawns anything. `call PROGRAM` calls a function of another build
//! of it by its name.

use std::fmt::Debug;
use std::hint::black_box;
use std::process::{abort, exit};
use std::time::Duration;

use ropewalk::process::{self, Builder, Entry, Exit, Pool, register_entry};
use ropewalk::{JoinHandle, coroutine};

fn fib(n: u32) -> u64 {
    if n < 2 { n.into() } else { fib(n - 1) + fib(n - 2) }
}

/// By what name another build finds a function, and what that takes and gives.
static FIB: Entry<u32, u64> = Entry::new("processes/fib");
register_entry!(FIB, fib);

/// One that has no function.
static NOBODY: Entry<u32, u64> = Entry::new("processes/nobody");

/// Spawns a process of its own, and coroutines.
fn sum(numbers: Vec<u32>) -> u64 {
    ropewalk::run(|| {
        let inner = process::spawn(fib, 10).expect("another process");
        let tasks: Vec<_> = numbers.into_iter().map(|n| coroutine::spawn(move || fib(n))).collect();
        let sum: u64 = tasks.into_iter().map(|task| task.join().expect("it returns")).sum();
        sum + inner.join().expect("it returns")
    })
}

fn fail(index: usize) {
    let numbers = [1, 2, 3];
    black_box(numbers[index]);
}

fn wait_for_ever(_: ()) {
    loop {
        std::thread::park();
    }
}

/// How it ended, in a word.
fn ending<T: Debug>(handle: JoinHandle<T>) -> String {
    match handle.join() {
        Ok(value) => format!("returned {value:?}"),
        Err(error) => match error.exit() {
            Some(Exit::Panicked { message, .. }) => format!("panicked: {message}"),
            Some(exit) => exit.to_string(),
            None if error.is_cancelled() => "was cancelled".into(),
            None => format!("did not run: {error}"),
        },
    }
}

/// Calls functions of another build.
fn call(program: String) -> std::io::Result<()> {
    let other = move || Builder::new().program(&program);
    println!("by its name          {}", ending(other().spawn_entry(&FIB, 20)?));
    let pool = Pool::builder().size(1).process(move || Ok(other())).build()?;
    println!("by a pool            {}", ending(pool.spawn_entry(&FIB, 21)?));
    let nobody = ending(pool.spawn_entry(&NOBODY, 1)?);
    println!("by nobody's name     {}", nobody.split("it has ").last().unwrap_or(&nobody));
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => {}
        (Some("remove-me"), _) => std::fs::remove_file(std::env::current_exe()?)?,
        (Some("call"), Some(program)) => return call(program),
        (Some(other), _) => {
            eprintln!("what is '{other}'? nothing, remove-me, or call PROGRAM");
            exit(2);
        }
    }
    let quiet = || process::Builder::new().stderr(process::Stdio::null());
    println!("a function           {}", ending(process::spawn(fib, 20)?));
    println!("a closure            {}", ending(process::spawn(|(a, b): (u8, u8)| a + b, (1, 2))?));
    println!("one that spawns      {}", ending(process::spawn(sum, vec![1, 2, 3])?));
    println!("out of bounds        {}", ending(quiet().spawn(fail, 7)?));
    println!("exit(3)              {}", ending::<()>(quiet().spawn(|code| exit(code), 3)?));
    println!("abort()              {}", ending::<()>(quiet().spawn(|()| abort(), ())?));
    let deadline = Duration::from_millis(100);
    println!("past its deadline    {}", ending(quiet().deadline(deadline).spawn(wait_for_ever, ())?));
    let waiting = process::spawn(wait_for_ever, ())?;
    waiting.cancel();
    println!("cancelled            {}", ending(waiting));
    let pool = Pool::builder().size(1).process(move || Ok(quiet().deadline(deadline))).build()?;
    println!("a pool's, too late   {}", ending(pool.spawn(wait_for_ever, ())?));
    let pool = Pool::builder().size(1).build()?;
    let (at_work, queued) = (pool.spawn(wait_for_ever, ())?, pool.spawn(wait_for_ever, ())?);
    queued.cancel();
    println!("a pool's, queued     {}", ending(queued));
    at_work.cancel();
    println!("a pool's, at work    {}", ending(at_work));
    Ok(())
}
