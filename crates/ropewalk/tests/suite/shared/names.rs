//! Regions with names: strangers find them, and nothing is left of a name whose process has died.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ropewalk::ipc::{Access, Barrier, Condvar, Event, Latch, Mutex, Name, Region, Reset, RwLock, Semaphore};
use ropewalk::process;
use rustix::process::getuid;
use rustix::thread::set_thread_uid;

use crate::support::{guarded, on_every_pair, on_every_plan, until};

use super::{is_alone, kill, lock, was_killed};

/// A name that nobody else has, and that nobody has had: one is free again only a moment after it was given up.
fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("suite-{}-{what}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}

/// What another program would do: all that it knows is the name.
fn count_up(name: String) -> u64 {
    let region = Region::open(&name).unwrap();
    let count = Mutex::open_in(&region, "count", 0_u64).unwrap();
    let mut count = count.lock().unwrap();
    *count += 1;
    *count
}

/// Publishes a region until it is killed.
fn publish(name: String) {
    let region = Region::new(4096).unwrap();
    let _name = region.publish(&name, Access::User).unwrap();
    Event::open_in(&region, "there", Reset::Manual).unwrap();
    loop {
        std::thread::park();
    }
}

fn open_when_there(name: &str) -> Region {
    loop {
        match Region::open(name) {
            Ok(region) => return region,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
        std::thread::yield_now();
    }
}

/// The name may be in use for a moment after it was given up.
fn publish_again(region: &Region, name: &str) -> Name {
    loop {
        match region.publish(name, Access::User) {
            Ok(name) => return name,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn strangers_find_a_region_and_what_is_in_it() {
    on_every_pair(|plan| {
        let name = name("found");
        let region = Region::new(4096).unwrap();
        let published = region.publish(&name, Access::User).unwrap();
        let error = region.publish(&name, Access::User).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let theirs = name.clone();
        let one = plan.spawn(move || process::spawn(count_up, theirs).unwrap().join().unwrap());
        let other = process::spawn(count_up, name.clone()).unwrap().join().unwrap();
        assert_eq!(one.join().unwrap() + other, 3);
        // This process comes to the same region, with the slot that it has.
        let theirs = name.clone();
        let again = plan.spawn(move || Region::open(&theirs).unwrap()).join().unwrap();
        let count = Mutex::open_in(&again, "count", 9_u64).unwrap();
        assert_eq!(*count.lock().unwrap(), 2);
        drop(again);
        until(|| is_alone(&region));
        drop(published);
        drop(publish_again(&region, &name));
    });
}

#[test]
fn a_name_goes_with_its_process_and_the_region_stays() {
    on_every_plan(|_| {
        let name = name("killed");
        let publisher = process::spawn(publish, name.clone()).unwrap();
        let region = open_when_there(&name);
        let there = region.processes().into_iter().find(|id| *id != std::process::id()).unwrap();
        kill(there);
        assert!(was_killed(publisher));
        assert_eq!(Region::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
        until(|| is_alone(&region));
        // Who has the region goes on, and may give it the name again.
        let count = Mutex::open_in(&region, "count", 4_u64).unwrap();
        let _name = publish_again(&region, &name);
        assert_eq!(process::spawn(count_up, name.clone()).unwrap().join().unwrap(), 5);
        assert_eq!(*lock(&count), 5);
        let files = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let ours = files.filter(|file| file.file_name().to_string_lossy().contains("ropewalk"));
        assert_eq!(ours.count(), 0);
    });
}

#[test]
fn a_name_in_a_region_is_one_thing_of_one_type() {
    guarded(|| {
        let region = Region::new(16 * 1024).unwrap();
        let mutex = Mutex::open_in(&region, "one", 1_u32).unwrap();
        *Mutex::open_in(&region, "one", 7_u32).unwrap().lock().unwrap() += 1;
        assert_eq!(*mutex.lock().unwrap(), 2);
        let refused = [
            Mutex::open_in(&region, "one", 1_u64).unwrap_err(),
            RwLock::open_in(&region, "one", 1_u32).unwrap_err(),
            Semaphore::open_in(&region, "one", 1).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::InvalidData), "{refused:?}");
        Latch::open_in(&region, "latch", 2).unwrap().count_down();
        assert_eq!(Latch::open_in(&region, "latch", 2).unwrap().count(), 1);
        Event::open_in(&region, "event", Reset::Manual).unwrap().set();
        assert!(Event::open_in(&region, "event", Reset::Manual).unwrap().is_set());
        Semaphore::open_in(&region, "seats", 3).unwrap().acquire().forget();
        assert_eq!(Semaphore::open_in(&region, "seats", 3).unwrap().available_permits(), 2);
        *RwLock::open_in(&region, "prices", 3_u8).unwrap().write().unwrap() = 4;
        assert_eq!(*RwLock::open_in(&region, "prices", 3_u8).unwrap().read().unwrap(), 4);
        Condvar::open_in(&region, "changed").unwrap().notify_all();
        assert!(Barrier::open_in(&region, "alone", 1).unwrap().wait().unwrap());
    });
}

#[test]
fn names_that_nobody_has_or_can_have() {
    guarded(|| {
        assert_eq!(Region::open(&name("nobody")).unwrap_err().kind(), ErrorKind::NotFound);
        let region = Region::new(0).unwrap();
        for bad in [String::new(), "x".repeat(65)] {
            assert_eq!(region.publish(&bad, Access::User).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(Region::open(&bad).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn other_users_get_what_they_may_have() {
    /// Opens the region as another user.
    fn open_as_nobody(name: String) -> Option<String> {
        let nobody = rustix::process::Uid::from_raw(65_534);
        set_thread_uid(nobody).expect("root may be anybody");
        let here = std::thread::current().id();
        let opened = Region::open(&name);
        assert_eq!(std::thread::current().id(), here, "the same thread");
        opened.err().map(|error| format!("{:?}", error.kind()))
    }

    if !getuid().is_root() {
        println!("skipped: only root can be other users");
        return;
    }
    guarded(|| {
        let name = name("users");
        let region = Region::new(0).unwrap();
        let open = |access| {
            let _name = loop {
                match region.publish(&name, access) {
                    Ok(name) => break name,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
                }
                std::thread::yield_now();
            };
            process::spawn(open_as_nobody, name.clone()).unwrap().join().unwrap()
        };
        assert_eq!(open(Access::User).as_deref(), Some("PermissionDenied"));
        assert_eq!(open(Access::Everyone), None);
        // Who publishes it has to be whom the other one trusts.
        let _name = publish_again(&region, &name);
        let error = Region::open_of(&name, 65_534).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(Region::open_of(&name, 0).is_ok());
    });
}
