//! Memory that processes share, and the locks in it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ropewalk::ipc::{Mutex, Region, Segment};
use ropewalk::process;

use crate::Result;

/// The same words in every process: no copy, no order but what the words themselves have.
pub(crate) fn segment() -> Result<String> {
    let words = Segment::<AtomicU64>::new(1)?;
    let count = |words: Segment| {
        for _ in 0..1000 {
            words[0].fetch_add(1, Relaxed);
        }
    };
    let children = [process::spawn(count, words.clone())?, process::spawn(count, words.clone())?];
    for child in children {
        child.join()?;
    }
    Ok(format!("two processes have counted to {}", words[0].load(Relaxed)))
}

/// A value is never half changed, even where its owner dies with the lock.
pub(crate) fn locks() -> Result<String> {
    let region = Region::new(4096)?;
    let balances = Mutex::new_in(&region, [100_i64, 0])?;
    let dies = |balances: Mutex<[i64; 2]>| -> () {
        let mut balances = balances.lock().expect("nobody has died in it yet");
        balances[0] -= 30;
        std::process::exit(1); // the other half never comes
    };
    let died = process::spawn(dies, balances.clone())?.join().is_err();
    let balances = balances.lock().unwrap_err().into_inner(); // an error that says so, with the lock in it
    Ok(format!("its owner has died: {died}; the balances are {:?}", *balances))
}
