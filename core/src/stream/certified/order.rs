//! What the rounds below ordered: cuts, delivered one after the other when their batches are here.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Certified, Message, Output, lane::Lane};
use crate::{
    effects::Effects,
    id::{PartyId, Slot},
    stream::{
        atomic::{Input, Position},
        fast::Head,
    },
    wire,
};
#[cfg(any(test, feature = "sim"))]
use crate::{seat::Seat, stream::contents::Content};

/// How many rounds may be ordered and not delivered, because batches of the first one are not here. A
/// round takes about a hundred bytes a member. Others keep fewer by default, so whoever reaches it needs
/// a checkpoint anyway.
const ROUNDS_MAX: usize = 4_096;

/// How far a round moves lanes, in their order.
pub(super) type Cut = Vec<(PartyId, Head)>;

/// A round of the stream below that is ordered, and not delivered here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ordered {
    /// The slot of the stream below at which it begins.
    first: Slot,
    /// The place after it in the stream below.
    position: Position,
    cut: Cut,
}

/// What the stream below said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Below {
    /// How far each lane is ordered there.
    reached: Vec<Head>,
    /// Where the round began that it is telling.
    first: Option<Slot>,
    /// What of that round is known.
    cut: Cut,
    rounds: VecDeque<Ordered>,
    /// Up to this slot of it everything is delivered here.
    delivered: Slot,
}

impl Below {
    /// Nothing was said, in a group of `n`.
    pub(super) fn new(n: u16) -> Self {
        Self {
            reached: vec![Head::start(); usize::from(n)],
            first: None,
            cut: Cut::new(),
            rounds: VecDeque::new(),
            delivered: Slot::FIRST,
        }
    }

    /// How far this lane is ordered there.
    pub(super) fn reached(&self, lane: PartyId) -> Head {
        self.reached[lane.index()]
    }

    /// The round moves this lane.
    pub(super) fn move_on(&mut self, lane: PartyId, to: Head) {
        self.reached[lane.index()] = to;
        self.cut.retain(|(moved, _)| *moved != lane);
        self.cut.push((lane, to));
    }

    /// The round, which ends there, is told. What is too far ahead is forgotten.
    fn end(&mut self, position: Position) {
        let first = self.first.take().unwrap_or(position.slot);
        let cut = std::mem::take(&mut self.cut);
        self.rounds.push_back(Ordered { first, position, cut });
        if self.rounds.len() > ROUNDS_MAX {
            self.rounds.pop_front();
        }
    }

    /// The cut of the next round, if that is told.
    fn next(&self) -> Option<&Cut> {
        let next = self.rounds.front().filter(|next| next.first == self.delivered)?;
        Some(&next.cut)
    }

    /// Whether rounds are told, but not the next one.
    fn has_gap(&self) -> bool {
        self.rounds.front().is_some_and(|next| next.first != self.delivered)
    }

    /// Goes on after a position.
    fn jump(&mut self, position: &Position, memo: &Memo) {
        while self.rounds.pop_front_if(|next| next.position.round <= position.round).is_some() {}
        if self.rounds.is_empty() {
            self.reached.clone_from(&memo.heads);
        }
        self.delivered = memo.below;
    }
}

/// What a position needs besides the chain, so that somebody can go on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memo {
    /// The slot of the stream below.
    pub(super) below: Slot,
    /// How far each lane is ordered.
    pub(super) heads: Vec<Head>,
}

impl Memo {
    /// The memo in these bytes, if they hold one of a group of `n`. Those before all rounds are empty.
    pub(super) fn read(bytes: &Bytes, n: u16) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self { below: Slot::FIRST, heads: vec![Head::start(); usize::from(n)] });
        }
        wire::decode(bytes).ok().filter(|memo: &Self| memo.heads.len() == usize::from(n))
    }
}

#[cfg(any(test, feature = "sim"))]
impl Content for Memo {
    const NAME: &'static str = "memo of certified lanes";

    fn judge(&self, seat: &Seat) -> bool {
        Self::read(&wire::encode(self), seat.thresholds().n()).is_some()
    }
}

impl Certified {
    /// Takes what the stream below says.
    pub(super) fn on_below(&mut self, output: Output, fx: &mut Effects<'_, Self>) {
        match output {
            Output::Deliver { first, from, batch } => {
                self.below.first.get_or_insert(first);
                self.on_receipts(from, &batch, fx);
            }
            Output::RoundEnd { position } if position.round > self.position.round => {
                self.below.end(position);
            }
            Output::RoundEnd { .. } => (self.below.first, self.below.cut) = (None, Cut::new()),
            Output::Unsure { batch } => self.on_unsure(&batch, fx),
            Output::Behind => self.say_behind(fx),
            // It is granted all credit, and there are few receipts at a time.
            Output::Ordered { .. } | Output::Refused { .. } | Output::Lagged { .. } => {}
        }
    }

    /// Only a checkpoint can help, as far as one can tell.
    pub(super) fn say_behind(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.reported {
            self.reported = true;
            fx.output(Output::Behind);
        }
    }

    /// Delivers the next round if it is told, and the batches of its cut are here.
    pub(super) fn deliver(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        let Some(cut) = self.below.next().cloned() else {
            if self.below.has_gap() {
                self.say_behind(fx);
            }
            return false;
        };
        let lacks = cut.iter().filter(|(lane, to)| !self.find(*lane, *to, fx)).count();
        if lacks > 0 {
            return false;
        }
        let Some(Ordered { position, .. }) = self.below.rounds.pop_front() else { return false };
        self.below.delivered = position.slot;
        let weight = self.order(&cut);
        self.position = self.after(position);
        self.delivery.end(self.position.clone());
        self.keep(cut, weight);
        self.progressed(fx);
        true
    }

    /// The batches of a cut, in the order of lanes and numbers. Tells how many bytes that are.
    fn order(&mut self, cut: &Cut) -> usize {
        let (mut slot, mut weight) = (self.position.slot, 0);
        for (owner, to) in cut {
            let lane = &mut self.lanes[owner.index()];
            for batch in lane.due(*to) {
                self.delivery.batch(slot, *owner, batch.clone());
                slot = slot.plus(batch.len() as u64);
            }
            weight += lane.order(*to);
        }
        self.position.slot = slot;
        weight
    }

    /// Where this stream is after a round of the one below.
    fn after(&self, below: Position) -> Position {
        let heads = self.lanes.iter().map(Lane::ordered).collect();
        let memo = wire::encode(&Memo { below: below.slot, heads });
        Position { slot: self.position.slot, memo, ..below }
    }

    /// Keeps the batches of a round for those who are behind, and no more than the limits allow.
    fn keep(&mut self, cut: Cut, weight: usize) {
        self.sent_again.forgive(weight, 1 + cut.len());
        self.kept.push_back(cut);
        self.kept_bytes += weight;
        while self.kept.len() > 2
            && (self.kept.len() as u64 > self.spec.rounds_kept
                || self.kept_bytes > self.spec.bytes_kept)
            && let Some(oldest) = self.kept.pop_front()
        {
            for (lane, head) in oldest {
                self.kept_bytes -= self.lanes[lane.index()].trim(head.seq).min(self.kept_bytes);
            }
        }
    }

    /// Lanes are ordered further.
    fn progressed(&mut self, fx: &mut Effects<'_, Self>) {
        self.lacking.clear();
        self.reported = false;
        let me = fx.seat().me();
        let own = self.chain(me).ordered().seq;
        self.receipts.ordered(own);
        if let Some(own) = self.own.settle(own) {
            fx.output(Output::Ordered { own });
        }
        for (owner, lane) in (0..).map(PartyId::new).zip(&mut self.lanes) {
            if owner != me && lane.lost_some() {
                fx.send(owner, Message::Recall { seq: lane.top().seq, back: true });
            }
        }
    }

    /// Jumps to a checkpoint of the user.
    pub(super) fn on_resume(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        self.delivery.skip(position.slot);
        if position.round <= self.position.round {
            return;
        }
        let Some(memo) = Memo::read(&position.memo, fx.seat().thresholds().n()) else { return };
        self.below.jump(&position, &memo);
        for (lane, head) in self.lanes.iter_mut().zip(&memo.heads) {
            lane.jump(*head);
        }
        self.kept.clear();
        self.kept_bytes = 0;
        let below = Position { slot: memo.below, memo: Bytes::new(), ..position.clone() };
        self.position = position;
        self.ask_below(Input::Resume { position: below }, fx);
        self.progressed(fx);
        let me = fx.seat().me();
        for owner in fx.seat().parties().filter(|owner| *owner != me) {
            fx.send(owner, Message::Recall { seq: self.chain(owner).top().seq, back: true });
        }
    }
}
