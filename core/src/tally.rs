//! Counting distinct senders: the first vote counts, a second, different one is evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::PartyId;

/// One vote a party, for values of type `V`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally<V: Ord> {
    votes: BTreeMap<PartyId, V>,
}

/// What a vote did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote<V> {
    /// It counts; `count` parties have now voted for this value.
    Fresh {
        /// How many parties voted for the same value, this one included.
        count: usize,
    },
    /// The party had said the same before.
    Repeated,
    /// The party had said something else before; that stays its vote.
    Conflicting {
        /// What it had said.
        first: V,
    },
}

impl<V: Ord> Default for Tally<V> {
    fn default() -> Self {
        Self { votes: BTreeMap::new() }
    }
}

impl<V: Ord + Clone> Tally<V> {
    /// Counts the vote of `from`, unless it has voted.
    pub fn vote(&mut self, from: PartyId, value: V) -> Vote<V> {
        match self.votes.get(&from) {
            Some(first) if *first == value => Vote::Repeated,
            Some(first) => Vote::Conflicting { first: first.clone() },
            None => {
                self.votes.insert(from, value.clone());
                Vote::Fresh { count: self.count(&value) }
            }
        }
    }

    /// How many parties voted for `value`.
    pub fn count(&self, value: &V) -> usize {
        self.votes.values().filter(|vote| *vote == value).count()
    }

    /// How many parties voted.
    pub fn len(&self) -> usize {
        self.votes.len()
    }

    /// Whether nobody voted.
    pub fn is_empty(&self) -> bool {
        self.votes.is_empty()
    }

    /// What `party` voted.
    pub fn of(&self, party: PartyId) -> Option<&V> {
        self.votes.get(&party)
    }

    /// Who voted for `value`, in order.
    pub fn voters<'a>(&'a self, value: &'a V) -> impl Iterator<Item = PartyId> + 'a {
        self.votes.iter().filter(move |(_, vote)| *vote == value).map(|(party, _)| *party)
    }

    /// All votes, by party.
    pub fn iter(&self) -> impl Iterator<Item = (PartyId, &V)> {
        self.votes.iter().map(|(party, vote)| (*party, vote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_counts_once() {
        let (a, b) = (PartyId::new(0), PartyId::new(1));
        let mut tally = Tally::default();
        assert_eq!(tally.vote(a, 7), Vote::Fresh { count: 1 });
        assert_eq!(tally.vote(a, 7), Vote::Repeated);
        assert_eq!(tally.vote(a, 8), Vote::Conflicting { first: 7 });
        assert_eq!(tally.vote(b, 7), Vote::Fresh { count: 2 });
        assert_eq!(tally.count(&8), 0);
        assert_eq!(tally.voters(&7).collect::<Vec<_>>(), [a, b]);
    }
}
