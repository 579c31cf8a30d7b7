//! Mechanisms within a process.

use std::io;
use std::sync::Arc;

use ropewalk::channel::{Receiver, Sender, bounded};
use ropewalk::sync::{Condvar, Mutex, Semaphore};
use ropewalk::topic::{Policy, Subscription, Topic};

use super::link::{Link, message};
use super::packets::{ended, whole};
use super::shared::Side;
use crate::costs::mechanism::Mechanism;

/// So many messages may be under way.
const ROOM: usize = 64;

type Both = (Box<dyn Link + Send>, Box<dyn Link + Send>);

/// Both ends; `None` of what is not for tasks of one process alone.
pub(super) fn links(mechanism: Mechanism, bytes: u32) -> Option<Both> {
    Some(match mechanism {
        Mechanism::Channel => {
            let ((there, theirs), (back, ours)) = (bounded(ROOM), bounded(ROOM));
            let end = |to, from| Box::new(Moved { to, from, bytes, at_hand: None });
            (end(there, ours), end(back, theirs))
        }
        Mechanism::Topic => {
            let topic = || Topic::builder().capacity(ROOM).policy(Policy::Block).build();
            let (there, back): (Topic<Vec<u8>>, Topic<Vec<u8>>) = (topic(), topic());
            let (theirs, ours) = (there.subscribe(), back.subscribe());
            let end = |to, from| Box::new(Published { to, from, bytes, at_hand: None });
            (end(there, ours), end(back, theirs))
        }
        Mechanism::Lock => {
            let shared = Arc::new((Mutex::new(Side::Near), Condvar::new()));
            let end = |side| Box::new(Turns { shared: Arc::clone(&shared), side });
            (end(Side::Near), end(Side::Far))
        }
        Mechanism::Semaphore => {
            let [there, back] = [0; 2].map(|permits| Arc::new(Semaphore::new(permits)));
            let end = |to: &Arc<Semaphore>, from: &Arc<Semaphore>| {
                Box::new(Permits { to: to.clone(), from: from.clone() })
            };
            (end(&there, &back), end(&back, &there))
        }
        _ => return None,
    })
}

/// Two channels. A message moves, and is not copied: what has come is sent on.
struct Moved {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    bytes: u32,
    at_hand: Option<Vec<u8>>,
}

impl Link for Moved {
    fn send(&mut self) -> io::Result<()> {
        self.to.send(self.at_hand.take().unwrap_or_else(|| message(self.bytes))).map_err(ended)
    }

    fn receive(&mut self) -> io::Result<()> {
        let received = self.from.recv().map_err(ended)?;
        whole(received.len(), self.bytes as usize)?;
        self.at_hand = Some(received);
        Ok(())
    }
}

/// Two topics, with a subscriber each.
struct Published {
    to: Topic<Vec<u8>>,
    from: Subscription<Vec<u8>>,
    bytes: u32,
    at_hand: Option<Vec<u8>>,
}

impl Link for Published {
    fn send(&mut self) -> io::Result<()> {
        let next = self.at_hand.take().unwrap_or_else(|| message(self.bytes));
        self.to.publish(next).map(drop).map_err(ended)
    }

    fn receive(&mut self) -> io::Result<()> {
        let received = self.from.recv().map_err(ended)?.into_inner();
        whole(received.len(), self.bytes as usize)?;
        self.at_hand = Some(received);
        Ok(())
    }
}

/// Whose turn it is, under a lock.
struct Turns {
    shared: Arc<(Mutex<Side>, Condvar)>,
    side: Side,
}

impl Link for Turns {
    fn send(&mut self) -> io::Result<()> {
        let (turn, changed) = &*self.shared;
        *turn.lock().map_err(ended)? = self.side.other();
        changed.notify_one();
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let (turn, changed) = &*self.shared;
        let mut turn = turn.lock().map_err(ended)?;
        while *turn != self.side {
            turn = changed.wait(turn).map_err(ended)?;
        }
        Ok(())
    }
}

/// A semaphore for each direction.
struct Permits {
    to: Arc<Semaphore>,
    from: Arc<Semaphore>,
}

impl Link for Permits {
    fn send(&mut self) -> io::Result<()> {
        self.to.add_permits(1);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.from.acquire().forget();
        Ok(())
    }
}
