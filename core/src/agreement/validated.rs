//! Validated binary agreement, biased: 1 is decided with a proof only, and is decided if `f + 1`
//! correct parties propose it.
//!
//! # Reference
//! Cachin, Kursawe, Petzold, Shoup, *Secure and efficient asynchronous broadcast protocols*, CRYPTO
//! 2001, section 4, over a [`binary`] agreement in place of theirs. Rules V0 to V3.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a common coin of `f + 1`, and a
//! [`Predicate`] that says what a proof for 1 is. 0 needs none.
//!
//! # Thresholds
//! | rule | waits for | because |
//! |---|---|---|
//! | V1 vote 1 | one valid proof | it convinces everybody, so nothing can be gained by waiting |
//! | V2 vote 0 | `available` parties without a proof | no more can be waited for; they are not all there if `f + 1` correct ones have a proof |
//! | V3 decide 1 | a valid proof | the user is promised one |
//!
//! # Properties
//! Agreement and termination of the binary agreement, in which every correct party votes: if a
//! correct party proposes 1, its proof reaches all, and otherwise `n - f` say that they have none.
//!
//! *Validity.* A decision of 1 comes with a valid proof, at every party: a bit that is decided was
//! voted by a correct party, and whoever votes 1 has sent the proof to all. So nobody needs to ask.
//!
//! *Bias.* If `f + 1` correct parties propose 1, the decision is 1: none of them ever says that it
//! has no proof, so at most `n - f - 1` do, nobody votes 0, and the decision was voted by a correct
//! party.
//!
//! # Deviations
//! The source waits for `n - f` parties in every case; here a proof is enough, which is safe, as the
//! votes are only inputs of the binary agreement. A party that first says that it has no proof may
//! say later that it has one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Predicate, binary};
use crate::{
    children::Children,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input<T> {
    /// Take part, for 1 with a valid proof, for 0 without. The first one counts, but a proof that comes
    /// after a 0 is as good as one from a peer. The decision may come before it.
    ///
    /// # Panics
    /// If the proof does not hold.
    Propose(Option<T>),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output<T> {
    /// 1 with a valid proof, which may differ between parties, or 0. Comes once.
    Decided(Option<T>),
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<T> {
    /// "This proves 1", or "I know of no proof".
    Propose(Option<T>),
}

/// What is asked of the binary agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Vote for this bit.
    Vote(bool),
}

/// What the binary agreement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// It is decided.
    Decided(bool),
}

/// One validated agreement at one party, on 1 as `Q` understands it. Its specification is a `Q`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Validated<Q: Predicate> {
    predicate: Q,
    /// Whether this party's user has proposed.
    proposed: bool,
    /// Whether this party has sent a proof to all.
    said: bool,
    /// A valid proof for 1.
    proof: Option<Q::Proof>,
    /// Who knew of no proof.
    without: BTreeSet<PartyId>,
    /// Whose proof did not hold: it gets no second one judged.
    refused: BTreeSet<PartyId>,
    /// What this party voted in the binary agreement.
    voted: Option<bool>,
    outcome: Outcome,
}

/// How far the decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Open,
    /// 1, and the proof is on its way.
    Unproven,
    Told,
}

impl<Q: Predicate> Protocol for Validated<Q> {
    const KIND: Kind = Kind("validated");
    type Spec = Q;
    type Input = Input<Q::Proof>;
    type Output = Output<Q::Proof>;
    type Message = Message<Q::Proof>;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, predicate: Q) -> Self {
        Self {
            predicate,
            proposed: false,
            said: false,
            proof: None,
            without: BTreeSet::new(),
            refused: BTreeSet::new(),
            voted: None,
            outcome: Outcome::Open,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Propose(proof)) => self.on_input(proof, fx), // V0
            Event::Message { from: Peer::Member(from), message } => match message {
                Message::Propose(Some(proof)) => self.on_proof(from, proof, fx), // V1
                Message::Propose(None) => self.on_no_proof(from, fx),            // V2
            },
            Event::Heard(Heard::Decided(value)) => self.on_decided(value, fx), // V3
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(Ask::Vote(value): Ask, children: &mut C) {
        let vote = Some(binary::Input::Propose(value));
        let spec = binary::Spec::biased_to(true);
        children.ask::<binary::Binary>(Role::Binary.only(), spec, vote, |_, output| {
            let binary::Output::Decided { value, .. } = output;
            Heard::Decided(value)
        });
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == Role::Binary.only() { Early::Wait } else { Early::Never }
    }
}

impl<Q: Predicate> Validated<Q> {
    fn on_input(&mut self, proof: Option<Q::Proof>, fx: &mut Effects<'_, Self>) {
        if let Some(proof) = proof {
            assert!(self.predicate.judge(fx.seat(), &proof), "the user proposes what holds");
            self.accept(proof, fx);
        }
        if self.proposed {
            return;
        }
        self.proposed = true;
        if self.proof.is_some() {
            self.say_proof(fx);
        } else {
            fx.broadcast(Message::Propose(None));
        }
    }

    fn on_proof(&mut self, from: PartyId, proof: Q::Proof, fx: &mut Effects<'_, Self>) {
        if self.proof.is_some() || self.refused.contains(&from) {
            return;
        }
        if self.predicate.judge(fx.seat(), &proof) {
            self.accept(proof, fx);
        } else {
            self.refused.insert(from);
            fx.accuse(from, Fault::BadProof { what: "proof of a validated agreement".into() });
        }
    }

    /// Keeps the first valid proof, and votes for it: whoever votes 1 sends a proof to all.
    fn accept(&mut self, proof: Q::Proof, fx: &mut Effects<'_, Self>) {
        if self.proof.is_none() {
            self.proof = Some(proof);
        }
        if self.voted.is_none() {
            self.say_proof(fx);
            self.vote(true, fx);
        }
        self.try_tell(fx);
    }

    fn say_proof(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.said {
            self.said = true;
            fx.broadcast(Message::Propose(self.proof.clone()));
        }
    }

    fn on_no_proof(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        self.without.insert(from);
        if self.without.len() >= fx.seat().thresholds().available() {
            self.vote(false, fx);
        }
    }

    fn vote(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        if self.voted.is_none() {
            self.voted = Some(value);
            fx.ask(Ask::Vote(value));
        }
    }

    fn on_decided(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        if value {
            self.outcome = Outcome::Unproven;
            self.try_tell(fx);
        } else {
            self.outcome = Outcome::Told;
            fx.output(Output::Decided(None));
        }
    }

    fn try_tell(&mut self, fx: &mut Effects<'_, Self>) {
        if self.outcome == Outcome::Unproven && self.proof.is_some() {
            self.outcome = Outcome::Told;
            fx.output(Output::Decided(self.proof.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
