//! Messages to a worker that may sleep.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::sync::{Condvar, Mutex};

use ropewalk_sync::mailbox::{Mailbox, Posted, publish_fence};

use crate::support::model;

/// The driver of a worker: a wake-up that is kept until the worker waits for it, as an eventfd keeps it.
struct Doorbell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Doorbell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rung: Mutex::new(false), changed: Condvar::new() })
    }

    fn notify(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

fn post(mailbox: &Mailbox<u32>, doorbell: &Doorbell, message: u32) {
    match mailbox.post(message) {
        Posted::Delivered => {}
        Posted::Asleep => doorbell.notify(),
        Posted::Closed(_) => panic!("nobody closes it"),
    }
}

#[test]
fn sleeps_over_no_message() {
    model(|| {
        let mailbox = Arc::new(Mailbox::new());
        let doorbell = Doorbell::new();
        let posters: Vec<_> = (0..2)
            .map(|message| {
                let (mailbox, doorbell) = (mailbox.clone(), doorbell.clone());
                loom::thread::spawn(move || post(&mailbox, &doorbell, message))
            })
            .collect();
        let (mut received, mut mail) = (0, Vec::new());
        while received < 2 {
            if mailbox.has_mail() {
                mailbox.collect(&mut mail);
                received += mail.drain(..).count();
            } else if mailbox.fall_asleep(|| false) {
                doorbell.wait();
                mailbox.wake_up();
            }
        }
        for poster in posters {
            poster.join().unwrap();
        }
    });
}

#[test]
fn sleeps_over_no_published_work() {
    model(|| {
        let mailbox = Arc::new(Mailbox::<u32>::new());
        let doorbell = Doorbell::new();
        let work = Arc::new(AtomicBool::new(false));
        let publisher = {
            let (mailbox, doorbell, work) = (mailbox.clone(), doorbell.clone(), work.clone());
            loom::thread::spawn(move || {
                work.store(true, Relaxed);
                publish_fence();
                if mailbox.rouse() {
                    doorbell.notify();
                }
            })
        };
        if mailbox.fall_asleep(|| work.load(Relaxed)) {
            doorbell.wait();
            mailbox.wake_up();
        }
        assert!(work.load(Relaxed), "awake because there is work");
        publisher.join().unwrap();
    });
}
