//! The programs of the texts print what the texts print, to the byte.

use crate::support::bare;

/// Text 004: A and B; what follows there, 1 to 6, are the line numbers of the page.
#[test]
fn interleave_prints_1_2_x_y_3_z() {
    assert_eq!(bare("interleave"), "1\n2\nx\ny\n3\nz\n");
}

/// Text 004: the consumer and the producer, five rounds.
#[test]
fn producer_prints_the_fifteen_lines() {
    let expected = "\
[PRODUCER] Producing 1...
[CONSUMER] Consuming 1...
[PRODUCER] Consumer return: 200 OK
[PRODUCER] Producing 2...
[CONSUMER] Consuming 2...
[PRODUCER] Consumer return: 200 OK
[PRODUCER] Producing 3...
[CONSUMER] Consuming 3...
[PRODUCER] Consumer return: 200 OK
[PRODUCER] Producing 4...
[CONSUMER] Consuming 4...
[PRODUCER] Consumer return: 200 OK
[PRODUCER] Producing 5...
[CONSUMER] Consuming 5...
[PRODUCER] Consumer return: 200 OK
";
    assert_eq!(bare("producer"), expected);
}

/// Text 000: the four steps of coroutines in JavaScript's main thread.
#[test]
fn steps_prints_the_four_steps() {
    let expected = "\
1. A begins to run.
2. Half-way A pauses, and the right to run passes to B.
3. Some time later B gives the right to run back.
4. A goes on.
";
    assert_eq!(bare("steps"), expected);
}
