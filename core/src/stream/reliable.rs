//! Reliable stream: what one correct party delivers from a sender at a place, all deliver there.
//!
//! A [`fifo`](super::fifo) stream of [reliable broadcasts](crate::broadcast::reliable): three delays
//! and `n + 2n²` messages a batch, no signatures. Everybody gets everything, in the order of each sender,
//! unless it is told that it lagged. For news that all must have and nobody need compare.

use bytes::Bytes;

use super::fifo::{Carrier, Fifo};
pub use super::fifo::{Input, Output, Spec};
use crate::{
    broadcast::reliable::{self, Reliable},
    id::PartyId,
    protocol::Kind,
};

/// One reliable stream at one party.
pub type ReliableStream = Fifo<Reliable>;

impl Carrier for Reliable {
    const STREAM: Kind = Kind("reliable stream");
    const LANE: Kind = Kind("reliable lane");

    fn spec(sender: PartyId, limit: usize) -> reliable::Spec {
        reliable::Spec { sender, limit }
    }

    fn speak(item: Bytes) -> reliable::Input {
        reliable::Input::Broadcast(item)
    }

    fn insist() -> Option<reliable::Input> {
        Some(reliable::Input::Insist)
    }

    fn delivered(reliable::Output::Delivered(item): reliable::Output) -> Option<Bytes> {
        Some(item)
    }
}
