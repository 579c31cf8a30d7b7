//! The property-management company: you, your workers, one wrench. The day is written once and runs twice, with
//! threads as workers and with coroutines. Then it has branch offices: processes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{self, Receiver, Sender};
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::ipc::Segment;
use ropewalk::sync::{Arc, Condvar, Mutex};
use ropewalk::{JoinHandle, Runtime, coroutine, process, thread};
use rustix::process::{Signal, getpid, kill_process};

type Job = Box<dyn FnOnce() + Send>;
/// Hires a worker: name, whether a daemon, and the job.
type Hire = fn(&str, bool, Job) -> JoinHandle<()>;

fn a_thread(name: &str, daemon: bool, job: Job) -> JoinHandle<()> {
    thread::Builder::new().name(name.into()).daemon(daemon).spawn(job).expect("one more thread")
}

fn a_coroutine(name: &str, daemon: bool, job: Job) -> JoinHandle<()> {
    coroutine::Builder::new().name(name.into()).daemon(daemon).spawn(job).expect("a runtime")
}

pub(crate) fn main() {
    Runtime::builder().workers(1).build().expect("a driver").run(|| {
        let (with_threads, with_coroutines) = (day(a_thread), day(a_coroutine));
        println!("with threads:\n  {}", with_threads.join("\n  "));
        if with_coroutines == with_threads {
            println!("with coroutines: the same {} lines, word for word", with_coroutines.len());
        } else {
            println!("with coroutines:\n  {}", with_coroutines.join("\n  "));
        }
        println!("with branch offices, which are processes:");
        open_branches();
    });
}

static WRENCH: Mutex<()> = Mutex::new(()); // each process has one
fn open_branches() {
    let _in_use = WRENCH.lock().unwrap();
    let board = Segment::new(1).expect("memory");
    let (line, phone) = pipe().expect("a telephone line");
    let north = process::spawn(north, (phone, board.clone())).expect("one more process");
    let south = process::spawn(south, (line, board.clone())).expect("one more process");
    println!("  fire     south {}", south.join().unwrap_err().exit().expect("a process"));
    north.join().unwrap();
    println!("  join     north: its work is done");
    println!("  board    what stands there: {} jobs done", board[0].load(SeqCst));
}

/// A branch: it has the notice board of all offices, and a telephone to the other branch.
fn north((mut phone, board): (PipeWriter, Segment)) {
    let ours = if WRENCH.try_lock().is_ok() { "free" } else { "in use" };
    board[0].fetch_add(2, SeqCst);
    write!(phone, "head office's wrench is in use, ours is {ours}").unwrap();
}

/// The other one: it listens until the caller hangs up, works, and burns down.
fn south((line, board): (PipeReader, Segment)) {
    println!("  phone    north to south: {}", io::read_to_string(line).expect("it hangs up"));
    println!("  board    south reads {} jobs done, and adds 2", board[0].fetch_add(2, SeqCst));
    kill_process(getpid(), Signal::KILL).unwrap();
}

/// One day, as the diary has it.
fn day(hire: Hire) -> Vec<String> {
    let (diary, lines) = channel::unbounded();
    let you = hire("you", false, Box::new(move || work(hire, diary)));
    you.join().unwrap();
    lines.into_iter().collect() // until nobody is left who could write
}

/// What all workers share: the tools are the company's.
struct Company {
    wrench: Mutex<()>,
    message: (Mutex<bool>, Condvar),
    washers: Receiver<()>,
    begun: AtomicUsize,
    radio: Sender<String>,
}

impl Company {
    fn tell(&self, what: &str) {
        self.radio.send(what.into()).unwrap();
    }

    /// Whether somebody has the wrench.
    fn conflict(&self) -> &'static str {
        if self.wrench.try_lock().is_err() { "conflict" } else { "no conflict" }
    }
}

fn wang(company: &Company) {
    let wrench = company.wrench.lock().unwrap();
    company.tell("Wang takes the only wrench");
    company.washers.recv().unwrap();
    company.tell("Wang is done and puts the wrench back");
    drop(wrench);
}

fn zhao(company: &Company) {
    company.tell(&format!("Zhao needs it too: {}; he waits in line", company.conflict()));
    let wrench = company.wrench.lock().unwrap();
    company.tell("Zhao was first in line, has it, and sends a message afterwards");
    drop(wrench);
    *company.message.0.lock().unwrap() = true;
    company.message.1.notify_all();
}

fn sun(company: &Company) {
    company.tell(&format!("Sun needs it too: {}; he waits for a message", company.conflict()));
    let mut free = company.message.0.lock().unwrap();
    while !*free {
        free = company.message.1.wait(free).unwrap();
    }
    let _wrench = company.wrench.lock().unwrap();
    company.tell("Sun got the message and has the wrench");
}

/// Your day.
fn work(hire: Hire, diary: Sender<String>) {
    let write = |what: &str, line: &str| diary.send(format!("{what:<8} {line}")).unwrap();
    for job in ["mend Zhang's heating", "change Li's light bulb"] {
        write("alone", &format!("you {job}"));
    }
    let (radio, told) = channel::unbounded();
    let (washer, washers) = channel::bounded(1);
    let (wrench, message) = (Mutex::new(()), (Mutex::new(false), Condvar::new()));
    let company = Arc::new(Company { wrench, message, washers, begun: AtomicUsize::new(0), radio });

    let create = |name: &str, job: fn(&Company)| {
        let (start, wait_for_start) = channel::bounded(1);
        let company = company.clone();
        let body = move || {
            wait_for_start.recv().unwrap();
            company.begun.fetch_add(1, SeqCst);
            job(&company);
        };
        (start, hire(name, false, Box::new(body)))
    };
    let workers = [create("Wang", wang), create("Zhao", zhao), create("Sun", sun)];
    write("create", &format!("3 workers have their jobs; begun: {}", company.begun.load(SeqCst)));
    for (start, _) in &workers {
        start.send(()).unwrap();
        write("start", &told.recv().unwrap());
    }
    let [wang, zhao, sun] = workers.map(|(_, worker)| worker);
    let wang = match wang.join_timeout(Duration::from_millis(20)) {
        Ok(_) => unreachable!("he waits for a washer"),
        Err(not_done) => not_done,
    };
    write("join", "you watch Wang for 20 ms: not done, he lacks a washer; you fetch it");
    washer.send(()).unwrap();
    (0..3).for_each(|_| write("", &told.recv().unwrap()));
    [wang, zhao, sun].into_iter().for_each(|worker| worker.join().unwrap());
    write("join", "you wait for all three, however long it takes: done");

    let (diary_of_qian, (ready, is_ready)) = (diary.clone(), channel::bounded(1));
    let water_plants = move || {
        let _at_the_end = GoesHome(diary_of_qian);
        ready.send(()).unwrap();
        loop {
            coroutine::sleep(Duration::from_millis(1)); // one plant after the other, for ever
        }
    };
    drop(hire("Qian", true, Box::new(water_plants)));
    is_ready.recv().unwrap();
    write("daemon", "Qian waters the plants, one after the other, for ever; you go home");
}

struct GoesHome(Sender<String>);

impl Drop for GoesHome {
    fn drop(&mut self) {
        self.0.send(format!("{:<8} Qian drops the can and goes too", "")).unwrap();
    }
}
