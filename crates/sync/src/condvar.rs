//! condvar
