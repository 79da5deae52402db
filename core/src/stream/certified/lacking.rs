//! Batches that are ordered and not here: who has them, and what was lost on the way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Certified, Message,
    lane::{LANE_BYTES_MAX, Link},
    receipt,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    stream::{again::ANSWER_MIN, batch::Batch, fast::Head},
};

/// The batches that lead to a head which is ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lacking {
    to: Head,
    /// Up to here they are not here, below what came.
    pub(super) next: Head,
    /// What came, the last one first.
    links: Vec<Link>,
    /// Who says to have them.
    have: BTreeSet<PartyId>,
    /// Who says not to keep them any more.
    gone: BTreeSet<PartyId>,
    /// Who was asked for those up to `next`.
    pub(super) wanted: BTreeSet<PartyId>,
}

impl Lacking {
    fn of(to: Head) -> Self {
        Self {
            to,
            next: to,
            links: Vec::new(),
            have: BTreeSet::new(),
            gone: BTreeSet::new(),
            wanted: BTreeSet::new(),
        }
    }
}

impl Certified {
    /// Whether the batches up to a head are here. Asks for them if they are not.
    pub(super) fn find(&mut self, owner: PartyId, to: Head, fx: &mut Effects<'_, Self>) -> bool {
        let lane = &mut self.lanes[owner.index()];
        if lane.stores(to) {
            return true;
        }
        let lacking = self.lacking.entry(owner).or_insert_with(|| {
            fx.broadcast(Message::Lack { lane: owner, to });
            Lacking::of(to)
        });
        match lane.at(lacking.next.seq) {
            Some(here) if here == lacking.next => {
                let links = std::mem::take(&mut lacking.links);
                lane.splice(here, links.into_iter().rev());
                lane.stores(to)
            }
            // A quorum stores something else than the owner told this member.
            Some(here) if here.seq > lane.ordered().seq => {
                let (told, heard) = (here.chain, lacking.next.chain);
                fx.accuse(owner, Fault::ToldOtherwise { told, heard });
                lane.cut_back();
                lacking.wanted.clear();
                self.ask_holders(owner, fx);
                false
            }
            _ => false,
        }
    }

    /// Asks for batches those who say to have them, as soon as `f + 1` have answered: `f + 1` of them,
    /// since one is correct; all of them if some others have forgotten.
    fn ask_holders(&mut self, owner: PartyId, fx: &mut Effects<'_, Self>) {
        let one = fx.seat().thresholds().one_correct();
        let Some(lacking) = self.lacking.get_mut(&owner) else { return };
        if lacking.gone.len() >= one {
            return self.say_behind(fx);
        }
        if lacking.have.len() + lacking.gone.len() < one {
            return;
        }
        let most = if lacking.gone.is_empty() { one } else { lacking.have.len() };
        let (after, to) = (self.lanes[owner.index()].below(lacking.next).seq, lacking.next);
        for holder in &lacking.have {
            if lacking.wanted.len() < most && lacking.wanted.insert(*holder) {
                fx.send(*holder, Message::Want { lane: owner, after, to });
            }
        }
    }

    /// One who lacks batches asks who has them. The answer is no longer than the question.
    pub(super) fn on_lack(
        &self,
        from: PartyId,
        owner: PartyId,
        to: Head,
        fx: &mut Effects<'_, Self>,
    ) {
        let lane = self.chain(owner);
        if from == fx.seat().me() {
            return;
        }
        if lane.stores(to) {
            fx.send(from, Message::Have { lane: owner, to });
        } else if to.seq <= lane.kept_from() {
            fx.send(from, Message::Gone { lane: owner, to });
        }
    }

    pub(super) fn on_have(
        &mut self,
        from: PartyId,
        owner: PartyId,
        to: Head,
        fx: &mut Effects<'_, Self>,
    ) {
        if let Some(lacking) = self.lacking.get_mut(&owner).filter(|lacking| lacking.to == to) {
            lacking.have.insert(from);
            self.ask_holders(owner, fx);
        }
    }

    pub(super) fn on_gone(
        &mut self,
        from: PartyId,
        owner: PartyId,
        to: Head,
        fx: &mut Effects<'_, Self>,
    ) {
        if let Some(lacking) = self.lacking.get_mut(&owner)
            && (lacking.next.seq..=lacking.to.seq).contains(&to.seq)
        {
            lacking.have.remove(&from);
            lacking.gone.insert(from);
            self.ask_holders(owner, fx);
        }
    }

    /// Sends batches to one who lacks them.
    pub(super) fn on_want(
        &mut self,
        from: PartyId,
        owner: PartyId,
        (after, to): (u64, Head),
        fx: &mut Effects<'_, Self>,
    ) {
        if from == fx.seat().me() || !self.may_send(from, ANSWER_MIN) {
            return;
        }
        let Some(links) = self.chain(owner).back_from(to, after) else {
            return fx.send(from, Message::Gone { lane: owner, to });
        };
        let mut seq = to.seq;
        for (Head { chain: before, .. }, batch) in links {
            if !self.may_send(from, batch.weight()) {
                return;
            }
            fx.send(from, Message::Part { lane: owner, seq, before, batch });
            seq -= 1;
        }
    }

    /// Takes a batch that leads to what is lacking. Those who were asked send the same ones; the first
    /// counts, and is hashed.
    pub(super) fn on_part(
        &mut self,
        from: PartyId,
        owner: PartyId,
        (seq, before): (u64, Digest),
        batch: Batch,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(lacking) = self.lacking.get_mut(&owner) else { return };
        if seq != lacking.next.seq || !lacking.wanted.contains(&from) {
            return;
        }
        let head = Head { seq: seq - 1, chain: before };
        if head.then(&batch.digest()) == lacking.next {
            lacking.links.push((lacking.next, batch));
            lacking.next = head;
        } else {
            fx.accuse(from, Fault::BadProof { what: "batch of a chain".into() });
        }
    }

    /// Whether to send this much again to a member.
    fn may_send(&mut self, to: PartyId, weight: usize) -> bool {
        self.sent_again.may_send(to, weight, self.spec.bytes_kept.max(LANE_BYTES_MAX))
    }

    /// Frames of this member are lost: has it say them again.
    pub(super) fn on_missed(&mut self, from: Peer, fx: &mut Effects<'_, Self>) {
        let member = from.member().filter(|party| fx.seat().has(*party));
        if let Some(party) = member.filter(|party| *party != fx.seat().me()) {
            let seq = self.chain(party).top().seq;
            fx.send(party, Message::Recall { seq, back: false });
            self.ask_again(party, fx);
        }
    }

    /// Asks a member again for what it may have sent, or not have been asked for.
    fn ask_again(&self, party: PartyId, fx: &mut Effects<'_, Self>) {
        for (owner, Lacking { to, next, wanted, .. }) in &self.lacking {
            let (lane, to) = (*owner, *to);
            fx.send(party, Message::Lack { lane, to });
            if wanted.contains(&party) {
                let (after, to) = (self.chain(lane).below(*next).seq, *next);
                fx.send(party, Message::Want { lane, after, to });
            }
        }
    }

    /// Says again to a member what it may have lost: the own batches, what this member asks, and the
    /// share for it.
    pub(super) fn on_recall(
        &mut self,
        from: PartyId,
        seq: u64,
        back: bool,
        fx: &mut Effects<'_, Self>,
    ) {
        let me = fx.seat().me();
        if from == me || !self.may_send(from, ANSWER_MIN) {
            return;
        }
        if !back {
            let seq = self.chain(from).top().seq;
            fx.send(from, Message::Recall { seq, back: true });
            self.ask_again(from, fx);
        }
        let own = self.chain(me);
        let stored = own.after(seq.max(own.ordered().seq));
        let stored: Vec<_> = stored.map(|(seq, batch)| (seq, batch.clone())).collect();
        for (seq, batch) in stored {
            if !self.may_send(from, batch.weight()) {
                return;
            }
            fx.send(from, Message::Batch { seq, batch });
        }
        if let Some(seq) = self.receipts.waits_for() {
            fx.send(from, Message::Sign { seq });
        }
        let lane = self.chain(from);
        if let Some(head) = lane.at(lane.signed).filter(|head| head.seq > 0) {
            let share = receipt::share(fx.seat(), from, head);
            fx.send(from, Message::Share { head, share });
        }
    }
}
