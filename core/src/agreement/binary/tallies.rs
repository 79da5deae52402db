//! What was said in one round, and what this party made of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{BoolSet, Message, equivocated};
use crate::{
    fault::Fault,
    id::PartyId,
    tally::{Tally, Vote},
};

/// The votes of one round of binary agreement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tallies {
    /// Who can live with 0, and who with 1.
    estimates: [BTreeSet<PartyId>; 2],
    auxiliaries: Tally<bool>,
    confirms: Tally<BoolSet>,
    /// The estimates that this party has sent.
    pub(super) sent: BoolSet,
    /// The values that everybody will come to accept.
    pub(super) accepted: BoolSet,
    /// Whether this party has sent its auxiliary.
    pub(super) spoke: bool,
    /// What this party has confirmed.
    pub(super) confirmed: Option<BoolSet>,
    /// The values that this party may carry on, fixed before it touched the coin.
    pub(super) outcome: Option<BoolSet>,
    pub(super) coin: Option<bool>,
}

impl Tallies {
    /// Counts a vote of this round.
    pub(super) fn vote(&mut self, from: PartyId, message: Message) -> Result<(), Fault> {
        match message {
            Message::Estimate { value, .. } => {
                self.estimates[usize::from(value)].insert(from);
                Ok(())
            }
            Message::Auxiliary { value, .. } => count(&mut self.auxiliaries, from, value),
            Message::Confirm { values, .. } => count(&mut self.confirms, from, values),
            Message::Finish { .. } => unreachable!("a finish belongs to no round"),
        }
    }

    /// Counts a party that halted in an earlier round as if it had said all of this.
    pub(super) fn stand_in(&mut self, party: PartyId, value: bool) {
        self.estimates[usize::from(value)].insert(party);
        self.auxiliaries.vote(party, value);
        self.confirms.vote(party, BoolSet::of(value));
    }

    /// How many can live with `value`.
    pub(super) fn supporters(&self, value: bool) -> usize {
        self.estimates[usize::from(value)].len()
    }

    /// The values of the auxiliaries that say something accepted, if there are `enough` of them.
    pub(super) fn auxiliaries(&self, enough: usize) -> Option<BoolSet> {
        let values = self.auxiliaries.iter().map(|(_, value)| BoolSet::of(*value));
        self.union(values, enough)
    }

    /// The union of the confirms of accepted values, if there are `enough` of them.
    pub(super) fn confirms(&self, enough: usize) -> Option<BoolSet> {
        self.union(self.confirms.iter().map(|(_, values)| *values), enough)
    }

    fn union(&self, sets: impl Iterator<Item = BoolSet>, enough: usize) -> Option<BoolSet> {
        let usable: Vec<_> = sets.filter(|set| set.is_within(self.accepted)).collect();
        (usable.len() >= enough).then(|| usable.into_iter().collect())
    }
}

fn count<V: Ord + Clone + Serialize>(
    tally: &mut Tally<V>,
    from: PartyId,
    value: V,
) -> Result<(), Fault> {
    match tally.vote(from, value.clone()) {
        Vote::Fresh { .. } | Vote::Repeated => Ok(()),
        Vote::Conflicting { first } => Err(equivocated(&first, &value)),
    }
}
