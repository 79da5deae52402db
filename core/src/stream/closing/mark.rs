//! How payloads of users and requests to close are told from each other in the engine.

use bytes::Bytes;

use crate::stream::batch::Batch;

/// What stands behind a payload of a user.
const PAYLOAD: u8 = 0;

/// What stands alone for a request to close.
pub(super) const CLOSE: u8 = 1;

/// What a payload of the engine is, for outsiders that read it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// A payload of a user.
    Payload(Bytes),
    /// The request of its author that the stream end: with those of `f + 1` members it does.
    Close,
    /// Nothing that a correct member sends.
    Nothing,
}

impl Ordered {
    /// Reads what the engine ordered.
    pub fn read(payload: &Bytes) -> Self {
        match unmarked(payload) {
            Some(payload) => Self::Payload(payload),
            None if *payload == [CLOSE][..] => Self::Close,
            None => Self::Nothing,
        }
    }
}

/// The payloads as they go to the engine.
pub(super) fn marked(batch: &Batch) -> Batch {
    Batch::of(batch.iter().map(|payload| {
        let mut marked = Vec::with_capacity(payload.len() + 1);
        marked.extend_from_slice(&payload);
        marked.push(PAYLOAD);
        marked
    }))
}

/// The payload of a user, if this is one.
pub(super) fn unmarked(payload: &Bytes) -> Option<Bytes> {
    let (mark, rest) = payload.split_last()?;
    (*mark == PAYLOAD).then(|| payload.slice(..rest.len()))
}
