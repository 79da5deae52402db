//! The entries that a member keeps, and the chain over them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{CHUNK_BYTES, Certificate, Entry, genesis};
use crate::{crypto::Digest, id::Slot};

/// An entry, the chain after it, and the weight of all entries up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    entry: Entry,
    /// Unknown while the chain before the entries is.
    chain: Option<Digest>,
    total: u64,
}

/// Consecutive slots and what stands in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Log {
    /// The first slot of which the entries are here, the chain before it, and the weight of all that
    /// went.
    floor: Slot,
    before: Option<Digest>,
    gone: u64,
    kept: VecDeque<Kept>,
    /// The slot after the last.
    end: Slot,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            floor: Slot::FIRST,
            before: Some(genesis()),
            gone: 0,
            kept: VecDeque::new(),
            end: Slot::FIRST,
        }
    }

    pub(super) const fn floor(&self) -> Slot {
        self.floor
    }

    pub(super) const fn end(&self) -> Slot {
        self.end
    }

    /// Everything up to `slot` is lost to this member. The chain there is unknown.
    pub(super) fn lose(&mut self, slot: Slot) {
        self.gone = self.total();
        self.kept.clear();
        (self.floor, self.end, self.before) = (slot, slot, None);
    }

    /// The next entry, behind slots that are empty.
    pub(super) fn push(&mut self, entry: Entry) {
        let total = self.total() + entry.weight();
        let chain = self.tip().map(|chain| entry.link().extend(chain));
        self.end = entry.slot.next();
        self.kept.push_back(Kept { entry, chain, total });
    }

    /// Slots up to here are empty.
    pub(super) fn skip(&mut self, slot: Slot) {
        self.end = self.end.max(slot);
    }

    /// Lets the oldest entries go until the rest fits into `most` bytes.
    pub(super) fn trim(&mut self, most: u64) {
        while self.total() - self.gone > most
            && let Some(oldest) = self.kept.pop_front()
        {
            (self.floor, self.before) = (oldest.entry.slot.next(), oldest.chain);
            self.gone = oldest.total;
        }
    }

    /// The chain at a slot that is kept, if it is known.
    pub(super) fn chain(&self, slot: Slot) -> Option<Digest> {
        let within = self.floor <= slot && slot <= self.end;
        within.then(|| self.last_below(slot).map_or(self.before, |kept| kept.chain)).flatten()
    }

    /// The weight of all entries below a slot since the beginning.
    pub(super) fn weight(&self, slot: Slot) -> u64 {
        self.last_below(slot).map_or(self.gone, |kept| kept.total)
    }

    /// Goes by what `f + 1` members signed, if that is not the chain here: either it was unknown, or what
    /// is here is not what the group has, and goes.
    pub(super) fn settle(&mut self, certificate: &Certificate) {
        let slot = certificate.slot;
        let within = self.floor <= slot && slot <= self.end;
        if !within || self.chain(slot) == Some(certificate.chain) {
            return;
        }
        self.gone = self.weight(slot);
        let below = self.kept.partition_point(|kept| kept.entry.slot < slot);
        self.kept.drain(..below);
        (self.floor, self.before) = (slot, Some(certificate.chain));
        let mut chain = certificate.chain;
        for kept in &mut self.kept {
            chain = kept.entry.link().extend(chain);
            kept.chain = Some(chain);
        }
    }

    /// What one message can hold of the entries from a slot on, and the slot after them.
    pub(super) fn chunk(&self, from: Slot, up_to: Slot) -> (Vec<Entry>, Slot) {
        let (mut entries, mut weight) = (Vec::new(), 0);
        let first = self.kept.partition_point(|kept| kept.entry.slot < from);
        for Kept { entry, .. } in self.kept.range(first..) {
            if entry.slot >= up_to {
                break;
            }
            if weight >= CHUNK_BYTES {
                let to = entries.last().map_or(from, |last: &Entry| last.slot.next());
                return (entries, to);
            }
            weight += entry.weight();
            entries.push(entry.clone());
        }
        (entries, self.end.min(up_to))
    }

    fn tip(&self) -> Option<Digest> {
        self.kept.back().map_or(self.before, |kept| kept.chain)
    }

    fn total(&self) -> u64 {
        self.kept.back().map_or(self.gone, |kept| kept.total)
    }

    fn last_below(&self, slot: Slot) -> Option<&Kept> {
        let below = self.kept.partition_point(|kept| kept.entry.slot < slot);
        below.checked_sub(1).map(|place| &self.kept[place])
    }
}
