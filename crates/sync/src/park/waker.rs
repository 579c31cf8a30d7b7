//! A task as a `Waker`, without an allocation.
//!
//! A `Waker` holds one thin pointer: here that of the task's own `Arc`, of its concrete type, with a table of functions
//! for each such type. So it costs what a reference to the task costs.
//!
//! # Invariant
//! The pointer of a waker of this module comes from [`Arc::into_raw`] of an `Arc<P>`, and the waker owns one count of
//! that; the table is that of the same `P`.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::Park;
use super::word::Owed;

/// The waker that unparks `task`. It may be cloned, dropped and woken on any thread, also after the task has ended: then
/// it has no effect.
///
/// # Safety
/// A waker lives as long as whoever holds it likes, so what `P` borrows must not be touched any more, by none of its
/// methods and not when it is dropped, once the task has ended.
pub unsafe fn waker_of<P: Park>(task: Arc<P>) -> Waker {
    let pointer = Arc::into_raw(task).cast::<()>();
    // SAFETY: the functions keep the contract of `RawWakerVTable`: each gives back or takes one count of the `Arc`
    // (the invariant), and all are for any thread, since `Park` is Send and Sync. The lifetime is the caller's promise.
    unsafe { Waker::new(pointer, table::<P>()) }
}

fn table<P: Park>() -> &'static RawWakerVTable {
    &RawWakerVTable::new(clone::<P>, wake::<P>, wake_by_ref::<P>, drop_waker::<P>)
}

/// Ends the task's wait, or the next one, as [`Unparker::unpark`](super::Unparker::unpark).
fn call<P: Park>(task: &Arc<P>) {
    match task.waiter().notify() {
        Owed::Nothing => {}
        Owed::Resume => task.clone().resume(),
        Owed::WakeThread => task.waiter().wake_thread(),
    }
}

unsafe fn clone<P: Park>(pointer: *const ()) -> RawWaker {
    // SAFETY: the invariant.
    unsafe { Arc::increment_strong_count(pointer.cast::<P>()) };
    RawWaker::new(pointer, table::<P>())
}

unsafe fn wake<P: Park>(pointer: *const ()) {
    // SAFETY: the invariant; the waker is consumed, and its count with it.
    call(&unsafe { Arc::from_raw(pointer.cast::<P>()) });
}

unsafe fn wake_by_ref<P: Park>(pointer: *const ()) {
    // SAFETY: the invariant; the count stays the waker's.
    call(&ManuallyDrop::new(unsafe { Arc::from_raw(pointer.cast::<P>()) }));
}

unsafe fn drop_waker<P: Park>(pointer: *const ()) {
    // SAFETY: the invariant; the waker is gone, and its count with it.
    drop(unsafe { Arc::from_raw(pointer.cast::<P>()) });
}
