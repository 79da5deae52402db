//! The stream of certified lanes: batches travel as fast as links do, and agreement orders what is known
//! to be stored.
//!
//! # Reference
//! Gao, Lu, Lu, Tang, Xu, Zhang, *Dumbo-NG: fast asynchronous BFT consensus with throughput-oblivious
//! latency*, CCS 2022: a lane of batches a member, certificates of storage, one agreement after the other
//! on a vector of them. Lanes: Danezis, Kokoris Kogias, Sonnino, Spiegelman, *Narwhal and Tusk*,
//! `EuroSys` 2022. Agreement: the rounds of [`atomic`].
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, certificates of a quorum. No clock: a
//! group without payloads says nothing, and one payload alone starts a round as soon as it is stored.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | head -> receipt | a quorum of shares | two quorums share a correct member, and in one are `f + 1` correct ones, who have the batches |
//! | receipts -> cut | a round of [`atomic`]: `n - f` members' receipts | any `f + 1` members' receipts meet them |
//! | lacking -> asked for | `f + 1` who have it | one of them is correct |
//!
//! # Properties
//! Those of [`atomic`], with the same inputs, outputs and [`Position`]s, but that a payload's fate is
//! always known: a position says how far each lane is ordered.
//!
//! *Lanes.* Each member numbers its batches and sends them to everybody. Their names are chained, so one
//! [`Head`] names a prefix, and a signature of a head is one of all batches up to it. When there is
//! something new, and no more than one of its [`Receipt`]s waits for its turn, a member asks for a
//! signature of its last head. Whoever stores what leads there signs it; a quorum of shares is a receipt.
//!
//! *Cuts.* A member submits its receipts to an [`Atomic`] stream below. What a round of that orders is a
//! cut: of each lane the last receipt that verifies and goes further than those before. It orders all
//! that leads from the last cut to this one, lane after lane. What takes time and bytes, the batches, is
//! under way at all times and waits for no agreement; an agreement takes the same time for one batch and
//! for a thousand.
//!
//! *The receipts of a lane are of one chain.* Let two chains part after a head, and let each have a first
//! receipt beyond it. Their quorums share a correct member. It signed on both chains, and in between it
//! left the first one. A correct member leaves a chain only for one of which it saw a receipt ordered;
//! but its own share was needed for the first receipt on the second chain. So there is none.
//!
//! *Total order, integrity, no gaps.* All correct members see the same receipts in the same order
//! ([`Atomic`]), and judge them by keys, and by the receipts before, alone. So they have the same cuts,
//! each of which goes further than the last one on one chain; a chain names its batches. Every batch of a
//! lane is in one cut, in the order of its owner.
//!
//! *What a cut orders can be fetched.* `f + 1` correct members had stored all that leads to a head when it
//! got its receipt, and keep it until it is ordered, and then as long as [`Spec`] says. One who lacks it
//! asks who has it, and asks `f + 1` of those for it: one is correct. Each batch is checked against the
//! chain when it comes, from the last one backwards, so a wrong one takes no room and convicts its sender.
//! The answer of those who have it comes behind the batches under way, so that what is only late is
//! seldom sent twice. All that takes no clock.
//!
//! *What a correct member submits is ordered.* No more of its lane is under way than all correct members
//! have room for once they have ordered what it has ordered; who had none asks again when it has. So all
//! of them store its batches and sign its head, it gets its receipt, and the stream below orders that.
//!
//! *What a liar can do.* As an owner that tells each another batch, it gets no receipt, or one chain gets
//! one, and those who were told otherwise fetch that. One that shows its batches to a quorum only makes
//! the others fetch. With a receipt that does not verify it convicts itself, and moves nothing. What is
//! kept of its lane is bounded in batches and bytes, and so is what is sent to it again.
//!
//! *Who is behind* learns the cuts from the stream below and fetches their batches; beyond what is kept
//! it says [`Output::Behind`], and goes on from a [`Position`].
//!
//! # Deviations
//! Receipts are judged when they are ordered, not by the predicate of the agreement: its proposals stay
//! names, whose bodies `f + 1` correct members have, and a liar that submits a wrong one is as if it had
//! submitted nothing. A cut holds what `n - f` members said in the round, so lanes that are idle need no
//! empty batches. Whole batches are fetched, not fragments of an erasure code.

mod lacking;
mod lane;
mod message;
mod order;
mod own;
mod receipt;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use message::Message;
pub use receipt::Receipt;
use serde::{Deserialize, Serialize};

use self::{
    lacking::Lacking,
    lane::Lane as Chain,
    order::{Below, Cut},
    own::Own,
    receipt::Receipts,
};
use super::{
    again::SentAgain,
    atomic::{self, Atomic, Input, Output, Position},
    delivery::Delivery,
};
#[cfg(doc)]
use crate::stream::fast::Head;
use crate::{
    children::Children,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Slot},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

#[cfg(any(test, feature = "sim"))]
pub(super) fn contents(take: &mut impl super::contents::Contents) {
    take.content::<order::Memo>();
    take.content::<Receipt>();
}

/// The stream of receipts.
const BELOW: Role = Role::Stream;

/// What makes two streams differ: how much they keep. It need not be the same at every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// How many rounds are kept for those who are behind. At least two are.
    pub rounds_kept: u64,
    /// How many bytes of ordered batches are kept for those who are behind.
    pub bytes_kept: usize,
    /// How many bytes of ordered batches wait for the user's credit. Beyond it the user has lagged.
    pub lag_max: usize,
}

impl Default for Spec {
    /// 1,024 rounds, which take a few milliseconds each; 64 MiB of ordered batches, 64 MiB of lag.
    fn default() -> Self {
        Self { rounds_kept: 1_024, bytes_kept: 64 << 20, lag_max: 64 << 20 }
    }
}

/// What is asked of the children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// The stream of receipts, and how many of its rounds are kept.
    Below(Input, u64),
}

/// What the children tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The stream of receipts.
    Below(Output),
}

/// One stream of certified lanes at one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certified {
    spec: Spec,
    position: Position,
    own: Own,
    lanes: Vec<Chain>,
    receipts: Receipts,
    below: Below,
    /// What the next cut needs, by lane.
    lacking: BTreeMap<PartyId, Lacking>,
    /// Whether the user knows that the next cut is out of reach.
    reported: bool,
    /// The cuts whose batches are kept for those who are behind, and the bytes of these.
    kept: VecDeque<Cut>,
    kept_bytes: usize,
    /// How many bytes were sent again to whom, but for what was ordered since.
    sent_again: SentAgain,
    delivery: Delivery,
}

impl Protocol for Certified {
    const KIND: Kind = Kind("certified");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(seat: &Seat, spec: Spec) -> Self {
        let n = seat.thresholds().n();
        Self {
            spec,
            position: Position::default(),
            own: Own::default(),
            lanes: (0..n).map(|_| Chain::default()).collect(),
            receipts: Receipts::default(),
            below: Below::new(n),
            lacking: BTreeMap::new(),
            reported: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            sent_again: SentAgain::default(),
            delivery: Delivery::default(),
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => self.ask_below(Input::Pull { up_to: Slot::new(u64::MAX) }, fx),
            Event::Input(Input::Submit { batch }) => {
                if let Err(batch) = self.own.submit(batch) {
                    fx.output(Output::Refused { payloads: batch.len() as u64 });
                }
            }
            Event::Input(Input::Pull { up_to }) => self.delivery.pull(up_to),
            Event::Input(Input::Resume { position }) => self.on_resume(position, fx),
            Event::Heard(Heard::Below(output)) => self.on_below(output, fx),
            Event::Message { from: Peer::Member(from), message } => {
                self.on_message(from, message, fx);
            }
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Missed { from } => self.on_missed(from, fx),
            Event::Behind { .. } | Event::Dropped { .. } => {}
            Event::Timer(never) => match never {},
        }
        self.advance(fx);
    }

    fn route<C: Children<Self>>(Ask::Below(input, rounds_kept): Ask, children: &mut C) {
        // One member alone may have a receipt, so anyone begins.
        let spec = atomic::Spec { rounds_kept, ..atomic::Spec::default() };
        children.ask::<Atomic>(BELOW.only(), spec, Some(input), |_, output| Heard::Below(output));
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        match from.member().filter(|from| seat.has(*from)) {
            Some(_) => message.check(seat),
            None => Err(Fault::Improper("not a member".into())),
        }
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == BELOW.only() { Early::Wait } else { Early::Never }
    }
}

impl Certified {
    /// Where this party stands, for status and displays.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    fn on_message(&mut self, from: PartyId, message: Message, fx: &mut Effects<'_, Self>) {
        match message {
            Message::Batch { seq, batch } => self.lanes[from.index()].take(seq, batch),
            Message::Sign { seq } => {
                let lane = &mut self.lanes[from.index()];
                lane.asked = lane.asked.max(seq);
            }
            Message::Share { head, share } => self.on_share(from, head, share, fx),
            Message::Recall { seq, back } => self.on_recall(from, seq, back, fx),
            Message::Lack { lane, to } => self.on_lack(from, lane, to, fx),
            Message::Have { lane, to } => self.on_have(from, lane, to, fx),
            Message::Gone { lane, to } => self.on_gone(from, lane, to, fx),
            Message::Want { lane, after, to } => self.on_want(from, lane, (after, to), fx),
            Message::Part { lane, seq, before, batch } => {
                self.on_part(from, lane, (seq, before), batch, fx);
            }
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, fx: &mut Effects<'_, Self>) {
        while self.deliver(fx) {}
        while let Some((seq, batch)) = self.own.next() {
            fx.broadcast(Message::Batch { seq, batch });
        }
        self.sign(fx);
        self.ask_receipt(fx);
        while let Some(output) = self.delivery.next() {
            fx.output(output);
        }
        if let Some(from) = self.delivery.overflow(self.spec.lag_max) {
            fx.output(Output::Lagged { from, to: self.position.slot });
        }
    }

    fn ask_below(&self, input: Input, fx: &mut Effects<'_, Self>) {
        fx.ask(Ask::Below(input, self.spec.rounds_kept));
    }

    fn chain(&self, owner: PartyId) -> &Chain {
        &self.lanes[owner.index()]
    }
}
