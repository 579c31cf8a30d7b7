//! What the kernel keeps for those who talk: pipes, FIFOs, message queues, signals.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ropewalk::fs::{self, Permissions};
use ropewalk::io::{PipeReader, PipeWriter};
use ropewalk::ipc::{MessageQueue, UnlinkOnDrop};
use ropewalk::process;
use ropewalk::signal::{Signal, Signals};
use rustix::process::{Pid, Signal as Sent, kill_process};

use super::Result;

/// The child writes until it ends; who reads sees the end.
pub(crate) fn pipe() -> Result<String> {
    let (mut reader, writer) = ropewalk::io::pipe()?;
    let child = process::spawn(|mut writer: PipeWriter| writeln!(writer, "from the child").is_ok(), writer)?;
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    assert!(child.join()?);
    Ok(format!("{:?}, and the end", text.trim()))
}

/// The same, for programs that know nothing of each other but a path: `cat` would do as well.
pub(crate) fn fifo() -> Result<String> {
    let path = std::env::temp_dir().join(format!("ropewalk-fifo-{}", std::process::id()));
    fs::mkfifo(&path, Permissions::from_mode(0o600))?;
    let write = |path: PathBuf| {
        let mut writer = PipeWriter::open(path).expect("it is there"); // waits for a reader
        writeln!(writer, "by a path").expect("somebody reads");
    };
    let child = process::spawn(write, path.clone())?;
    let mut text = String::new();
    PipeReader::open(&path)?.read_to_string(&mut text)?; // waits for a writer
    child.join()?;
    fs::remove_file(&path)?;
    Ok(format!("{:?}, and the end", text.trim()))
}

/// The highest priority first, whoever has sent when.
pub(crate) fn queue() -> Result<String> {
    let name = format!("/ropewalk-example-{}", std::process::id());
    let queue = MessageQueue::create_new(&name, 4, 32)?;
    let _name = UnlinkOnDrop::new(&name)?;
    let send = |name: String| {
        let queue = MessageQueue::open(&name).expect("it is there");
        for (message, priority) in [("sweep", 1), ("water pipe burst", 9), ("a bulb", 3)] {
            queue.send(message.as_bytes(), priority).expect("it is open for sending");
        }
    };
    process::spawn(send, name.clone())?.join()?; // has ended; what it sent has not
    let mut buffer = [0; 32];
    let mut orders = Vec::new();
    for _ in 0..3 {
        let (length, _priority) = queue.recv(&mut buffer)?;
        orders.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    Ok(orders.join(", then "))
}

/// A signal carries its number and nothing else.
pub(crate) fn signal() -> Result<String> {
    let signals = Signals::new([Signal::USR1])?;
    let nudge = |parent: i32| {
        let parent = Pid::from_raw(parent).expect("a process has a number");
        kill_process(parent, Sent::USR1).is_ok()
    };
    let child = process::spawn(nudge, i32::try_from(std::process::id())?)?;
    let signal = signals.recv()?;
    assert!(child.join()?);
    Ok(format!("{signal} has come"))
}
