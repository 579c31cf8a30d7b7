//! Five philosophers and five forks: `cargo run --example philosophers`.
//!
//! First each takes its left fork, and all hold one and wait for the other, for ever: a look from outside shows who holds
//! what, and one of them is cancelled. Then each takes the lower fork first, and all eat. By turns they are coroutines
//! and threads, at the same forks.

use std::time::Duration;

use ropewalk::inspect;
use ropewalk::sync::{Barrier, Mutex};
use ropewalk::{JoinError, JoinHandle, coroutine, thread, timeout};

const NAMES: [&str; 5] = ["Aristotle", "Bacon", "Confucius", "Diogenes", "Epictetus"];
/// How often each eats.
const MEALS: u32 = 1000;
/// How long the one who looks on waits.
const PATIENCE: Duration = Duration::from_secs(5);

static FORKS: [Mutex<()>; 5] = [const { Mutex::new(()) }; 5];
static ALL_HAVE_ONE: Barrier = Barrier::new(NAMES.len());

/// Sits down at the table, with what he does there.
fn sit_down(number: usize, dine: fn(usize) -> u32) -> JoinHandle<u32> {
    let name = NAMES[number].to_owned();
    let body = move || dine(number);
    match number % 2 {
        0 => coroutine::Builder::new().name(name).spawn(body),
        _ => thread::Builder::new().name(name).spawn(body),
    }
    .expect("there is a chair")
}

/// Takes the left fork, and then the right one, which the neighbour has taken.
fn left_first(number: usize) -> u32 {
    let _left = FORKS[number].lock().unwrap();
    ALL_HAVE_ONE.wait();
    let _right = FORKS[(number + 1) % FORKS.len()].lock().unwrap();
    1
}

/// Takes the fork with the lower number first: so not all can wait in a circle.
fn lower_first(number: usize) -> u32 {
    let next = (number + 1) % FORKS.len();
    for _ in 0..MEALS {
        let _one = FORKS[number.min(next)].lock().unwrap();
        coroutine::yield_now(); // so that the neighbours come in between
        let _two = FORKS[number.max(next)].lock().unwrap();
    }
    MEALS
}

/// Prints who waits for whom; whether all do.
fn look() -> bool {
    let deadlocks = inspect::deadlocks();
    let all = deadlocks.iter().find(|deadlock| deadlock.tasks().len() == NAMES.len());
    if let Some(deadlock) = all {
        print!("{deadlock}");
    }
    all.is_some()
}

pub(crate) fn main() {
    ropewalk::run(|| {
        println!("the left fork first:");
        let table: Vec<_> = (0..NAMES.len()).map(|number| sit_down(number, left_first)).collect();
        let seen = timeout(PATIENCE, || {
            while !look() {
                coroutine::sleep(Duration::from_millis(1));
            }
        });
        assert!(seen.is_ok(), "they are in each other's way");
        // Nobody would ever get up. A cancellation ends one's wait, and the fork in his hand goes to his neighbour.
        table[0].cancel();
        let (eaten, hungry): (Vec<_>, Vec<_>) =
            table.into_iter().map(JoinHandle::join).partition(|end| matches!(end, Ok(1)));
        assert!(hungry.iter().all(|end| end.as_ref().is_err_and(JoinError::is_cancelled)));
        println!(
            "  {} is sent away, {} eat, and no fork is broken: {}",
            NAMES[0],
            eaten.len(),
            forks_are_free()
        );

        println!("the lower fork first:");
        let table: Vec<_> = (0..NAMES.len()).map(|number| sit_down(number, lower_first)).collect();
        let meals: u32 = table.into_iter().map(|philosopher| philosopher.join().unwrap()).sum();
        println!("  {meals} meals, and all forks are free: {}", forks_are_free());
    });
}

fn forks_are_free() -> bool {
    FORKS.iter().all(|fork| fork.try_lock().is_ok())
}
