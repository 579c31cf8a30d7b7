//! The operations that are under way for the coroutines of a worker, made by its driver or by threads of the pool.

use std::io;
use std::sync::Arc;

use ropewalk_sync::park::Unparker;

/// An operation that another thread makes.
pub(crate) trait Elsewhere: Send + Sync {
    /// Has it come to an end, with what it has done by then.
    fn interrupt(&self);
}

/// Who makes an operation.
pub(super) enum Maker {
    Driver,
    Thread(Arc<dyn Elsewhere>),
}

enum Slot {
    Free,
    UnderWay(Unparker, Maker),
    Over(io::Result<usize>),
}

/// A token is a place and how often the place was used; a place is used again when the result was taken.
#[derive(Default)]
pub(super) struct Operations {
    slots: Vec<(u32, Slot)>,
    free: Vec<u32>,
}

impl Operations {
    /// A new one, which `owner` waits for, and which the driver makes unless it is [made elsewhere](Self::made_elsewhere).
    pub(super) fn insert(&mut self, owner: Unparker) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, Slot::Free));
            u32::try_from(self.slots.len() - 1).expect("fewer operations than coroutines")
        });
        let slot = &mut self.slots[place as usize];
        // The highest bits stay free, for the drivers' own tokens.
        slot.0 = (slot.0 + 1) & (u32::MAX >> 2);
        slot.1 = Slot::UnderWay(owner, Maker::Driver);
        u64::from(slot.0) << 32 | u64::from(place)
    }

    fn get(&mut self, token: u64) -> Option<&mut Slot> {
        let (uses, slot) = self.slots.get_mut((token & u64::from(u32::MAX)) as usize)?;
        (u64::from(*uses) == token >> 32).then_some(slot)
    }

    /// Nobody makes it: its owner.
    pub(super) fn take_back(&mut self, token: u64) -> Unparker {
        let slot = self.get(token).expect("it was inserted just now");
        let Slot::UnderWay(owner, _) = std::mem::replace(slot, Slot::Free) else {
            unreachable!("nobody has ended it")
        };
        self.free.push((token & u64::from(u32::MAX)) as u32);
        owner
    }

    /// A thread makes it.
    pub(super) fn made_elsewhere(&mut self, token: u64, call: Arc<dyn Elsewhere>) {
        if let Some(Slot::UnderWay(_, maker)) = self.get(token) {
            *maker = Maker::Thread(call);
        }
    }

    /// It is over. Whom to tell.
    pub(super) fn complete(&mut self, token: u64, result: io::Result<usize>) -> Option<Unparker> {
        let slot = self.get(token)?;
        match std::mem::replace(slot, Slot::Over(result)) {
            Slot::UnderWay(owner, _) => Some(owner),
            _ => unreachable!("an operation ends once"),
        }
    }

    /// Takes the result, if it is over.
    pub(super) fn take(&mut self, token: u64) -> Option<io::Result<usize>> {
        let slot = self.get(token)?;
        if !matches!(slot, Slot::Over(_)) {
            return None;
        }
        let Slot::Over(result) = std::mem::replace(slot, Slot::Free) else { unreachable!("just looked at") };
        self.free.push((token & u64::from(u32::MAX)) as u32);
        Some(result)
    }

    /// Who makes it, if it is under way.
    pub(super) fn maker(&mut self, token: u64) -> Option<&Maker> {
        match self.get(token)? {
            Slot::UnderWay(_, maker) => Some(maker),
            _ => None,
        }
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_operation_only() {
        let mut operations = Operations::default();
        let first = operations.insert(Unparker::current());
        assert!(operations.take(first).is_none(), "it is under way");
        assert!(operations.complete(first, Ok(3)).is_some());
        assert!(operations.maker(first).is_none());
        assert_eq!(operations.take(first).unwrap().unwrap(), 3);
        assert!(operations.is_empty());
        let second = operations.insert(Unparker::current());
        assert_ne!(first, second, "in the same place");
        assert!(operations.complete(first, Ok(4)).is_none() && operations.take(first).is_none());
        assert!(!operations.is_empty());
        assert!(second < 1 << 62, "the highest bits are the drivers'");
    }
}
