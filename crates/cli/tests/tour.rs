//! `ropewalk tour` from the outside: every topic in every language, on both drivers, in little memory.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

/// Whatever takes longer than this hangs. No test waits so long for anything that works.
const WATCHDOG: Duration = Duration::from_secs(150);
/// A screen.
const COLUMNS: usize = 80;
const LINES: usize = 45;
/// Kilobytes of address space.
const MEMORY_KB: u32 = 2 << 20;

const TOPICS: [&str; 5] = ["company", "train", "blocked", "hog", "flat"];
const HEADINGS: [(&str, [&str; 3]); 2] =
    [("en", ["What you see", "Why", "Try this"]), ("zh", ["你会看到", "为什么", "试一试"])];

/// How a run ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    #[track_caller]
    fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The command with these arguments, separated by blanks, in little memory and without a locale.
fn ropewalk(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -v {MEMORY_KB}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_ropewalk"),
    ]);
    command.args(arguments.split_whitespace());
    for variable in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn run(mut command: Command) -> Ended {
    let mut child = command.spawn().expect("there is a shell");
    let mut readers = Vec::new();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>);
    for pipe in [stdout, stderr] {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_string(&mut text);
            }
            let _ = sender.send(text);
        });
        readers.push(receiver);
    }
    let mut texts = readers.into_iter().map(|reader| reader.recv_timeout(WATCHDOG));
    let (Some(Ok(stdout)), Some(Ok(stderr))) = (texts.next(), texts.next()) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} hangs");
    };
    let code = child.wait().expect("it is our child").code();
    Ended { code, stdout, stderr }
}

/// The program's own output.
#[track_caller]
fn bare(topic: &str) -> String {
    let ended = run(ropewalk(&format!("tour {topic} --bare"))).assert_code(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

#[track_caller]
fn assert_fits_a_screen(text: &str) {
    assert!(text.lines().count() <= LINES, "{} lines:\n{text}", text.lines().count());
    for line in text.lines() {
        assert!(line.width() <= COLUMNS, "{} columns: {line}", line.width());
    }
}

#[track_caller]
fn check_screen(topic: &str, language: &str, headings: [&str; 3], driver: Option<&str>) {
    let mut command = ropewalk(&format!("tour {topic} --lang {language}"));
    match driver {
        Some(driver) => command.env("ROPEWALK_DRIVER", driver),
        None => command.env_remove("ROPEWALK_DRIVER"),
    };
    let ended = run(command).assert_code(0);
    assert_eq!(ended.stderr, "", "{topic} {language}");
    assert_fits_a_screen(&ended.stdout);
    assert!(!ended.stdout.contains('\x1b'), "no terminal, no colours:\n{}", ended.stdout);
    let parts: Vec<&str> =
        ended.stdout.lines().filter(|line| headings.contains(line) || line.starts_with("---")).collect();
    let (rule, [see, why, try_this]) = ("-".repeat(78), headings);
    assert_eq!(parts, [see, &rule, &rule, why, try_this], "{topic} {language}");
    assert_eq!(ended.stdout.starts_with("> "), language == "zh", "{topic} {language}");
}

#[test]
fn every_topic_is_a_screen_in_every_language_on_both_drivers() {
    for topic in TOPICS {
        for (language, headings) in HEADINGS {
            check_screen(topic, language, headings, None);
        }
        check_screen(topic, "en", HEADINGS[0].1, Some("epoll"));
    }
}

#[test]
fn the_list_names_every_topic_and_how_to_go_on() {
    for (language, _) in HEADINGS {
        let list = run(ropewalk(&format!("tour --lang {language}"))).assert_code(0).stdout;
        assert_fits_a_screen(&list);
        let named: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(named[..TOPICS.len()], TOPICS, "{list}");
        assert!(list.contains("ropewalk tour train"), "{list}");
    }
}

#[test]
fn what_is_to_be_tried_can_be_tried() {
    for topic in TOPICS {
        for (language, headings) in HEADINGS {
            let screen = run(ropewalk(&format!("tour {topic} --lang {language}"))).assert_code(0).stdout;
            let (_, to_try) = screen.split_once(&format!("\n{}\n", headings[2])).expect("something to try");
            assert!(to_try.contains("ropewalk "), "{topic} {language}");
            for line in to_try.lines() {
                // Without what may stand before it (`ROPEWALK_DRIVER=epoll`), and without the remark after it.
                let (_, command) = line.split_once("ropewalk ").expect(line);
                let command = command.split("    ").next().unwrap_or_default();
                run(ropewalk(&format!("{command} --help"))).assert_code(0);
            }
        }
    }
}

#[test]
fn the_source_is_that_of_the_example() {
    for topic in TOPICS {
        let path = format!("{}/examples/{topic}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).expect("the topic is an example");
        assert_eq!(run(ropewalk(&format!("tour {topic} --source"))).assert_code(0).stdout, source);
        assert!(source.lines().count() <= 160, "{topic} is short enough to read");
    }
}

#[test]
fn the_locale_chooses_the_language_and_the_flag_wins() {
    let list = |variable: &str, value: &str, arguments: &str| {
        let mut command = ropewalk(arguments);
        command.env("LANG", "C").env(variable, value);
        run(command).assert_code(0).stdout
    };
    let (english, chinese) = (list("LANG", "C", "tour"), list("LANG", "zh_CN.UTF-8", "tour"));
    assert!(english.contains("Each topic") && chinese.contains("每个主题"));
    assert_eq!(list("LC_ALL", "zh_TW.UTF-8", "tour"), chinese);
    assert_eq!(list("LC_ALL", "zh_CN.UTF-8", "tour --lang en"), english);
}

#[test]
fn what_makes_no_sense_exits_with_2() {
    for arguments in
        ["tour nowhere", "tour train --lang fr", "tour --bare", "tour --source", "tour train --bare --source"]
    {
        let ended = run(ropewalk(arguments)).assert_code(2);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
    let ended = run(ropewalk("tour nowhere"));
    for topic in TOPICS {
        assert!(ended.stderr.contains(topic), "{}", ended.stderr);
    }
}

#[test]
fn a_program_that_fails_says_why_and_exits_with_1() {
    let mut command = ropewalk("tour train");
    command.env("ROPEWALK_DRIVER", "nonsense");
    let ended = run(command).assert_code(1);
    assert!(ended.stderr.contains("ROPEWALK_DRIVER"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("Why"), "nothing is explained that was not seen: {}", ended.stdout);
}

/// Without what Markdown and the line breaks add.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn the_chinese_sentences_are_those_of_the_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/seeds.zh-CN.md");
    let page = std::fs::read_to_string(page).expect("the page on the texts");
    let rows = ropewalk_tidy::claims::claims(&page).expect("rows");
    let said: String = rows.iter().map(|row| plain(&row.quotation)).collect();
    for topic in TOPICS {
        let screen = run(ropewalk(&format!("tour {topic} --lang zh"))).assert_code(0).stdout;
        let quote: String = screen.lines().map_while(|line| line.strip_prefix("> ")).map(plain).collect();
        assert!(!quote.is_empty() && said.contains(&quote), "{topic}: {quote}");
    }
}

#[test]
fn it_ends_quietly_where_nobody_reads() {
    for arguments in ["tour", "tour company", "tour train --bare", "tour flat --source"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = ropewalk(arguments);
        command.stdout(writer);
        let ended = run(command);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (None, ""),
            "{arguments}: ended by a signal, SIGPIPE"
        );
    }
}

#[test]
fn the_company_has_the_same_day_with_threads_and_with_coroutines() {
    let expected = "\
with threads:
  alone    you mend Zhang's heating
  alone    you change Li's light bulb
  create   3 workers have their jobs; begun: 0
  start    Wang takes the only wrench
  start    Zhao needs it too: conflict; he waits in line
  start    Sun needs it too: conflict; he waits for a message
  join     you watch Wang for 20 ms: not done, he lacks a washer; you fetch it
           Wang is done and puts the wrench back
           Zhao was first in line, has it, and sends a message afterwards
           Sun got the message and has the wrench
  join     you wait for all three, however long it takes: done
  daemon   Qian waters the plants, one after the other, for ever; you go home
           Qian drops the can and goes too
with coroutines: the same 13 lines, word for word
";
    assert_eq!(bare("company"), expected);
}

#[test]
fn the_train_never_has_more_inside_than_may_be() {
    let output = bare("train");
    let (toilet, dining_car) = output.split_once("dining car").expect("two places");
    for (place, limit, waiting) in [(toilet, 1, 3), (dining_car, 2, 2)] {
        assert!(place.contains(&format!("most inside at once: {limit} of {limit}")), "{output}");
        let count = |what: &str| place.matches(what).count();
        assert_eq!((count("goes in"), count("leaves"), count(" waits")), (4, 4, waiting), "{output}");
        for line in place.lines().filter(|line| line.contains("inside: ")) {
            let (_, inside) = line.split_once("inside: ").expect("a list");
            let (inside, _) = inside.split_once("waiting:").expect("another list");
            assert!(inside.split_whitespace().count() <= limit, "{line}");
        }
        for passenger in ["Ann", "Bo", "Cai", "Dee"] {
            assert_eq!(count(&format!("{passenger} goes in")), 1, "{output}");
        }
    }
}

#[test]
fn a_blocked_worker_answers_no_click_and_the_others_do() {
    let output = bare("blocked");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 4, "{output}");
    assert!(lines[0].starts_with("std's read in a coroutine") && lines[0].contains("no answer"), "{output}");
    for (line, how) in
        lines[1..].iter().zip(["Ropewalk's", "std's read in blocking", "std's read in a thread"])
    {
        assert!(line.starts_with(how) && line.contains("click answered after"), "{output}");
    }
}

#[test]
fn beside_a_hog_a_coroutine_has_no_turn() {
    let output = bare("hog");
    let figures = |row: &str| -> (u64, f64) {
        let line = output.lines().find_map(|line| line.strip_prefix(row)).expect(row);
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[words.len() - 3].parse().unwrap(), words[words.len() - 2].parse().unwrap())
    };
    let (turns, longest_wait_ms) = figures("a coroutine that computes without a wait");
    assert_eq!(turns, 0, "{output}");
    assert!(longest_wait_ms >= 200.0, "{output}");
    assert!(figures("the same with yield_now() in its loop").0 > 0, "{output}");
    assert!(
        output.contains("threads that compute, on") && output.contains("the kernel took the CPU"),
        "{output}"
    );
}

#[test]
fn the_kernel_schedules_threads_and_no_coroutines() {
    let output = bare("flat");
    let (process, _) = output.strip_prefix("process ").unwrap().split_once(':').unwrap();
    assert!(output.contains("1000 coroutines and 3 threads, all alive"), "{output}");
    let rows: Vec<Vec<&str>> = output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<&str>| words.len() > 2 && words[2] == process)
        .collect();
    assert_eq!(rows[0][0], process, "the first is the process's main thread:\n{output}");
    for name in ["anna", "ben", "carl"] {
        assert_eq!(rows.iter().filter(|row| row[1] == name).count(), 1, "{output}");
    }
    assert!(rows.len() < 100, "a thousand coroutines, few threads:\n{output}");
    assert!(output.contains(&format!("\n{} for the kernel to schedule", rows.len())), "{output}");
    let switches: u64 = output.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(switches > 9_000, "each of 1000 yielded ten times:\n{output}");
}
