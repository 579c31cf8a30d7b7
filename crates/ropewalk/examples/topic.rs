//! A property-management company and its group chat: who has news does not know who reads it.
//!
//! `cargo run -p ropewalk --example topic` runs it.
//!
//! Workers are coroutines and threads; they meet by the name of the chat, whoever comes first. One who is hired later reads
//! the last notice first. One who never looks misses what there was no room for, and knows how much. At the end of the day
//! the company writes to all: everybody drops his tools, whatever he is at.

use ropewalk::channel::{Receiver, bounded, select};
use ropewalk::sync::{Arc, Latch};
use ropewalk::topic::{OpenError, RecvError, Topic};
use ropewalk::{JoinHandle, coroutine, thread};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Notice {
    News(&'static str),
    GoHome,
}

/// The chat: everybody says how it is to be, or leaves that to others.
fn chat() -> Result<Topic<Notice>, OpenError> {
    Topic::builder().capacity(16).history(1).named("group chat")
}

/// Does jobs until the chat says that the day is over. What it read, in order.
fn work(reads: &Latch, jobs: &Receiver<u32>) -> Vec<String> {
    let notices = Topic::<Notice>::named("group chat").expect("a chat of notices").subscribe();
    reads.count_down();
    let mut diary = Vec::new();
    loop {
        select! {
            recv(notices.as_channel()) -> notice => match notice.as_deref() {
                Ok(Notice::News(news)) => diary.push((*news).to_owned()),
                Ok(Notice::GoHome) | Err(_) => return diary,
            },
            recv(jobs) -> _ => {} // it is done in no time
        }
    }
}

fn main() {
    let diaries = ropewalk::run(|| {
        let (jobs, line) = bounded(0);
        let reads = Arc::new(Latch::new(2));
        let hire = |name: &str, as_thread: bool| -> (String, JoinHandle<Vec<String>>) {
            let (reads, line) = (reads.clone(), line.clone());
            let job = move || work(&reads, &line);
            (name.to_owned(), if as_thread { thread::spawn(job) } else { coroutine::spawn(job) })
        };
        let mut workers = vec![hire("a coroutine", false), hire("a thread", true)];
        reads.wait();

        let chat = chat().expect("nobody said that it is to be otherwise");
        let never_looks = chat.subscribe();
        for news in ["the lift is out of order", "the lift runs again"] {
            let readers = chat.publish(Notice::News(news)).expect("the chat goes on");
            println!("told {readers}: {news}");
        }
        jobs.send(1).expect("somebody works");

        let late = Arc::new(Latch::new(1));
        let (reads, line) = (late.clone(), line.clone());
        workers.push(("one who came late".into(), coroutine::spawn(move || work(&reads, &line))));
        late.wait();
        for news in ["a wrench was found", "it is the wrench of number 9", "tea at four"] {
            chat.publish(Notice::News(news)).expect("the chat goes on");
        }
        chat.publish(Notice::GoHome).expect("the chat goes on");
        let read =
            |(name, worker): (String, JoinHandle<Vec<String>>)| (name, worker.join().expect("a diary"));
        let diaries: Vec<_> = workers.into_iter().map(read).collect();

        for _ in 0..14 {
            chat.publish(Notice::News("the robot cleans")).expect("the chat goes on");
        }
        chat.close();
        let Err(RecvError::Lagged(missed)) = never_looks.recv() else {
            panic!("there was room for 16 of 20")
        };
        println!("who never looked missed {missed}, and finds the last {}", never_looks.iter().count());
        diaries
    });
    for (name, diary) in diaries {
        println!("{name} read: {}", diary.join(" / "));
    }
}
