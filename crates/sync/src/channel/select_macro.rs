//! `select!`: a [`Select`](super::Select) over operations that are written down.
//!
//! # How it is read
//! `select_arms!` takes one arm off the text at a time. It evaluates the arm's channel and binds that to a name, which is
//! another one at every step because macro names are hygienic, so they can all be called `channel`; and it carries along what
//! it has read: for each operation its channel, how it is ended, the pattern and the body, and what `default` says. At the
//! end of the text it writes the select, and an `if` for each operation. No loop, block of another function or closure comes around
//! the bodies: `break`, `return` and `?` mean in them what they mean outside.

/// Waits until one of several channel operations can be done, does it, and runs its arm. The value of the arm is that of
/// the whole.
///
/// ```text
/// select! {
///     recv(receiver) -> pattern => arm,         // pattern: Result<T, RecvError>
///     send(sender, message) -> pattern => arm,  // pattern: Result<(), SendError<T>>
///     default => arm,                           // nothing is ready: do not wait
///     default(duration) => arm,                 // or wait for so long
/// }
/// ```
///
/// There may be any number of `recv` and `send` in any order, and one `default`. The comma after an arm that is a block may
/// be left out. Channels are evaluated when the select begins, from the top; the message of a `send` only when that has been chosen.
/// Of several operations that are ready one is taken by lot ([`select_biased!`](macro@crate::select_biased): the topmost).
/// A disconnected channel is ready: the operation gives its error.
///
/// Two arms of one select, a `send` and a `recv` on the same channel without capacity, do not meet each other.
///
/// To wait for the end of a task, receive from its handle's `ended`.
///
/// # Waits
/// Until an operation can be done; with `default` never, and with `default(duration)` for so long at most. An operation that
/// has met another select in a channel without capacity may wait until that has evaluated its message.
///
/// # Cancellation
/// Unwinds a cancelled task, which has sent and received nothing.
///
/// # Panics
/// If there is no operation and no `default`; if the message of the chosen `send` unwinds. In a coroutine, in a `no_suspend` region, if it has to wait.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::{bounded, select};
/// use std::time::Duration;
///
/// let (requests, incoming) = bounded::<u32>(0);
/// let (stop, stopped) = bounded::<()>(0);
/// let server = std::thread::spawn(move || {
///     let mut sum = 0;
///     loop {
///         select! {
///             recv(incoming) -> request => match request {
///                 Ok(request) => sum += request,
///                 Err(_) => break sum,
///             },
///             recv(stopped) -> _ => break sum,
///         }
///     }
/// });
/// for n in [1, 2, 3] {
///     select! {
///         send(requests, n) -> sent => sent.unwrap(),
///         default(Duration::from_secs(60)) => panic!("the server is gone"),
///     }
/// }
/// drop(stop);
/// assert_eq!(server.join().unwrap(), 6);
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {
        $crate::select_arms!(@arm (false) () () $($arms)*)
    };
}

/// As [`select!`](macro@crate::select), but of several operations that are ready the topmost is taken.
///
/// # Waits
/// As `select!`.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::{select_biased, unbounded};
///
/// let (urgent, first) = unbounded();
/// let (patient, second) = unbounded();
/// urgent.send("urgent").unwrap();
/// patient.send("patient").unwrap();
/// select_biased! {
///     recv(first) -> message => assert_eq!(message, Ok("urgent")),
///     recv(second) -> _ => unreachable!(),
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => {
        $crate::select_arms!(@arm (true) () () $($arms)*)
    };
}

/// The arms of `select!`: see the module.
#[doc(hidden)]
#[macro_export]
macro_rules! select_arms {
    // An arm that is a block, with and without a comma; one that is an expression and not the last; and the last.
    (@arm $biased:tt $operations:tt $default:tt $kind:ident $(($($argument:tt)*))? $(-> $pattern:pat)? => $body:block, $($rest:tt)*) => {
        $crate::select_arms!(@$kind $biased $operations $default ($($($argument)*)?) ($($pattern)?) $body $($rest)*)
    };
    (@arm $biased:tt $operations:tt $default:tt $kind:ident $(($($argument:tt)*))? $(-> $pattern:pat)? => $body:block $($rest:tt)*) => {
        $crate::select_arms!(@$kind $biased $operations $default ($($($argument)*)?) ($($pattern)?) $body $($rest)*)
    };
    (@arm $biased:tt $operations:tt $default:tt $kind:ident $(($($argument:tt)*))? $(-> $pattern:pat)? => $body:expr, $($rest:tt)*) => {
        $crate::select_arms!(@$kind $biased $operations $default ($($($argument)*)?) ($($pattern)?) { $body } $($rest)*)
    };
    (@arm $biased:tt $operations:tt $default:tt $kind:ident $(($($argument:tt)*))? $(-> $pattern:pat)? => $body:expr) => {
        $crate::select_arms!(@$kind $biased $operations $default ($($($argument)*)?) ($($pattern)?) { $body })
    };

    (@recv $biased:tt ($($operations:tt)*) $default:tt ($channel:expr $(,)?) ($pattern:pat) $body:block $($rest:tt)*) => {
        match &$channel {
            channel => {
                let channel: &$crate::channel::Receiver<_> = channel;
                $crate::select_arms!(
                    @arm $biased ($($operations)* [channel, (recv), ($pattern), $body]) $default $($rest)*
                )
            }
        }
    };
    (@send $biased:tt ($($operations:tt)*) $default:tt ($channel:expr, $message:expr $(,)?) ($pattern:pat) $body:block $($rest:tt)*) => {
        match &$channel {
            channel => {
                let channel: &$crate::channel::Sender<_> = channel;
                $crate::select_arms!(
                    @arm $biased ($($operations)* [channel, (send $message), ($pattern), $body]) $default $($rest)*
                )
            }
        }
    };
    (@default $biased:tt $operations:tt () () () $body:block $($rest:tt)*) => {
        $crate::select_arms!(@arm $biased $operations (() $body) $($rest)*)
    };
    (@default $biased:tt $operations:tt () ($timeout:expr $(,)?) () $body:block $($rest:tt)*) => {
        $crate::select_arms!(@arm $biased $operations (($timeout) $body) $($rest)*)
    };

    // The end of the text.
    (@arm $biased:tt () ()) => {
        ::core::compile_error!("`select!` needs an operation, or `default`")
    };
    (@arm ($biased:tt) ($([$channel:ident, $how:tt, $pattern:tt, $body:block])*) ()) => {
        match $crate::channel::internal::select([$($channel),*], $biased) {
            operation => $crate::select_arms!(@end operation (0) $([$channel, $how, $pattern, $body])*),
        }
    };
    (@arm ($biased:tt) ($([$channel:ident, $how:tt, $pattern:tt, $body:block])*) (() $default:block)) => {
        match $crate::channel::internal::try_select([$($channel),*], $biased) {
            ::core::result::Result::Ok(operation) => {
                $crate::select_arms!(@end operation (0) $([$channel, $how, $pattern, $body])*)
            }
            ::core::result::Result::Err(_) => $default,
        }
    };
    (@arm ($biased:tt) ($([$channel:ident, $how:tt, $pattern:tt, $body:block])*) (($timeout:expr) $default:block)) => {
        match $crate::channel::internal::select_timeout([$($channel),*], $timeout, $biased) {
            ::core::result::Result::Ok(operation) => {
                $crate::select_arms!(@end operation (0) $([$channel, $how, $pattern, $body])*)
            }
            ::core::result::Result::Err(_) => $default,
        }
    };

    // Ends the operation that was selected, and runs its arm. They are counted from 0.
    (@end $operation:ident ($number:expr) [$channel:ident, (recv), ($pattern:pat), $body:block] $($others:tt)*) => {
        if $operation.index() == $number {
            let $pattern = $operation.recv($channel);
            $body
        } else {
            $crate::select_arms!(@end $operation ($number + 1) $($others)*)
        }
    };
    (@end $operation:ident ($number:expr) [$channel:ident, (send $message:expr), ($pattern:pat), $body:block] $($others:tt)*) => {
        if $operation.index() == $number {
            let $pattern = $operation.send($channel, $message);
            $body
        } else {
            $crate::select_arms!(@end $operation ($number + 1) $($others)*)
        }
    };
    (@end $operation:ident ($number:expr)) => {
        ::core::unreachable!("one of the operations was selected")
    };
}
