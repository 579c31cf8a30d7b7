//! The payload of a panic, which need not be `Sync`, in an error that has to be.
//!
//! # Invariant
//! By a shared reference nobody gets at the payload but as a type that is `Sync` itself: [`Payload::downcast_ref`].

use std::any::Any;

/// What a panic carries.
pub(crate) struct Payload(Box<dyn Any + Send>);

// SAFETY: the invariant. To ask for the type, which `downcast_ref` and `is` do first, reads nothing of the value.
unsafe impl Sync for Payload {}

impl Payload {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(payload)
    }

    pub(crate) fn into_inner(self) -> Box<dyn Any + Send> {
        self.0
    }

    /// Whether it is a `P`.
    pub(crate) fn is<P: Any>(&self) -> bool {
        self.0.is::<P>()
    }

    /// The payload, if it is a `P`.
    pub(crate) fn downcast_ref<P: Any + Sync>(&self) -> Option<&P> {
        self.0.downcast_ref()
    }
}
