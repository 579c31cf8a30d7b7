//! A value in shared memory that is never seen half written: two copies, and a word that says which one counts.
//!
//! Who has the lock reads the copy that counts into memory of his own, and works on that. To write it goes into the other
//! copy, and then the word is turned, which is the commit: whoever dies before has changed nothing, whoever dies after has
//! changed all. (Shadow paging, as old as System R.)
//!
//! The words are atomic integers, read and written one by one, so no reference to shared memory is ever made; that they
//! belong together is the lock's work.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::crash;

/// What can stand in shared memory: a type of which any bits are a value, without padding, pointers or interior mutability.
/// Integers, floats, arrays of them, and structs of those: with `zerocopy`'s derives, `#[derive(FromBytes, IntoBytes,
/// Immutable)]` on a `#[repr(C)]` struct. Not `bool`, `char`, references or enums, of which some bits are no value.
pub trait Plain: FromBytes + IntoBytes + Immutable + Send + Sync + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Send + Sync + 'static> Plain for T {}

/// How many words a copy of a `T` takes.
pub(super) const fn words_of<T>() -> usize {
    size_of::<T>().div_ceil(size_of::<u32>())
}

/// What tells a type from others, for who finds it in a region: its size, alignment and name (FNV-1a).
pub(super) fn fingerprint<T>() -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64 ^ (size_of::<T>() as u64) ^ ((align_of::<T>() as u64) << 48);
    let name = std::any::type_name::<T>().bytes();
    name.fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The two copies: `words` holds one behind the other. `which`: the word whose first bit says which one counts.
fn copy<T>(words: &[AtomicU32], which: u32) -> &[AtomicU32] {
    let length = words_of::<T>();
    let start = if which & 1 == 0 { 0 } else { length };
    &words[start..start + length]
}

/// The value that counts. The caller has the lock.
pub(super) fn read<T: Plain>(which: &AtomicU32, words: &[AtomicU32]) -> T {
    let mut value = T::new_zeroed();
    // SYNC: value.commit
    let words = copy::<T>(words, which.load(Acquire));
    for (bytes, word) in value.as_mut_bytes().chunks_mut(size_of::<u32>()).zip(words) {
        let word = word.load(Relaxed).to_ne_bytes();
        bytes.copy_from_slice(&word[..bytes.len()]);
    }
    value
}

/// Writes the first value, before anybody else knows of it.
pub(super) fn initialize<T: Plain>(words: &[AtomicU32], value: &T) {
    write_copy(copy::<T>(words, 0), value);
}

/// Makes `value` the one that counts. The caller has the lock, alone.
pub(super) fn write<T: Plain>(which: &AtomicU32, words: &[AtomicU32], value: &T) {
    let now = which.load(Relaxed);
    write_copy(copy::<T>(words, now ^ 1), value);
    crash::point("value: written, not committed");
    // SYNC: value.commit
    which.store(now ^ 1, Release);
    crash::point("value: committed");
}

fn write_copy<T: Plain>(words: &[AtomicU32], value: &T) {
    for (index, (bytes, word)) in value.as_bytes().chunks(size_of::<u32>()).zip(words).enumerate() {
        let mut whole = [0; size_of::<u32>()];
        whole[..bytes.len()].copy_from_slice(bytes);
        word.store(u32::from_ne_bytes(whole), Relaxed);
        if index == 0 {
            crash::point("value: half written");
        }
    }
}
