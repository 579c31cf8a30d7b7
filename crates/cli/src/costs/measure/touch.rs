//! Memory that a task uses between two switches.

use std::hint::black_box;

/// A line of the cache, on every processor that Ropewalk runs on or smaller than there.
const LINE: usize = 64;

/// Memory of one task.
pub(super) struct WorkingSet(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; LINE]);

impl WorkingSet {
    /// So many bytes, all of them there.
    pub(super) fn new(bytes: u32) -> Self {
        // Not zeros: a page that was never written is the kernel's one page of zeros.
        Self(vec![Line([1; LINE]); bytes as usize / LINE])
    }

    /// Reads and writes a byte in each line.
    #[inline]
    pub(super) fn touch(&mut self) {
        for line in black_box(&mut self.0) {
            line.0[0] = line.0[0].wrapping_add(1);
        }
    }
}
