//! A signature in the name of the group, when `f + 1` members want the same message signed.
//!
//! # Reference
//! Shoup, *Practical threshold signatures*, EUROCRYPT 2000, section 2: shares, and a combination that
//! works whatever `f` of the members say. Which scheme signs, the keys of the group say.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a threshold signature of `f + 1`.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | combine | `f + 1` shares of the own message that are not known to be wrong | one correct member wants it signed; `f + 1` correct ones can have it signed alone |
//!
//! # Properties
//! Unforgeability (a message is signed only if the user of a correct member asked for it) and
//! termination (once `f + 1` correct members ask for a message, everyone who asks for it learns its
//! signature). An instance signs one message at each member: a name that is used again is another
//! instance. Members whose users want different messages accuse nobody: a share says what it is of.
//!
//! *What is covered.* Multi-signatures and signatures over pairings cover the instance, the label and
//! the message ([`covered`]). RSA covers the message and nothing else, or no ordinary verifier could
//! read it: put the context into the message.
//!
//! # Deviations
//! Shares are not checked one by one: see [`coin`](super::coin). Who never asks learns no signature.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::shares::Shares;
use crate::{
    children::Children,
    crypto::{Answer, Blame, Certificate, Digest, Job, Keys, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    path::{InstanceId, Role, Tag},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Sign this message. Only the first counts.
    Sign {
        /// What the signature is for, which other signatures of the same message are not.
        label: Bytes,
        /// The message; it is not sent to anybody.
        message: Bytes,
    },
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The signature of the message that was asked for. Comes once.
    Signed(Certificate),
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I want this signed; this is my share."
    Share {
        /// What is signed.
        digest: Digest,
        /// The share.
        share: Share,
    },
}

/// What is asked of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Make this party's share.
    Share(Tag, Digest),
    /// Combine these shares.
    Combine {
        /// How often this was tried before: a job is done once for each number.
        attempt: u64,
        /// The domain.
        tag: Tag,
        /// What is signed.
        digest: Digest,
        /// Shares of distinct parties, unchecked.
        shares: Vec<(PartyId, Share)>,
    },
}

/// What the pool answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// This party's share.
    Share(Share),
    /// The signature, or who is to blame.
    Combined(Result<Certificate, Blame>),
}

impl Heard {
    fn from_answer(answer: Answer) -> Self {
        match answer {
            Answer::Share(share) => Self::Share(share),
            Answer::Signature(result) => Self::Combined(result),
            other => unreachable!("{other:?} answers no job of a signature"),
        }
    }
}

/// One signature at one party.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// What this party wants signed.
    digest: Option<Digest>,
    shares: Shares<Digest>,
}

/// What the signature of a message under a label covers in this instance, in the scheme of these keys:
/// anybody who has the public keys checks `keys.signature.check(&tag, &digest, &certificate)`.
pub fn covered(keys: &Keys, of: &InstanceId, label: &[u8], message: &[u8]) -> (Tag, Digest) {
    (of.tag("signature"), keys.signature.digest(label, message))
}

impl Protocol for Signature {
    const KIND: Kind = Kind("signature");
    type Spec = ();
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, (): ()) -> Self {
        Self::default()
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Sign { label, message }) => self.on_sign(&label, &message, fx),
            Event::Heard(Heard::Share(share)) => self.on_own(share, fx),
            Event::Message { from: Peer::Member(from), message } => {
                let Message::Share { digest, share } = message;
                self.on_share(from, digest, share, fx);
            }
            Event::Heard(Heard::Combined(result)) => self.on_combined(result, fx),
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        let heard = |_: &_, answer| Heard::from_answer(answer);
        let (at, job) = match ask {
            Ask::Share(tag, digest) => (Role::Job.only(), Job::SignatureShare { tag, digest }),
            Ask::Combine { attempt, tag, digest, shares } => {
                (Role::Job.at(attempt), Job::SignatureCombine { tag, digest, shares })
            }
        };
        children.compute(at, job, heard);
    }

    fn admit(seat: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        let Message::Share { share, .. } = message;
        share.admit(seat.keys.signature.scheme())
    }
}

impl Signature {
    fn on_sign(&mut self, label: &[u8], message: &[u8], fx: &mut Effects<'_, Self>) {
        if self.digest.is_none() {
            let (tag, digest) = covered(&fx.seat().keys, &fx.seat().id, label, message);
            self.digest = Some(digest);
            fx.ask(Ask::Share(tag, digest));
            self.try_combine(fx);
        }
    }

    fn on_own(&mut self, share: Share, fx: &mut Effects<'_, Self>) {
        if let Some(digest) = self.digest {
            fx.broadcast(Message::Share { digest, share });
        }
    }

    fn on_share(
        &mut self,
        from: PartyId,
        digest: Digest,
        share: Share,
        fx: &mut Effects<'_, Self>,
    ) {
        match self.shares.take(from, digest, share) {
            Ok(()) => self.try_combine(fx),
            Err(first) => fx.accuse(from, Fault::Equivocated { first, second: digest }),
        }
    }

    fn on_combined(&mut self, result: Result<Certificate, Blame>, fx: &mut Effects<'_, Self>) {
        match result {
            Ok(certificate) => {
                self.shares.finish();
                fx.output(Output::Signed(certificate));
            }
            Err(blame) => {
                for party in self.shares.blame(blame) {
                    fx.accuse(party, Fault::BadProof { what: "share of a signature".into() });
                }
                self.try_combine(fx);
            }
        }
    }

    /// Combines as many shares of the own message as are needed, one try at a time.
    fn try_combine(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(digest) = self.digest else { return };
        let needed = fx.seat().keys.signature.needed();
        if let Some((attempt, shares)) = self.shares.choose(digest, needed) {
            let tag = fx.seat().tag("signature");
            fx.ask(Ask::Combine { attempt, tag, digest, shares });
        }
    }
}

#[cfg(test)]
mod tests;
