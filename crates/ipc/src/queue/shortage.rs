//! What is in the way when a queue cannot be opened or made: the name, and of a limit what it is and what was asked for.

use std::io;

use ropewalk_sys::message_queue::{Create, limit, size};
use rustix::io::Errno;

/// What the kernel allows even where it makes an exception (`HARD_MSGMAX`, `HARD_MSGSIZEMAX` in Linux's
/// `include/linux/ipc_namespace.h`).
const HARD_LIMITS: (usize, usize) = (65_536, 16 << 20);

/// The value of a sysctl; `None` where `/proc` is not mounted.
fn sysctl(name: &str) -> Option<usize> {
    std::fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}")).ok()?.trim().parse().ok()
}

/// The error of a call on the queue with this name, to be made like this.
pub(super) fn explain(error: &io::Error, name: &str, create: Option<&Create>) -> io::Error {
    let (kind, what) = what(error, create);
    io::Error::new(kind, format!("message queue {name}: {what}"))
}

fn what(error: &io::Error, create: Option<&Create>) -> (io::ErrorKind, String) {
    use io::ErrorKind::{InvalidInput, QuotaExceeded, StorageFull, Unsupported};

    match (Errno::from_io_error(error), create) {
        (Some(Errno::NOENT), _) => (error.kind(), "there is none with this name".into()),
        (Some(Errno::EXIST), _) => (error.kind(), "there is one with this name already".into()),
        (Some(Errno::ACCESS | Errno::PERM), _) => {
            (error.kind(), format!("its permissions do not allow this ({error})"))
        }
        (Some(Errno::NOSYS), _) => {
            (Unsupported, "this kernel has no POSIX message queues (CONFIG_POSIX_MQUEUE)".into())
        }
        (Some(Errno::INVAL | Errno::OVERFLOW), Some(Create { size: Some(size), .. })) => {
            (InvalidInput, too_large(*size))
        }
        (Some(Errno::NOSPC), Some(_)) => (
            StorageFull,
            format!(
                "the machine has as many as it may have: fs.mqueue.queues_max is {} (raise it: sysctl -w \
                 fs.mqueue.queues_max=N), or unlink those that nobody needs",
                shown(sysctl("queues_max"))
            ),
        ),
        // The kernel says the same of descriptors and of the bytes of queues.
        (Some(Errno::MFILE), Some(create)) if has_descriptor() => (QuotaExceeded, over_quota(create)),
        (Some(Errno::MFILE), _) => (error.kind(), "no descriptor is left: raise `ulimit -n`".into()),
        _ => (error.kind(), error.to_string()),
    }
}

fn shown(value: Option<usize>) -> String {
    value.map_or_else(|| "a number that /proc does not tell".into(), |value| value.to_string())
}

fn too_large((messages, length): (usize, usize)) -> String {
    if messages == 0 || length == 0 {
        return "a queue has room for one message of one byte at least".into();
    }
    let limits = [
        ("msg_max", "messages", messages, HARD_LIMITS.0),
        ("msgsize_max", "bytes in a message", length, HARD_LIMITS.1),
    ];
    let over = limits.into_iter().find_map(|(limit, what, asked, hard)| {
        let allowed = sysctl(limit).filter(|allowed| *allowed < asked)?;
        Some(if asked > hard {
            format!("{asked} {what} are more than Linux allows anybody: {hard}")
        } else {
            format!(
                "{asked} {what} are more than the machine allows: fs.mqueue.{limit} is {allowed} (raise it: sysctl -w \
                 fs.mqueue.{limit}={asked})"
            )
        })
    });
    over.unwrap_or_else(|| {
        format!(
            "{messages} messages of {length} bytes are more than the machine allows: see the sysctls fs.mqueue.msg_max and \
             fs.mqueue.msgsize_max"
        )
    })
}

/// Whether another descriptor could be opened.
fn has_descriptor() -> bool {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 0)
        .map_or_else(|error| error != Errno::MFILE, |_| true)
}

fn over_quota(create: &Create) -> String {
    let default = || {
        let value = |limit, default| Some(sysctl(limit)?.min(sysctl(default)?));
        Some((value("msg_max", "msg_default")?, value("msgsize_max", "msgsize_default")?))
    };
    let needed = create.size.or_else(default).and_then(|(messages, length)| size(messages, length));
    let needed = needed.map_or_else(String::new, |needed| format!("; this one takes {needed}"));
    let have = limit().map_or_else(|| "without a limit".into(), |limit| limit.to_string());
    format!(
        "the queues of this user would have more bytes together than RLIMIT_MSGQUEUE allows, which is {have}{needed}: raise \
         `ulimit -q`, or unlink those that nobody needs"
    )
}
