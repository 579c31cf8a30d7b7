//! How the load generator runs its users: the one place that names the plan.

use std::io;

pub(super) use std::net::TcpStream;
pub(super) use std::sync::{Condvar, Mutex};

/// Starts one user.
pub(super) fn spawn<T: Send + 'static>(
    user: u32,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name(format!("user {user}")).stack_size(128 * 1024).spawn(body)
}

/// Runs the whole generator.
pub(super) fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// A counting semaphore.
pub(super) struct Semaphore {
    permits: Mutex<usize>,
    freed: Condvar,
}

impl Semaphore {
    pub(super) fn new(permits: usize) -> Self {
        Self { permits: Mutex::new(permits), freed: Condvar::new() }
    }

    pub(super) fn acquire(&self) -> Permit<'_> {
        let mut permits = self.permits.lock().unwrap();
        while *permits == 0 {
            permits = self.freed.wait(permits).unwrap();
        }
        *permits -= 1;
        Permit(self)
    }
}

pub(super) struct Permit<'a>(&'a Semaphore);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.permits.lock().unwrap() += 1;
        self.0.freed.notify_one();
    }
}
