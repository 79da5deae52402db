//! What the leader of an epoch does: it cuts.

use super::{
    Fast,
    cuts::Path,
    item::{Head, Item},
    lanes::Lane,
    message::Message,
};
use crate::{effects::Effects, id::PartyId};

/// How many cuts of a leader may be under way. Each takes three delays, and what comes meanwhile shares
/// the next one. Each costs `2 n^2` binds, whatever it orders: the second one waits until it orders a
/// batch of every fourth member, the third one of every other one; the first one does not wait.
const PIPELINE: u64 = 4;

/// What a leader might cut next.
struct Moved {
    heads: Vec<(PartyId, Head)>,
    /// How many batches these are.
    batches: u64,
    /// How many payloads of others these are.
    others: u64,
    /// How many payloads they are in all.
    all: u64,
}

impl Fast {
    /// The leader's: cuts what it stores, or what enough members store. It binds itself to the cut in
    /// the same step, so that the cut says the first bind, too.
    pub(super) fn lead(&mut self, fx: &mut Effects<'_, Self>) {
        let me = fx.seat().me();
        if self.patience.left || self.leader(fx) != me {
            return;
        }
        let Path { place, chain, heads } = self.path();
        let next = place.next();
        let room = next.number() <= self.place.number() + PIPELINE && self.may_bind(next);
        if next <= self.cuts.issued || !room {
            return;
        }
        let moved = self.moved(&heads, fx);
        let under_way = place.number() - self.place.number();
        let worth = under_way * u64::from(fx.seat().thresholds().n()) / PIPELINE;
        let few = moved.heads.is_empty() || moved.batches < worth;
        if few || self.waits_for_more(&moved, fx) {
            return;
        }
        self.cuts.issued = next;
        let item = Item { epoch: self.epoch, after: chain, closes: None, heads: moved.heads };
        let cut = item.chain(next);
        let mark = self.cuts.marks.entry(next).or_default();
        (mark.cut, mark.bound) = (Some(cut), Some(cut));
        mark.ones.vote(me, cut);
        self.cuts.items.entry(next).or_default().insert(cut, item.clone());
        fx.broadcast(Message::Cut { place: next, item });
    }

    /// What it may cut after these heads.
    fn moved(&self, heads: &[Head], fx: &Effects<'_, Self>) -> Moved {
        let (me, needed) = (fx.seat().me(), fx.seat().thresholds().available());
        let mut moved = Moved { heads: Vec::new(), batches: 0, others: 0, all: 0 };
        let ready = |lane: PartyId, it: &Lane| {
            let doubted = lane != me && it.is_doubted();
            let head = if doubted { it.confirmed(me, needed) } else { it.top() };
            (head.seq > heads[lane.index()].seq).then_some(head)
        };
        for (lane, it) in self.lanes.iter() {
            let Some(head) = ready(lane, it) else { continue };
            moved.heads.push((lane, head));
            moved.batches += head.seq - heads[lane.index()].seq;
            if self.spec.together {
                let payloads = it.payloads(heads[lane.index()], head);
                moved.all += payloads;
                moved.others += if lane == me { 0 } else { payloads };
            }
        }
        moved
    }

    /// Whether this member cuts payloads together, as a leader that nobody waits for may.
    fn gathers(&self, fx: &Effects<'_, Self>) -> bool {
        self.spec.together
            && self.has_clock()
            && !self.patience.is_roused()
            && !self.patience.left
            && self.leader(fx) == fx.seat().me()
    }

    /// Whether what might be cut waits for more, so that payloads are cut `f + 1` together.
    fn waits_for_more(&mut self, moved: &Moved, fx: &Effects<'_, Self>) -> bool {
        let few = fx.seat().thresholds().one_correct() as u64;
        let together = self.cuts.odd + moved.all;
        let whole = together >= few && (moved.others > 0 || self.cuts.odd > 0);
        if self.gathers(fx) && !whole {
            return true;
        }
        self.cuts.odd = if self.patience.is_roused() { 0 } else { together % few };
        false
    }

    /// Whether the own batches wait for those of others: they need not be sent before they are cut.
    pub(super) fn holds_own(&self, fx: &Effects<'_, Self>) -> bool {
        if !self.gathers(fx) || self.cuts.odd > 0 {
            return false;
        }
        self.moved(&self.path().heads, fx).others == 0
    }
}
