//! A ciphertext to the group is opened when `f + 1` members want it opened.
//!
//! # Reference
//! Shoup, Gennaro, *Securing threshold cryptosystems against chosen ciphertext attack*, EUROCRYPT 1998:
//! labels, a check that everybody can make, and shares after it only. The scheme is the one of
//! [`Keys::cipher`].
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a threshold cipher of `f + 1`.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | combine | `f + 1` shares of the own ciphertext that are not known to be wrong | one correct member wants it opened; `f + 1` correct ones can open it alone |
//!
//! # Properties
//! Secrecy (while no user of a correct member asks for it, `f` members learn nothing about a ciphertext
//! but its size), agreement (all who ask for the same ciphertext under the same label learn the same),
//! and termination once `f + 1` correct members ask. A ciphertext is bound to the instance and to the
//! label: under another one, or changed, it is invalid, and no correct member makes a share of it. An
//! instance opens one ciphertext at each member. Members whose users want different ones accuse nobody.
//!
//! *When to ask* is the application's secret to keep: [`secure`](crate::stream::secure) asks when the
//! place of a ciphertext is fixed.
//!
//! # Deviations
//! Shares are not checked one by one: see [`coin`](super::coin). Who never asks learns nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::shares::Shares;
use crate::{
    children::Children,
    crypto::{Answer, Blame, Ciphertext, Digest, Job, Keys, Labelled, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    path::{InstanceId, Role},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Open this ciphertext. Only the first counts.
    Open {
        /// What it was made for.
        label: Bytes,
        /// The ciphertext, which every member that asks has.
        ciphertext: Ciphertext,
    },
}

/// What the user is told. One of the two comes, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// What was in it.
    Opened(Bytes),
    /// It was not made for this instance and label. Every correct member that asks for it is told so.
    Invalid,
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I want this opened; this is my share."
    Share {
        /// The digest of label and ciphertext.
        name: Digest,
        /// The share.
        share: Share,
    },
}

/// A job for the pool, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask(u64, Job);

/// What the pool answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// This party's share, if the ciphertext is valid.
    Share(Option<Share>),
    /// What was in it, or who is to blame.
    Combined(Result<Bytes, Blame>),
}

impl Heard {
    fn from_answer(answer: Answer) -> Self {
        match answer {
            Answer::Opening(mut shares) => Self::Share(shares.pop().flatten()),
            Answer::Opened(mut results) => Self::Combined(results.pop().expect("one for each")),
            other => unreachable!("{other:?} answers no job of an opening"),
        }
    }
}

/// What this party wants opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wanted {
    name: Digest,
    /// The ciphertext, and the label with the instance.
    sealed: Labelled,
    /// Whether it is valid, as far as this party knows.
    valid: bool,
}

/// One ciphertext at one party.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    wanted: Option<Wanted>,
    shares: Shares<Digest>,
}

/// What a ciphertext under this label in this instance is bound to.
fn bound(of: &InstanceId, label: &[u8]) -> Bytes {
    [of.tag("label").as_bytes(), label].concat().into()
}

/// Encrypts for an instance of a group, whose keys these are. `seed` must be fresh and secret. At most
/// [`PAYLOAD_MAX`](crate::wire::limits::PAYLOAD_MAX) bytes can be opened again.
pub fn encrypt(
    keys: &Keys,
    of: &InstanceId,
    label: &[u8],
    plaintext: &[u8],
    seed: &[u8; 32],
) -> Ciphertext {
    keys.cipher.encrypt(&bound(of, label), plaintext, seed)
}

impl Protocol for Opening {
    const KIND: Kind = Kind("opening");
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
            Event::Input(Input::Open { label, ciphertext }) => self.on_open(&label, ciphertext, fx),
            Event::Heard(Heard::Share(share)) => self.on_own(share, fx),
            Event::Message { from: Peer::Member(from), message } => {
                let Message::Share { name, share } = message;
                self.on_share(from, name, share, fx);
            }
            Event::Heard(Heard::Combined(result)) => self.on_combined(result, fx),
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(Ask(number, job): Ask, children: &mut C) {
        children.compute(Role::Job.at(number), job, |_: &_, answer| Heard::from_answer(answer));
    }

    fn admit(seat: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        let Message::Share { share, .. } = message;
        share.admit(seat.keys.cipher.scheme())
    }
}

impl Opening {
    fn on_open(&mut self, label: &[u8], ciphertext: Ciphertext, fx: &mut Effects<'_, Self>) {
        if self.wanted.is_none() {
            let label = bound(&fx.seat().id, label);
            let name = Digest::of_parts("opening", &[&label, &ciphertext.0]);
            let sealed = Labelled { label, ciphertext };
            let job = Job::OpenShares { sealed: vec![sealed.clone()] };
            self.wanted = Some(Wanted { name, sealed, valid: false });
            fx.ask(Ask(0, job));
        }
    }

    fn on_own(&mut self, share: Option<Share>, fx: &mut Effects<'_, Self>) {
        let Some(wanted) = &mut self.wanted else { return };
        let Some(share) = share else {
            self.shares.finish();
            return fx.output(Output::Invalid);
        };
        wanted.valid = true;
        fx.broadcast(Message::Share { name: wanted.name, share });
    }

    fn on_share(&mut self, from: PartyId, name: Digest, share: Share, fx: &mut Effects<'_, Self>) {
        match self.shares.take(from, name, share) {
            Ok(()) => self.try_combine(fx),
            Err(first) => fx.accuse(from, Fault::Equivocated { first, second: name }),
        }
    }

    fn on_combined(&mut self, result: Result<Bytes, Blame>, fx: &mut Effects<'_, Self>) {
        match result {
            Ok(plaintext) => {
                self.shares.finish();
                fx.output(Output::Opened(plaintext));
            }
            Err(blame) => {
                for party in self.shares.blame(blame) {
                    fx.accuse(party, Fault::BadProof { what: "share of a ciphertext".into() });
                }
                self.try_combine(fx);
            }
        }
    }

    /// Combines as many shares of the own ciphertext as are needed, one try at a time.
    fn try_combine(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(wanted) = self.wanted.as_ref().filter(|wanted| wanted.valid) else { return };
        let needed = fx.seat().keys.cipher.needed();
        if let Some((attempt, shares)) = self.shares.choose(wanted.name, needed) {
            let sealed = vec![(wanted.sealed.clone(), shares)];
            fx.ask(Ask(attempt, Job::OpenCombine { sealed }));
        }
    }
}

#[cfg(test)]
mod tests;
