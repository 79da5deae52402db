//! What was delivered and is kept, for a user that forgot it: it fell after its party had told it, or
//! with its party, whose log says again only what came after its last snapshot.

use super::Fast;
use crate::{
    id::{PartyId, Slot},
    stream::batch::Batch,
};

/// What was delivered from a slot on, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// The slot of the first payload of the first batch. Without batches, the slot that is delivered
    /// next.
    pub first: Slot,
    /// Who submitted what, in order.
    pub batches: Vec<(PartyId, Batch)>,
}

impl Fast {
    /// What was delivered from `from` on. It begins with the batch that `from` is in, so with earlier
    /// payloads of that batch; and later, if not all of it is kept: then the slots in between are lost
    /// to this user. What comes after it is delivered, or waits for credit.
    pub fn again(&self, from: Slot) -> Again {
        let mut heads: Vec<_> = self.lanes.iter().map(|(_, lane)| lane.before()).collect();
        let mut kept = Vec::new();
        for (lane, to) in self.catch_up.kept.iter().flat_map(|(_, item)| &item.heads) {
            let after = std::mem::replace(&mut heads[lane.index()], *to);
            let stored = self.lanes.of(*lane).segment(after, *to);
            let stored = stored.expect("batches are kept as long as the items that order them");
            kept.extend(stored.into_iter().map(|batch| (*lane, batch)));
        }
        let end = self.delivery.first().unwrap_or(self.slot);
        let all: u64 = kept.iter().map(|(_, batch)| batch.len() as u64).sum();
        let mut next = Slot::new(self.slot.number() - all);
        let mut again = Again { first: end, batches: Vec::new() };
        for (lane, batch) in kept {
            let first = next;
            next = first.plus(batch.len() as u64);
            if next > from && first < end {
                again.first = again.first.min(first);
                again.batches.push((lane, batch));
            }
        }
        again
    }
}
