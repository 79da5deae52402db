//! Consistent stream: no two correct parties deliver different batches of a sender at one place.
//!
//! A [`fifo`](super::fifo) stream of [consistent broadcasts](crate::broadcast::consistent): three
//! delays and `3n` messages a batch, and a signature of each party. Not: totality. When a sender lies,
//! some may deliver and others not; those are stuck at that place of that sender, until others are so
//! far ahead that they do not keep it, and then told that they lagged. A user that must know that
//! everybody has it takes the [reliable](super::reliable) stream.

use bytes::Bytes;

use super::fifo::{Carrier, Fifo};
pub use super::fifo::{Input, Output, Spec};
use crate::{
    broadcast::consistent::{self, Consistent},
    id::PartyId,
    protocol::Kind,
};

/// One consistent stream at one party.
pub type ConsistentStream = Fifo<Consistent>;

impl Carrier for Consistent {
    const STREAM: Kind = Kind("consistent stream");
    const LANE: Kind = Kind("consistent lane");

    fn spec(sender: PartyId, limit: usize) -> consistent::Spec {
        consistent::Spec { sender, limit, approve: false }
    }

    fn speak(item: Bytes) -> consistent::Input {
        consistent::Input::Broadcast(item)
    }

    fn insist() -> Option<consistent::Input> {
        None
    }

    fn delivered(output: consistent::Output) -> Option<Bytes> {
        match output {
            consistent::Output::Delivered(closing) => Some(closing.payload),
            consistent::Output::Offered { .. } => None,
        }
    }
}
