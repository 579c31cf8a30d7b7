//! Copying all of one thing to another.

use std::io::{self, ErrorKind, Read, Write};

/// What is read at first, at once.
const FIRST: usize = 8 * 1024;
/// What is read at once in the end.
const MOST: usize = 128 * 1024;

/// Copies everything from `reader`, up to its end, to `writer`, as [`std::io::copy`]; gives the number of bytes.
///
/// ```
/// use ropewalk::io;
///
/// let (mut reader, mut writer) = io::pipe()?;
/// let copier = ropewalk::coroutine::spawn(move || io::copy(&mut "three strands".as_bytes(), &mut writer));
/// let mut text = Vec::new();
/// assert_eq!(io::copy(&mut reader, &mut text)?, 13);
/// assert_eq!(copier.join()??, 13);
/// assert_eq!(text, b"three strands");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # By hand, not by the kernel
/// Std's hands a few pairs of its types to the kernel (`sendfile`, `splice`), and copies all others by pieces of 8 KiB. This
/// one copies all, by pieces that grow to 128 KiB as long as reads fill them: few system calls, as with `sendfile`. To wait
/// for a socket in `splice` without holding up the worker, the socket would have to be in non-blocking mode, and that is
/// the business of all who have it. To copy a file to a file, [`fs::copy`](crate::fs::copy) has the kernel do it.
///
/// # Errors
/// What the reader or the writer says, but not [`Interrupted`](ErrorKind::Interrupted), after which it goes on;
/// [`WriteZero`](ErrorKind::WriteZero) if the writer takes no more. What was copied by then is written.
///
/// # Waits
/// As the reader and the writer do.
///
/// # Cancellation
/// As in the reader and the writer; what had been read and not been written yet is lost then, and after an error.
pub fn copy<R: Read + ?Sized, W: Write + ?Sized>(reader: &mut R, writer: &mut W) -> io::Result<u64> {
    let mut piece = vec![0; FIRST];
    let mut copied = 0;
    loop {
        let length = match reader.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        writer.write_all(&piece[..length])?;
        copied += length as u64;
        if length == piece.len() && length < MOST {
            piece = vec![0; 4 * length];
        }
    }
}
