//! The standard input, output and error of processes that run a function.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use ropewalk::io::pipe;
use ropewalk::process::{self, Stdio};

use crate::support::child::{Child, case, test_name};
use crate::support::terminal::Terminal;
use crate::support::{guarded, on_every_plan};

fn read_all((): ()) -> String {
    std::io::read_to_string(std::io::stdin()).unwrap()
}

#[test]
fn a_process_has_no_input_unless_told_otherwise() {
    guarded(|| {
        assert_eq!(process::spawn(read_all, ()).unwrap().join().unwrap(), "");
        let null = process::Builder::new().stdin(Stdio::null()).spawn(read_all, ()).unwrap();
        assert_eq!(null.join().unwrap(), "");
    });
}

#[test]
fn a_pipes_end_is_its_input() {
    on_every_plan(|plan| {
        let (reader, mut writer) = pipe().unwrap();
        let child = process::Builder::new().stdin(reader).spawn(read_all, ()).unwrap();
        let feeder = plan.spawn(move || writer.write_all(&[b'x'; 300_000]));
        assert_eq!(child.join().unwrap().len(), 300_000);
        feeder.join().unwrap().unwrap();
    });
}

#[test]
fn nobody_else_keeps_its_input_open() {
    on_every_plan(|plan| {
        let (reader, mut writer) = pipe().unwrap();
        let child = process::Builder::new().stdin(reader).spawn(|()| (), ()).unwrap();
        child.join().unwrap();
        let write = plan.spawn(move || writer.write_all(&[b'x'; 300_000]));
        assert_eq!(write.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn output_and_error_come_through_pipes_and_end_with_it() {
    fn talk(long: usize) {
        println!("{}", "o".repeat(long));
        eprintln!("{}", "e".repeat(long));
    }
    on_every_plan(|plan| {
        let (mut output, stdout) = pipe().unwrap();
        let (mut error, stderr) = pipe().unwrap();
        let builder = process::Builder::new().stdout(stdout).stderr(stderr);
        let child = builder.spawn(talk, 300_000).unwrap();
        let errors = plan.spawn(move || std::io::read_to_string(&mut error).unwrap());
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!((text.len(), errors.join().unwrap().len()), (300_001, 300_001));
        child.join().unwrap();
    });
}

#[test]
fn what_one_process_prints_another_one_reads() {
    guarded(|| {
        let (reader, writer) = pipe().unwrap();
        let second = process::Builder::new().stdin(reader).spawn(read_all, ()).unwrap();
        let first = process::Builder::new().stdout(writer).spawn(|()| print!("hand in hand"), ()).unwrap();
        first.join().unwrap();
        assert_eq!(second.join().unwrap(), "hand in hand");
    });
}

#[test]
fn a_pipe_of_its_own_is_refused() {
    guarded(|| {
        let builders = [
            process::Builder::new().stdin(Stdio::piped()),
            process::Builder::new().stdout(Stdio::piped()),
            process::Builder::new().stderr(Stdio::piped()),
        ];
        for builder in builders {
            let error = builder.spawn(read_all, ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("pass its end"), "{error}");
        }
    });
}

#[test]
fn input_can_be_inherited() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let (reader, mut writer) = pipe().unwrap();
        rustix::stdio::dup2_stdin(OwnedFd::from(reader)).unwrap();
        let child = process::Builder::new().stdin(Stdio::inherit()).spawn(read_all, ()).unwrap();
        writer.write_all(b"from the parent's").unwrap();
        drop(writer);
        assert_eq!(child.join().unwrap(), "from the parent's");
    });
}

#[test]
fn a_terminal_cannot_be_read_by_a_process_in_the_background() {
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        let terminal = Terminal::take();
        rustix::stdio::dup2_stdin(&terminal.own).unwrap();
        terminal.keyboard.write_all(b"typed\n").unwrap();
        let read = |()| std::io::stdin().read_line(&mut String::new()).map_err(|error| error.raw_os_error());
        let child = process::Builder::new().stdin(Stdio::inherit()).spawn(read, ()).unwrap();
        assert_eq!(child.join().unwrap(), Err(Some(libc::EIO)));
    });
}
