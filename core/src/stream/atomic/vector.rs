//! What a round agrees on: which batches of which parties it orders.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "sim"))]
use crate::stream::contents::Content;
use crate::{
    agreement::Predicate,
    crypto::{Digest, Signature},
    fault::{Fault, Once, Proof, Statement},
    id::{PartyId, Round},
    path::Tag,
    seat::{Owner, Seat},
    wire::{self, limits::SIGNATURE_BYTES_MAX},
};

/// The signed announcement of one batch, without the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whose batch.
    pub(super) party: PartyId,
    /// Which batch.
    pub(super) batch: Digest,
    /// The party's word that this is its batch of the round.
    pub(super) signature: Signature,
}

impl Entry {
    /// Whether the party signed this in the domain `tag` of the round.
    pub(super) fn is_signed(&self, seat: &Seat, tag: &Tag) -> bool {
        let signer = Owner::Party(seat.group.id, self.party);
        seat.keys.identity.verify(signer, tag, &self.batch, &self.signature)
    }
}

/// The longest encoding of the vector of a group of `n`: an entry takes its digest, its signature, and
/// a few bytes.
pub(super) fn size_max(n: u16) -> usize {
    8 + usize::from(n) * (48 + SIGNATURE_BYTES_MAX)
}

/// The domain of the announcements of one round of the stream at `seat`.
pub(super) fn tag(seat: &Seat, round: Round) -> Tag {
    Once::Batch(round).tag(&seat.id)
}

/// Two announcements of one party for one round, both rightly signed: this convicts it anywhere.
pub(super) fn signed_twice(seat: &Seat, round: Round, first: &Entry, second: &Entry) -> Fault {
    let statement = |it: &Entry| Statement { digest: it.batch, signature: it.signature.clone() };
    Fault::SignedTwice(Box::new(Proof {
        instance: seat.id.clone(),
        once: Once::Batch(round),
        party: first.party,
        first: statement(first),
        second: statement(second),
    }))
}

/// The bytes of a vector, whose entries are in the order of their parties.
pub(super) fn encode(entries: &[Entry]) -> Bytes {
    wire::encode(entries)
}

/// The entries in these bytes, if they are what a vector looks like: `n - f` distinct members or more,
/// in order. Signatures are not looked at.
pub(super) fn decode(bytes: &Bytes, seat: &Seat) -> Option<Vec<Entry>> {
    if bytes.len() > size_max(seat.thresholds().n()) {
        return None;
    }
    let entries: Vec<Entry> = wire::decode(bytes).ok()?;
    let rising = entries.is_sorted_by(|one, next| one.party < next.party);
    let members = entries.iter().all(|entry| seat.has(entry.party));
    let enough = entries.len() >= seat.thresholds().available();
    (rising && members && enough).then_some(entries)
}

#[cfg(any(test, feature = "sim"))]
impl Content for Vec<Entry> {
    const NAME: &'static str = "vector of a round";

    fn judge(&self, seat: &Seat) -> bool {
        decode(&encode(self), seat).is_some()
    }
}

/// What may be proposed in a round: batches that `n - f` distinct members or more signed for it.
///
/// The order of a round then holds a batch of at least one of any `f + 1` parties: what is queued at
/// all of them cannot be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The domain of the round's announcements.
    pub tag: Tag,
}

impl Predicate for Signed {
    type Proof = Bytes;

    fn holds(&self, seat: &Seat, proposal: &Bytes) -> bool {
        decode(proposal, seat)
            .is_some_and(|entries| entries.iter().all(|entry| entry.is_signed(seat, &self.tag)))
    }
}
