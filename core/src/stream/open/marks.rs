//! What members sign of their chains, and the certificates that this makes.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{Certificate, EVERY, statement, tag};
use crate::{
    crypto::{Blame, Digest, Share},
    id::{PartyId, Slot},
    seat::Seat,
};

/// How many marks of one member are kept: those of the slots around which members that are not far
/// apart stand. A liar displaces only its own.
const MARKS_MAX: usize = 8;

/// How many certificates are kept: a member that is behind hears of more and more of them. Those of 64 MiB
/// of empty payloads are fewer.
const CERTIFICATES_MAX: usize = 8_192;

/// The marks that were heard, and the certificates they made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Marks {
    said: BTreeMap<PartyId, BTreeMap<Slot, (Digest, Share)>>,
    certificates: BTreeMap<Slot, Certificate>,
}

impl Marks {
    /// Takes a mark. A certificate, if it is complete by it; and those whose shares were wrong.
    pub(super) fn hear(
        &mut self,
        from: PartyId,
        slot: Slot,
        (chain, share): (Digest, Share),
        seat: &Seat,
    ) -> (Option<Certificate>, Vec<PartyId>) {
        if self.newest().is_some_and(|newest| slot <= newest.slot) {
            return (None, Vec::new());
        }
        let said = self.said.entry(from).or_default();
        said.entry(slot).or_insert((chain, share));
        if said.len() > MARKS_MAX {
            said.pop_first();
        }
        let same = self.said.iter().filter_map(|(party, said)| {
            said.get(&slot).filter(|said| said.0 == chain).map(|(_, share)| (*party, share.clone()))
        });
        let same: Vec<(PartyId, Share)> = same.collect();
        let (certificate, liars) = combine(slot, chain, &same, seat);
        for liar in &liars {
            self.said.remove(liar);
        }
        if let Some(certificate) = &certificate {
            self.said.values_mut().for_each(|said| *said = said.split_off(&slot.next()));
            self.certificates.insert(slot, certificate.clone());
            if self.certificates.len() > CERTIFICATES_MAX {
                self.certificates.pop_first();
            }
        }
        (certificate, liars)
    }

    /// The certificate of the highest slot.
    pub(super) fn newest(&self) -> Option<&Certificate> {
        self.certificates.last_key_value().map(|(_, certificate)| certificate)
    }

    /// Those of these slots.
    pub(super) fn within(&self, slots: RangeInclusive<Slot>) -> Vec<Certificate> {
        if slots.is_empty() {
            return Vec::new();
        }
        self.certificates.range(slots).map(|(_, certificate)| certificate.clone()).collect()
    }

    /// The highest one at or below `slot`, but not below `floor`.
    pub(super) fn below(&self, slot: Slot, floor: Slot) -> Option<&Certificate> {
        let mut within = self.certificates.range(floor..=slot.max(floor));
        within.next_back().filter(|(at, _)| **at <= slot).map(|(_, certificate)| certificate)
    }

    /// The lowest one from `floor` on.
    pub(super) fn oldest(&self, floor: Slot) -> Option<&Certificate> {
        self.certificates.range(floor..).next().map(|(_, certificate)| certificate)
    }

    /// Lets those go below which nothing is kept any more. The newest stays.
    pub(super) fn trim(&mut self, floor: Slot) {
        let newest = self.certificates.last_key_value().map_or(floor, |(slot, _)| *slot);
        self.certificates = self.certificates.split_off(&floor.min(newest));
    }
}

/// The certificate that these shares make, and those whose shares are wrong.
pub(super) fn combine(
    slot: Slot,
    chain: Digest,
    shares: &[(PartyId, Share)],
    seat: &Seat,
) -> (Option<Certificate>, Vec<PartyId>) {
    let service = &seat.keys.service;
    if shares.len() < service.needed() {
        return (None, Vec::new());
    }
    match service.combine(&tag(&seat.id), &statement(slot, chain), shares) {
        Ok(proof) => (Some(Certificate { slot, chain, proof }), Vec::new()),
        Err(Blame::Culprits(culprits)) => (None, culprits),
        Err(Blame::TooFew { .. }) => (None, Vec::new()),
    }
}

/// The place in `(after, to]` where a member signs, if there is one. Of several it is the roundest, so
/// that members whose batches end at different places sign the same.
pub(super) fn place_to_sign(after: Slot, to: Slot) -> Option<Slot> {
    let (after, to) = (after.number(), to.number());
    let places = (EVERY.trailing_zeros()..u64::BITS).rev().map(|zeros| to >> zeros << zeros);
    places.into_iter().find(|place| *place > after).map(Slot::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_sign_where_it_is_roundest() {
        let place = |after, to| place_to_sign(Slot::new(after), Slot::new(to)).map(Slot::number);
        assert_eq!((place(0, EVERY - 1), place(0, EVERY)), (None, Some(EVERY)));
        assert_eq!(place(EVERY, 2 * EVERY - 1), None);
        assert_eq!(place(EVERY - 1, 3 * EVERY), Some(2 * EVERY));
        assert_eq!(place(EVERY, 5 * EVERY + 3), Some(4 * EVERY));
        assert_eq!(place(3, u64::MAX), Some(1 << 63));
    }
}
