//! The bytes a client has sent and that were not dealt with yet.
//!
//! Starts small, because ten thousand idle connections each keep one; grows by doubling up to a
//! limit as bytes really arrive (never on a client's word), and becomes small again afterwards.

/// What a connection starts with: an ordinary request fits.
const INITIAL: usize = 1024;

/// Received bytes. The live ones are `buffer[start..end]`.
pub(in crate::serve) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// An empty input.
    pub(in crate::serve) fn new() -> Self {
        Self { buffer: vec![0; INITIAL], start: 0, end: 0 }
    }

    /// The bytes that wait.
    pub(in crate::serve) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The same, to be decoded in place.
    pub(in crate::serve) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// How many bytes wait.
    pub(in crate::serve) fn len(&self) -> usize {
        self.end - self.start
    }

    /// True when no byte waits.
    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for more bytes: never empty as long as fewer than `limit` wait. Tell `filled` how many
    /// were put there.
    pub(in crate::serve) fn room(&mut self, limit: usize) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > INITIAL {
                // It was needed for a large request; that one is done.
                self.buffer = vec![0; INITIAL];
            }
        }
        if self.start > 0 {
            // The beginning of a request: a few bytes, so that the next read has all the room.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        if self.end == self.buffer.len() {
            let larger = (self.buffer.len() * 2).min(limit.max(INITIAL));
            self.buffer.resize(larger, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were put into the room.
    pub(in crate::serve) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The first `count` bytes were dealt with.
    pub(in crate::serve) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Takes the bytes `from..to` out of the middle.
    pub(in crate::serve) fn cut(&mut self, from: usize, to: usize) {
        if from < to && to <= self.len() {
            self.buffer.copy_within(self.start + to..self.end, self.start + from);
            self.end -= to - from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{INITIAL, Input};

    fn put(input: &mut Input, bytes: &[u8], limit: usize) -> usize {
        let room = input.room(limit);
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        input.filled(count);
        count
    }

    #[test]
    fn bytes_come_out_in_order_whatever_the_sizes() {
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let (mut input, mut received, mut at) = (Input::new(), Vec::new(), 0);
        for step in (1..400).cycle() {
            if at == sent.len() && input.is_empty() {
                break;
            }
            at += put(&mut input, &sent[at..(at + step * 7 % 3000).min(sent.len())], 4096);
            let count = input.len().min(step * 5 % 1000);
            received.extend_from_slice(&input.bytes()[..count]);
            input.consume(count);
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn it_grows_to_the_limit_and_becomes_small_again() {
        let mut input = Input::new();
        let sent = vec![7; 3 * INITIAL];
        let mut at = 0;
        while at < sent.len() {
            at += put(&mut input, &sent[at..], 3 * INITIAL);
        }
        assert_eq!(input.len(), 3 * INITIAL);
        assert!(input.room(3 * INITIAL).is_empty(), "the limit holds");
        input.consume(3 * INITIAL);
        assert_eq!(input.room(3 * INITIAL).len(), INITIAL);
    }

    #[test]
    fn a_piece_is_cut_from_the_middle() {
        let mut input = Input::new();
        put(&mut input, b"xhead5;\r\nbody", 4096);
        input.consume(1);
        input.cut(4, 8);
        assert_eq!(input.bytes(), b"headbody");
    }
}
