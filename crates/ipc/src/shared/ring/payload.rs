//! What a message is: a value, or a slice of values. It is copied word by word, since others may write to its slot at any
//! moment who must not; that they do not is only asked of who wants a reference.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use ropewalk_sys::shared_memory;
use zerocopy::IntoBytes;

use crate::shared::value::{self, Plain};

const WORD: usize = size_of::<u32>();

/// What goes through a ring: a value `T`, or a slice `[T]` of up to so many values as the ring is made for. `[u8]` is for
/// messages of any form.
pub trait Message: sealed::Layout {
    /// What it is received as: `T`, or `Vec<T>`.
    type Owned;

    #[doc(hidden)]
    fn read(words: &[AtomicU32], length: usize) -> Self::Owned;
}

pub(super) mod sealed {
    /// How a message lies in its slot.
    pub trait Layout {
        /// The bytes of one value.
        const SIZE: usize;
        const ALIGNMENT: usize;
        /// Whether there may be several values, or none.
        const IS_SLICE: bool;

        fn fingerprint() -> u64;
        /// How many values it is.
        fn length(&self) -> usize;
        fn bytes(&self) -> &[u8];
        /// A pointer to `length` values there; to one, if it is no slice.
        fn at(start: *mut u8, length: usize) -> *mut Self;
    }
}

impl<T: Plain> sealed::Layout for T {
    const SIZE: usize = size_of::<T>();
    const ALIGNMENT: usize = align_of::<T>();
    const IS_SLICE: bool = false;

    fn fingerprint() -> u64 {
        value::fingerprint::<T>()
    }

    fn length(&self) -> usize {
        1
    }

    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn at(start: *mut u8, _: usize) -> *mut T {
        start.cast()
    }
}

impl<T: Plain> sealed::Layout for [T] {
    const SIZE: usize = size_of::<T>();
    const ALIGNMENT: usize = align_of::<T>();
    const IS_SLICE: bool = true;

    fn fingerprint() -> u64 {
        !value::fingerprint::<T>()
    }

    fn length(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn at(start: *mut u8, length: usize) -> *mut [T] {
        std::ptr::slice_from_raw_parts_mut(start.cast(), length)
    }
}

impl<T: Plain> Message for T {
    type Owned = T;

    #[inline]
    fn read(words: &[AtomicU32], _: usize) -> T {
        let mut value = T::new_zeroed();
        copy_out(words, 0, value.as_mut_bytes());
        value
    }
}

impl<T: Plain> Message for [T] {
    type Owned = Vec<T>;

    #[inline]
    fn read(words: &[AtomicU32], length: usize) -> Vec<T> {
        let mut values = Vec::new();
        values.resize_with(length, T::new_zeroed);
        copy_out(words, 0, values.as_mut_slice().as_mut_bytes());
        values
    }
}

/// Writes `bytes` into the words, from this byte on.
#[inline]
pub(in crate::shared) fn copy_in(words: &[AtomicU32], at: usize, bytes: &[u8]) {
    let (edge, rest) = bytes.split_at(bytes.len().min(to_border(at)));
    merge(words, at, edge);
    let words = &words[(at + edge.len()) / WORD..];
    let (whole, end) = rest.as_chunks::<WORD>();
    shared_memory::copy_in(words, whole);
    merge(words, whole.len() * WORD, end);
}

/// Reads `bytes` out of the words, from this byte on.
#[inline]
pub(in crate::shared) fn copy_out(words: &[AtomicU32], at: usize, bytes: &mut [u8]) {
    let edge = bytes.len().min(to_border(at));
    let (edge, rest) = bytes.split_at_mut(edge);
    extract(words, at, edge);
    let words = &words[(at + edge.len()) / WORD..];
    let (whole, end) = rest.as_chunks_mut::<WORD>();
    let count = whole.len();
    shared_memory::copy_out(words, whole);
    extract(words, count * WORD, end);
}

/// How many bytes from here until a word begins.
#[inline]
fn to_border(at: usize) -> usize {
    at.wrapping_neg() % WORD
}

/// Writes bytes into a part of one word.
#[inline]
fn merge(words: &[AtomicU32], at: usize, bytes: &[u8]) {
    if !bytes.is_empty() {
        let word = &words[at / WORD];
        let mut whole = word.load(Relaxed).to_ne_bytes();
        whole[at % WORD..][..bytes.len()].copy_from_slice(bytes);
        word.store(u32::from_ne_bytes(whole), Relaxed);
    }
}

/// Reads bytes from a part of one word.
#[inline]
fn extract(words: &[AtomicU32], at: usize, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let whole = words[at / WORD].load(Relaxed).to_ne_bytes();
        bytes.copy_from_slice(&whole[at % WORD..][..bytes.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_the_words_is_written_and_read_and_nothing_beside_it() {
        for at in 0..9 {
            for length in (0..12).chain(250..262).chain([4096, 10_001]) {
                let words: Vec<_> = (0..2600).map(|_| AtomicU32::new(u32::MAX)).collect();
                let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
                copy_in(&words, at, &bytes);
                let mut read = vec![0; length];
                copy_out(&words, at, &mut read);
                assert_eq!(read, bytes);
                let mut all = vec![0; 4 * words.len()];
                copy_out(&words, 0, &mut all);
                assert!(all[..at].iter().chain(&all[at + length..]).all(|byte| *byte == 255));
            }
        }
    }
}
