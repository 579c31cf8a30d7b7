//! The descriptors that a worker watches.

use std::sync::Arc;

use ropewalk_sync::park::Watched;

/// Who is to be told of which descriptor; a token is a place and how often the place was used.
#[derive(Default)]
pub(super) struct Sources {
    slots: Vec<(u32, Option<Arc<dyn Watched>>)>,
    free: Vec<u32>,
}

impl Sources {
    pub(super) fn insert(&mut self, source: Arc<dyn Watched>) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("fewer sources than descriptors")
        });
        let slot = &mut self.slots[place as usize];
        // The highest bit stays free, for the drivers' own tokens.
        slot.0 = (slot.0 + 1) & (u32::MAX >> 1);
        slot.1 = Some(source);
        u64::from(slot.0) << 32 | u64::from(place)
    }

    pub(super) fn get(&self, token: u64) -> Option<&Arc<dyn Watched>> {
        let (uses, source) = self.slots.get((token & u64::from(u32::MAX)) as usize)?;
        source.as_ref().filter(|_| u64::from(*uses) == token >> 32)
    }

    pub(super) fn remove(&mut self, token: u64) -> bool {
        let known = self.get(token).is_some();
        if known {
            let place = (token & u64::from(u32::MAX)) as u32;
            self.slots[place as usize].1 = None;
            self.free.push(place);
        }
        known
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Watches nothing any more: whom it would have told.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<dyn Watched>> + use<> {
        std::mem::take(self).slots.into_iter().filter_map(|slot| slot.1)
    }
}
