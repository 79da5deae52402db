//! What corrupted parties do. One misdeed a file; a party runs the honest trees and a behaviour
//! stands between them and the links.
//!
//! A behaviour sends in its own name and with its own keys only. Tests that need another lie write
//! one more `impl Behaviour`, or give [`Mutate`] a closure.

mod crash;
mod equivocate;
mod forge;
mod late;
mod mutate;
mod mute;
mod replay;
mod withhold;
mod wrong_share;

use std::fmt::Debug;

use bytes::Bytes;
pub use crash::Crash;
pub use equivocate::Equivocate;
pub use forge::Forge;
pub use late::Late;
pub use mutate::Mutate;
pub use mute::Mute;
pub use replay::Replay;
pub use withhold::Withhold;
pub use wrong_share::WrongShare;

use super::seeds::Rng;
use crate::{
    crypto::Keys, effects::Lane, id::PartyId, path::InstanceId, protocol::Kind, seat::Owner,
};

/// A frame that leaves a corrupted party.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// To whom.
    pub to: Owner,
    /// To which instance.
    pub instance: InstanceId,
    /// What runs there, as far as the sender knows.
    pub kind: Option<Kind>,
    /// Which lane it takes.
    pub lane: Lane,
    /// The message, encoded.
    pub bytes: Bytes,
    /// Which of the party's copies of itself says it, counted from 0.
    pub face: usize,
}

/// What a corrupted party has at hand.
#[derive(Debug)]
pub struct Corrupted<'a> {
    /// Who it is.
    pub me: Owner,
    /// The other members of its group; all parties, for a client.
    pub others: &'a [Owner],
    /// Its own keys.
    pub keys: &'a Keys,
    /// Its own chance.
    pub rng: &'a mut Rng,
    /// How many letters the world has delivered.
    pub step: u64,
    pub(super) out: Vec<Outgoing>,
}

impl Corrupted<'_> {
    /// Sends a frame in its own name.
    pub fn send(&mut self, frame: Outgoing) {
        self.out.push(frame);
    }
}

/// A named misdeed.
pub trait Behaviour: Debug + Send {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// What becomes of a frame that the party's own tree sends.
    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        cx.send(frame);
    }

    /// Sees a frame that the party's own tree is about to take.
    fn hear(
        &mut self,
        _from: Owner,
        _instance: &InstanceId,
        _bytes: &Bytes,
        _cx: &mut Corrupted<'_>,
    ) {
    }

    /// Nothing is in flight any more.
    fn idle(&mut self, _cx: &mut Corrupted<'_>) {}

    /// Whether the party's own trees go on taking mail.
    fn runs(&self) -> bool {
        true
    }

    /// How many copies of itself the party runs, each of which says something else.
    fn faces(&self) -> usize {
        1
    }

    /// A copy of it, for searches.
    fn boxed(&self) -> Box<dyn Behaviour>;
}

/// One of each misdeed, chosen by the seed: for tests that want any of them.
pub fn any(seed: u64) -> Box<dyn Behaviour> {
    let mut rng = Rng::new(seed).fork(0xbad);
    match rng.below(8) {
        0 => Box::new(Crash::after(rng.below(64) as u64)),
        1 => Box::new(Mute),
        2 => Box::new(Late::default()),
        3 => Box::new(Withhold::at_random()),
        4 => Box::new(Equivocate::at_random()),
        5 => Box::new(Replay::default()),
        6 => Box::new(Forge),
        _ => Box::new(WrongShare),
    }
}

/// Whether `owner` is one of these members of its group.
fn is_among(owner: Owner, parties: &[PartyId]) -> bool {
    matches!(owner, Owner::Party(_, party) if parties.contains(&party))
}
