//! What is a descriptor inside can be handed over: in an argument or a result, or as a child's standard input and output.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ropewalk_ipc::message::{deserialize_descriptor, serialize_descriptor};
use ropewalk_runtime::process::Stdio;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fs::File;
use crate::io::{PipeReader, PipeWriter};
use crate::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener,
    UnixStream,
};

macro_rules! in_messages {
    ($before:expr; $($type:ty),*) => {$(
        /// Inside of what is sent to, or comes from, a [process](crate::process), as the descriptor that it is.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let before: fn(&Self) -> io::Result<()> = $before;
                before(self).map_err(serde::ser::Error::custom)?;
                serialize_descriptor(self.as_fd(), serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_descriptor(deserializer).map(Self::from)
            }
        }
    )*};
}
in_messages!(|_| Ok(()); File, PipeReader, PipeWriter, TcpListener, UnixListener, UnixSeqpacketListener);
in_messages!(|socket| socket.keep_limits(); TcpStream, UdpSocket, UnixDatagram, UnixSeqpacket, UnixStream);

macro_rules! as_standard_streams {
    ($($type:ty),*) => {$(
        impl From<$type> for Stdio {
            fn from(end: $type) -> Self {
                OwnedFd::from(end).into()
            }
        }
    )*};
}
as_standard_streams!(File, PipeReader, PipeWriter);
