//! Pipes and the standard streams, mirroring those of `std::io`; and std's traits, readers and writers, so that `use ropewalk::io`
//! can stand for `use std::io`.
//!
//! Whatever of std's reads from or writes to a type of ours waits as that does: [`BufReader`], [`read_to_string`] and all the rest.
//!
//! # What mode a descriptor is in
//! Whether a descriptor blocks is a property of what it stands for, and a process that inherits it shares that: a program
//! such as `cat` whose standard input somebody has set to non-blocking mode fails with `EAGAIN`. So the mode of a pipe's
//! end is **never** changed here. A thread blocks in `read` or `write` itself. A coroutine asks the kernel not to wait for
//! this one call (`RWF_NOWAIT`, preadv2(2)), and waits for readiness where that says that it would have to. So any end can
//! be handed to a child, cloned, and be read here, all at the same time.
//!
//! Pipes know `RWF_NOWAIT` since Linux 6.4. On older kernels, and for what is no pipe (a terminal), the descriptor is asked
//! whether it is ready, and then read, or written to by no more than 4,096 bytes, which there is room for (`PIPE_BUF`,
//! pipe(7)). There, of several readers of one end the quickest takes all, and another coroutine that was told the same
//! holds up its worker until more comes.
//!
//! # FIFOs
//! A FIFO (named pipe, fifo(7)) is a pipe that is found by a path: [`fs::mkfifo`](crate::fs::mkfifo) makes it,
//! [`PipeReader::open`] and [`PipeWriter::open`] open it, and its ends are those of any pipe. Who opens one end waits for the
//! other; for a coroutine a thread of the pool of [`blocking`](crate::blocking) waits in open(2), and is called back when the
//! coroutine is cancelled or out of time. When the last writer is gone, however it went, readers have the rest and then the
//! end; a new writer begins anew, and the same reader reads on. When the last reader is gone, writers get
//! [`BrokenPipe`](ErrorKind::BrokenPipe); once nobody has it open, what was unread is lost. The file itself stays until it is
//! [removed](crate::fs::remove_file).

mod copy;
mod end;
mod fifo;
mod pipe;
mod standard;

pub use self::copy::copy;
pub(crate) use self::end::End;
pub use self::pipe::{PipeReader, PipeWriter, pipe};
pub use self::standard::{Stderr, StderrLock, Stdin, StdinLock, Stdout, StdoutLock, stderr, stdin, stdout};
pub use std::io::{
    BufRead, BufReader, BufWriter, Bytes, Chain, Cursor, Empty, Error, ErrorKind, IntoInnerError, IoSlice,
    IoSliceMut, IsTerminal, LineWriter, Lines, Read, Repeat, Result, Seek, SeekFrom, Sink, Split, Take,
    Write, WriterPanicked, empty, prelude, read_to_string, repeat, sink,
};
