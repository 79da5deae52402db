//! The entries that a reader has and has not handed on.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Output;
use crate::{crypto::Digest, id::Slot, stream::open::Entry};

/// Entries behind a place where the chain is known, some of which are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    /// The slot up to which all is handed on, and the chain there.
    base: (Slot, Digest),
    /// With the chain after each.
    pending: VecDeque<(Entry, Digest)>,
    weight: u64,
    /// Up to here it is believed.
    vouched: Slot,
    end: Slot,
}

impl Book {
    /// Nothing, at a place where the chain is believed.
    pub(super) fn at(slot: Slot, chain: Digest) -> Self {
        Self { base: (slot, chain), pending: VecDeque::new(), weight: 0, vouched: slot, end: slot }
    }

    pub(super) const fn base(&self) -> Slot {
        self.base.0
    }

    pub(super) const fn vouched(&self) -> Slot {
        self.vouched
    }

    pub(super) const fn end(&self) -> Slot {
        self.end
    }

    /// How many bytes of entries are here.
    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    /// The chain at a slot that is not handed on, as the entries here have it.
    pub(super) fn chain(&self, slot: Slot) -> Option<Digest> {
        let below = self.pending.partition_point(|(entry, _)| entry.slot < slot);
        let last = below.checked_sub(1).map_or(self.base.1, |place| self.pending[place].1);
        (self.base.0 <= slot && slot <= self.end).then_some(last)
    }

    /// Takes entries that begin at the end.
    pub(super) fn push(&mut self, entries: Vec<Entry>, to: Slot) {
        for entry in entries {
            let before = self.pending.back().map_or(self.base.1, |(_, chain)| *chain);
            let chain = entry.link().extend(before);
            self.weight += entry.weight();
            self.pending.push_back((entry, chain));
        }
        self.end = to;
    }

    /// Believes what lies below `slot`.
    pub(super) fn vouch(&mut self, slot: Slot) {
        self.vouched = self.vouched.max(slot.min(self.end));
    }

    /// Forgets what is not believed.
    pub(super) fn doubt(&mut self) {
        let vouched = self.vouched;
        while let Some((entry, _)) = self.pending.pop_back_if(|(entry, _)| entry.slot >= vouched) {
            self.weight -= entry.weight();
        }
        self.end = vouched;
    }

    /// What is believed and lies below `up_to`: first what the user does not want, which goes.
    pub(super) fn take(&mut self, wanted: Slot, up_to: Slot) -> Option<Output> {
        self.pop(wanted.min(up_to));
        let ((from, before), entries) = (self.base, self.pop(up_to));
        let to = self.base.0;
        (!entries.is_empty()).then_some(Output::Deliver { from, before, entries, to })
    }

    fn pop(&mut self, up_to: Slot) -> Vec<Entry> {
        let (most, mut entries) = (self.vouched.min(up_to), Vec::new());
        while let Some((entry, chain)) = self.pending.pop_front_if(|(entry, _)| entry.slot < most) {
            self.weight -= entry.weight();
            self.base = (entry.slot.next(), chain);
            entries.push(entry);
        }
        let next = self.pending.front().map_or(self.end, |(entry, _)| entry.slot);
        self.base.0 = self.base.0.max(most.min(next));
        entries
    }
}
