//! A state in pieces, each of which is checked alone: the name of a state is the digest of the list of
//! the names of its pieces. Who has the list knows of every piece that comes whether it is right.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::message::CHUNK;
use crate::crypto::Digest;

/// The most pieces of a state that can be fetched: 16 GiB, whose list fits a frame.
pub(super) const PAGES_MAX: usize = 1 << 14;

/// A state and the names of its pieces, which are made once however often others ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pages {
    bytes: Bytes,
    list: Vec<Digest>,
}

impl Pages {
    pub(super) fn new(bytes: Bytes) -> Self {
        let list = bytes.chunks(CHUNK).map(name_of_piece).collect();
        Self { bytes, list }
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The name of the state.
    pub(super) fn name(&self) -> Digest {
        name(&self.list)
    }

    /// The names of the pieces.
    pub(super) fn list(&self) -> &[Digest] {
        &self.list
    }

    /// A piece.
    pub(super) fn piece(&self, place: u32) -> Option<Bytes> {
        let start = (place as usize).checked_mul(CHUNK).filter(|it| *it < self.bytes.len())?;
        Some(self.bytes.slice(start..self.bytes.len().min(start + CHUNK)))
    }
}

/// The name of the state whose pieces have these names.
pub(super) fn name(list: &[Digest]) -> Digest {
    let names: Vec<&[u8]> = list.iter().map(|name| name.as_bytes().as_slice()).collect();
    Digest::of_parts("checkpoint", &names)
}

/// The name of a piece.
pub(super) fn name_of_piece(piece: &[u8]) -> Digest {
    Digest::of("piece", piece)
}

/// How many pieces a state of this size has.
pub(super) fn count(size: u64) -> u64 {
    size.div_ceil(CHUNK as u64)
}
