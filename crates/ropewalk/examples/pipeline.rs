//! A pipeline of processes: one splits texts into words, two count letters, and one of those is killed on the way.
//!
//! `cargo run -p ropewalk --example pipeline` runs it.
//!
//! The ends of the channels travel as arguments. Each word goes to one of the two who count. When one is killed (`kill -9`), the
//! other goes on: what the dead one had taken and not answered is lost with it, nothing else is, and the end is seen as ever.

use std::collections::BTreeMap;

use ropewalk::ipc::{self, Receiver, Sender};
use ropewalk::process::{self, Exit};

const TEXT: &str = "yarns are laid into strands and strands are laid into rope";
const ROUNDS: usize = 100;

fn split((texts, words): (Receiver<String>, Sender<String>)) {
    for text in texts {
        let text = text.expect("a text");
        for word in text.split(' ') {
            words.send(word.to_owned()).expect("somebody counts");
        }
    }
}

/// Who counted, and how many letters.
fn count((words, counts): (Receiver<String>, Sender<(u32, usize)>)) {
    for word in words {
        let letters = word.expect("a word").len();
        counts.send((std::process::id(), letters)).expect("somebody adds up");
    }
}

fn main() -> std::io::Result<()> {
    ropewalk::run(|| {
        let (texts, to_split) = ipc::channel::<String>(64 * 1024)?;
        let (words, to_count) = ipc::channel::<String>(64 * 1024)?;
        let (counts, done) = ipc::channel::<(u32, usize)>(64 * 1024)?;
        let splits = process::spawn(split, (to_split, words))?;
        let counting =
            [(); 2].map(|()| process::spawn(count, (to_count.clone(), counts.clone()))).into_iter();
        let counting = counting.collect::<Result<Vec<_>, _>>()?;
        // What this process keeps of them would keep the end from being seen.
        drop((to_count, counts));

        let feed = ropewalk::thread::spawn(move || (0..ROUNDS).try_for_each(|_| texts.send(TEXT.into())));
        let mut by_process = BTreeMap::<u32, usize>::new();
        let mut killed = None;
        for answer in done {
            let (process, letters) = answer?;
            *by_process.entry(process).or_default() += letters;
            if killed.is_none() && by_process.len() == 2 {
                let pid = rustix::process::Pid::from_raw(process.cast_signed()).expect("a process");
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                killed = Some(process);
            }
        }
        feed.join()??;
        splits.join()?;
        for process in counting {
            match process.join() {
                Ok(()) => {}
                Err(error) if matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let all = ROUNDS * TEXT.split(' ').map(str::len).sum::<usize>();
        let counted: usize = by_process.values().sum();
        for (process, letters) in &by_process {
            let fate = if killed == Some(*process) { ", killed" } else { "" };
            println!("process {process}: {letters} letters{fate}");
        }
        println!("{counted} of {all}: what is missing the killed one had taken, and not told yet");
        Ok(())
    })
}
