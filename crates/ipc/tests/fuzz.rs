//! What is fuzzed (`fuzz/src/lib.rs`) over the corpus, and over some thousand changes of it that are the same in each run: so the
//! targets are run in every build, and what fuzzing has found stays found.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library where it is fuzzed")]
mod targets;

use std::fs;
use std::path::Path;

/// Changes of each input.
const CHANGES: u32 = 300;

/// Numbers that look like chance (xorshift, Marsaglia).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// The input with a byte changed, put in, left out, or cut there.
    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.below(input.len() + 1);
        let byte = [0, 1, 0x7f, 0x80, 0xff, self.below(256) as u8][self.below(6)];
        match (self.below(8), input.get_mut(place)) {
            (0..4, Some(there)) => *there = byte,
            (4, Some(_)) => drop(input.remove(place)),
            (5, _) => input.truncate(place),
            _ => input.insert(place, byte),
        }
    }
}

#[test]
fn the_corpus_and_what_is_near_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut chance = Chance(0x0072_6f70_6577_616c);
    for (name, target) in targets::TARGETS {
        let folder = fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut files: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let input = fs::read(&file).expect("a file");
            target(&input);
            for _ in 0..CHANGES {
                let mut input = input.clone();
                (0..=chance.below(4)).for_each(|_| chance.change(&mut input));
                target(&input);
            }
        }
    }
}
