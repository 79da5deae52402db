//! What the engine has ordered and the user was not given: ciphertexts on their way to be opened, and
//! what they contained.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Author, Output};
use crate::{
    crypto::{Ciphertext, Digest, Share},
    id::{PartyId, Slot},
    stream::{atomic::Position, batch::Batch},
};

/// How many slots ahead of what was ordered here shares of others are kept: some batches of a group
/// of sixteen. More only costs memory; what is dropped is asked for later.
pub(super) const AHEAD: u64 = 128;

/// What a slot takes beside its bytes: names, and the shares of a group of ten.
const SLOT_WEIGHT: usize = 1024;

/// A ciphertext that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// Who had it ordered.
    pub(super) from: PartyId,
    pub(super) author: Author,
    /// The digest of what was ordered.
    pub(super) name: Digest,
    pub(super) ciphertext: Ciphertext,
    /// Shares that are not known to be wrong.
    pub(super) shares: BTreeMap<PartyId, Share>,
    /// Whose shares were wrong: they count no more.
    pub(super) blamed: BTreeSet<PartyId>,
    /// Whether this party found it valid, and released its share.
    pub(super) valid: bool,
    /// Whether a combination is under way.
    pub(super) combining: bool,
}

/// What is in a slot, or in some that follow one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry {
    Sealed(Box<Sealed>),
    Opened { from: PartyId, author: Author, batch: Batch },
    Invalid { from: PartyId, count: u64 },
    Gap { to: Slot },
}

impl Entry {
    fn weight(&self) -> usize {
        SLOT_WEIGHT
            + match self {
                Self::Sealed(sealed) => sealed.ciphertext.0.len(),
                Self::Opened { batch, .. } => batch.weight(),
                Self::Invalid { .. } | Self::Gap { .. } => 0,
            }
    }
}

/// What became of a share of another party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is kept, or not needed.
    Yes,
    /// The slot is too far ahead.
    Dropped,
    /// Something else was ordered in that slot.
    OfAnother,
}

/// The slots in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    entries: BTreeMap<Slot, Entry>,
    ends: BTreeMap<Slot, Position>,
    early: BTreeMap<Slot, BTreeMap<PartyId, (Digest, Share)>>,
    /// The slot that the engine orders next.
    next: Slot,
    credit: Slot,
    weight: usize,
}

impl Line {
    /// The slot that the engine orders next.
    pub(super) fn next(&self) -> Slot {
        self.next
    }

    /// The first slot that the user was not given.
    pub(super) fn head(&self) -> Slot {
        self.entries.first_key_value().map_or(self.next, |(slot, _)| *slot)
    }

    /// The user takes what is below this slot. Credit never shrinks.
    pub(super) fn pull(&mut self, up_to: Slot) {
        self.credit = self.credit.max(up_to);
    }

    /// A ciphertext was ordered. Early shares that are of something else are its senders' lies.
    pub(super) fn order(&mut self, slot: Slot, mut sealed: Sealed) -> Vec<PartyId> {
        let mut liars = Vec::new();
        for (party, (name, share)) in self.early.remove(&slot).unwrap_or_default() {
            if name == sealed.name {
                sealed.shares.insert(party, share);
            } else {
                liars.push(party);
            }
        }
        self.put(slot, Entry::Sealed(Box::new(sealed)));
        self.advance(slot.next());
        liars
    }

    /// What was ordered from this slot on is nothing that can be opened.
    pub(super) fn invalid(&mut self, slot: Slot, from: PartyId, count: u64) {
        self.put(slot, Entry::Invalid { from, count });
        self.advance(slot.plus(count));
    }

    /// The engine will not deliver the slots from here to there.
    pub(super) fn gap(&mut self, to: Slot) {
        if to > self.next {
            self.put(self.next, Entry::Gap { to });
            self.advance(to);
        }
    }

    /// All of a round is ordered.
    pub(super) fn end(&mut self, position: Position) {
        self.ends.entry(position.slot).or_insert(position);
    }

    /// The ciphertext in this slot, if it waits to be opened.
    pub(super) fn sealed(&mut self, slot: Slot) -> Option<&mut Sealed> {
        match self.entries.get_mut(&slot)? {
            Entry::Sealed(sealed) => Some(sealed),
            _ => None,
        }
    }

    /// The ciphertexts that may be opened now: all below the credit.
    pub(super) fn wanted(&mut self) -> impl Iterator<Item = (Slot, &mut Sealed)> {
        self.entries.range_mut(..self.credit).filter_map(|(slot, entry)| match entry {
            Entry::Sealed(sealed) => Some((*slot, &mut **sealed)),
            _ => None,
        })
    }

    /// A ciphertext was opened, or found to hold nothing.
    pub(super) fn opened(&mut self, slot: Slot, batch: Option<Batch>) {
        if let Some(Entry::Sealed(sealed)) = self.entries.get(&slot) {
            let (from, author) = (sealed.from, sealed.author);
            self.put(
                slot,
                match batch {
                    Some(batch) => Entry::Opened { from, author, batch },
                    None => Entry::Invalid { from, count: 1 },
                },
            );
        }
    }

    /// Takes in a share of another party.
    pub(super) fn share(&mut self, from: PartyId, slot: Slot, name: Digest, share: Share) -> Taken {
        if slot >= self.next {
            if slot >= self.next.plus(AHEAD) {
                return Taken::Dropped;
            }
            self.early.entry(slot).or_default().entry(from).or_insert((name, share));
            return Taken::Yes;
        }
        match self.sealed(slot) {
            Some(sealed) if sealed.name != name => return Taken::OfAnother,
            Some(sealed) if !sealed.blamed.contains(&from) => {
                sealed.shares.entry(from).or_insert(share);
            }
            _ => {}
        }
        Taken::Yes
    }

    /// What may go to the user next, if anything.
    pub(super) fn pop(&mut self) -> Option<Output> {
        let (slot, end) = (self.head(), self.ends.first_key_value().map(|(slot, _)| *slot));
        if end.is_some_and(|end| end <= slot) {
            let (_, position) = self.ends.pop_first()?;
            return Some(Output::RoundEnd { position });
        }
        let ready = match self.entries.get(&slot)? {
            Entry::Sealed(_) => false,
            Entry::Gap { .. } => true,
            Entry::Opened { .. } | Entry::Invalid { .. } => slot < self.credit,
        };
        let entry = if ready { self.entries.remove(&slot)? } else { return None };
        self.weight -= entry.weight();
        Some(match entry {
            Entry::Opened { from, author, batch } => Output::Deliver { slot, from, author, batch },
            Entry::Invalid { from, count } => Output::Invalid { first: slot, count, from },
            Entry::Gap { to } => Output::Lagged { from: slot, to },
            Entry::Sealed(_) => unreachable!("it is not ready"),
        })
    }

    /// Drops all that waits if it is more than `most`. Tells where the gap begins and ends.
    pub(super) fn overflow(&mut self, most: usize) -> Option<(Slot, Slot)> {
        if self.weight <= most {
            return None;
        }
        let from = self.head();
        self.entries.clear();
        self.ends.clear();
        self.weight = 0;
        Some((from, self.next))
    }

    /// Goes on at this slot: what lies below is covered by a checkpoint of the user.
    pub(super) fn skip(&mut self, slot: Slot) {
        self.entries = self.entries.split_off(&slot);
        self.ends = self.ends.split_off(&slot.next());
        self.weight = self.entries.values().map(Entry::weight).sum();
        if slot > self.next {
            self.advance(slot);
        }
    }

    fn put(&mut self, slot: Slot, entry: Entry) {
        self.weight += entry.weight();
        let before = self.entries.insert(slot, entry);
        self.weight -= before.map_or(0, |entry| entry.weight());
    }

    fn advance(&mut self, next: Slot) {
        self.next = next;
        self.early = self.early.split_off(&next);
    }
}
