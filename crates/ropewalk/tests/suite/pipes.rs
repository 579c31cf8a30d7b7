//! Pipes: what std's do, ours do; whoever waits can be cancelled; and nobody who shares an end sees its mode change.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::inspect::State;
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::{Runtime, coroutine, process, timeout};

use crate::support::child::{self, Child, on_every_driver_alone, test_name};
use crate::support::plan::{PLANS, driver_named, drivers};
use crate::support::process::{assert_settles, descriptors};
use crate::support::{Plan, Spot, guarded, on_driver, on_every_pair, on_every_plan, until};

/// Longer than a pipe holds.
const LONG: usize = 1 << 20;

fn byte(place: usize) -> u8 {
    (place.wrapping_mul(31) >> 3) as u8
}

fn is_blocking(end: impl AsFd) -> bool {
    !rustix::fs::fcntl_getfl(end).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
}

/// std's `pipe_creation_clone_and_rw`.
#[test]
fn what_goes_in_comes_out_until_all_writers_are_gone() {
    on_every_pair(|plan| {
        let (mut reader, writer) = pipe().unwrap();
        let task = plan.spawn(move || {
            let mut clone = writer.try_clone().unwrap();
            (&writer).write_all(b"12").unwrap();
            drop(writer);
            clone.write_all(b"345").unwrap();
        });
        let mut text = [0; 3];
        reader.try_clone().unwrap().read_exact(&mut text[..2]).unwrap();
        reader.read_exact(&mut text[2..]).unwrap();
        assert_eq!(&text, b"123");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "45");
        task.join().unwrap();
        assert_eq!(reader.read(&mut text).unwrap(), 0);
    });
}

#[test]
fn a_big_transfer_arrives_whole_and_in_order() {
    on_every_pair(|plan| {
        let (mut reader, mut writer) = pipe().unwrap();
        let task = plan.spawn(move || {
            let data: Vec<u8> = (0..LONG).map(byte).collect();
            writer.write_all(&data).unwrap();
        });
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        task.join().unwrap();
        assert_eq!(data.len(), LONG);
        assert!(data.iter().enumerate().all(|(place, &found)| found == byte(place)));
    });
}

#[test]
fn vectored_transfers_keep_the_order() {
    on_every_pair(|plan| {
        let (mut reader, mut writer) = pipe().unwrap();
        let task = plan.spawn(move || {
            let (mut head, mut body) = ([0; 3], [0; 100]);
            let length =
                reader.read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)]).unwrap();
            let mut all = head[..length.min(3)].to_vec();
            all.extend(&body[..length.saturating_sub(3)]);
            reader.read_to_end(&mut all).unwrap();
            all
        });
        let parts = [IoSlice::new(b"rope"), IoSlice::new(b""), IoSlice::new(b"walk")];
        assert_eq!(writer.write_vectored(&parts).unwrap(), 8);
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(task.join().unwrap(), b"ropewalk");
    });
}

#[test]
fn a_write_that_nobody_reads_is_an_error_and_no_signal() {
    on_every_plan(|plan| {
        let (reader, mut writer) = pipe().unwrap();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        // Also for one who waits when the last reader goes.
        let (reader, mut writer) = pipe().unwrap();
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                writer.write_all(&[0; LONG])
            }
        });
        spot.wait_asleep();
        drop(reader);
        assert_eq!(task.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_write_that_nobody_reads_is_an_error_in_a_process_too() {
    guarded(|| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let task = process::spawn(
            |mut writer: PipeWriter| writer.write(b"x").unwrap_err().kind() == ErrorKind::BrokenPipe,
            writer,
        );
        assert!(task.unwrap().join().unwrap());
    });
}

#[test]
fn the_mode_of_an_end_is_never_changed() {
    on_every_plan(|plan| {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Arc::new(reader), Arc::new(writer));
        let wait = |body: Box<dyn FnOnce() + Send>| {
            let spot = Spot::new();
            let task = plan.spawn({
                let spot = spot.clone();
                move || {
                    spot.mark();
                    body();
                }
            });
            spot.wait_asleep();
            assert!(is_blocking(&*reader) && is_blocking(&*writer), "while a task waits");
            task
        };
        let read = wait(Box::new({
            let reader = reader.clone();
            move || (&*reader).read_exact(&mut [0; 1]).unwrap()
        }));
        (&*writer).write_all(b"1").unwrap();
        read.join().unwrap();
        let write = wait(Box::new({
            let writer = writer.clone();
            move || (&*writer).write_all(&[7; LONG]).unwrap()
        }));
        (&*reader).read_exact(&mut vec![0; LONG]).unwrap();
        write.join().unwrap();
        assert!(is_blocking(&*reader) && is_blocking(&*writer));
        assert!(rustix::io::fcntl_getfd(&*reader).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    });
}

#[test]
fn an_end_in_non_blocking_mode_waits_all_the_same() {
    on_every_pair(|plan| {
        let flags = rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC;
        let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
        let (mut reader, mut writer) = (PipeReader::from(reader), PipeWriter::from(writer));
        let task = plan.spawn(move || writer.write_all(&(0..LONG).map(byte).collect::<Vec<u8>>()));
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        task.join().unwrap().unwrap();
        assert!(data.len() == LONG && data.iter().enumerate().all(|(place, &found)| found == byte(place)));
    });
}

#[test]
fn a_cancelled_read_leaves_the_data_to_others() {
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                let (reader, mut writer) = pipe().unwrap();
                let reader = Arc::new(reader);
                let spot = Spot::new();
                let task = plan.spawn({
                    let (reader, spot) = (reader.clone(), spot.clone());
                    move || {
                        spot.mark();
                        (&*reader).read(&mut [0; 8]).unwrap()
                    }
                });
                spot.wait_asleep();
                task.cancel();
                assert!(task.join().map(drop).unwrap_err().is_cancelled());
                writer.write_all(b"for the next").unwrap();
                let next = plan.spawn(move || {
                    let mut text = [0; 12];
                    (&*reader).read_exact(&mut text).map(|()| text)
                });
                assert_eq!(&next.join().unwrap().unwrap(), b"for the next", "{driver}, {plan:?}");
            }
        });
    }
}

#[test]
fn a_write_that_is_cancelled_has_written_what_it_said() {
    for driver in drivers() {
        on_driver(driver, move || {
            for plan in PLANS {
                let (mut reader, writer) = pipe().unwrap();
                let (spot, written) = (Spot::new(), Arc::new(AtomicUsize::new(0)));
                let task = plan.spawn({
                    let (spot, written) = (spot.clone(), written.clone());
                    move || {
                        let block = [1; 5_000];
                        spot.mark();
                        loop {
                            written.fetch_add((&writer).write(&block).unwrap(), SeqCst);
                        }
                    }
                });
                spot.wait_asleep();
                task.cancel();
                // A thread that had written a part of its block says so, and is cancelled at its next wait.
                assert!(task.join().map(drop).unwrap_err().is_cancelled());
                let mut received = Vec::new();
                reader.read_to_end(&mut received).unwrap();
                assert_eq!(received.len(), written.load(SeqCst), "{driver}, {plan:?}");
            }
        });
    }
}

#[test]
fn a_read_keeps_a_timeout() {
    on_every_pair(|_| {
        let (mut reader, mut writer) = pipe().unwrap();
        assert!(timeout(Duration::from_millis(3), || reader.read(&mut [0; 8])).is_err());
        writer.write_all(b"x").unwrap();
        assert_eq!(timeout(Duration::MAX, || reader.read(&mut [0; 8])).unwrap().unwrap(), 1);
    });
}

#[test]
fn each_byte_goes_to_one_of_many_readers() {
    on_every_plan(|plan| {
        let (reader, mut writer) = pipe().unwrap();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let mut reader = reader.try_clone().unwrap();
                plan.spawn(move || {
                    let (mut count, mut buffer) = (0, [0; 100]);
                    loop {
                        match reader.read(&mut buffer).unwrap() {
                            0 => return count,
                            length => count += length,
                        }
                    }
                })
            })
            .collect();
        (0..1000).for_each(|_| writer.write_all(&[0; 77]).unwrap());
        drop(writer);
        let total: usize = readers.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(total, 77_000);
    });
}

#[test]
fn ends_travel_to_a_process_and_back() {
    fn upper((mut reader, mut writer): (PipeReader, PipeWriter)) -> PipeWriter {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        writer.write_all(text.to_uppercase().as_bytes()).unwrap();
        writer
    }
    on_every_plan(|plan| {
        let (to_child, mut input) = pipe().unwrap();
        let (mut output, from_child) = pipe().unwrap();
        let task = plan.spawn(move || {
            let child = process::spawn(upper, (to_child, from_child)).unwrap();
            input.write_all(b"rope").unwrap();
            drop(input);
            child.join().unwrap()
        });
        let mut back = task.join().unwrap();
        back.write_all(b"walk").unwrap();
        drop(back);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ROPEwalk");
    });
}

/// What `cat` says of a standard input in non-blocking mode: that it would block.
#[test]
fn a_foreign_program_gets_a_blocking_end_while_a_coroutine_waits_at_the_same() {
    guarded(|| {
        Runtime::builder().workers(2).build().unwrap().run(|| {
            let (reader, mut writer) = pipe().unwrap();
            let (mut output, childs) = pipe().unwrap();
            let shared = reader.try_clone().unwrap();
            let rival = coroutine::spawn(move || (&shared).read(&mut [0; 1]).map(drop));
            until(|| matches!(rival.task().state(), State::Blocked(_)));
            let mut cat =
                std::process::Command::new("cat").stdin(reader).stdout(childs).spawn().expect("there is cat");
            // It has found nothing, and waits; or it has failed.
            let status = format!("/proc/{}/stat", cat.id());
            until(|| {
                let waits = std::fs::read_to_string(&status).is_ok_and(|status| status.contains("(cat) S"));
                waits || cat.try_wait().unwrap().is_some()
            });
            rival.cancel();
            assert!(rival.join().unwrap_err().is_cancelled());
            writer.write_all(b"through cat").unwrap();
            drop(writer);
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            assert_eq!(text, "through cat");
            assert!(cat.wait().unwrap().success());
        });
    });
}

/// As on kernels whose pipes do not know `RWF_NOWAIT`.
#[test]
fn pipes_work_where_the_kernel_cannot_be_asked_not_to_wait() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

    let Some(case) = child::case() else {
        return drivers()
            .iter()
            .for_each(|driver| Child::new(test_name!(), driver.to_string()).run().assert_success());
    };
    guarded(|| {
        let refused = SeccompAction::Errno(libc::EOPNOTSUPP as u32);
        let calls = [libc::SYS_preadv2, libc::SYS_pwritev2].map(|call| (call, vec![]));
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter =
            SeccompFilter::new(calls.into_iter().collect(), SeccompAction::Allow, refused, arch).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        apply_filter_all_threads(&program).unwrap();
        let runtime = Runtime::builder().workers(2).driver(driver_named(&case)).build().unwrap();
        runtime.run(|| {
            let (mut reader, mut writer) = pipe().unwrap();
            let data: Vec<u8> = (0..LONG).map(byte).collect();
            let sent = data.clone();
            let task = Plan::Coroutine.spawn(move || writer.write_all(&sent));
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            task.join().unwrap().unwrap();
            assert!(received == data);
        });
    });
}

#[test]
fn other_descriptors_than_pipes_are_read_and_written_too() {
    on_every_pair(|_| {
        let mut file = tempfile::tempfile().unwrap();
        PipeWriter::from(OwnedFd::from(file.try_clone().unwrap())).write_all(b"a file").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut text = String::new();
        PipeReader::from(OwnedFd::from(file)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a file");
    });
}

#[test]
fn a_cancelled_end_leaks_no_descriptor() {
    on_every_driver_alone(test_name!(), |driver| {
        for plan in PLANS {
            let before = descriptors();
            for _ in 0..50 {
                let (reader, writer) = pipe().unwrap();
                let spot = Spot::new();
                let task = plan.spawn({
                    let spot = spot.clone();
                    move || {
                        spot.mark();
                        (&reader).read(&mut [0; 8]).map(drop)
                    }
                });
                spot.wait_asleep();
                task.cancel();
                assert!(task.join().unwrap_err().is_cancelled());
                assert!(writer.as_raw_fd() > 2);
                drop(OwnedFd::from(writer));
            }
            assert_settles(descriptors, before, &format!("{driver}, {plan:?}"));
        }
    });
}
