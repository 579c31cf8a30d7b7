//! UDP and Unix datagrams: what std's do, ours do, from coroutines and threads, on both drivers; and no datagram is lost.

mod cancel;
mod udp;
mod unix;
