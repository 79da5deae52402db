//! Reliable broadcast: if one correct party delivers, all do, and they deliver the same.
//!
//! # Reference
//! Bracha, *Asynchronous Byzantine agreement protocols*, Information and Computation 75, 1987,
//! Fig. 1. Rules B0 to B3 below.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`. No keys, no signatures.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | echo to ready | `quorum` echoes | two quorums share a correct party, which echoes once: only one digest passes |
//! | ready to ready | `one_correct` readies | a correct party is ready, so no other digest can be |
//! | ready to deliver | `most_correct` readies | `f + 1` correct readies reach everybody, who then are ready too |
//! | ask for the payload | `one_correct` echoers | each claims to hold it, and one of them is correct |
//!
//! # Properties
//! Validity (what a correct sender broadcasts is delivered), consistency, totality, integrity. Three
//! delays, a fourth and a fifth for those to whom the sender gave no payload or another one. Not:
//! order between instances.
//!
//! # Deviations
//! Echo and Ready carry a digest. A party that must deliver a payload that it does not hold asks the
//! first `f + 1` parties that echoed the digest. They exist: the first correct party to be ready saw
//! a quorum of echoes, of which `quorum - f >= f + 1` come from correct parties, and those echoes
//! reach everybody; a user who knows that some of them have forgotten has all echoers asked. A party
//! answers each requester once, and keeps the payload while it lives.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    tally::{Tally, Vote},
};

/// What makes two reliable broadcasts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The party that speaks.
    pub sender: PartyId,
    /// The largest payload, in bytes. A larger one is nobody's to echo.
    pub limit: usize,
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The sender's user: speak. Only the first one counts, and only at the sender.
    ///
    /// # Panics
    /// If the payload is larger than [`Spec::limit`].
    Broadcast(Bytes),
    /// Ask everybody who echoed for a payload that is missing: some of them are known not to answer.
    Insist,
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The payload that every correct party delivers. Comes at most once.
    Delivered(Bytes),
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "This is what I have to say." From the sender only.
    Initial(Bytes),
    /// "The sender gave me the payload with this digest."
    Echo(Digest),
    /// "No correct party will ever deliver anything but the payload with this digest."
    Ready(Digest),
    /// "Send me what you echoed."
    Request,
    /// "This is what I echoed."
    Answer(Bytes),
}

/// A payload and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    digest: Digest,
    payload: Bytes,
}

impl Named {
    fn new(payload: Bytes) -> Self {
        Self { digest: Digest::of("broadcast", &payload), payload }
    }
}

/// One reliable broadcast at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each says that a rule has fired, once")]
pub struct Reliable {
    spec: Spec,
    /// Whether this party has spoken as the sender.
    spoken: bool,
    /// What the sender told this party, and this party echoed.
    told: Option<Named>,
    echoes: Tally<Digest>,
    readies: Tally<Digest>,
    ready: bool,
    /// The digest of what must be delivered.
    accepted: Option<Digest>,
    delivered: bool,
    /// Whom this party asked for the payload.
    asked: BTreeSet<PartyId>,
    /// Whether all who echoed are asked, not only so many that one of them is correct.
    insists: bool,
    /// Whom this party has answered.
    answered: BTreeSet<PartyId>,
    /// Whether the sender was accused of telling others something else.
    accused: bool,
}

impl Protocol for Reliable {
    const KIND: Kind = Kind("reliable");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            spoken: false,
            told: None,
            echoes: Tally::default(),
            readies: Tally::default(),
            ready: false,
            accepted: None,
            delivered: false,
            asked: BTreeSet::new(),
            insists: false,
            answered: BTreeSet::new(),
            accused: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Broadcast(payload)) => self.on_broadcast(payload, fx), // B0
            Event::Input(Input::Insist) => {
                self.insists = true;
                self.try_ask(fx);
            }
            Event::Message { from: Peer::Member(from), message } => match message {
                Message::Initial(payload) => self.on_initial(from, payload, fx), // B1
                Message::Echo(digest) => self.on_echo(from, digest, fx),         // B2
                Message::Ready(digest) => self.on_ready(from, digest, fx),       // B3
                Message::Request => self.on_request(from, fx),
                Message::Answer(payload) => self.on_answer(from, payload, fx),
            },
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Heard(never) | Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn lane(message: &Message) -> Lane {
        match message {
            Message::Initial(_) | Message::Answer(_) => Lane::Bulk,
            Message::Echo(_) | Message::Ready(_) | Message::Request => Lane::Control,
        }
    }
}

impl Reliable {
    fn on_broadcast(&mut self, payload: Bytes, fx: &mut Effects<'_, Self>) {
        assert!(payload.len() <= self.spec.limit, "the user keeps to the limit it set");
        if fx.seat().me() == self.spec.sender && !self.spoken {
            self.spoken = true;
            fx.broadcast(Message::Initial(payload));
        }
    }

    fn on_initial(&mut self, from: PartyId, payload: Bytes, fx: &mut Effects<'_, Self>) {
        if from != self.spec.sender || payload.len() > self.spec.limit {
            let rule =
                if from == self.spec.sender { "payload too large" } else { "not the sender" };
            return fx.accuse(from, Fault::Improper(rule.into()));
        }
        let named = Named::new(payload);
        match &self.told {
            None => {
                fx.broadcast(Message::Echo(named.digest));
                self.told = Some(named);
                self.try_accuse_sender(fx);
                self.try_deliver(fx);
            }
            Some(told) if told.digest == named.digest => {}
            Some(told) => {
                let fault = Fault::Equivocated { first: told.digest, second: named.digest };
                fx.accuse(from, fault);
            }
        }
    }

    fn on_echo(&mut self, from: PartyId, digest: Digest, fx: &mut Effects<'_, Self>) {
        match self.echoes.vote(from, digest) {
            Vote::Fresh { count } => {
                if count >= fx.seat().thresholds().quorum() {
                    self.become_ready(digest, fx);
                }
                self.try_accuse_sender(fx);
                self.try_ask(fx);
            }
            Vote::Repeated => {}
            Vote::Conflicting { first } => {
                fx.accuse(from, Fault::Equivocated { first, second: digest });
            }
        }
    }

    fn on_ready(&mut self, from: PartyId, digest: Digest, fx: &mut Effects<'_, Self>) {
        match self.readies.vote(from, digest) {
            Vote::Fresh { count } => {
                let t = fx.seat().thresholds();
                if count >= t.one_correct() {
                    self.become_ready(digest, fx);
                }
                if count >= t.most_correct() && self.accepted.is_none() {
                    self.accepted = Some(digest);
                    self.try_deliver(fx);
                    self.try_ask(fx);
                }
            }
            Vote::Repeated => {}
            Vote::Conflicting { first } => {
                fx.accuse(from, Fault::Equivocated { first, second: digest });
            }
        }
    }

    fn on_request(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        match &self.told {
            Some(told) if self.answered.insert(from) => {
                fx.send(from, Message::Answer(told.payload.clone()));
            }
            Some(_) => {}
            // A correct party asks only those whose echo it has heard.
            None => fx.accuse(from, Fault::Improper("asks for what was not echoed".into())),
        }
    }

    fn on_answer(&mut self, from: PartyId, payload: Bytes, fx: &mut Effects<'_, Self>) {
        if !self.asked.contains(&from) {
            return fx.accuse(from, Fault::Improper("answers what was not asked".into()));
        }
        let Some(accepted) = self.accepted.filter(|_| !self.delivered) else { return };
        let named = Named::new(payload);
        if named.digest == accepted {
            self.deliver(named.payload, fx);
        } else {
            fx.accuse(from, Fault::Equivocated { first: accepted, second: named.digest });
        }
    }

    fn become_ready(&mut self, digest: Digest, fx: &mut Effects<'_, Self>) {
        if !self.ready {
            self.ready = true;
            fx.broadcast(Message::Ready(digest));
        }
    }

    /// Delivers what the sender told this party, if that is what everybody delivers.
    fn try_deliver(&mut self, fx: &mut Effects<'_, Self>) {
        let told = self.told.as_ref().filter(|told| Some(told.digest) == self.accepted);
        if let Some(payload) = told.map(|told| told.payload.clone()) {
            self.deliver(payload, fx);
        }
    }

    fn deliver(&mut self, payload: Bytes, fx: &mut Effects<'_, Self>) {
        if !self.delivered {
            self.delivered = true;
            fx.output(Output::Delivered(payload));
        }
    }

    /// Asks echoers for a payload that must be delivered and is not here.
    fn try_ask(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(accepted) = self.accepted.filter(|_| !self.delivered) else { return };
        let needed = fx.seat().thresholds().one_correct();
        for echoer in self.echoes.voters(&accepted) {
            if (self.insists || self.asked.len() < needed) && self.asked.insert(echoer) {
                fx.send(echoer, Message::Request);
            }
        }
    }

    /// Without signatures nobody is condemned on one member's word: of `f + 1` that echo something
    /// else, one is correct, so the sender told it something else.
    fn try_accuse_sender(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(told) = self.told.as_ref().map(|told| told.digest) else { return };
        let needed = fx.seat().thresholds().one_correct();
        let heard = self
            .echoes
            .iter()
            .map(|(_, digest)| *digest)
            .find(|digest| *digest != told && self.echoes.count(digest) >= needed);
        if let Some(heard) = heard.filter(|_| !self.accused) {
            self.accused = true;
            fx.accuse(self.spec.sender, Fault::ToldOtherwise { told, heard });
        }
    }
}

#[cfg(test)]
mod tests;
