//! What an epoch ordered, from what its members say of it when they leave: the recovery rule.
//!
//! The rule is pure, so that it can be searched completely; the argument stands on the page of
//! [`fast`](super).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::item::Head;
use crate::{
    crypto::Digest,
    id::{PartyId, Round},
    thresholds::Thresholds,
};

/// What a member says of one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The chain there, as it delivered it or bound itself to it.
    pub(super) chain: Digest,
    /// Whether it said the second bind for it.
    pub(super) prepared: bool,
}

/// What a member says of a lane: its chain from what it knows to be ordered up to what it stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// The batch that the first chain is about.
    pub(super) from: u64,
    /// The chains, one a batch.
    pub(super) chains: Vec<Digest>,
}

impl Stored {
    fn at(&self, seq: u64) -> Option<&Digest> {
        self.chains.get(usize::try_from(seq.checked_sub(self.from)?).ok()?)
    }

    fn top(&self) -> u64 {
        self.from + (self.chains.len() as u64).saturating_sub(1)
    }
}

/// What a member says of an epoch when it leaves it. It binds itself to nothing in the epoch later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Which epoch.
    pub(super) epoch: u64,
    /// Of what it prepared up to this place nothing is said.
    pub(super) floor: Round,
    /// The place that the first claim is about.
    pub(super) base: Round,
    /// Up to here it has delivered.
    pub(super) delivered: Round,
    /// From the base on, without gaps.
    pub(super) claims: Vec<Claim>,
    /// A lane a member, in order.
    pub(super) lanes: Vec<Stored>,
}

impl State {
    fn at(&self, place: u64) -> Option<&Claim> {
        self.claims.get(usize::try_from(place.checked_sub(self.base.number())?).ok()?)
    }

    /// Whether it has delivered this chain at this place.
    fn has_delivered(&self, place: u64, chain: &Digest) -> bool {
        place <= self.delivered.number()
            && self.at(place).is_some_and(|claim| claim.chain == *chain)
    }

    /// Whether it speaks of this place, and did not prepare anything but `chain` there.
    fn allows(&self, place: u64, chain: Option<&Digest>) -> bool {
        self.floor.number() < place
            && self.at(place).is_none_or(|claim| !claim.prepared || Some(&claim.chain) == chain)
    }

    /// Its chains after `base`, if it has this chain there.
    fn path(&self, base: u64, chain: &Digest) -> Option<impl Iterator<Item = Digest> + '_> {
        self.at(base).filter(|claim| claim.chain == *chain)?;
        let skip = usize::try_from(base - self.base.number()).ok()? + 1;
        Some(self.claims[skip..].iter().map(|claim| claim.chain))
    }
}

/// The states of an epoch, by member.
pub(super) type States = BTreeMap<PartyId, State>;

/// What an epoch ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// A place that a correct member has delivered.
    pub(super) base: Round,
    /// The chains from there on, up to the end of the epoch.
    pub(super) chains: Vec<Digest>,
}

impl Outcome {
    /// The last place.
    pub(super) fn end(&self) -> Round {
        self.base.plus(self.chains.len() as u64 - 1)
    }
}

/// What the epoch ordered, if these states resolve it. More states never change a place that a correct
/// member has delivered, and those of all correct members resolve every epoch.
pub(super) fn resolve(states: &States, thresholds: Thresholds) -> Option<Outcome> {
    let (one, all) = (thresholds.one_correct(), thresholds.available());
    if states.len() < all {
        return None;
    }
    let (base, chain) = vouched(states, one)?;
    let mut best: Option<Vec<Digest>> = None;
    let ends = |path: &[Digest]| {
        let next = base + path.len() as u64 + 1;
        states.values().filter(|state| state.allows(next, None)).count() >= all
    };
    for state in states.values() {
        let Some(chains) = state.path(base, &chain) else { continue };
        let mut path = Vec::new();
        let mut longest = ends(&path).then(Vec::new);
        for next in chains {
            path.push(next);
            if !is_backed(states, base, &chain, &path, one, all) {
                break;
            }
            if ends(&path) {
                longest = Some(path.clone());
            }
        }
        let order = |path: &Vec<Digest>| (path.len(), std::cmp::Reverse(path.clone()));
        best = best.into_iter().chain(longest).max_by_key(order);
    }
    best.map(|path| Outcome {
        base: Round::new(base),
        chains: std::iter::once(chain).chain(path).collect(),
    })
}

/// The highest place that `f + 1` members say to have delivered with the same chain.
fn vouched(states: &States, one: usize) -> Option<(u64, Digest)> {
    let delivered = states.values().flat_map(|state| {
        let places =
            (0_u64..).zip(&state.claims).map(|(i, claim)| (state.base.number() + i, claim));
        places.take_while(|(place, _)| *place <= state.delivered.number())
    });
    let vouched = delivered.filter(|(place, claim)| {
        let same = states.values().filter(|state| state.has_delivered(*place, &claim.chain));
        same.count() >= one
    });
    vouched.map(|(place, claim)| (place, claim.chain)).max()
}

/// Whether the last step of this path is one that a correct member went, and nothing else can have been
/// delivered there.
fn is_backed(
    states: &States,
    base: u64,
    chain: &Digest,
    path: &[Digest],
    one: usize,
    all: usize,
) -> bool {
    let went = |state: &&State| {
        state.path(base, chain).is_some_and(|mut own| path.iter().all(|at| own.next() == Some(*at)))
    };
    let place = base + path.len() as u64;
    let allows = |state: &&State| state.allows(place, path.last());
    states.values().filter(went).count() >= one && states.values().filter(allows).count() >= all
}

/// How far a lane is ordered at the end of an epoch whose items order it up to `head`: as far as `f + 1`
/// members store the same.
pub(super) fn extend(states: &States, lane: PartyId, head: Head, one: usize) -> Head {
    let stored: Vec<_> = states
        .values()
        .filter_map(|state| state.lanes.get(lane.index()))
        .filter(|stored| stored.at(head.seq) == Some(&head.chain))
        .collect();
    let mut tops: Vec<_> = stored.iter().map(|stored| stored.top()).collect();
    tops.sort_unstable_by(|a, b| b.cmp(a));
    let highest = tops.get(one - 1).copied().unwrap_or(head.seq);
    let agreed = |seq: u64| -> Option<Digest> {
        let here: Vec<_> = stored.iter().filter_map(|it| it.at(seq)).collect();
        let same = |chain: &&&Digest| here.iter().filter(|other| other == chain).count() >= one;
        here.iter().filter(same).min().map(|chain| **chain)
    };
    (head.seq + 1..=highest)
        .rev()
        .find_map(|seq| agreed(seq).map(|chain| Head { seq, chain }))
        .unwrap_or(head)
}

#[cfg(test)]
mod tests;
