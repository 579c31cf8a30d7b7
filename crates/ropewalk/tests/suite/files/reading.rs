//! Files that are read and written.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ropewalk::fs::{self, File, FileTimes, OpenOptions};
use ropewalk::{Clock, Runtime, coroutine, no_suspend};
use rustix::fs::{Advice, OFlags, fadvise};

use crate::support::{Plan, drivers, guarded, on_driver, on_every_plan};

/// Runs `body` as a task of every plan, on every driver.
fn everywhere(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    for driver in drivers() {
        for plan in [Plan::Coroutine, Plan::Thread] {
            let body = body.clone();
            on_driver(driver, move || plan.spawn(move || body()).join().unwrap());
        }
    }
}

/// Neither zeros nor the same everywhere.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place.wrapping_mul(131) >> 5) as u8).collect()
}

/// Takes what is on the disk out of the page cache.
fn forget(file: &File) {
    file.sync_all().unwrap();
    fadvise(file.as_fd(), 0, None, Advice::DontNeed).unwrap();
}

#[test]
fn what_is_written_is_read_in_the_cache_and_from_the_disk() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let data = pattern(300_000);
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&data).unwrap();
        for cached in [true, false] {
            if !cached {
                forget(&file);
            }
            file.rewind().unwrap();
            let mut read = vec![1, 2];
            assert_eq!(file.read_to_end(&mut read).unwrap(), data.len());
            assert_eq!(read[..2], [1, 2]);
            assert!(read[2..] == data, "cached: {cached}");
            assert_eq!(file.read(&mut [0; 8]).unwrap(), 0, "the end");
        }
        assert!(fs::read(&path).unwrap() == data);
    });
}

/// read(2) gives all that there is of a regular file, and many a program relies on it.
#[test]
fn a_read_is_as_long_as_it_can_be_though_a_part_is_in_the_cache_only() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("file")).unwrap();
        let data = pattern(1 << 20);
        file.write_all_at(&data, 0).unwrap();
        forget(&file);
        let mut middle = [0; 4096];
        file.read_exact_at(&mut middle, 512 << 10).unwrap();
        let mut read = vec![0; data.len() + 1];
        assert_eq!((&file).read(&mut read).unwrap(), data.len());
        assert!(read[..data.len()] == data);
    });
}

#[test]
fn several_buffers_are_filled_and_emptied_in_order() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create_new(folder.path().join("file")).unwrap();
        let written =
            file.write_vectored(&[IoSlice::new(b"three "), IoSlice::new(b""), IoSlice::new(b"strands")]);
        assert_eq!(written.unwrap(), 13);
        for cached in [true, false] {
            if !cached {
                forget(&file);
            }
            file.seek(SeekFrom::Current(-13)).unwrap();
            let (mut first, mut second) = ([0; 5], [0; 20]);
            let buffers = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(file.read_vectored(buffers).unwrap(), 13, "cached: {cached}");
            assert_eq!((&first, &second[..8]), (b"three", b" strands".as_slice()));
        }
    });
}

#[test]
fn places_are_read_and_written_without_moving_the_file() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create_new(folder.path().join("file")).unwrap();
        file.write_all_at(b"strands", 6).unwrap();
        file.write_all_at(b"three ", 0).unwrap();
        let mut word = [0; 7];
        file.read_exact_at(&mut word, 6).unwrap();
        assert_eq!(&word, b"strands");
        assert_eq!(file.stream_position().unwrap(), 0);
        assert_eq!(file.read_at(&mut word, 1000).unwrap(), 0, "after the end");
        assert_eq!(file.seek(SeekFrom::End(-7)).unwrap(), 6);
        assert_eq!(file.seek(SeekFrom::Current(-100)).unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut rest = String::new();
        (&file).read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "strands");
    });
}

/// What an io_uring would not promise: it does not lock the place where a descriptor is.
#[test]
fn tasks_that_write_to_one_file_lose_nothing_to_each_other() {
    on_every_plan(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for appends in [false, true] {
            let file =
                Arc::new(OpenOptions::new().write(true).append(appends).create(true).open(&path).unwrap());
            file.set_len(0).unwrap();
            let tasks: Vec<_> = (0..8)
                .map(|number| {
                    let file = file.clone();
                    plan.spawn(move || {
                        for _ in 0..100 {
                            (&*file).write_all(&[b'0' + number; 64]).unwrap();
                        }
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len(), 8 * 100 * 64, "appends: {appends}");
            for record in bytes.chunks(64) {
                assert!(record.iter().all(|byte| byte == &record[0]), "a record is whole");
            }
        }
    });
}

#[test]
fn a_clone_shares_the_place_and_takes_its_turns() {
    on_every_plan(|plan| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create_new(folder.path().join("file")).unwrap();
        let mut clone = file.try_clone().unwrap();
        let other = plan.spawn(move || (0..200).for_each(|_| clone.write_all(&[b'b'; 100]).unwrap()));
        (0..200).for_each(|_| file.write_all(&[b'a'; 100]).unwrap());
        other.join().unwrap();
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'a').count(), 200 * 100);
        assert_eq!(bytes.len(), 2 * 200 * 100);
    });
}

#[test]
fn files_that_bypass_the_cache_are_waited_for() {
    everywhere(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("file");
        fs::write(&path, pattern(8192)).unwrap();
        let mut direct = OpenOptions::new();
        direct.read(true).custom_flags(OFlags::DIRECT.bits() as i32);
        let Ok(file) = direct.open(&path) else { return eprintln!("skipped: no O_DIRECT here") };
        let mut room = vec![0; 3 * 4096];
        let start = room.as_ptr().align_offset(4096);
        let page = &mut room[start..start + 4096];
        file.read_exact_at(page, 4096).unwrap();
        assert!(page == &pattern(8192)[4096..]);
    });
}

#[test]
fn what_is_known_of_a_file_can_be_changed() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = OpenOptions::new().write(true).create(true).mode(0o600).open(&path).unwrap();
        file.set_len(5).unwrap();
        file.sync_data().unwrap();
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
        file.set_times(FileTimes::new().set_accessed(noon)).unwrap();
        file.set_modified(noon).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(
            (metadata.len(), metadata.modified().unwrap(), metadata.accessed().unwrap()),
            (5, noon, noon)
        );
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let mut permissions = metadata.permissions();
        permissions.set_mode(0o640);
        file.set_permissions(permissions).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read(&path).unwrap(), [0; 5]);
    });
}

#[test]
fn options_do_what_stds_do() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(File::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(&path, "old").unwrap();
        assert_eq!(File::create_new(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let mut file = File::options().read(true).append(true).open(&path).unwrap();
        write!(file, "er").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "older");
        let file = File::options().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    });
}

#[test]
fn a_file_of_stds_becomes_ours_and_back() {
    everywhere(|| {
        let mut file = File::from(tempfile::tempfile().unwrap());
        file.write_all(b"rope").unwrap();
        let mut std = std::fs::File::from(file);
        std.rewind().unwrap();
        let mut file = File::from(OwnedFd::from(std));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "rope");
    });
}

#[test]
fn what_is_no_regular_file_is_read_and_written_too() {
    everywhere(|| {
        let mut bytes = [1; 10_000];
        File::open("/dev/zero").unwrap().read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 10_000]);
        File::create("/dev/null").unwrap().write_all(&bytes).unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("Threads:"), "{status}");
        let full = File::create("/dev/full").unwrap().write(b"x").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    });
}

#[test]
fn a_copy_has_the_contents_and_the_permissions() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        // More than is copied by one call.
        let data = pattern(9 << 20);
        fs::write(&from, &data).unwrap();
        fs::set_permissions(&from, PermissionsExt::from_mode(0o741)).unwrap();
        fs::write(&to, "what is replaced").unwrap();
        assert_eq!(fs::copy(&from, &to).unwrap(), data.len() as u64);
        assert!(fs::read(&to).unwrap() == data);
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o741);
        // A file that does not know its length.
        assert!(fs::copy("/proc/self/status", &to).unwrap() > 100);
        assert_eq!(fs::copy(folder.path(), &to).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn the_neighbours_go_on_while_a_coroutine_waits_for_the_other_end_of_a_fifo() {
    for driver in drivers() {
        guarded(move || {
            let runtime = Runtime::builder().workers(1).driver(driver).build().unwrap();
            runtime.run(|| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("fifo");
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                    .unwrap();
                let reader = coroutine::spawn_local({
                    let path = path.clone();
                    move || {
                        let mut fifo = File::open(path).unwrap();
                        let mut text = String::new();
                        fifo.read_to_string(&mut text).map(|_| text)
                    }
                });
                // On the same worker.
                let mut fifo = OpenOptions::new().write(true).open(&path).unwrap();
                (0..100).for_each(|_| coroutine::yield_now());
                fifo.write_all(b"through the worker").unwrap();
                drop(fifo);
                assert_eq!(reader.join().unwrap().unwrap(), "through the worker");
            });
        });
    }
}

#[test]
fn in_a_region_without_switches_files_are_read_and_written_on_the_spot() {
    everywhere(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        no_suspend(|| {
            let mut file = File::create_new(&path).unwrap();
            file.write_all(b"no switch").unwrap();
            forget(&file);
            assert_eq!(fs::read_to_string(&path).unwrap(), "no switch");
            assert_eq!(fs::metadata(&path).unwrap().len(), 9);
            fs::remove_file(&path).unwrap();
        });
    });
}

#[test]
fn virtual_time_waits_for_a_disk() {
    for driver in drivers() {
        guarded(move || {
            let runtime = Runtime::builder().clock(Clock::Virtual).driver(driver).build().unwrap();
            runtime.run(|| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("file");
                let sleeper = coroutine::spawn(|| coroutine::sleep(Duration::from_secs(3600)));
                let start = ropewalk::time::now();
                let mut file = File::create(path).unwrap();
                file.write_all(&pattern(1 << 20)).unwrap();
                file.sync_all().unwrap();
                let took = ropewalk::time::now() - start;
                assert!(took < Duration::from_secs(3600), "time did not jump over it: {took:?}");
                sleeper.join().unwrap();
            });
        });
    }
}
