//! What is ordered, what is said about it, and to what a ciphertext is bound.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::{Ciphertext, Digest, Keys, Scheme, Share},
    fault::Fault,
    id::{ClientId, PartyId, Slot},
    path::InstanceId,
    stream::batch::{BadBatch, Batch},
    wire::{self, limits},
};

/// The most bytes that are encrypted at once: what fits into a payload of the engine, beside the head
/// of the ciphertext and the name of its author.
pub(super) const PLAIN_MAX: usize = limits::PAYLOAD_MAX - 512;

/// In whose name a ciphertext was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Author {
    /// A member of the group.
    Member(PartyId),
    /// An outsider.
    Client(ClientId),
}

impl From<PartyId> for Author {
    fn from(party: PartyId) -> Self {
        Self::Member(party)
    }
}

impl From<ClientId> for Author {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(party) => party.fmt(f),
            Self::Client(client) => client.fmt(f),
        }
    }
}

/// A payload of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) author: Author,
    pub(super) ciphertext: Ciphertext,
}

/// The most shares in one message: those of a question, or of a job.
pub(super) const SHARES_MAX: usize = 64;

/// A share of the ciphertext in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The slot.
    pub slot: Slot,
    /// The digest of what is in the slot.
    pub name: Digest,
    /// The share.
    pub share: Share,
}

/// What the parties say to each other about ciphertexts that are ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "These ciphertexts were ordered in these slots; these are my shares of them."
    Shares(Vec<Released>),
    /// "I may lack shares of yours from this slot on."
    Recall {
        /// The slot that this party wants to open next.
        from: Slot,
        /// Whether frames were lost, so that questions of this party may be among them.
        lossy: bool,
    },
    /// "You have been told what I keep."
    Told {
        /// Below this slot nothing is kept.
        oldest: Slot,
        /// From this slot on nothing was released.
        top: Slot,
    },
}

impl Message {
    /// What can be said without knowing the state. `ours` is the scheme of the group's cipher.
    pub(super) fn check(&self, ours: Scheme) -> Result<(), Fault> {
        match self {
            Self::Shares(shares) if shares.len() > SHARES_MAX => {
                Err(Fault::Improper("too many shares".into()))
            }
            Self::Shares(shares) => shares.iter().try_for_each(|one| one.share.admit(ours)),
            Self::Recall { .. } | Self::Told { .. } => Ok(()),
        }
    }
}

/// What a ciphertext of this author for this stream is bound to.
pub(super) fn label(stream: &InstanceId, author: Author) -> Bytes {
    let mut label = stream.tag("label").as_bytes().to_vec();
    wire::encode_onto(&author, &mut label);
    label.into()
}

/// How many bytes are encrypted for so many payloads of so many bytes, at the most.
pub(super) const fn room(payloads: usize, bytes: usize) -> usize {
    bytes + 5 * payloads + 64
}

/// Encrypts payloads of an outsider to the group of these keys: nobody reads them before the `stream`
/// has ordered them, and under another name they are refused. `seed` must be fresh and secret. Any
/// member takes the result as [`Input::Forward`](super::Input::Forward).
pub fn encrypt(
    keys: &Keys,
    stream: &InstanceId,
    client: ClientId,
    batch: &Batch,
    seed: &[u8; 32],
) -> Result<Ciphertext, BadBatch> {
    batch.check()?;
    let (payloads, bytes) = (batch.len(), batch.size());
    if batch.is_empty() || room(payloads, bytes) > PLAIN_MAX {
        return Err(BadBatch::TooLarge { payloads, bytes });
    }
    let label = label(stream, Author::Client(client));
    Ok(keys.cipher.encrypt(&label, &wire::encode(batch), seed))
}
