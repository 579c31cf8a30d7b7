//! What stands around the programs: the texts, the list, and how the command is used.

use unicode_width::UnicodeWidthStr as _;

use super::support::{ropewalk, run};
use crate::support::Run;

/// A screen.
const COLUMNS: usize = 80;
const LINES: usize = 45;

const TOPICS: [&str; 12] = [
    "interleave",
    "producer",
    "steps",
    "co",
    "company",
    "train",
    "blocked",
    "hog",
    "flat",
    "crash",
    "resources",
    "slices",
];
const HEADINGS: [(&str, [&str; 3]); 2] =
    [("en", ["What you see", "Why", "Try this"]), ("zh", ["你会看到", "为什么", "试一试"])];

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
    let ended = run(command).with_code(0);
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
        let list = run(ropewalk(&format!("tour --lang {language}"))).with_code(0).stdout;
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
            let screen = run(ropewalk(&format!("tour {topic} --lang {language}"))).with_code(0).stdout;
            let (_, to_try) = screen.split_once(&format!("\n{}\n", headings[2])).expect("something to try");
            assert!(to_try.contains("ropewalk "), "{topic} {language}");
            for line in to_try.lines() {
                // Without what may stand before it (`ROPEWALK_DRIVER=epoll`), and without the remark after it.
                let (_, command) = line.split_once("ropewalk ").expect(line);
                let command = command.split("    ").next().unwrap_or_default();
                run(ropewalk(&format!("{command} --help"))).with_code(0);
            }
        }
    }
}

#[test]
fn the_source_is_that_of_the_example() {
    for topic in TOPICS {
        let path = match topic {
            "slices" => "src/slices/simulate.rs".to_owned(), // a command, not an example
            example => format!("examples/{example}.rs"),
        };
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).expect("the topic's program is there");
        assert_eq!(run(ropewalk(&format!("tour {topic} --source"))).with_code(0).stdout, source);
        assert!(source.lines().count() <= 180, "{topic} is short enough to read");
    }
}

#[test]
fn the_locale_chooses_the_language_and_the_flag_wins() {
    let list = |variable: &str, value: &str, arguments: &str| {
        let mut command = ropewalk(arguments);
        command.env("LANG", "C").env(variable, value);
        run(command).with_code(0).stdout
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
        let ended = run(ropewalk(arguments)).with_code(2);
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
    let ended = run(command).with_code(1);
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
        let screen = run(ropewalk(&format!("tour {topic} --lang zh"))).with_code(0).stdout;
        let quote: String = screen.lines().map_while(|line| line.strip_prefix("> ")).map(plain).collect();
        assert!(!quote.is_empty() && said.contains(&quote), "{topic}: {quote}");
    }
}

#[test]
fn it_ends_quietly_where_nobody_reads() {
    for arguments in ["tour", "tour company", "tour train --bare", "tour flat --source"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = Run::start_writing_to(ropewalk(arguments), writer.into()).end();
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (None, ""),
            "{arguments}: ended by a signal, SIGPIPE"
        );
    }
}
