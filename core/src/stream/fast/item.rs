//! What a stream orders: items, each of which moves the heads of lanes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "sim"))]
use crate::stream::contents::Content;
use crate::{
    crypto::Digest,
    id::{PartyId, Round},
    seat::Seat,
    stream::atomic::Position,
    wire,
};

/// How far a lane goes: so many batches, and the chain of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// How many batches.
    pub seq: u64,
    /// The chain of their names.
    pub chain: Digest,
}

impl Head {
    /// A lane without batches.
    pub(in crate::stream) fn start() -> Self {
        Self { seq: 0, chain: Digest::of("lane", b"") }
    }

    /// The head after one more batch, of this name.
    pub(in crate::stream) fn then(self, batch: &Digest) -> Self {
        let parts = [self.chain.as_bytes().as_slice(), batch.as_bytes()];
        Self { seq: self.seq + 1, chain: Digest::of_parts("lane", &parts) }
    }
}

/// What one step of the stream orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The epoch in which it is ordered.
    pub epoch: u64,
    /// The chain before it.
    pub after: Digest,
    /// Where the stream below stands, if the item closes its epoch.
    pub closes: Option<Box<Position>>,
    /// The lanes that it moves, in order, and how far.
    pub heads: Vec<(PartyId, Head)>,
}

impl Item {
    /// The chain after it, if it leads to `place`.
    pub(super) fn chain(&self, place: Round) -> Digest {
        let place = place.number().to_le_bytes();
        Digest::of_parts("item", &[&place, &wire::encode(self)])
    }

    /// The largest number in it.
    pub(super) fn largest(&self) -> u64 {
        let below = |below: &Position| below.round.number().max(below.slot.number());
        let below = self.closes.as_deref().map_or(0, below);
        self.epoch.max(below).max(farthest(&self.heads))
    }

    /// Whether it looks like one: lanes of members, in order, and no memo below.
    pub(super) fn is_proper(&self, seat: &Seat) -> bool {
        is_proper(&self.heads, seat)
            && self.closes.as_ref().is_none_or(|position| position.memo.is_empty())
    }
}

/// Whether these are heads of lanes of members, in order.
pub(super) fn is_proper(heads: &[(PartyId, Head)], seat: &Seat) -> bool {
    heads.is_sorted_by(|(one, _), (next, _)| one < next)
        && heads.iter().all(|(lane, _)| seat.has(*lane))
}

/// How far the lane goes that goes farthest.
pub(super) fn farthest(heads: &[(PartyId, Head)]) -> u64 {
    heads.iter().map(|(_, head)| head.seq).max().unwrap_or(0)
}

/// What a position needs besides the chain, so that somebody can go on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memo {
    /// The epoch.
    pub(super) epoch: u64,
    /// From where on the stream below is looked at for states of the epoch.
    pub(super) below: Position,
    /// How far each lane is ordered.
    pub(super) heads: Vec<Head>,
}

impl Memo {
    /// The memo of the position before all items.
    pub(super) fn first(n: u16) -> Self {
        let heads = vec![Head::start(); usize::from(n)];
        Self { epoch: 0, below: Position::default(), heads }
    }

    /// The memo in these bytes, if they hold one of a group of `n`. Those before all items are empty.
    pub(super) fn read(bytes: &Bytes, n: u16) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::first(n));
        }
        wire::decode(bytes).ok().filter(|memo: &Self| memo.heads.len() == usize::from(n))
    }
}

#[cfg(any(test, feature = "sim"))]
impl Content for Memo {
    const NAME: &'static str = "memo of the fast lane";

    fn judge(&self, seat: &Seat) -> bool {
        Self::read(&wire::encode(self), seat.thresholds().n()).is_some()
    }
}
