//! Messages that are seen whether they are whole.

use std::collections::HashMap;

/// A message that is seen whether it is whole.
pub(crate) type Block = [u64; 9];

pub(crate) fn block(n: u64) -> Block {
    std::array::from_fn(|i| n.wrapping_mul(i as u64 + 1))
}

pub(crate) fn number_of(block: Block) -> u64 {
    assert_eq!(block, self::block(block[0]), "half of a message");
    block[0]
}

/// Who has sent it, the how manieth of that one, and their sum, some times.
pub(crate) type Message = [u64; 11];

pub(crate) fn message(sender: u64, n: u64) -> Message {
    let mut message = [sender.wrapping_add(n); 11];
    (message[0], message[1]) = (sender, n);
    message
}

/// Of each sender the last number that came.
#[derive(Default)]
pub(crate) struct Seen(HashMap<u64, u64>);

impl Seen {
    pub(crate) fn check(&mut self, message: Message) {
        let [sender, n, ..] = message;
        assert_eq!(message, self::message(sender, n), "half of a message");
        let before = self.0.insert(sender, n);
        assert!(before.is_none_or(|before| before < n), "{before:?} of {sender} before {n}");
    }
}
