//! Who holds which state where.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::pages::Pages;
use crate::{
    crypto::Digest,
    id::{PartyId, Slot},
    stream::atomic::Position,
};

/// How many checkpoints of each member are remembered, and how many own states are kept: the stable
/// one, the one after it, and one for a member that asks in between.
pub(super) const KEPT: usize = 3;

/// A member's word on its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where. Members may pass through the same slot in different rounds, if rounds were empty.
    pub position: Position,
    /// The encoded state, in bytes.
    pub size: u64,
    /// The digest of the encoded state.
    pub digest: Digest,
}

impl Checkpoint {
    /// Whether both speak of the same state at the same slot.
    fn agrees(&self, other: &Self) -> bool {
        (self.position.slot, self.size, self.digest)
            == (other.position.slot, other.size, other.digest)
    }
}

/// What a member's checkpoint led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct News {
    /// A checkpoint that became stable.
    pub(super) stable: Option<Checkpoint>,
    /// Members whose state differs from the stable one, with theirs.
    pub(super) diverged: Vec<(PartyId, Digest)>,
}

/// The checkpoints of all members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoints {
    said: BTreeMap<PartyId, VecDeque<Checkpoint>>,
    stable: Option<Checkpoint>,
    own: VecDeque<(Checkpoint, Pages)>,
}

impl Checkpoints {
    /// The last checkpoint that `2f + 1` hold.
    pub(super) fn stable(&self) -> Option<&Checkpoint> {
        self.stable.as_ref()
    }

    /// Keeps an own state.
    pub(super) fn keep(&mut self, checkpoint: Checkpoint, state: Pages) {
        self.own.push_back((checkpoint, state));
        if self.own.len() > KEPT {
            self.own.pop_front();
        }
    }

    /// Forgets all own states but this one, which was loaded.
    pub(super) fn replace(&mut self, checkpoint: Checkpoint, state: Pages) {
        self.own.clear();
        self.keep(checkpoint, state);
    }

    /// The own states, oldest first.
    pub(super) fn own(&self) -> impl Iterator<Item = &Checkpoint> {
        self.own.iter().map(|(own, _)| own)
    }

    /// The own state with this digest.
    pub(super) fn pages(&self, digest: &Digest) -> Option<&Pages> {
        self.own.iter().find(|(own, _)| own.digest == *digest).map(|(_, pages)| pages)
    }

    /// The digest of the own state at this slot.
    pub(super) fn own_at(&self, slot: Slot) -> Option<Digest> {
        self.own.iter().find(|(own, _)| own.position.slot == slot).map(|(own, _)| own.digest)
    }

    /// Notes what a member says of its state.
    pub(super) fn hear(&mut self, from: PartyId, said: Checkpoint, needed: usize) -> News {
        let mut news = News::default();
        let list = self.said.entry(from).or_default();
        if list.contains(&said) {
            return news;
        }
        list.push_back(said.clone());
        if list.len() > KEPT {
            list.pop_front();
        }
        let slot = said.position.slot;
        let higher = self.stable.as_ref().is_none_or(|stable| slot > stable.position.slot);
        if higher && self.holders(|held| held.agrees(&said)).len() >= needed {
            self.own.retain(|(own, _)| own.position.slot >= slot);
            news.diverged = self.others(&said);
            news.stable = Some(said.clone());
            self.stable = Some(said);
        } else if let Some(stable) = &self.stable
            && stable.position.slot == slot
            && !stable.agrees(&said)
        {
            news.diverged.push((from, said.digest));
        }
        news
    }

    /// The highest checkpoint that `needed` members hold in the same words and that `wanted` accepts,
    /// with its holders.
    pub(super) fn best(
        &self,
        needed: usize,
        wanted: impl Fn(&Checkpoint) -> bool,
    ) -> Option<(Checkpoint, Vec<PartyId>)> {
        let all = self.said.values().flatten().filter(|said| wanted(said));
        all.map(|said| (said.clone(), self.holders(|held| held == said)))
            .filter(|(_, holders)| holders.len() >= needed)
            .max_by_key(|(said, _)| (said.position.round, said.position.slot))
    }

    fn holders(&self, same: impl Fn(&Checkpoint) -> bool) -> Vec<PartyId> {
        let holds = |list: &VecDeque<Checkpoint>| list.iter().any(&same);
        self.said.iter().filter(|(_, list)| holds(list)).map(|(party, _)| *party).collect()
    }

    fn others(&self, stable: &Checkpoint) -> Vec<(PartyId, Digest)> {
        let differs =
            |held: &&Checkpoint| held.position.slot == stable.position.slot && !held.agrees(stable);
        let other = |(party, list): (&PartyId, &VecDeque<Checkpoint>)| {
            list.iter().find(differs).map(|held| (*party, held.digest))
        };
        self.said.iter().filter_map(other).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(slot: u64, state: &str) -> Checkpoint {
        let position = Position { slot: Slot::new(slot), ..Position::default() };
        Checkpoint { position, size: 1, digest: Digest::of("state", state.as_bytes()) }
    }

    fn p(party: u16) -> PartyId {
        PartyId::new(party)
    }

    #[test]
    fn stable_needs_enough_and_names_who_differs() {
        let mut checkpoints = Checkpoints::default();
        checkpoints.keep(at(8, "x"), Pages::new(Bytes::new()));
        assert_eq!(checkpoints.hear(p(0), at(8, "x"), 3), News::default());
        assert_eq!(checkpoints.hear(p(1), at(8, "wrong"), 3), News::default());
        assert_eq!(checkpoints.hear(p(2), at(8, "x"), 3), News::default());
        let news = checkpoints.hear(p(3), at(8, "x"), 3);
        assert_eq!(news.stable, Some(at(8, "x")));
        assert_eq!(news.diverged, [(p(1), at(8, "wrong").digest)]);
    }

    #[test]
    fn a_flood_of_checkpoints_is_bounded_and_moves_nothing() {
        let mut checkpoints = Checkpoints::default();
        for slot in 0..1_000 {
            assert_eq!(checkpoints.hear(p(0), at(slot, "lie"), 3), News::default());
        }
        assert_eq!(checkpoints.said[&p(0)].len(), KEPT);
        assert_eq!(checkpoints.best(2, |_| true), None);
        checkpoints.hear(p(1), at(999, "lie"), 3);
        assert_eq!(checkpoints.best(2, |_| true), Some((at(999, "lie"), vec![p(0), p(1)])));
    }
}
