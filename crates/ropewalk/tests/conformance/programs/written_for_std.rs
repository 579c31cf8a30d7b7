//! A program for std: a thread pool, the dining philosophers, and a word count.

use super::imports::{sync, thread};

use std::collections::BTreeMap;
use sync::atomic::{AtomicUsize, Ordering};
use sync::mpsc::{channel, sync_channel};
use sync::{Arc, Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock};

/// Doubles the numbers up to `jobs` on a pool of four, which is never more than eight ahead, and sums them up.
pub(crate) fn pipeline(jobs: u64) -> u64 {
    let (submit, submitted) = sync_channel::<u64>(8);
    let submitted = Arc::new(Mutex::new(submitted));
    let (give, results) = channel();
    let pool: Vec<_> = (0..4)
        .map(|_| {
            let (submitted, give) = (submitted.clone(), give.clone());
            thread::spawn(move || {
                loop {
                    // The lock is held over the wait: one of the pool waits for a job, the others for the lock.
                    let Ok(job) = submitted.lock().unwrap().recv() else { return };
                    thread::yield_now();
                    give.send(job * 2).unwrap();
                }
            })
        })
        .collect();
    drop(give);
    let collector = thread::spawn(move || results.iter().sum::<u64>());
    for job in 1..=jobs {
        submit.send(job).unwrap();
    }
    drop(submit);
    for worker in pool {
        worker.join().unwrap();
    }
    collector.join().unwrap()
}

/// So many philosophers eat so often. Returns how many meals there were.
pub(crate) fn philosophers(count: usize, meals: usize) -> usize {
    let forks: Arc<Vec<Mutex<()>>> = Arc::new((0..count).map(|_| Mutex::new(())).collect());
    let (seated, eaten) = (Arc::new(Barrier::new(count)), Arc::new(AtomicUsize::new(0)));
    let philosophers: Vec<_> = (0..count)
        .map(|number| {
            let (forks, seated, eaten) = (forks.clone(), seated.clone(), eaten.clone());
            thread::spawn(move || {
                let next = (number + 1) % forks.len();
                let leads = seated.wait().is_leader();
                for _ in 0..meals {
                    let _one = forks[number.min(next)].lock().unwrap();
                    thread::yield_now();
                    let _two = forks[number.max(next)].lock().unwrap();
                    eaten.fetch_add(1, Ordering::Relaxed);
                }
                usize::from(leads)
            })
        })
        .collect();
    let leaders: usize = philosophers.into_iter().map(|philosopher| philosopher.join().unwrap()).sum();
    assert_eq!(leaders, 1);
    eaten.load(Ordering::Relaxed)
}

/// Counts the words of so many lines, a thread for each line.
pub(crate) fn count_words(lines: usize) -> [(String, usize); 3] {
    static STOP_WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| vec!["a", "of"]);
    let (counts, settings) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(RwLock::new("")));
    let (first, begun) = (Arc::new(Once::new()), Arc::new(OnceLock::new()));
    let left = Arc::new((Mutex::new(lines), Condvar::new()));
    *settings.write().unwrap() = "the walk of a rope, the rope of rope";
    for number in 0..lines {
        let (counts, settings, left) = (counts.clone(), settings.clone(), left.clone());
        let (first, begun) = (first.clone(), begun.clone());
        thread::spawn(move || {
            first.call_once(|| begun.set(number).unwrap());
            assert!(*begun.get_or_init(|| unreachable!("it was set in the call")) < lines);
            for word in settings.read().unwrap().split([' ', ',']).filter(|word| !word.is_empty()) {
                if !STOP_WORDS.contains(&word) {
                    *counts.lock().unwrap().entry(word.to_owned()).or_insert(0) += 1;
                }
            }
            let (count, changed) = &*left;
            *count.lock().unwrap() -= 1;
            changed.notify_one();
        });
    }
    let (count, changed) = &*left;
    drop(changed.wait_while(count.lock().unwrap(), |left| *left > 0).unwrap());
    let counts = std::mem::take(&mut *counts.lock().unwrap());
    let counts: Vec<_> = counts.into_iter().collect();
    counts.try_into().expect("three words are no stop words")
}
