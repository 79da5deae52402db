//! Consistent broadcast: no two correct parties deliver different payloads, and whoever delivers can
//! make others deliver.
//!
//! # Reference
//! Cachin, Kursawe, Petzold, Shoup, *Secure and efficient asynchronous broadcast protocols*, CRYPTO
//! 2001, verifiable consistent broadcast; after Reiter's echo broadcast, CCS 1994. Rules C0 to C3.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a threshold signature of a quorum.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | share to certificate | `quorum` shares | two quorums share a correct party, which signs once: only one digest has a certificate |
//!
//! # Properties
//! Validity (what a correct sender broadcasts is delivered by all, if all approve), consistency,
//! integrity; a [`Closing`] convinces everyone who knows the keys, and makes them deliver. Three
//! delays, `3n` messages. Not: totality. When the sender lies, some may deliver and others not, until
//! one who did shows them its closing.
//!
//! # Deviations
//! `Final` carries the digest, not the payload, and nobody is asked for a payload: a correct sender
//! has sent it to everybody, and of a lying one nothing is promised. A party may be told to wait for
//! its user's approval before it signs ([`Spec::approve`]).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    crypto::{Blame, Certificate, Digest, Keys, Share},
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer},
    path::InstanceId,
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
};

/// The step that shares and certificates cover.
const ECHO: &str = "echo";

/// What makes two consistent broadcasts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The party that speaks.
    pub sender: PartyId,
    /// The largest payload, in bytes. A larger one is nobody's to sign.
    pub limit: usize,
    /// Whether this party's user must say [`Input::Approve`] before this party signs.
    pub approve: bool,
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The sender's user: speak. Only the first one counts, and only at the sender.
    ///
    /// # Panics
    /// If the payload is larger than [`Spec::limit`].
    Broadcast(Bytes),
    /// Sign what was offered, or what will be.
    Approve,
    /// Deliver this, if it is a closing of this broadcast; nothing happens if it is none.
    Close(Closing),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The sender says this, and this party will sign when its user approves. Comes at most once, and
    /// only if [`Spec::approve`] is set.
    Offered {
        /// What the sender says, to this party at least.
        payload: Bytes,
    },
    /// What every correct party delivers that delivers at all, and the proof. Comes at most once.
    Delivered(Closing),
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "This is what I have to say." From the sender, to everybody.
    Initial(Bytes),
    /// "The sender says that, and I sign nothing else here." To the sender.
    Echo(Share),
    /// "A quorum has signed what I said." From the sender, to everybody.
    Final {
        /// The digest of what was said.
        digest: Digest,
        /// The proof.
        certificate: Certificate,
    },
}

/// A payload, and the proof that it is what a broadcast says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// What is said.
    pub payload: Bytes,
    /// Shares of a quorum over the digest of the payload, in the domain of the broadcast.
    pub certificate: Certificate,
}

impl Closing {
    /// Whether this is the closing of the broadcast `of`. At most one payload of a broadcast has one.
    pub fn check(&self, of: &InstanceId, keys: &Keys) -> bool {
        keys.quorum.check(&of.tag(ECHO), &self.digest(), &self.certificate)
    }

    /// What the certificate covers.
    fn digest(&self) -> Digest {
        digest(&self.payload)
    }
}

fn digest(payload: &[u8]) -> Digest {
    Digest::of("broadcast", payload)
}

/// One consistent broadcast at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each says that a rule has fired, once")]
pub struct Consistent {
    spec: Spec,
    /// What this party said as the sender.
    spoken: Option<Digest>,
    /// The shares for it, unchecked, until they make a certificate.
    shares: BTreeMap<PartyId, Share>,
    /// Whose shares were wrong: they count no more.
    blamed: BTreeSet<PartyId>,
    /// Whether the shares made a certificate.
    certified: bool,
    /// What the sender told this party.
    told: Option<Bytes>,
    approved: bool,
    /// Whether this party has signed: it does so once in the life of the instance.
    echoed: bool,
    /// A certificate whose payload has not arrived.
    early: Option<(Digest, Certificate)>,
    delivered: bool,
}

impl Protocol for Consistent {
    const KIND: Kind = Kind("consistent");
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
            spoken: None,
            shares: BTreeMap::new(),
            blamed: BTreeSet::new(),
            certified: false,
            told: None,
            approved: !spec.approve,
            echoed: false,
            early: None,
            delivered: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Broadcast(payload)) => self.on_broadcast(payload, fx), // C0
            Event::Input(Input::Approve) => {
                self.approved = true;
                self.try_echo(fx);
            }
            Event::Input(Input::Close(closing)) => self.on_closing(closing, fx),
            Event::Message { from: Peer::Member(from), message } => match message {
                Message::Initial(payload) => self.on_initial(from, payload, fx), // C1
                Message::Echo(share) => self.on_echo(from, share, fx),           // C2
                Message::Final { digest, certificate } => {
                    self.on_final(from, digest, certificate, fx); // C3
                }
            },
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Heard(never) | Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(seat: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        match message {
            Message::Final { digest, certificate }
                if !seat.keys.quorum.check(&seat.tag(ECHO), digest, certificate) =>
            {
                Err(Fault::BadProof { what: "certificate of a consistent broadcast".into() })
            }
            Message::Echo(share) => share.admit(seat.keys.quorum.scheme()),
            Message::Initial(_) | Message::Final { .. } => Ok(()),
        }
    }

    fn lane(message: &Message) -> Lane {
        match message {
            Message::Initial(_) => Lane::Bulk,
            Message::Echo(_) | Message::Final { .. } => Lane::Control,
        }
    }
}

impl Consistent {
    fn on_broadcast(&mut self, payload: Bytes, fx: &mut Effects<'_, Self>) {
        assert!(payload.len() <= self.spec.limit, "the user keeps to the limit it set");
        if fx.seat().me() == self.spec.sender && self.spoken.is_none() {
            self.spoken = Some(digest(&payload));
            fx.broadcast(Message::Initial(payload));
        }
    }

    fn on_initial(&mut self, from: PartyId, payload: Bytes, fx: &mut Effects<'_, Self>) {
        if from != self.spec.sender || payload.len() > self.spec.limit {
            let rule =
                if from == self.spec.sender { "payload too large" } else { "not the sender" };
            return fx.accuse(from, Fault::Improper(rule.into()));
        }
        if let Some(told) = &self.told {
            return self.compare(digest(told), digest(&payload), fx);
        }
        self.told = Some(payload.clone());
        if self.spec.approve {
            fx.output(Output::Offered { payload });
        }
        self.try_echo(fx);
        if let Some((digest, certificate)) = self.early.take() {
            self.on_certified(digest, certificate, fx);
        }
    }

    /// Signs what the sender told, once, when the user approves.
    fn try_echo(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(told) = self.told.as_ref().filter(|_| self.approved && !self.echoed) else {
            return;
        };
        let share = fx.seat().keys.quorum.share(&fx.seat().tag(ECHO), &digest(told));
        self.echoed = true;
        fx.send(self.spec.sender, Message::Echo(share));
    }

    fn on_echo(&mut self, from: PartyId, share: Share, fx: &mut Effects<'_, Self>) {
        let Some(spoken) = self.spoken else {
            return fx.accuse(from, Fault::Improper("echoes what was not said".into()));
        };
        if self.certified || self.blamed.contains(&from) {
            return;
        }
        self.shares.entry(from).or_insert(share);
        self.try_certify(spoken, fx);
    }

    /// Combines without checking single shares; only if that fails is the one to blame looked for.
    fn try_certify(&mut self, spoken: Digest, fx: &mut Effects<'_, Self>) {
        let keys = &fx.seat().keys.quorum;
        if self.shares.len() < keys.needed() {
            return;
        }
        let shares: Vec<_> =
            self.shares.iter().map(|(party, share)| (*party, share.clone())).collect();
        match keys.combine(&fx.seat().tag(ECHO), &spoken, &shares) {
            Ok(certificate) => {
                self.certified = true;
                self.shares.clear();
                fx.broadcast(Message::Final { digest: spoken, certificate });
            }
            Err(Blame::TooFew { .. }) => {}
            Err(Blame::Culprits(culprits)) => culprits.into_iter().for_each(|party| {
                self.shares.remove(&party);
                if self.blamed.insert(party) {
                    fx.accuse(party, Fault::BadProof { what: "share of a certificate".into() });
                }
            }),
        }
    }

    /// [`admit`](Protocol::admit) has checked the certificate.
    fn on_final(
        &mut self,
        from: PartyId,
        digest: Digest,
        certificate: Certificate,
        fx: &mut Effects<'_, Self>,
    ) {
        if from == self.spec.sender {
            self.on_certified(digest, certificate, fx);
        } else {
            fx.accuse(from, Fault::Improper("not the sender".into()));
        }
    }

    fn on_certified(
        &mut self,
        certified: Digest,
        certificate: Certificate,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(told) = &self.told else {
            self.early = Some((certified, certificate));
            return;
        };
        if digest(told) == certified {
            self.deliver(Closing { payload: told.clone(), certificate }, fx);
        } else {
            self.compare(digest(told), certified, fx);
        }
    }

    fn on_closing(&mut self, closing: Closing, fx: &mut Effects<'_, Self>) {
        if !self.delivered && closing.check(&fx.seat().id, &fx.seat().keys) {
            self.deliver(closing, fx);
        }
    }

    fn deliver(&mut self, closing: Closing, fx: &mut Effects<'_, Self>) {
        if !self.delivered {
            self.delivered = true;
            fx.output(Output::Delivered(closing));
        }
    }

    /// Two things from a sender that may say one.
    fn compare(&self, first: Digest, second: Digest, fx: &mut Effects<'_, Self>) {
        if first != second {
            fx.accuse(self.spec.sender, Fault::Equivocated { first, second });
        }
    }
}

#[cfg(test)]
mod tests;
