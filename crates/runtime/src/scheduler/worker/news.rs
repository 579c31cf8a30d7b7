//! What a worker does with what its driver reports; and operations: how they begin, end and are broken off.

use std::io;
use std::sync::Arc;

use ropewalk_sync::park::{Interest, Operation, Unparker};

use super::Worker;
use crate::driver::Event;
use crate::scheduler::operations::{Elsewhere, Maker};
use crate::scheduler::remote::Remote;

impl Worker {
    /// Has `operation` made for `owner`: by the driver, or by whatever `elsewhere` starts, which posts the result under the
    /// token that it is given. Never waits.
    ///
    /// # Safety
    /// What the operation borrows stays where it is, untouched by others, until its [outcome](Self::outcome) was taken; for
    /// ever, if it is not.
    pub(crate) unsafe fn begin(
        &self,
        operation: &Operation<'_>,
        owner: Unparker,
        elsewhere: impl FnOnce(Arc<Remote>, u64) -> Arc<dyn Elsewhere>,
    ) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { self.begin_by_driver(operation, owner) }.unwrap_or_else(|owner| {
            let token = self.operations.borrow_mut().insert(owner);
            let call = elsewhere(self.remote.clone(), token);
            self.operations.borrow_mut().made_elsewhere(token, call);
            token
        })
    }

    /// As [`begin`](Self::begin), by the driver or not at all: then the owner comes back.
    ///
    /// # Safety
    /// As `begin`.
    pub(crate) unsafe fn begin_by_driver(
        &self,
        operation: &Operation<'_>,
        owner: Unparker,
    ) -> Result<u64, Unparker> {
        let token = self.operations.borrow_mut().insert(owner);
        // SAFETY: the caller's promise. The driver reports to this worker only, which then has a result to be taken; a worker
        // that ends before that has leaked whoever waits, with all that it borrows (`stack`, the invariant).
        let submitted = unsafe { self.driver.borrow_mut().submit(operation, token) };
        if submitted { Ok(token) } else { Err(self.operations.borrow_mut().take_back(token)) }
    }

    /// The result, once it is there.
    pub(crate) fn outcome(&self, token: u64) -> Option<io::Result<usize>> {
        self.operations.borrow_mut().take(token)
    }

    /// Has an operation that is under way come to an end.
    pub(crate) fn break_off(&self, token: u64) {
        match self.operations.borrow_mut().maker(token) {
            Some(Maker::Driver) => self.driver.borrow_mut().cancel(token),
            Some(Maker::Thread(call)) => call.interrupt(),
            None => {}
        }
    }

    /// The driver reports this.
    pub(super) fn hear(&self, event: Event) {
        match event {
            Event::Ready(token, ready) => {
                if let Some(source) = self.sources.borrow().get(token) {
                    if ready.end {
                        source.note_end();
                    }
                    if ready.read {
                        source.signal(Interest::Read);
                    }
                    if ready.write {
                        source.signal(Interest::Write);
                    }
                }
            }
            Event::Completed(token, result) => self.complete(token, result),
        }
    }

    /// An operation is over.
    pub(super) fn complete(&self, token: u64, result: io::Result<usize>) {
        let owner = self.operations.borrow_mut().complete(token, result);
        if let Some(owner) = owner {
            owner.unpark();
        }
    }

    /// Whether operations are under way.
    pub(crate) fn has_operations(&self) -> bool {
        !self.operations.borrow().is_empty()
    }

    /// Whether the kernel could have something to say to this worker.
    pub(super) fn expects_news(&self) -> bool {
        !self.sources.borrow().is_empty() || self.has_operations()
    }
}
