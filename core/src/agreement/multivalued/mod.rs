//! Multivalued agreement: all parties choose one of their proposals, and they choose the same.
//!
//! # Reference
//! Cachin, Kursawe, Petzold, Shoup, *Secure and efficient asynchronous broadcast protocols*, CRYPTO
//! 2001, section 4: multi-valued validated Byzantine agreement with constant expected rounds; SINTRA
//! calls it array agreement. Rules V0 to V6.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, certificates of a quorum, a coin of
//! `f + 1`.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | first candidate -> 0 | `n - f` proposals without its own | more may never come; whoever has it says 1 at once |
//! | proposals -> commit vector | `n - f` proposals | more may never come |
//! | commit vectors -> coin | `n - f` vectors, after the own one is said | then enough candidates can no longer be denied, see below; and this party's no never denies its own vector |
//! | votes -> turn | `n - f` proper votes | they meet the `f + 1` who committed to a good candidate |
//!
//! # Properties
//! Agreement, termination, external validity (a decided proposal satisfies the predicate, and `f + 1`
//! correct users approved it), integrity. With a good first candidate: three delays for the
//! proposal, then one binary agreement, no coin and no signature but those of the proposals.
//!
//! *Agreement.* Candidates are tried one after the other, in an order that is the same for all. The
//! turn of a candidate is one biased agreement whose 1 needs the closing of its proposal; a proposal
//! has at most one closing.
//!
//! *Turn 0.* The candidate is known beforehand, so an adversary can hold its proposal back, and no
//! commitment would stop it: a 0 is always proper. The biased agreement opens with an exchange in
//! which every party shows its closing if it has one, so one vote in sight of everybody is enough for
//! 1, and a separate exchange of votes would add a delay and nothing else.
//!
//! *Termination.* Let the coin be tossed by the first correct party. Then `n - f` parties have fixed
//! vectors of `n - f` entries each. Call a candidate good if `f + 1` of these vectors name it. If `g`
//! candidates are good, `(n - f)^2 <= g (n - f) + (n - g) f`, which for `n >= 3f + 1` gives
//! `g > n / 3`. One of those `f + 1` is correct, so the closing exists and is shown. A `no` to a good
//! candidate is improper from all of the `f + 1`, so any `n - f` proper votes contain a `yes` with
//! its closing: every correct party inputs 1, and the turn decides 1. The order is not known before
//! the vectors are fixed, so the expected number of turns is below three, and at most `n` are taken.
//!
//! # Deviations
//! Turn 0 with a candidate that the user names, before commit vectors and coin. The order wraps
//! around after `n` turns, although it never has to. A party signs a proposal only when its user
//! approves it ([`Input::Approve`]), so that the user can fetch what the proposal names: what is
//! decided is then held by `f + 1` correct parties. Correct users must approve in the end whatever a
//! correct user proposes.

mod order;
mod turns;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Predicate, coin, validated};
use crate::{
    broadcast::consistent::{self, Closing, Consistent},
    children::Children,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Turn},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What makes two multivalued agreements differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec<Q> {
    /// The candidate of turn 0. The same at every party.
    pub first: PartyId,
    /// What may be proposed.
    pub predicate: Q,
    /// The largest proposal, in bytes.
    pub limit: usize,
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Propose this. Only the first one counts.
    ///
    /// # Panics
    /// If it is larger than [`Spec::limit`].
    Propose(Bytes),
    /// Support the proposal of this party: this user holds all that it names.
    Approve(PartyId),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// `from` proposes this, and it satisfies the predicate. At most once for each party; this party
    /// supports it when its user says [`Input::Approve`]. The own proposal is offered too.
    Offered {
        /// Who proposes.
        from: PartyId,
        /// What.
        value: Bytes,
    },
    /// All correct parties decide this. Once.
    Decided {
        /// Whose proposal it is; the same at every party.
        from: PartyId,
        /// The proposal.
        value: Bytes,
    },
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "In this turn, which is not the first, I say yes, and here is the closing", or "I say no".
    Vote {
        /// The turn.
        turn: Turn,
        /// The closing of the candidate's proposal, for a yes.
        closing: Option<Closing>,
    },
}

/// What is asked of the children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// The broadcast of a party's proposal.
    Proposal {
        /// How it is made.
        spec: consistent::Spec,
        /// What is asked.
        input: Option<consistent::Input>,
    },
    /// The broadcast of a party's commit vector.
    Commit {
        /// How it is made.
        spec: consistent::Spec,
        /// What is asked.
        input: Option<consistent::Input>,
    },
    /// Toss the coin that orders the candidates.
    Order,
    /// The agreement on one candidate.
    Vote {
        /// The turn.
        turn: Turn,
        /// The candidate of the turn.
        candidate: PartyId,
        /// What is asked: the closing for 1, nothing for 0.
        input: Option<Option<Closing>>,
    },
}

/// What the children tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The broadcast of a party's proposal.
    Proposal(PartyId, consistent::Output),
    /// The broadcast of a party's commit vector.
    Commit(PartyId, consistent::Output),
    /// The coin that orders the candidates.
    Order(coin::Output),
    /// The agreement on one candidate.
    Vote(Turn, validated::Output<Closing>),
}

/// One multivalued agreement at one party.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that fires once")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Multivalued<Q: Predicate<Proof = Bytes>> {
    spec: Spec<Q>,
    proposed: bool,
    /// Whose proposals the user approved.
    approved: BTreeSet<PartyId>,
    /// The proposals that were delivered, or shown by somebody.
    closings: BTreeMap<PartyId, Closing>,
    /// The commit vectors that were delivered.
    commits: BTreeMap<PartyId, BTreeSet<PartyId>>,
    /// Whether this party's commit vector is out.
    committed: bool,
    /// Whether this party tossed the coin.
    tossed: bool,
    /// The candidates of the turns from 1 on, when the coin is known.
    order: Vec<PartyId>,
    /// The turn that is under way.
    turn: Turn,
    /// What this party said in the agreement of this turn, if it had its say.
    said: Option<bool>,
    /// The votes of this turn and of those to come: a yes with its closing, unchecked, or a no.
    votes: BTreeMap<Turn, BTreeMap<PartyId, Option<Closing>>>,
    /// Who cast an improper vote: its votes count no more.
    shunned: BTreeSet<PartyId>,
    decided: bool,
}

/// What a candidate's turn asks a proof for: the closing of its proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    candidate: PartyId,
}

impl Predicate for Closed {
    type Proof = Closing;

    fn holds(&self, seat: &Seat, closing: &Closing) -> bool {
        seat.id.parent().is_some_and(|(agreement, _)| {
            closing.check(&agreement.child(Role::Proposal.at(self.candidate)), &seat.keys)
        })
    }
}

impl<Q: Predicate<Proof = Bytes>> Protocol for Multivalued<Q> {
    const KIND: Kind = Kind("multivalued");
    type Spec = Spec<Q>;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, spec: Spec<Q>) -> Self {
        Self {
            spec,
            proposed: false,
            approved: BTreeSet::new(),
            closings: BTreeMap::new(),
            commits: BTreeMap::new(),
            committed: false,
            tossed: false,
            order: Vec::new(),
            turn: Turn::FIRST,
            said: None,
            votes: BTreeMap::new(),
            shunned: BTreeSet::new(),
            decided: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => self.on_start(fx),
            Event::Input(Input::Propose(value)) => self.on_propose(value, fx), // V0
            Event::Input(Input::Approve(party)) => self.on_approve(party, fx), // V0
            Event::Heard(Heard::Proposal(from, output)) => self.on_proposal(from, output, fx), // V1
            Event::Heard(Heard::Commit(from, output)) => self.on_commit(from, output, fx), // V3
            Event::Heard(Heard::Order(coin::Output::Value(value))) => self.on_order(value, fx), // V4
            Event::Message {
                from: Peer::Member(from),
                message: Message::Vote { turn, closing },
            } => {
                self.on_vote(from, turn, closing, fx); // V5
            }
            Event::Heard(Heard::Vote(turn, output)) => self.on_turn(turn, output, fx), // V6
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        match ask {
            Ask::Proposal { spec, input } => children.ask::<Consistent>(
                Role::Proposal.at(spec.sender),
                spec,
                input,
                |at, output| Heard::Proposal(at.party(), output),
            ),
            Ask::Commit { spec, input } => children.ask::<Consistent>(
                Role::Commit.at(spec.sender),
                spec,
                input,
                |at, output| Heard::Commit(at.party(), output),
            ),
            Ask::Order => children.ask::<coin::Coin>(
                Role::Coin.only(),
                (),
                Some(coin::Input::Toss),
                |_, output| Heard::Order(output),
            ),
            Ask::Vote { turn, candidate, input } => children.ask::<validated::Validated<Closed>>(
                Role::Vote.at(turn),
                Closed { candidate },
                input.map(validated::Input::Propose),
                |at, output| Heard::Vote(Turn::new(at.number), output),
            ),
        }
    }

    fn admit(seat: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        let Message::Vote { turn, .. } = message;
        let proper = *turn > Turn::FIRST && turn.number() <= last_turn(seat);
        if proper { Ok(()) } else { Err(Fault::Improper("vote in a turn that is none".into())) }
    }

    fn lane(_: &Message) -> Lane {
        Lane::Control
    }

    fn early(&self, seat: &Seat, child: Segment) -> Early {
        let exists = match child.role {
            Role::Proposal | Role::Commit => child.number < u64::from(seat.thresholds().n()),
            Role::Coin => child.number == 0,
            Role::Vote => child.number <= last_turn(seat),
            _ => false,
        };
        if exists { Early::Wait } else { Early::Never }
    }
}

/// The last turn that there can be. Among the first `n` after turn 0 one succeeds; twice as many are
/// let in, so that an argument that is wrong shows as slowness and not as silence.
fn last_turn(seat: &Seat) -> u64 {
    2 * u64::from(seat.thresholds().n())
}

impl<Q: Predicate<Proof = Bytes>> Multivalued<Q> {
    /// Takes part in everybody's proposal and in turn 0 from the beginning.
    fn on_start(&mut self, fx: &mut Effects<'_, Self>) {
        for party in fx.seat().parties() {
            fx.ask(Ask::Proposal { spec: self.proposal_of(party), input: None });
        }
        fx.ask(Ask::Vote { turn: Turn::FIRST, candidate: self.spec.first, input: None });
    }

    fn on_propose(&mut self, value: Bytes, fx: &mut Effects<'_, Self>) {
        assert!(value.len() <= self.spec.limit, "the user keeps to the limit it set");
        if !self.proposed {
            self.proposed = true;
            let spec = self.proposal_of(fx.seat().me());
            let input = Some(consistent::Input::Broadcast(value));
            fx.ask(Ask::Proposal { spec, input });
        }
    }

    fn on_approve(&mut self, party: PartyId, fx: &mut Effects<'_, Self>) {
        if self.approved.insert(party) {
            let spec = self.proposal_of(party);
            fx.ask(Ask::Proposal { spec, input: Some(consistent::Input::Approve) });
        }
    }

    fn on_proposal(
        &mut self,
        from: PartyId,
        output: consistent::Output,
        fx: &mut Effects<'_, Self>,
    ) {
        match output {
            consistent::Output::Offered { payload } => {
                if self.spec.predicate.judge(fx.seat(), &payload) {
                    fx.output(Output::Offered { from, value: payload });
                } else {
                    fx.accuse(from, Fault::Improper("proposal that may not be proposed".into()));
                }
            }
            consistent::Output::Delivered(closing) => {
                self.closings.entry(from).or_insert(closing);
                self.try_first(fx);
                self.try_commit(fx);
                self.try_turn(fx);
            }
        }
    }

    /// The broadcast of a proposal: signed only when the user approves.
    fn proposal_of(&self, sender: PartyId) -> consistent::Spec {
        consistent::Spec { sender, limit: self.spec.limit, approve: true }
    }

    /// V2: says yes to the first candidate as soon as its proposal is here, and no when `n - f`
    /// others came before it.
    fn try_first(&mut self, fx: &mut Effects<'_, Self>) {
        let enough = self.closings.len() >= fx.seat().thresholds().available();
        if self.turn == Turn::FIRST {
            self.say(self.spec.first, enough, fx);
        }
    }

    /// Says yes to a candidate whose closing is known, even after a no; says no if it `may`. Each is
    /// said once.
    fn say(&mut self, candidate: PartyId, may: bool, fx: &mut Effects<'_, Self>) {
        let closing = self.closings.get(&candidate).cloned();
        let yes = closing.is_some();
        if (yes && self.said != Some(true)) || (may && self.said.is_none()) {
            self.said = Some(yes);
            fx.ask(Ask::Vote { turn: self.turn, candidate, input: Some(closing) });
        }
    }
}
