//! The beginning of a connection: both sides say at once what they are, within a deadline.

use std::io::{self, Read, Write};
use std::time::Duration;

use ropewalk_ipc::frame::{FrameError, Hello, SUBJECT_MAX};
use ropewalk_runtime::{OnFailure, scope_with, timeout};

/// How much of a hello is read at once, until its length is known.
const STEP: usize = 512;

/// Says `ours`, and gives what the other side says, if the two fit.
pub(super) fn shake(
    reader: &mut (impl Read + Send),
    writer: &mut (impl Write + Send),
    ours: &Hello,
    limit: Duration,
) -> io::Result<Hello> {
    if ours.subject.len() > SUBJECT_MAX {
        let text = format!("a subject of more than {SUBJECT_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let shaken = timeout(limit, || {
        // Both at once: where the other side does so, too, and there is little room between them, each would wait for the
        // other to read.
        scope_with(OnFailure::Isolate, |s| {
            let said = s.spawn(|| writer.write_all(&ours.encode()).and_then(|()| writer.flush()));
            let theirs = listen(reader);
            if theirs.is_err() {
                said.cancel();
            }
            let said = said.join();
            let theirs = theirs?;
            said??;
            Ok::<_, io::Error>(theirs)
        })
    });
    let theirs = shaken.unwrap_or_else(|_| {
        let text = format!("the peer has not said what it is within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })?;
    ours.agree(&theirs)?;
    Ok(theirs)
}

/// The other side's hello, and not a byte of what follows it.
fn listen(reader: &mut impl Read) -> io::Result<Hello> {
    let mut bytes = Vec::new();
    let mut part = [0; STEP];
    loop {
        // Never beyond the end: what is missing is not known before the fixed part is there.
        let missing = Hello::missing(&bytes)?;
        if missing == 0 {
            break;
        }
        let room = missing.min(STEP);
        match reader.read(&mut part[..room]) {
            Ok(0) => return Err(FrameError::Lost.into()),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (hello, length) = Hello::decode(&bytes)?.ok_or(FrameError::Lost)?;
    debug_assert_eq!(length, bytes.len());
    Ok(hello)
}
