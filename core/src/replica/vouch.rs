//! Who vouched for what. Replicated state: it changes by ordered ballots only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{crypto::Digest, id::PartyId};

/// The most ids that one member's vouches keep pending: some seconds of requests of a busy group.
/// Beyond it the member's oldest vouch is forgotten; a correct client's retry renews it.
pub(super) const PENDING_MAX: usize = 4_096;

/// How many ids that took effect are remembered, so that the vouches of the slower members, which
/// come some rounds later, do not pend anew.
pub(super) const RECENT_MAX: usize = 2_048;

/// The vouches of all members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Vouches {
    /// The voters of each id that has not taken effect, with the order of their vouches.
    pending: BTreeMap<Digest, BTreeMap<PartyId, u64>>,
    /// The same by voter.
    by_member: BTreeMap<PartyId, BTreeMap<u64, Digest>>,
    /// What took effect, oldest first.
    recent: VecDeque<Digest>,
    effective: BTreeSet<Digest>,
    count: u64,
}

impl Vouches {
    pub(super) fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            by_member: BTreeMap::new(),
            recent: VecDeque::new(),
            effective: BTreeSet::new(),
            count: 0,
        }
    }

    /// Counts the vouch of `from`. The voters, if `needed` of them make it take effect now.
    pub(super) fn vouch(
        &mut self,
        from: PartyId,
        id: Digest,
        needed: usize,
    ) -> Option<Vec<PartyId>> {
        if self.effective.contains(&id) || self.stands(from, &id) {
            return None;
        }
        self.count += 1;
        let voters = self.pending.entry(id).or_default();
        voters.insert(from, self.count);
        let enough = voters.len() >= needed;
        let own = self.by_member.entry(from).or_default();
        own.insert(self.count, id);
        if enough {
            return Some(self.take_effect(id));
        }
        if own.len() > PENDING_MAX
            && let Some((_, oldest)) = own.pop_first()
        {
            self.forget(from, &oldest);
        }
        None
    }

    fn take_effect(&mut self, id: Digest) -> Vec<PartyId> {
        let voters = self.pending.remove(&id).unwrap_or_default();
        for (voter, order) in &voters {
            if let Some(own) = self.by_member.get_mut(voter) {
                own.remove(order);
            }
        }
        self.recent.push_back(id);
        self.effective.insert(id);
        if self.recent.len() > RECENT_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.effective.remove(&oldest);
        }
        voters.into_keys().collect()
    }

    fn forget(&mut self, voter: PartyId, id: &Digest) {
        let Some(voters) = self.pending.get_mut(id) else { return };
        voters.remove(&voter);
        if voters.is_empty() {
            self.pending.remove(id);
        }
    }

    /// Takes back the vouch of `from`, unless the id took effect.
    pub(super) fn withdraw(&mut self, from: PartyId, id: &Digest) {
        let order = self.pending.get(id).and_then(|voters| voters.get(&from)).copied();
        if let Some(order) = order
            && let Some(own) = self.by_member.get_mut(&from)
        {
            own.remove(&order);
            self.forget(from, id);
        }
    }

    /// The id had no effect after all, and may be vouched for again.
    pub(super) fn reopen(&mut self, id: &Digest) {
        self.effective.remove(id);
    }

    /// Whether `party` vouches for `id`, which has not taken effect.
    pub(super) fn stands(&self, party: PartyId, id: &Digest) -> bool {
        self.pending.get(id).is_some_and(|voters| voters.contains_key(&party))
    }

    /// Whether `id` took effect lately.
    pub(super) fn took_effect(&self, id: &Digest) -> bool {
        self.effective.contains(id)
    }

    /// The pending ids of `party`, oldest first.
    pub(super) fn of(&self, party: PartyId) -> impl Iterator<Item = &Digest> {
        self.by_member.get(&party).into_iter().flat_map(BTreeMap::values)
    }

    /// How many ids are remembered in all.
    pub(super) fn len(&self) -> usize {
        self.pending.len() + self.recent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Digest {
        Digest::of("test", &number.to_le_bytes())
    }

    const A: PartyId = PartyId::new(0);
    const B: PartyId = PartyId::new(1);
    const C: PartyId = PartyId::new(2);

    #[test]
    fn an_id_takes_effect_once_at_enough_distinct_members() {
        let mut vouches = Vouches::new();
        assert_eq!(vouches.vouch(A, id(1), 2), None);
        assert_eq!(vouches.vouch(A, id(1), 2), None, "one member counts once");
        assert_eq!(vouches.vouch(B, id(1), 2), Some(vec![A, B]));
        assert_eq!(vouches.vouch(C, id(1), 2), None);
        assert_eq!(vouches.vouch(A, id(1), 2), None, "late vouches do not pend anew");
        assert_eq!(vouches.pending.len(), 0);
    }

    #[test]
    fn a_flooding_member_loses_its_own_oldest_vouches_only() {
        let mut vouches = Vouches::new();
        vouches.vouch(B, id(0), 3);
        for number in 0..=PENDING_MAX as u64 {
            vouches.vouch(A, id(number), 3);
        }
        assert!(vouches.stands(B, &id(0)) && !vouches.stands(A, &id(0)));
        assert_eq!(vouches.of(A).count(), PENDING_MAX);
        assert_eq!(vouches.vouch(A, id(0), 2), Some(vec![A, B]), "a vouch can be renewed");
    }

    #[test]
    fn what_took_effect_is_forgotten_in_the_end() {
        let mut vouches = Vouches::new();
        for number in 0..10 * RECENT_MAX as u64 {
            assert!(vouches.vouch(A, id(number), 1).is_some());
        }
        assert_eq!((vouches.len(), vouches.effective.len()), (RECENT_MAX, RECENT_MAX));
    }

    #[test]
    fn a_vouch_taken_back_does_not_count() {
        let mut vouches = Vouches::new();
        vouches.vouch(A, id(1), 2);
        vouches.withdraw(A, &id(1));
        assert_eq!(vouches.vouch(B, id(1), 2), None);
        vouches.withdraw(C, &id(1));
        assert!(vouches.stands(B, &id(1)));
    }
}
