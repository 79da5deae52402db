//! Items and batches that are named and not here: asked for, sent, checked against their chain.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Fast,
    catch_up::{CatchUp, Stretch},
    cuts::Cuts,
    item::{Head, Item},
    lanes::{LANE_BYTES_MAX, LANE_WINDOW},
    message::Message,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Round},
    stream::{again::ANSWER_MIN, batch::Batch},
};

/// How many bytes of batches are fetched beyond those of the next item.
const AHEAD_BYTES_MAX: usize = 2 * LANE_BYTES_MAX;

/// Batches on their way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Coming {
    after: Head,
    to: Head,
    /// How many members may be asked by now.
    most: usize,
    /// Who was asked, and need not be asked again yet.
    asked: BTreeSet<PartyId>,
    /// What each member that was ever asked has sent: a late answer is as good as any.
    parts: BTreeMap<PartyId, Vec<Batch>>,
    /// How many batches each had sent when nothing had happened for long the last time.
    urged: BTreeMap<PartyId, usize>,
}

impl Coming {
    fn new(after: Head, to: Head) -> Self {
        let (asked, parts, urged) = Default::default();
        Self { after, to, most: 0, asked, parts, urged }
    }

    /// Nothing has happened for long: another one is asked, and those again that sent nothing since it
    /// was so the last time. Who stopped on the way had no room for more then.
    pub(super) fn urge(&mut self) {
        self.most += 1;
        for (party, parts) in &mut self.parts {
            let before = self.urged.entry(*party).or_default();
            if parts.len() == *before {
                self.asked.remove(party);
                parts.clear();
            }
            *before = parts.len();
        }
    }

    /// This member has it by now: if it was asked too early, it is asked again.
    pub(super) fn ready(&mut self, party: PartyId) {
        if self.parts.get(&party).is_some_and(Vec::is_empty) {
            self.asked.remove(&party);
        }
    }

    /// What this member sent, or was asked, may be lost.
    pub(super) fn lost(&mut self, party: PartyId) {
        self.asked.remove(&party);
        self.parts.entry(party).and_modify(Vec::clear);
    }

    fn weight(&self) -> usize {
        self.parts.values().flatten().map(Batch::weight).sum()
    }
}

impl CatchUp {
    /// How many bytes of batches were fetched and are not ordered.
    fn ahead_bytes(&self) -> usize {
        let segments = self.segments.values().flatten().map(Batch::weight).sum::<usize>();
        segments + self.coming.values().map(Coming::weight).sum::<usize>()
    }
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

    /// An item that is under way, or delivered and kept.
    pub(super) fn item(&self, place: Round, chain: Digest) -> Option<&Item> {
        let open = self.cuts.items.get(&place).and_then(|items| items.get(&chain));
        let kept = || {
            let at = self.catch_up.kept.binary_search_by_key(&place, |(at, _)| *at).ok()?;
            let (_, item) = self.catch_up.kept.get(at)?;
            (item.chain(place) == chain).then_some(item)
        };
        open.or_else(kept)
    }

    /// Sends an item to one who lacks it.
    pub(super) fn on_want_item(
        &mut self,
        from: PartyId,
        place: Round,
        chain: Digest,
        fx: &mut Effects<'_, Self>,
    ) {
        if let Some(item) = self.item(place, chain).cloned()
            && from != fx.seat().me()
            && self.may_send(from, ANSWER_MIN)
        {
            fx.send(from, Message::Item { place, item });
        }
    }

    /// Asks for batches that an item orders, unless they may just be late, which they are not where the
    /// owner sent others: of `f + 1` who are bound to
    /// it, since one of them is correct and a liar may keep them for ever; of another one each time when
    /// nothing comes; of everybody if so many are not known.
    pub(super) fn want_batches(
        &mut self,
        place: Round,
        chain: Digest,
        mut lacks: Vec<(PartyId, Head, Head)>,
        fx: &mut Effects<'_, Self>,
    ) {
        if !self.catch_up.urgent && self.closing.is_none() {
            lacks.retain(|(lane, _, to)| self.lanes.of(*lane).other_at(*to).is_some());
        }
        if lacks.is_empty() {
            return;
        }
        let one = fx.seat().thresholds().one_correct();
        let mark = self.cuts.marks.get(&place);
        let bound = mark.into_iter().flat_map(|mark| mark.ones.voters(&chain));
        let told = self.catch_up.told.get(&place).into_iter().flat_map(BTreeMap::keys).copied();
        let me = fx.seat().me();
        let holders: BTreeSet<_> = bound.chain(told).filter(|party| *party != me).collect();
        if self.closing.is_none() && holders.len() >= one {
            self.ask_holders(&holders, one, lacks, fx);
        } else {
            let all: BTreeSet<_> = fx.seat().parties().filter(|party| *party != me).collect();
            self.ask_holders(&all, all.len(), lacks, fx);
        }
    }

    /// Asks for the batches of all items that `f + 1` tell, so that they come together.
    pub(super) fn want_ahead(&mut self, fx: &mut Effects<'_, Self>) {
        let one = fx.seat().thresholds().one_correct();
        let (mut place, mut chain, mut heads) = (self.place, self.chain, self.lanes.heads());
        loop {
            place = place.next();
            let agreed = self.catch_up.agreed(place, one).filter(|item| item.after == chain);
            // What does not fit would be asked for again and again.
            let full =
                place > self.place.next() && self.catch_up.ahead_bytes() > AHEAD_BYTES_MAX / 2;
            let Some(item) = agreed.filter(|_| !full) else { return };
            let lacks: Vec<_> = self.lacking(&heads, &item, true).collect();
            if !lacks.is_empty() {
                let tellers = self.catch_up.told.get(&place).into_iter().flatten();
                let same = tellers.filter(|(_, told)| **told == item).map(|(party, _)| *party);
                let holders = same.collect();
                self.ask_holders(&holders, one, lacks, fx);
            }
            for (lane, head) in &item.heads {
                heads[lane.index()] = *head;
            }
            chain = item.chain(place);
        }
    }

    /// Asks these for batches, `first` of them at first; those that lied only when no other is left.
    fn ask_holders(
        &mut self,
        holders: &BTreeSet<PartyId>,
        first: usize,
        lacks: Vec<(PartyId, Head, Head)>,
        fx: &mut Effects<'_, Self>,
    ) {
        for (lane, after, to) in lacks {
            let stretch = (lane, after.seq, to.chain);
            let fresh = || Coming::new(after, to);
            let coming = self.catch_up.coming.entry(stretch).or_insert_with(fresh);
            coming.most = coming.most.max(first);
            // They share the work: each is the first one for other batches.
            let turn = |party: &PartyId| {
                let shift =
                    usize::from(fx.seat().thresholds().n()) - to.seq as usize % holders.len();
                let liar = self.catch_up.liars.contains(party);
                (liar, (party.index() + shift) % usize::from(fx.seat().thresholds().n()))
            };
            let mut open: Vec<_> = holders.iter().copied().collect();
            open.sort_by_key(turn);
            open.retain(|party| !coming.asked.contains(party));
            let room = coming.most.saturating_sub(coming.asked.len());
            for party in open.into_iter().take(room) {
                coming.asked.insert(party);
                coming.parts.entry(party).or_default();
                fx.send(party, Message::WantBatches { lane, after, to });
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
        // No item moves a lane further.
        let span = to.seq.saturating_sub(after.seq);
        let proper = from != fx.seat().me() && fx.seat().has(lane) && span <= LANE_WINDOW;
        if !proper || !self.may_send(from, ANSWER_MIN) {
            return;
        }
        let stored = self.lanes.of(lane).segment(after, to);
        let Some(batches) = stored.or_else(|| self.catch_up.segment(lane, after, to).cloned())
        else {
            return;
        };
        for (seq, batch) in (after.seq + 1..).zip(batches) {
            if !self.may_send(from, batch.weight()) {
                return;
            }
            let (after, to) = (after.seq, to.chain);
            fx.send(from, Message::Part { lane, after, to, seq, batch });
        }
    }

    /// Takes a batch that was asked for; the last one shows whether they are right.
    pub(super) fn on_part(
        &mut self,
        from: PartyId,
        stretch: Stretch,
        seq: u64,
        batch: Batch,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(coming) = self.catch_up.coming.get_mut(&stretch) else { return };
        let Some(parts) = coming.parts.get_mut(&from) else { return };
        if seq != coming.after.seq + parts.len() as u64 + 1 || seq > coming.to.seq {
            return;
        }
        let weight = parts.iter().map(Batch::weight).sum::<usize>() + batch.weight();
        if weight > LANE_BYTES_MAX {
            return fx.accuse(from, Fault::Flooded("batches that were asked for".into()));
        }
        parts.push(batch);
        if seq < coming.to.seq {
            return self.bound_ahead(stretch);
        }
        let parts = std::mem::take(parts);
        let head = parts.iter().fold(coming.after, |head, batch| head.then(&batch.digest()));
        if head == coming.to {
            self.catch_up.coming.remove(&stretch);
            self.catch_up.segments.insert(stretch, parts);
            self.bound_ahead(stretch);
        } else {
            coming.most += 1;
            self.catch_up.liars.insert(from);
            self.catch_up.news = true;
            fx.accuse(from, Fault::BadProof { what: "chain of batches".into() });
        }
    }

    /// Drops batches that are not for the next item if there are too many of them. They are asked for
    /// again.
    fn bound_ahead(&mut self, (lane, after, chain): Stretch) {
        let far = after > self.lanes.of(lane).ordered().seq;
        if far && self.catch_up.ahead_bytes() > AHEAD_BYTES_MAX {
            self.catch_up.coming.remove(&(lane, after, chain));
            self.catch_up.segments.remove(&(lane, after, chain));
        }
    }
}
