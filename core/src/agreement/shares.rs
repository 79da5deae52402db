//! Shares of one thing of which each member sends one: which are there, which were wrong, and when to
//! combine.
//!
//! Where members may want different things, `Of` names the thing: a digest. Where there is only one, as
//! with a coin, whose name is the path of the instance, it is `()`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    crypto::{Blame, Share},
    id::PartyId,
};

/// Shares that members sent, unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shares<Of> {
    /// Shares that are not known to be wrong, and of what.
    first: BTreeMap<PartyId, (Of, Share)>,
    /// Whose shares were wrong: they count no more.
    blamed: BTreeSet<PartyId>,
    /// How many combinations were asked for.
    attempts: u64,
    /// Whether one of them is under way.
    combining: bool,
    done: bool,
}

impl<Of> Default for Shares<Of> {
    fn default() -> Self {
        Self {
            first: BTreeMap::new(),
            blamed: BTreeSet::new(),
            attempts: 0,
            combining: false,
            done: false,
        }
    }
}

impl<Of: Copy + PartialEq> Shares<Of> {
    /// Keeps the first share of a member. Of another thing than the first, it is a second word: says of
    /// what the first was.
    pub(super) fn take(&mut self, from: PartyId, of: Of, share: Share) -> Result<(), Of> {
        if self.done || self.blamed.contains(&from) {
            return Ok(());
        }
        let (first, _) = self.first.entry(from).or_insert((of, share));
        if *first == of { Ok(()) } else { Err(*first) }
    }

    /// As many shares of this as are needed, and the number of the try, if there are so many and none is
    /// under way.
    pub(super) fn choose(&mut self, of: Of, needed: usize) -> Option<(u64, Vec<(PartyId, Share)>)> {
        if self.done || self.combining {
            return None;
        }
        let own = self.first.iter().filter(|(_, (name, _))| *name == of).take(needed);
        let shares: Vec<_> = own.map(|(party, (_, share))| (*party, share.clone())).collect();
        if shares.len() < needed {
            return None;
        }
        self.combining = true;
        self.attempts += 1;
        Some((self.attempts, shares))
    }

    /// It was combined: nothing more is needed.
    pub(super) fn finish(&mut self) {
        self.combining = false;
        self.done = true;
        self.first.clear();
    }

    /// A try failed. Leaves the culprits out, and tells those that were not known.
    pub(super) fn blame(&mut self, blame: Blame) -> Vec<PartyId> {
        self.combining = false;
        let Blame::Culprits(culprits) = blame else {
            unreachable!("as many shares as are needed are not too few")
        };
        for party in &culprits {
            self.first.remove(party);
        }
        culprits.into_iter().filter(|party| self.blamed.insert(*party)).collect()
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }
}
