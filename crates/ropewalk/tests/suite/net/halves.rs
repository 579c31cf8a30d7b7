//! Streams in halves.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;

use ropewalk::net::UnixStream;
use ropewalk::scope;

use crate::support::net::pair;
use crate::support::plan::PLANS;
use crate::support::{Spot, guarded, on_every_pair, on_every_plan, runtime};

/// Reads to the end, whatever the plan of the other half.
#[test]
fn two_tasks_of_any_plans_have_a_half_each() {
    const LENGTH: usize = 300_000;
    on_every_pair(|plan| {
        let (near, far) = pair();
        let ends = [near, far].map(|stream| {
            let (mut reader, mut writer) = stream.into_split();
            let writer = plan.spawn(move || {
                let data: Vec<u8> = (0..LENGTH).map(|n| (n % 253) as u8).collect();
                writer.write_all(&data).unwrap();
                writer.flush().unwrap();
            });
            let mut data = Vec::new();
            // Both directions at once: neither fits into the buffers.
            let reader = PLANS[1].spawn(move || {
                reader.read_to_end(&mut data).unwrap();
                assert!(data.iter().enumerate().all(|(n, &byte)| byte == (n % 253) as u8));
                data.len()
            });
            (writer, reader)
        });
        for (writer, reader) in ends {
            writer.join().unwrap();
            assert_eq!(reader.join().unwrap(), LENGTH);
        }
    });
}

#[test]
fn the_end_of_the_writing_half_is_the_end_of_that_direction() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        let (mut reader, writer) = near.into_split();
        let spot = Spot::new();
        let other = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
                far.write_all(b"answer").unwrap();
            }
        });
        spot.wait_asleep();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
        other.join().unwrap();
    });
}

#[test]
fn a_half_that_is_forgotten_ends_nothing() {
    on_every_pair(|_| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = near.into_split();
        writer.forget();
        far.set_nonblocking(true).unwrap();
        assert_eq!(far.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.write_all(b"more").unwrap();
        let (mut one, mut rest) = ([0; 1], [0; 8]);
        let parts = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut rest)];
        assert_eq!(reader.read_vectored(parts).unwrap(), 4);
        drop(reader);
        far.set_nonblocking(false).unwrap();
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn halves_of_one_stream_are_reunited_and_others_are_not() {
    on_every_pair(|_| {
        let (near, mut far) = pair();
        let number = near.as_raw_fd();
        let address = near.local_addr().unwrap();
        let (reader, writer) = near.into_split();
        assert_eq!(reader.as_ref().local_addr().unwrap(), address);
        assert_eq!(writer.as_ref().as_raw_fd(), number, "no other descriptor");
        assert!(format!("{reader:?} {writer:?}").contains(&address.to_string()));
        let (stranger, _other) = pair();
        let (strange_reader, strange_writer) = stranger.into_split();
        let error = reader.reunite(strange_writer).unwrap_err();
        assert_eq!(error.to_string(), "the halves are not of one stream");
        let ropewalk::net::ReuniteError(reader, strange_writer) = error;
        strange_writer.reunite(strange_reader).unwrap();
        let mut near = writer.reunite(reader).unwrap();
        // The direction is as open as before.
        assert_eq!(near.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"piece")]).unwrap(), 8);
        far.read_exact(&mut [0; 8]).unwrap();
        far.write_all(b"x").unwrap();
        near.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn a_cancelled_reader_leaves_the_writer_alone() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        let (mut reader, mut writer) = near.into_split();
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                reader.read(&mut [0; 8]).unwrap()
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        writer.write_all(b"still here").unwrap();
        drop(writer);
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        assert_eq!(text, "still here");
    });
}

/// Without halves: a reference reads, another one writes.
#[test]
fn tasks_of_a_scope_share_a_stream_by_reference() {
    guarded(|| {
        runtime(2).run(|| {
            let (near, far) = pair();
            scope(|s| {
                for mut stream in [&near, &far] {
                    s.spawn(move || stream.write_all(&[7; 100_000]).unwrap());
                    s.spawn(move || stream.read_exact(&mut [0; 100_000]).unwrap());
                }
            });
        });
    });
}
