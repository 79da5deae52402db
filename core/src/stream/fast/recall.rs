//! What was lost on the way, or had no room: members say again what they said.

use super::{
    Fast,
    lanes::LANE_BYTES_MAX,
    message::{Message, Phase},
};
use crate::{
    effects::Effects,
    id::{PartyId, Peer, Round},
    stream::again::ANSWER_MIN,
};

impl Fast {
    /// Has owners send again what had no room when it came: they have few batches under way, so nothing
    /// that comes after it need ever show that it is missing.
    pub(super) fn recall_missed(&mut self, fx: &mut Effects<'_, Self>) {
        let missed =
            self.lanes.iter_mut().filter_map(|(owner, lane)| lane.has_missed().then_some(owner));
        let missed: Vec<_> = missed.collect();
        missed.into_iter().for_each(|owner| self.recall(owner, false, fx));
    }

    /// Has a member say again what it said in this epoch after this place, and what follows in its lane.
    pub(super) fn recall(&self, of: PartyId, back: bool, fx: &mut Effects<'_, Self>) {
        if of != fx.seat().me() {
            let (epoch, at, seq) = (self.epoch, self.place, self.lanes.of(of).top().seq);
            fx.send(of, Message::Recall { epoch, at, seq, back });
        }
    }

    /// Says again what this member said in its epoch. Who asks has lost what was asked of it, too; who
    /// answers has not, and what it sends is under way.
    pub(super) fn on_recall(
        &mut self,
        from: PartyId,
        (epoch, at, seq): (u64, Round, u64),
        back: bool,
        fx: &mut Effects<'_, Self>,
    ) {
        let me = fx.seat().me();
        if from == me || !self.may_send(from, ANSWER_MIN) {
            return;
        }
        if self.catch_up.seeking {
            fx.send(from, Message::Fetch { from: self.place.next() });
        }
        if !back {
            self.ask_again(from, fx);
            self.recall(from, true, fx);
        }
        if self.patience.waits() {
            fx.send(from, Message::Pulse { life: self.life() });
        }
        self.repeat_lane(from, seq, fx);
        let tops = self.lanes.iter().filter(|(lane, _)| *lane != me);
        let heads = tops.map(|(lane, it)| (lane, it.top())).collect();
        let life = self.life();
        fx.send(from, Message::Heads { life, heads });
        if epoch != self.epoch {
            return;
        }
        if self.patience.left {
            fx.send(from, Message::Leave { epoch });
        }
        for (place, mark) in self.cuts.marks.range(at.next()..) {
            let place = *place;
            if let Some(chain) = mark.bound {
                let both = [Phase::One, Phase::Two];
                for phase in both.into_iter().take(1 + usize::from(mark.prepared)) {
                    let heads = Vec::new();
                    fx.send(from, Message::Bind { life, phase, place, chain, heads });
                }
            }
            // Also one that is delivered: without it the binds for it are of no use.
            let cut = mark.cut.and_then(|cut| self.item(place, cut));
            if let Some(item) = cut.filter(|_| self.leader(fx) == me) {
                fx.send(from, Message::Cut { place, item: item.clone() });
            }
        }
    }

    /// What was asked of this member may be lost. Others are not asked again: each answer costs some of
    /// what they send this one, and a liar can ask for this without end.
    fn ask_again(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        self.catch_up.coming.values_mut().for_each(|coming| coming.lost(from));
        for (place, chain) in &self.catch_up.wanted {
            fx.send(from, Message::WantItem { place: *place, chain: *chain });
        }
    }

    /// Sends again what is not ordered of the own lane.
    fn repeat_lane(&mut self, to: PartyId, seq: u64, fx: &mut Effects<'_, Self>) {
        let lane = self.lanes.of(fx.seat().me());
        let batches: Vec<_> = lane.from(seq.max(lane.ordered().seq) + 1).collect();
        for (seq, batch) in batches {
            if !self.may_send(to, batch.weight()) {
                return;
            }
            fx.send(to, Message::Batch { seq, batch });
        }
    }

    /// Whether to send this much again to a member.
    pub(super) fn may_send(&mut self, to: PartyId, weight: usize) -> bool {
        let kept = self.spec.bytes_kept.max(LANE_BYTES_MAX);
        self.catch_up.sent_again.may_send(to, weight, kept)
    }

    /// Frames of this member are lost: has it say them again.
    pub(super) fn on_missed(&mut self, from: Peer, fx: &mut Effects<'_, Self>) {
        let Some(party) = from.member().filter(|party| fx.seat().has(*party)) else { return };
        if party == fx.seat().me() {
            return;
        }
        self.catch_up.dropped(party, self.epoch + 1);
        self.recall(party, false, fx);
        fx.send(party, Message::Fetch { from: self.place.next() });
        self.ask_again(party, fx);
    }
}
