//! Many tasks that do everything at once, and are cancelled at any moment. At the end the books must balance.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ropewalk::channel::{Receiver, Sender, bounded};
use ropewalk::sync::{Condvar, Mutex, Semaphore};
use ropewalk::{JoinHandle, OnFailure, Runtime, coroutine, shield, timeout};

use crate::support::plan::PLANS;
use crate::support::tracker::Tracked;
use crate::support::{Tracker, drivers, guarded};

/// For how long each combination of driver and workers goes on.
const TIME: Duration = Duration::from_millis(400);
const ACCOUNTS: usize = 8;
const PERMITS: usize = 3;

/// Random numbers (SplitMix64: G. Steele, D. Lea, C. Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn micros(&mut self, end: u64) -> Duration {
        Duration::from_micros(self.below(end))
    }
}

/// What the tasks share, and what has to add up.
struct World {
    accounts: Mutex<[i64; ACCOUNTS]>,
    changed: Condvar,
    permits: Semaphore,
    holders: AtomicUsize,
    sender: Sender<Tracked>,
    receiver: Receiver<Tracked>,
    messages: Tracker,
    made: AtomicUsize,
    sent: AtomicUsize,
    received: AtomicUsize,
    tasks: Tracker,
    spawned: AtomicUsize,
    seeds: AtomicU64,
}

impl World {
    fn new(seed: u64) -> Arc<Self> {
        let (sender, receiver) = bounded(4);
        Arc::new(Self {
            accounts: Mutex::new([100; ACCOUNTS]),
            changed: Condvar::new(),
            permits: Semaphore::new(PERMITS),
            holders: AtomicUsize::new(0),
            sender,
            receiver,
            messages: Tracker::new(),
            made: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            tasks: Tracker::new(),
            spawned: AtomicUsize::new(0),
            seeds: AtomicU64::new(seed),
        })
    }

    fn random(&self) -> Random {
        Random(self.seeds.fetch_add(0x1234_5677, SeqCst))
    }

    /// Starts a task that does `operations` things.
    fn spawn(self: &Arc<Self>, plan: usize, depth: u32, operations: u64) -> JoinHandle<()> {
        let (world, value) = (self.clone(), self.tasks.value());
        self.spawned.fetch_add(1, SeqCst);
        PLANS[plan % PLANS.len()].spawn(move || {
            let _value = value;
            let mut random = world.random();
            for _ in 0..operations {
                world.operate(&mut random, depth);
            }
        })
    }

    fn operate(self: &Arc<Self>, random: &mut Random, depth: u32) {
        match random.below(13) {
            0 | 1 => self.transfer(random),
            2 | 3 => self.send(),
            4 | 5 => self.receive(random),
            6 => self.hold_permit(random),
            7 => coroutine::sleep(random.micros(200)),
            8 => coroutine::yield_now(),
            9 => self.wait_for_change(random),
            10 if depth > 0 => drop(timeout(random.micros(300), || self.operate(random, depth - 1))),
            11 if depth > 0 => self.family(random, depth - 1),
            12 if depth > 0 => self.scope(random, depth - 1),
            _ => shield(Duration::from_millis(1), || coroutine::sleep(random.micros(20))),
        }
    }

    fn transfer(&self, random: &mut Random) {
        let (from, to) = (random.below(ACCOUNTS as u64) as usize, random.below(ACCOUNTS as u64) as usize);
        let mut accounts = self.accounts.lock().expect("nobody panics");
        if random.below(4) == 0 {
            coroutine::yield_now(); // with the lock
        }
        let amount = random.below(20) as i64;
        accounts[from] -= amount;
        accounts[to] += amount;
        drop(accounts);
        self.changed.notify_one();
    }

    fn wait_for_change(&self, random: &mut Random) {
        let accounts = self.accounts.lock().expect("nobody panics");
        drop(self.changed.wait_timeout(accounts, random.micros(300)).expect("nobody panics"));
    }

    fn send(&self) {
        self.made.fetch_add(1, SeqCst);
        let message = self.messages.value();
        if self.sender.send_timeout(message, Duration::from_micros(300)).is_ok() {
            self.sent.fetch_add(1, SeqCst);
        }
    }

    fn receive(&self, random: &mut Random) {
        if self.receiver.recv_timeout(random.micros(300)).is_ok() {
            self.received.fetch_add(1, SeqCst);
        }
    }

    fn hold_permit(&self, random: &mut Random) {
        struct Holder<'a>(&'a AtomicUsize);

        impl Drop for Holder<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }

        let _permit = self.permits.acquire();
        let holders = self.holders.fetch_add(1, SeqCst) + 1;
        let _holder = Holder(&self.holders);
        assert!(holders <= PERMITS, "{holders} hold {PERMITS} permits");
        coroutine::sleep(random.micros(50));
    }

    /// A child that is joined, cancelled, or left alone.
    fn family(self: &Arc<Self>, random: &mut Random, depth: u32) {
        let child = self.spawn(random.below(8) as usize / 7, depth, 3);
        match random.below(4) {
            0 => drop(child),
            1 => child.cancel(),
            2 => drop(child.join_timeout(random.micros(500))),
            _ => drop(child.join()),
        }
    }

    fn scope(self: &Arc<Self>, random: &mut Random, depth: u32) {
        let fails = random.below(8) == 0;
        let seed = random.next();
        PLANS[usize::from(random.below(16) == 0)].scope_with(OnFailure::Isolate, |s| {
            for n in 0..2 {
                s.spawn(move || {
                    let mut random = Random(seed ^ n);
                    self.operate(&mut random, depth);
                    assert!(!fails || n == 0 || std::panic::resume_unwind(Box::new("expected")));
                });
            }
        });
    }

    /// Nobody is left; everything must be where it belongs.
    fn check(self: Arc<Self>, what: &str) {
        let world = Arc::into_inner(self).expect("every task has let go of the world");
        assert_eq!(
            world.accounts.lock().expect("nobody panics").iter().sum::<i64>(),
            100 * ACCOUNTS as i64,
            "{what}"
        );
        assert_eq!(world.permits.available_permits(), PERMITS, "{what}");
        assert_eq!(world.holders.load(SeqCst), 0, "{what}");
        assert_eq!(world.tasks.drops(), world.spawned.load(SeqCst), "{what}: every task has ended once");
        let (sent, received) = (world.sent.load(SeqCst), world.received.load(SeqCst));
        assert_eq!(
            sent,
            received + world.receiver.len(),
            "{what}: every message that was sent was received or is there"
        );
        drop((world.sender, world.receiver));
        assert_eq!(world.messages.drops(), world.made.load(SeqCst), "{what}: every message is dropped once");
        assert!(
            sent > 0 && received > 0,
            "{what}: {sent} sent, {received} received: too few to show anything"
        );
    }
}

#[test]
fn the_books_balance_whatever_is_cancelled_when() {
    for driver in drivers() {
        for workers in [1, 2, 4] {
            guarded(|| {
                let seed = 0x5EED ^ workers as u64;
                let world = World::new(seed);
                Runtime::builder().workers(workers).driver(driver).build().unwrap().run(|| {
                    let mut random = world.random();
                    let end = Instant::now() + TIME;
                    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
                    while Instant::now() < end {
                        while tasks.len() < 40 {
                            // A thread now and then: they are dear.
                            tasks.push(world.spawn(usize::from(random.below(16) == 0), 3, 10));
                        }
                        let task = tasks.swap_remove(random.below(40) as usize);
                        match random.below(3) {
                            0 => drop(task.join()),
                            1 => {
                                task.cancel();
                                drop(task.join());
                            }
                            _ => task.cancel(),
                        }
                    }
                });
                world.check(&format!("{driver}, {workers} workers, seed {seed:#x}"));
            });
        }
    }
}

#[test]
fn a_ring_of_tasks_passes_a_token_while_others_are_cancelled_around_it() {
    guarded(|| {
        for workers in [1, 3] {
            Runtime::builder().workers(workers).build().unwrap().run(|| {
                const ROUNDS: u64 = 300;
                let links: Vec<_> = (0..10).map(|_| bounded::<u64>(0)).collect();
                let ring: Vec<_> = (0..10)
                    .map(|n| {
                        let (receiver, sender) = (links[n].1.clone(), links[(n + 1) % 10].0.clone());
                        PLANS[n % 2].spawn(move || {
                            for _ in 0..ROUNDS {
                                let token = receiver.recv().unwrap();
                                if n < 9 || token < 10 * ROUNDS - 1 {
                                    sender.send(token + 1).unwrap();
                                }
                            }
                        })
                    })
                    .collect();
                let gate = Arc::new(Semaphore::new(0));
                let noise: Vec<_> = (0..200)
                    .map(|_| {
                        let gate = gate.clone();
                        coroutine::spawn(move || {
                            let _ = catch_unwind(AssertUnwindSafe(|| drop(gate.acquire())));
                            drop(gate.acquire());
                        })
                    })
                    .collect();
                links[0].0.send(0).unwrap();
                noise.iter().for_each(JoinHandle::cancel);
                ring.into_iter().for_each(|task| task.join().unwrap());
                noise.into_iter().for_each(|task| assert!(task.join().unwrap_err().is_cancelled()));
            });
        }
    });
}
