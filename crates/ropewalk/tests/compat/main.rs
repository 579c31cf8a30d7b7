//! What the feature `compat` promises the futures of other crates. The crates themselves run in the workspace `guests`.

#[path = "../suite/support/apart.rs"]
mod apart;
#[allow(dead_code, reason = "shared with the suite")]
#[path = "../suite/support/plan.rs"]
mod plan;
#[path = "../suite/support/watchdog.rs"]
mod watchdog;

mod bridge;
mod futures;
mod hyper;
mod io;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Wake, Waker};

use ropewalk::net::{TcpListener, TcpStream, UnixStream};

use self::plan::{PLANS, runtime};
use self::watchdog::guarded;

/// A connection within the machine, of either family: `OwnedFd`s, which each side makes a stream of.
#[derive(Clone, Copy, Debug)]
enum Family {
    Tcp,
    Unix,
}

const FAMILIES: [Family; 2] = [Family::Tcp, Family::Unix];

impl Family {
    fn pair(self) -> (OwnedFd, OwnedFd) {
        match self {
            Self::Unix => {
                let (near, far) = UnixStream::pair().unwrap();
                (near.into(), far.into())
            }
            Self::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (near.into(), listener.accept().unwrap().0.into())
            }
        }
    }
}

/// A waker that does nothing, and whose clones can be counted.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

fn counted() -> (Arc<Counted>, Waker) {
    let counted = Arc::new(Counted);
    (counted.clone(), counted.into())
}

/// Looks until `condition` holds, letting others run meanwhile.
fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        ropewalk::coroutine::yield_now();
        std::thread::yield_now();
    }
}
