//! Items and batches that are named and not here: asked for, sent, checked against their chain.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Fast,
    cuts::Cuts,
    item::{Head, Item},
    message::Message,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Round},
    stream::batch::Batch,
};

/// How many bytes of batches are sent to a member that asks, until it has delivered more: what a lane
/// of a correct member has under way at most. Once is enough; more, when backlogs were lost.
const SERVED_MAX: usize = 32 << 20;

/// Batches on their way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Coming {
    after: Head,
    to: Head,
    /// What each member that was asked has sent.
    pub(super) parts: BTreeMap<PartyId, Vec<Batch>>,
}

impl Fast {
    /// Asks for the items that are known to be ordered, from the last one down.
    pub(super) fn want_items(&mut self, fx: &mut Effects<'_, Self>) {
        let Cuts { targets, items, .. } = &mut self.cuts;
        let mut places: Vec<_> = targets.iter().map(|(place, chain)| (*place, *chain)).collect();
        while let Some((place, chain)) = places.pop() {
            let known = items.get(&place).and_then(|items| items.get(&chain));
            if let Some(item) = known {
                let before = Round::new(place.number() - 1);
                if before > self.place && !targets.contains_key(&before) {
                    targets.insert(before, item.after);
                    places.push((before, item.after));
                }
            } else if self.catch_up.wanted.insert((place, chain)) {
                fx.broadcast(Message::WantItem { place, chain });
            }
        }
    }

    /// An item that was asked for.
    pub(super) fn on_item(&mut self, place: Round, item: Item) {
        let chain = item.chain(place);
        if self.cuts.targets.get(&place) == Some(&chain) {
            self.cuts.items.entry(place).or_default().insert(chain, item);
        }
    }

    /// Sends an item to one who lacks it.
    pub(super) fn on_want_item(
        &mut self,
        from: PartyId,
        place: Round,
        chain: Digest,
        fx: &mut Effects<'_, Self>,
    ) {
        let open = self.cuts.items.get(&place).and_then(|items| items.get(&chain));
        let kept = self.catch_up.kept.iter().find(|(at, _)| *at == place);
        let kept = kept.map(|(_, item)| item).filter(|item| item.chain(place) == chain);
        if let Some(item) = open.or(kept).cloned()
            && from != fx.seat().me()
            && self.catch_up.may_answer(from, place, self.place)
        {
            fx.send(from, Message::Item { place, item });
        }
    }

    /// Asks for batches that an item orders, unless they may just be late: of `f + 1` who are bound to
    /// it, since one of them is correct; of everybody if nobody is.
    pub(super) fn want_batches(
        &mut self,
        place: Round,
        chain: Digest,
        lacks: Vec<(PartyId, Head, Head)>,
        fx: &mut Effects<'_, Self>,
    ) {
        if !self.catch_up.urgent && self.closing.is_none() {
            return;
        }
        let one = fx.seat().thresholds().one_correct();
        let mark = self.cuts.marks.get(&place);
        let bound = mark.into_iter().flat_map(|mark| mark.ones.voters(&chain));
        let told = self.catch_up.told.get(&place).into_iter().flat_map(BTreeMap::keys).copied();
        let me = fx.seat().me();
        let holders: BTreeSet<_> = bound.chain(told).filter(|party| *party != me).collect();
        let enough = self.closing.is_none() && holders.len() >= one;
        let asked: Vec<_> = if enough {
            holders.into_iter().take(one).collect()
        } else {
            fx.seat().parties().filter(|party| *party != me).collect()
        };
        for (lane, after, to) in lacks {
            let coming = self.catch_up.coming.entry((lane, to.chain)).or_insert_with(|| Coming {
                after,
                to,
                parts: BTreeMap::new(),
            });
            coming.after = after;
            for party in &asked {
                if !coming.parts.contains_key(party) {
                    coming.parts.insert(*party, Vec::new());
                    fx.send(*party, Message::WantBatches { lane, after, to });
                }
            }
        }
    }

    /// Sends batches to one who lacks them.
    pub(super) fn on_want_batches(
        &mut self,
        from: PartyId,
        (lane, after, to): (PartyId, Head, Head),
        fx: &mut Effects<'_, Self>,
    ) {
        if from == fx.seat().me() || !fx.seat().has(lane) {
            return;
        }
        let stored = self.lanes.of(lane).segment(after, to);
        let Some(batches) = stored.or_else(|| self.catch_up.segment(lane, to).cloned()) else {
            return;
        };
        let reached = self.catch_up.reached.get(&from).copied().unwrap_or_default();
        let served = self.catch_up.served.entry(from).or_default();
        if served.0 < reached.min(self.place) {
            *served = (reached.min(self.place), 0);
        }
        if served.1 > SERVED_MAX {
            return;
        }
        served.1 += batches.iter().map(Batch::weight).sum::<usize>();
        for (seq, batch) in (after.seq + 1..).zip(batches) {
            fx.send(from, Message::Part { lane, to: to.chain, seq, batch });
        }
    }

    /// Takes a batch that was asked for; the last one shows whether they are right.
    pub(super) fn on_part(
        &mut self,
        from: PartyId,
        (lane, to): (PartyId, Digest),
        seq: u64,
        batch: Batch,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(coming) = self.catch_up.coming.get_mut(&(lane, to)) else { return };
        let Some(parts) = coming.parts.get_mut(&from) else { return };
        if seq != coming.after.seq + parts.len() as u64 + 1 || seq > coming.to.seq {
            return;
        }
        parts.push(batch);
        if seq < coming.to.seq {
            return;
        }
        let parts = std::mem::take(parts);
        let head = parts.iter().fold(coming.after, |head, batch| head.then(&batch.digest()));
        if head == coming.to {
            self.catch_up.coming.remove(&(lane, to));
            self.catch_up.segments.insert((lane, to), parts);
        } else {
            fx.accuse(from, Fault::BadProof { what: "chain of batches".into() });
        }
    }
}
