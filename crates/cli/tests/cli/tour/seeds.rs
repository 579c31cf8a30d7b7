//! The programs of the texts print what the texts print, to the byte.

use super::support::bare;

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

/// Text 000: the program that fetches an id, and the name that belongs to it. All its ways print the same lines.
#[test]
fn co_prints_the_same_lines_four_times() {
    let ways = [
        "1. a generator, driven by hand",
        "2. the same generator, driven by co",
        "3. async/await",
        "4. sequential code in a coroutine",
    ];
    let lines = "\
Response { url: /id, status: 200 OK }
7
/name?id=7
Response { url: /name?id=7, status: 200 OK }
Ada
";
    let expected: String = ways.iter().map(|way| format!("== {way}\n{lines}")).collect();
    assert_eq!(bare("co"), expected);
}

/// Text 004: the sums of the time slices.
#[test]
fn slices_come_to_what_the_text_says() {
    let output = bare("slices");
    for sum in [
        "1 core, threads in time slices: 20 + 19 x 0.1 = 21.9 s",
        "1 core, coroutines of one thread: 20 + 1 x 0.1 = 20.1 s",
        "2 cores, threads in time slices: 10 s",
        "2 cores, coroutines of one thread: 20 + 1 x 0.1 = 20.1 s",
    ] {
        assert!(output.contains(sum), "{sum}:\n{output}");
    }
}
