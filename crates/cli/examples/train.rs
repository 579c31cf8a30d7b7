//! The train of the textbooks: a toilet for one (a mutex), a dining car with two seats (a semaphore), and passengers
//! of two kinds, coroutines and threads, at the same doors. Then a fire on another train, which is another process.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropewalk::channel::{self, Receiver};
use ropewalk::sync::{Mutex, Semaphore};
use ropewalk::{Runtime, TaskId, coroutine, inspect, process, scope, thread};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

const SEATS: usize = 2;
/// By turns a coroutine and a thread.
const PASSENGERS: [&str; 4] = ["Ann", "Bo", "Cai", "Dee"];

/// What a passenger tells the conductor.
enum Told {
    AtTheDoor(usize),
    Inside(usize),
    Leaving(usize),
}

pub(crate) fn main() {
    let runtime = Runtime::builder().workers(1).build().expect("a driver");
    runtime.run(|| {
        println!("passengers: Ann and Cai are coroutines, Bo and Dee are threads");
        let toilet = Mutex::new(());
        println!("toilet: a Mutex");
        let most = visit(&|| toilet.try_lock().ok(), &|| toilet.lock().unwrap());
        println!("  most inside at once: {most} of 1");

        let dining_car = Semaphore::new(SEATS);
        println!("dining car: a Semaphore with {SEATS} permits");
        let most = visit(&|| dining_car.try_acquire(), &|| dining_car.acquire());
        println!("  most inside at once: {most} of {SEATS}");

        println!("another train: a process with {} threads, one of which is on fire", PASSENGERS.len());
        for fire in [Fire::Panic, Fire::Abort] {
            let train = process::Builder::new().stderr(process::Stdio::null());
            let arrived = match train.spawn(another_train, fire).expect("one more process").join() {
                Ok(arrived) => format!("{arrived} arrive"),
                Err(error) => format!("nobody arrives: it {}", error.exit().expect("it ran")),
            };
            println!("  {fire:?}: {arrived}");
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Fire {
    Panic,
    Abort,
}

/// How many of its passengers arrive.
fn another_train(fire: Fire) -> usize {
    let no_core_dump = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, no_core_dump).expect("a limit can be lowered");
    let ride = move |passenger: usize| match fire {
        Fire::Panic if passenger == 0 => panic!("it burns"),
        Fire::Abort if passenger == 0 => std::process::abort(),
        _ => {}
    };
    let passengers: Vec<_> =
        (0..PASSENGERS.len()).map(|number| thread::spawn(move || ride(number))).collect();
    passengers.into_iter().filter_map(|passenger| passenger.join().ok()).count()
}

/// Everybody comes to the door, one by one; then the conductor asks whoever has been inside longest to leave, until
/// all have been inside. Returns how many were inside at once, at most, as the passengers counted it.
fn visit<Guard>(open: &(dyn Fn() -> Option<Guard> + Sync), wait: &(dyn Fn() -> Guard + Sync)) -> usize {
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (tell, told) = channel::unbounded();
    let passenger = |number: usize, bell: Receiver<()>| {
        let place = open().unwrap_or_else(|| {
            tell.send(Told::AtTheDoor(number)).unwrap();
            wait()
        });
        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
        tell.send(Told::Inside(number)).unwrap();
        bell.recv().unwrap();
        inside.fetch_sub(1, SeqCst);
        tell.send(Told::Leaving(number)).unwrap();
        drop(place); // whoever waits longest is let in
    };

    scope(|coroutines| {
        thread::scope(|threads| {
            let (mut conductor, mut bells) = (Conductor::default(), Vec::new());
            for number in 0..PASSENGERS.len() {
                let (bell, ring) = channel::bounded(1);
                let passenger = &passenger;
                let body = move || passenger(number, ring);
                let task = if number % 2 == 0 { coroutines.spawn(body) } else { threads.spawn(body) };
                bells.push(bell);
                let line = conductor.hear(told.recv().unwrap());
                if !conductor.waiting.is_empty() {
                    until_it_waits(task.id()); // before the next one comes to the door
                }
                conductor.print(&line);
            }
            while let Some(first) = conductor.inside.first().copied() {
                bells[first].send(()).unwrap();
                let mut line = conductor.hear(told.recv().unwrap());
                if !conductor.waiting.is_empty() {
                    line = format!("{line}, {}", conductor.hear(told.recv().unwrap()));
                }
                conductor.print(&line);
            }
        });
    });
    most.into_inner()
}

/// Until the runtime says that the task is blocked: it has told so just before.
fn until_it_waits(task: TaskId) {
    let waits = || matches!(inspect::dump().task(task)?.state(), inspect::State::Blocked(_)).then_some(());
    while waits().is_none() {
        coroutine::yield_now();
    }
}

/// Who is where, as far as the conductor was told.
#[derive(Default)]
struct Conductor {
    inside: Vec<usize>,
    waiting: Vec<usize>,
}

impl Conductor {
    fn hear(&mut self, told: Told) -> String {
        let (number, does) = match told {
            Told::AtTheDoor(number) => (number, "waits"),
            Told::Inside(number) => (number, "goes in"),
            Told::Leaving(number) => (number, "leaves"),
        };
        self.inside.retain(|passenger| *passenger != number);
        self.waiting.retain(|passenger| *passenger != number);
        match told {
            Told::AtTheDoor(_) => self.waiting.push(number),
            Told::Inside(_) => self.inside.push(number),
            Told::Leaving(_) => {}
        }
        format!("{} {does}", PASSENGERS[number])
    }

    fn print(&self, line: &str) {
        let names = |who: &[usize]| who.iter().map(|who| PASSENGERS[*who]).collect::<Vec<_>>().join(" ");
        let line =
            format!("  {line:<24} inside: {:<7} waiting: {}", names(&self.inside), names(&self.waiting));
        println!("{}", line.trim_end());
    }
}
